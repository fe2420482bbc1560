"""Rows of a table -> the photos that can be filed by it, and those that cannot."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import cache

from dogsort.errors import FilingError
from dogsort.filing.journal import FOLDER_NAME
from dogsort.photos.program_folders import is_program_folder
from dogsort.records import Failure, Label
from dogsort.results.log import Entry, Log, Stamp
from dogsort.results.reading import Row

__all__ = ["GONE", "MOVED", "check_below", "folders_of", "photos_of", "walked"]

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
                f"{row.place}: {row.path} does not lie below {folder}, so nothing is filed; paths "
                "count from the current folder, and if you trust the table, name the folder of its "
                "photos with --photos"
            )
        inner = real[len(below) :].casefold()
        if FOLDER_NAME in inner and FOLDER_NAME in inner.split(os.sep):
            raise FilingError(
                f"{row.place}: {row.path}: what lies in {FOLDER_NAME} is dogsort's own, so nothing "
                "is filed"
            )
        if real in seen:
            raise FilingError(
                f"{row.place}: {row.path} is there twice, also as {seen[real].path}, so nothing is "
                "filed"
            )
        seen[real] = row


def folders_of(log: Log | None, below: str) -> list[str]:
    """Return the folders that the table's photos were found in: PATHs of its run, below a folder.

    Args:
        log: of the table, if there is one.
        below: what lies elsewhere is not believed.
    """
    paths = [] if log is None else [path for path in log.paths if os.path.isdir(path)]
    start = os.path.join(os.path.realpath(below), "")
    return [path for path in paths if os.path.join(os.path.realpath(path), "").startswith(start)]


def walked(
    rows: Iterable[Row],
    roots: Iterable[str],
    filed: Callable[[str], Iterable[str]],
    on_passed_over: Callable[[str], None],
    on_program_folder: Callable[[str], None],
) -> Iterator[Row]:
    """Leave out the rows that a scan would not have found: somebody may have sorted there by hand.

    Args:
        rows: of the table.
        roots: the folders to be walked, and files that were named by themselves.
        filed: tells, of each folder from a root down to a row, the folders below it that earlier
            runs filed into, absolute, without links; like a scan, this passes over them.
        on_passed_over: called with each of them that holds a row.
        on_program_folder: called with each folder of a program, below a root, that holds a row.

    Raises:
        FilingError: if ``filed`` cannot tell.
    """
    named = set(roots)
    starts = set(map(os.path.realpath, named))
    told: set[str] = set()
    filed = cache(filed)

    @cache
    def passed_over(place: str) -> tuple[str, Callable[[str], None]] | None:
        inner_first, here = [], os.path.realpath(place)
        while here not in starts:
            if here == os.path.dirname(here):
                return None  # below no root: named by itself
            inner_first.append(here)
            here = os.path.dirname(here)
        found = set(filed(here))
        for below in reversed(inner_first):
            if is_program_folder(os.path.basename(below)):
                return below, on_program_folder
            if below in found:
                return below, on_passed_over
            found.update(filed(below))
        return None

    for row in rows:
        found = passed_over(os.path.dirname(row.path) or os.curdir)
        if found is None or row.path in named:
            yield row
            continue
        place, tell = found
        if place not in told:
            told.add(place)
            tell(place)


def photos_of(
    rows: Iterable[Row],
    labels: Collection[Label],
    log: Log | None,
    moved: Callable[[str], tuple[Label, int] | None],
) -> Iterator[tuple[str, Label | None] | Failure]:
    """Look what became of the photos in rows.

    Args:
        rows: of the table.
        labels: those that are filed.
        log: of the table, which tells what the photos were when they were classified. Without, or
            for a row that it does not hold, that is not asked.
        moved: tells, of an absolute path without links, how an earlier run moved a photo away.

    Yields:
        A Failure for a photo that was to be filed and cannot be, or was already. Path and label of
        all that are there, for what belongs to several photos asks for each; None for one that has
        changed.
    """
    resolved = cache(os.path.realpath)
    for row in rows:
        entry = None if log is None else log.entries.get(row.path)
        reason = _why_not(row, entry)
        folder, name = os.path.split(row.path)
        is_gone = reason is not None and not os.path.lexists(row.path)
        earlier = moved(os.path.join(resolved(folder), name)) if is_gone else None
        if earlier is not None and (entry is None or entry.stamp.size == earlier[1]):
            same = earlier[0] == row.label
            reason = MOVED if same else f"{MOVED} as {earlier[0]}; dogsort undo takes that back"
        if reason is not None and row.label in labels:
            yield Failure(row.path, reason)
        if reason in (None, CHANGED):
            yield row.path, row.label if reason is None else None


def _why_not(row: Row, entry: Entry | None) -> str | None:
    """Return why a photo is not to be filed; None if nothing is against it."""
    stamp = Stamp.of(row.path)
    if stamp is None:
        escaped = ", or a name that is no UTF-8, which needs a .csv table"
        return GONE + (escaped if "\\x" in row.path else "")
    return None if entry is None or entry.stamp == stamp else CHANGED
