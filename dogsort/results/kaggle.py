"""Predictions -> a Kaggle submission of Dogs vs. Cats (2013) or its Redux edition (2016)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from itertools import pairwise

from dogsort.errors import DataError
from dogsort.photos.scan import Scan
from dogsort.records import DECIMALS, Failure, Record
from dogsort.results.csv_rows import write_rows
from dogsort.results.text import quoted

__all__ = [
    "UNKNOWN",
    "missing_ids",
    "numbered_photos",
    "submission_label",
    "upload_command",
    "write_submission",
]

#: The value for an unreadable photo, so that the file stays valid.
UNKNOWN = 0.5

#: Most gaps in the ids that are named; the rest are counted.
MOST_GAPS = 8


def numbered_photos(folder: str) -> tuple[dict[str, int], list[str]]:
    """Read the ids from the file names in a test folder, before any work.

    Args:
        folder: the test folder.

    Returns:
        Ids by path, in the order found; and the program folders that were skipped.

    Raises:
        DataError: for a name that is no number, an id that comes twice, an empty folder, one that
            cannot be looked into, or a link to a folder.
    """
    ids: dict[str, int] = {}
    paths: dict[int, str] = {}
    scan = Scan([folder])
    for item in scan:
        if isinstance(item, Failure):
            raise DataError(f"{item.path}: {item.error}")
        stem = os.path.splitext(os.path.basename(item.path))[0]
        if not (stem.isascii() and stem.isdigit()):
            raise DataError(
                f"{item.path}: its name is not a number; test photos are 1.jpg, 2.jpg, ..."
            )
        number = int(stem)
        if number in paths:
            raise DataError(f"{item.path}: id {number} appears twice, also as {paths[number]}")
        paths[number] = item.path
        ids[item.path] = number
    for path in scan.links:
        raise DataError(
            f"{path}: a link to a folder; a test folder must hold the photos themselves"
        )
    if not ids:
        raise DataError(f"{folder}: no photos found; a test folder holds 1.jpg, 2.jpg, ...")
    return ids, scan.program_folders


def missing_ids(ids: Iterable[int]) -> str:
    """Return the ids missing between 1 and the highest, such as ``3, 7-9``; empty if none."""
    gaps = [(low + 1, high - 1) for low, high in pairwise([0, *sorted(ids)]) if high - low > 1]
    named = [str(low) if low == high else f"{low}-{high}" for low, high in gaps[:MOST_GAPS]]
    others = sum(high - low + 1 for low, high in gaps[MOST_GAPS:])
    return ", ".join(named + [f"and {others} others"] * bool(others))


def upload_command(path: str, hard: bool) -> str:
    """Return the command of Kaggle's own program that uploads a submission."""
    competition = "dogs-vs-cats" if hard else "dogs-vs-cats-redux-kernels-edition"
    return f"kaggle competitions submit -c {competition} -f {quoted(path)} -m dogsort"


def submission_label(record: Record, clip: float, hard: bool) -> float:
    """Return the probability of dog within [clip, 1 - clip]; with ``hard``, 1 or 0."""
    if isinstance(record, Failure):
        return UNKNOWN
    if hard:
        return 1.0 if record.p_dog >= UNKNOWN else 0.0
    return min(max(record.p_dog, clip), 1.0 - clip)


def write_submission(path: str, labels: dict[int, float], hard: bool) -> list[str]:
    """Write ``id,label`` rows in numeric order; the file appears complete or not at all.

    Args:
        path: the file to write.
        labels: values by id, 0..1.
        hard: write whole numbers (an unreadable photo still gets 0.5).

    Returns:
        Messages for the user.

    Raises:
        OutputError: if it cannot be written.
    """
    text_format = "g" if hard else f".{DECIMALS}f"
    rows = ((number, format(labels[number], text_format)) for number in sorted(labels))
    return write_rows(path, ("id", "label"), rows)
