"""Predictions -> filed photos; README.md beside this file lists the promises."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from dogsort.errors import FilingError
from dogsort.filing.execute import at_work, carry_out, put_back, run_to_undo
from dogsort.filing.options import FilingOptions
from dogsort.filing.plan import Planner
from dogsort.records import Label, Record

__all__ = ["Filed", "FilingOptions", "file_photos", "undo"]


class Filed(NamedTuple):
    """The outcome for one file.

    Attributes:
        source: its original path.
        target: its path once filed; undo goes from here back to ``source``.
        label: the label it was filed under.
        error: why it was not filed or not put back; None if it was.
    """

    source: str
    target: str
    label: Label
    error: str | None


def file_photos(records: Iterable[Record], options: FilingOptions) -> list[Filed]:
    """File photos and their sidecars, or continue a killed run.

    Args:
        records: of all photos, because photos that stay may share a sidecar.
        options: what to do.

    Returns:
        A row for each file to be filed, whether it was or not.

    Raises:
        FilingError: if another dogsort is at work there, the journal cannot be read or written, or
            a disk fails.
    """
    planner = Planner(options)
    for record in records:
        planner.add_record(record)
    with at_work(options.folder) as (journal, _):
        return [
            Filed(filing.source, filing.target, filing.label, _text(error))
            for filing, error in carry_out(planner.filings(), options.action, journal)
        ]


def undo(folder: str, trust: bool = False) -> list[Filed]:
    """Undo the last run into a folder that is not yet undone.

    Args:
        folder: the folder that was filed into.
        trust: whether to believe the journal of somebody else's run, and put files back to places
            outside the folder.

    Returns:
        A row for each filed file, whether it could be put back or not; empty if there is no such
        run.

    Raises:
        FilingError: if another dogsort is at work there, the run is somebody else's, the journal
            cannot be read or written, or a disk fails.
    """
    run = run_to_undo(folder, trust)
    if run is None:
        return []
    with at_work(folder, run if trust else None) as (journal, _):
        return [
            Filed(step.source, step.target, step.label, _text(error))
            for step, error in put_back(journal, run)
        ]


def _text(error: FilingError | None) -> str | None:
    return None if error is None else str(error)
