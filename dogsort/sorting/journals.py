"""The journals of a folder: one for each run that filed into it."""

from __future__ import annotations

import os
from collections.abc import Collection
from functools import cache
from pathlib import Path

from dogsort.errors import FilingError
from dogsort.sorting.journal import Journal, name_of, run_of
from dogsort.sorting.steps import FOLDER_NAME, Step
from dogsort.sorting.wishes import Action

__all__ = [
    "begin_journal",
    "filed_into",
    "journals_of",
    "keeps_within",
    "moved_into",
    "place_of",
    "sources_of",
    "stopped_runs",
]


def begin_journal(folder: str, action: Action) -> Journal:
    """Begin the journal of a new run in a folder, whose ``FOLDER_NAME`` is there already.

    Raises:
        FilingError: if it cannot be written.
    """
    place = place_of(folder)
    try:
        run = max(map(run_of, os.listdir(place)), default=0) + 1
        return Journal.create(place / name_of(run), action)
    except OSError as error:
        raise FilingError(f"{folder}: no journal can be written: {error.strerror}") from error


def journals_of(folder: str) -> list[Journal]:
    """Return the journals of a folder, the oldest first.

    Raises:
        FilingError: if one cannot be read.
    """
    place = place_of(folder)
    try:
        names = os.listdir(place)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise FilingError(f"{place}: cannot be looked into: {error.strerror}") from error
    journals = [Journal(place / name) for name in names if run_of(name)]
    return sorted((one for one in journals if one.begun), key=lambda journal: journal.run)


def stopped_runs(folder: str) -> list[Journal]:
    """Return the journals of runs that were killed, or are still going on, the newest first.

    Raises:
        FilingError: if a journal cannot be read.
    """
    return [journal for journal in reversed(journals_of(folder)) if journal.stopped]


def keeps_within(journal: Journal, paths: Collection[str]) -> bool:
    """Tell whether undoing a run changes nothing but its folder and what lies below some paths.

    A journal may come with a folder that somebody else made, and name any place.
    """
    allowed = set(map(os.path.realpath, paths))
    for path in paths:  # a link that was named by itself is not what it leads to
        folder, name = os.path.split(path)
        allowed.add(os.path.join(os.path.realpath(folder), name))

    @cache
    def is_allowed(folder: str) -> bool:
        while folder not in allowed:
            outer = os.path.dirname(folder)
            if outer == folder:
                return False
            folder = outer
        return True

    return all(
        step.is_inside or step.source in allowed or is_allowed(os.path.dirname(step.source))
        for step in journal.steps.values()
    )


def sources_of(journals: Collection[Journal]) -> set[str]:
    """Return the folders that undoing some runs puts photos back into, but for those not there."""
    sources = {
        os.path.dirname(step.source)
        for journal in journals
        for step in journal.steps.values()
        if journal.action == "move" and not journal.closed and not step.is_inside
    }
    return set(filter(os.path.isdir, sources))


def moved_into(folder: str) -> dict[str, Step]:
    """Return what runs, but for those undone, moved into a folder, by where it was: absolute.

    Raises:
        FilingError: if a journal cannot be read.
    """
    return {
        step.source: step
        for journal in journals_of(folder)
        for step, outcome in zip(journal.steps.values(), journal.outcomes, strict=True)
        if journal.action == "move" and outcome == "done"
    }


def filed_into(folder: str) -> list[str]:
    """Return the folders that runs, but for those undone, filed photos into: sorted, absolute.

    Where it is not known yet if a photo was filed, its folder is one of them. Cheap for the many
    folders that have no journals, so a walk may ask in each.

    Raises:
        FilingError: if a journal cannot be read.
    """
    if not os.path.isdir(os.path.join(folder, FOLDER_NAME)):
        return []
    return sorted(
        {
            os.path.dirname(step.target)
            for journal in journals_of(folder)
            for step, outcome in zip(journal.steps.values(), journal.outcomes, strict=True)
            if outcome in ("done", None) and not journal.closed
        }
    )


def place_of(folder: str) -> Path:
    """Return where the journals of a folder lie.

    Raises:
        FilingError: if that is a link, which may lead to others' files, or cannot be told.
    """
    try:
        place = Path(os.path.realpath(folder), FOLDER_NAME)
        if place.is_symlink():
            raise FilingError(f"{place}: is a link, and not dogsort's own folder; delete it")
    except OSError as error:
        raise FilingError(f"{folder}: cannot be looked into: {error.strerror}") from error
    return place
