"""Rows of a table -> the photos that can be filed by it, and those that cannot."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache
from typing import TypeAlias

from dogsort.errors import FilingError
from dogsort.records import Failure, Label
from dogsort.results.reading import Row

__all__ = ["Seen", "check_below", "photos_of"]

#: Size in bytes and time in ns of photos when they were classified, by path.
Seen: TypeAlias = Mapping[str, tuple[int, int]]


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


def photos_of(
    rows: Iterable[Row], labels: Collection[Label], seen: Seen
) -> Iterator[tuple[str, Label] | Failure]:
    """Choose the rows whose photos are to be filed.

    Args:
        rows: of the table.
        labels: those that are filed.
        seen: what the photos were when they were classified; for others it is not asked.

    Yields:
        Path and label; a Failure for a photo that has gone or changed since.
    """
    for row in rows:
        if row.label is None or row.label not in labels:
            continue
        try:
            status = os.stat(row.path)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            yield Failure(row.path, f"gone since it was classified: {reason}")
            continue
        was = seen.get(row.path)
        if was is not None and was != (status.st_size, status.st_mtime_ns):
            yield Failure(row.path, "changed since it was classified")
        else:
            yield row.path, row.label
