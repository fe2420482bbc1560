"""Rows of a table -> the photos that can be filed by it, and those that cannot."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import cache
from typing import NamedTuple

from dogsort.errors import FilingError
from dogsort.filing.journal import FOLDER_NAME, filed_into
from dogsort.photos.program_folders import is_program_folder
from dogsort.records import Failure, Label
from dogsort.results.cache import stamp_of
from dogsort.results.reading import Row

__all__ = ["GONE", "MOVED", "Walked", "check_below", "photos_of", "walked"]

GONE = "gone since it was classified"
CHANGED = "changed since it was classified"
MOVED = "moved by an earlier run"


def check_below(rows: Iterable[Row], folder: str) -> None:
    """Refuse a table that names what lies outside of a folder: it may come from anybody.

    Likewise one that names a photo twice, or what lies in a folder of journals.

    Raises:
        FilingError: naming the row.
    """
    resolved = cache(os.path.realpath)
    below = os.path.join(resolved(folder), "")
    seen: dict[str, Row] = {}
    for row in rows:
        place, name = os.path.split(row.path)
        real = os.path.join(resolved(place or os.curdir), name)
        if name in ("", os.curdir, os.pardir) or not real.startswith(below):
            raise FilingError(
                f"{row.place}: {row.path} is not below {folder}, so nothing is filed; paths are "
                "relative to the current folder; if you trust the table, name the folder of its "
                "photos with --photos"
            )
        inner = real[len(below) :].casefold()
        if FOLDER_NAME in inner and FOLDER_NAME in inner.split(os.sep):
            raise FilingError(
                f"{row.place}: {row.path}: files in {FOLDER_NAME} are dogsort's own, so nothing is "
                "filed"
            )
        if real in seen:
            raise FilingError(
                f"{row.place}: {row.path} appears twice, also as {seen[real].path}, so nothing is "
                "filed"
            )
        seen[real] = row


class Walked(NamedTuple):
    """Rows of a table as a scan would have found them.

    Attributes:
        rows: of photos.
        passed_over: folders with rows that earlier runs filed into.
        program_folders: folders with rows that belong to programs.
    """

    rows: list[Row]
    passed_over: list[str]
    program_folders: list[str]


def walked(rows: Iterable[Row], roots: Iterable[str]) -> Walked:
    """Leave out the rows that a scan would not have found: somebody may have sorted there by hand.

    A row that a person corrected counts in any folder that was filed into.

    Args:
        rows: of the table.
        roots: the folders to be walked; a row below none of them was named by itself.

    Raises:
        FilingError: if a journal cannot be read.
    """
    starts = set(map(os.path.realpath, roots))
    told = cache(filed_into)

    @cache
    def left_out(place: str) -> tuple[str, bool] | None:
        """Return the outermost folder around a row that is left out, and if it is a program's."""
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

    def left_out_of(row: Row) -> tuple[str, bool] | None:
        found = left_out(os.path.dirname(row.path))
        return None if found and row.is_corrected and not found[1] else found

    found = [(row, left_out_of(row)) for row in rows]
    folders = dict.fromkeys(out for _, out in found if out is not None)
    return Walked(
        [row for row, out in found if out is None],
        [folder for folder, is_program in folders if not is_program],
        [folder for folder, is_program in folders if is_program],
    )


def photos_of(
    rows: Iterable[Row],
    labels: Collection[Label],
    classified: Callable[[str], str | None],
    moved: Callable[[str], tuple[Label, int] | None],
) -> Iterator[tuple[str, Label | None] | Failure]:
    """Look what became of the photos in rows.

    Args:
        rows: of the table.
        labels: those that are filed.
        classified: tells, of a path, the stamp that its photo had when it was classified; None if
            that is not known.
        moved: tells, of an absolute path without links, how an earlier run moved a photo away.

    Yields:
        A Failure for a photo that was to be filed and cannot be, or was already. Path and label of
        all that are there, for what belongs to several photos asks for each; None for one that has
        changed.
    """
    resolved = cache(os.path.realpath)
    for row in rows:
        stamp, then = stamp_of(row.path), classified(row.path)
        reason = None if then in (None, stamp) else CHANGED
        if stamp is None:
            reason = GONE + _what_else(row.path)
            folder, name = os.path.split(row.path)
            is_gone = not os.path.lexists(row.path)
            earlier = moved(os.path.join(resolved(folder), name)) if is_gone else None
            if earlier is not None:
                same = earlier[0] == row.label
                reason = MOVED if same else f"{MOVED} as {earlier[0]}; dogsort undo puts it back"
        if reason is not None and row.label in labels:
            yield Failure(row.path, reason)
        if stamp is not None:
            yield row.path, None if reason else row.label


def _what_else(path: str) -> str:
    """Return why a file may not be found that is there."""
    if "\\x" in path:
        return ", or its name is not UTF-8, which needs a .csv table"
    if not path.isprintable() and any("\udc80" <= letter <= "\udcff" for letter in path):
        return ", or the table is not UTF-8: save it as 'CSV UTF-8'"
    return ""
