"""Rows of a table -> the photos that can be filed by it, and those that cannot."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from functools import cache

from dogsort.errors import FilingError
from dogsort.records import Failure, Label
from dogsort.results.log import Log, Stamp
from dogsort.results.reading import Row

__all__ = ["check_below", "folders_of", "photos_of"]


def check_below(rows: Iterable[Row], folder: str) -> None:
    """Refuse a table that names what lies outside of a folder: it may come from anybody.

    Raises:
        FilingError: naming the row.
    """
    resolved = cache(os.path.realpath)
    below = os.path.join(resolved(folder), "")
    for row in rows:
        place, name = os.path.split(row.path)
        if name in ("", os.curdir, os.pardir) or not os.path.join(
            resolved(place or os.curdir), name
        ).startswith(below):
            raise FilingError(
                f"{row.place}: {row.path} does not lie below {folder}, so nothing is filed; "
                "if you trust the table, name the folder of its photos with --photos"
            )


def folders_of(log: Log | None, below: str) -> list[str]:
    """Return the folders that the table's photos were found in: PATHs of its run, below a folder.

    Args:
        log: of the table, if there is one.
        below: what lies elsewhere is not believed.
    """
    paths = [] if log is None else [path for path in log.paths if os.path.isdir(path)]
    start = os.path.join(os.path.realpath(below), "")
    return [path for path in paths if os.path.join(os.path.realpath(path), "").startswith(start)]


def photos_of(
    rows: Iterable[Row], labels: Collection[Label], log: Log | None
) -> Iterator[tuple[str, Label] | Failure]:
    """Choose the rows whose photos are to be filed.

    Args:
        rows: of the table.
        labels: those that are filed.
        log: of the table, which tells what the photos were when they were classified. Without, or
            for a row that it does not hold, that is not asked.

    Yields:
        Path and label; a Failure for a photo that has gone or changed since.
    """
    for row in rows:
        if row.label is None or row.label not in labels:
            continue
        stamp = Stamp.of(row.path)
        entry = None if log is None else log.entries.get(row.path)
        if stamp is None:
            yield Failure(row.path, "gone since it was classified")
        elif entry is not None and entry.stamp != stamp:
            yield Failure(row.path, "changed since it was classified")
        else:
            yield row.path, row.label
