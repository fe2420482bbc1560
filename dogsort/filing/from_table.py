"""Rows of a table -> photos that can be filed by it, and failures."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from dogsort.filing.journal import Journal, filed_into
from dogsort.photos.program_folders import is_program_folder
from dogsort.records import Failure, Label
from dogsort.results.cache import Cache, stamp_of
from dogsort.results.reading import Row

__all__ = [
    "GONE",
    "MOVED",
    "Walked",
    "folders_of",
    "photos_of",
    "walked",
]

GONE = "gone since it was classified"
CHANGED = "changed since it was classified"
MOVED = "moved by an earlier run"

CHUNK = 500  # rows looked up together, which is far faster; SQLite may allow only 999 values


def folders_of(table: str, below: str, cache: Cache) -> list[str]:
    """Return the folders in which the table's photos were found, if they are below a folder."""
    known = cache.table(table)
    start = os.path.join(os.path.realpath(below), "")
    folders = [] if known is None else known.folders
    return [
        _seen_from_here(folder)
        for folder in folders
        if os.path.isdir(folder) and os.path.join(folder, "").startswith(start)
    ]


def _seen_from_here(folder: str) -> str:
    """Return the path of a folder: relative if it is below the current one, else absolute."""
    path, here = Path(folder), Path(os.path.realpath(os.curdir))
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


class Walked(NamedTuple):
    """The rows of a table that a scan would find, and the folders it would skip.

    Attributes:
        rows: the rows of photos.
        passed_over: folders in the table that earlier runs filed into.
        program_folders: folders in the table that belong to programs.
    """

    rows: list[Row]
    passed_over: list[str]
    program_folders: list[str]


def walked(rows: Iterable[Row], roots: Iterable[str]) -> Walked:
    """Drop rows that a scan would skip, because somebody may have sorted those folders by hand.

    A row that a person corrected is kept in a folder that was filed into.

    Args:
        rows: the rows of the table.
        roots: the folders walked; a row below none of them was named by itself.

    Raises:
        FilingError: if a journal cannot be read.
    """
    starts = set(map(os.path.realpath, roots))
    told = cache(filed_into)

    @cache
    def left_out(place: str) -> tuple[str, bool] | None:
        """Return the outermost skipped folder around a row, and whether it is a program's."""
        inner_first, here = [], os.path.realpath(place or os.curdir)
        while here not in starts:
            if here == os.path.dirname(here):
                return None
            inner_first.append(here)
            here = os.path.dirname(here)
        filed = set(told(here))
        for below in reversed(inner_first):
            if is_program_folder(os.path.basename(below)):
                return below, True
            if below in filed:
                return below, False
            filed.update(told(below))
        return None

    kept: list[Row] = []
    folders: dict[str, bool] = {}
    for row in rows:
        out = left_out(os.path.dirname(row.path))
        if out is None or (row.is_corrected and not out[1]):
            kept.append(row)
        else:
            folders[out[0]] = out[1]
    return Walked(
        kept,
        [folder for folder, is_program in folders.items() if not is_program],
        [folder for folder, is_program in folders.items() if is_program],
    )


def photos_of(
    rows: Sequence[Row],
    labels: Collection[Label],
    classified: Callable[[Iterable[str]], Mapping[str, str]],
    journal: Journal | None,
) -> Iterator[tuple[str, Label | None] | Failure]:
    """Check whether the photos in rows are still there and unchanged.

    Args:
        rows: the rows of the table.
        labels: the labels to be filed.
        classified: returns the stamps of paths when they were classified, where known.
        journal: of the folder filed into; it knows what earlier runs moved away.

    Yields:
        A Failure for each photo to be filed that cannot be, or already was, and for each that was
        filed under another label and is no longer to be filed. Path and label of each photo that is
        there, filed or not, because photos may share a sidecar; the label is None if there is a
        Failure.
    """
    label_before = _labels_before(journal)
    stamps: Mapping[str, str] = {}
    for index, row in enumerate(rows):
        if index % CHUNK == 0:
            stamps = classified(row.path for row in rows[index : index + CHUNK])
        stamp, reason, before = stamp_of(row.path), None, None
        if stamp is None:
            reason = GONE + _what_else(row.path)
        elif stamps.get(row.path, stamp) != stamp:
            reason = CHANGED
        # What lies where it was moved may be filed from there.
        if stamp is None or row.label not in labels:
            before = label_before(row.path)
        is_other = before is not None and before != row.label
        if is_other:
            reason = f"{MOVED} as {before}; dogsort undo puts it back"
        elif before is not None and stamp is None:
            reason = MOVED
        if reason is not None and (is_other or row.label in labels):
            yield Failure(row.path, reason)
        if stamp is not None:
            yield row.path, None if reason else row.label


def _labels_before(journal: Journal | None) -> Callable[[str], Label | None]:
    """Return what tells under which label runs moved a photo away from a path, or to it."""
    if journal is None:
        return lambda _: None
    resolved, moved_as = cache(os.path.realpath), cache(journal.moved_as)
    folders = set(journal.folders())

    def label_before(path: str) -> Label | None:
        folder, name = os.path.split(path)
        place = os.path.join(resolved(folder), name)
        if os.path.lexists(path):
            # Few rows are in these folders, and a large journal takes seconds to read.
            return moved_as().get(place) if resolved(folder) in folders else None
        moved = journal.moved_from(place)
        return None if moved is None else moved[0]

    return label_before


def _what_else(path: str) -> str:
    """Return why a file that exists may not be found."""
    if "\\x" in path:
        return ", or its name is not UTF-8, which needs a .csv table"
    if not path.isprintable() and any("\udc80" <= letter <= "\udcff" for letter in path):
        return ", or the table is not UTF-8: save it as 'CSV UTF-8'"
    return ""
