"""Which files a table may name, because a table from anybody may name anything."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from functools import cache

from dogsort.errors import DataError
from dogsort.filing.journal import FOLDER_NAME
from dogsort.results.reading import Row

__all__ = ["Bounds", "place_of"]

WITH_PHOTOS = "if you trust the table, name the folder of its photos with --photos"
AS_BEFORE = "name the same PATH as before, or another table with -o"
RELATIVE = "paths are relative to the current folder"
#: Absolute paths, as in the tables of dogsort review.
ELSEWHERE = "it is of another folder, or of this one under an old name"
ANEW = "move the table away and run dogsort review FOLDER, which remembers your corrections"


class Bounds:
    """The folders, or single files, that a table may name.

    Args:
        roots: their paths.
        is_table: whether the photos are named by a table only. Then a link to a file outside is not
            followed; where photos are classified, it is.

    Attributes:
        roots: as given.
    """

    def __init__(self, roots: Sequence[str], is_table: bool = True) -> None:
        self.roots, self._is_table = roots, is_table
        folders = [root for root in roots if os.path.isdir(root)]
        self._folders = [os.path.join(os.path.realpath(folder), "") for folder in folders]
        self._files = {place_of(root) for root in roots if root not in folders}

    def file(self, path: str) -> str | None:
        """Return where a photo is, without links to folders; None if it is outside."""
        place = place_of(path)
        real = os.path.realpath(place) if self._is_table else place
        return None if self._folder_around(real) is None else place

    def check(self, rows: Iterable[Row]) -> None:
        """Refuse a table with paths outside.

        A table that names a photo twice, or a file in a journal's folder, is refused, too.

        Raises:
            DataError: naming the row.
        """
        resolved = cache(os.path.realpath)
        seen: dict[str, Row] = {}
        for row in rows:
            place, name = os.path.split(row.path)
            real = os.path.join(resolved(place or os.curdir), name)
            folder = self._folder_around(real)
            if name in ("", os.curdir, os.pardir) or folder is None:
                why, ways = RELATIVE, [WITH_PHOTOS if self._is_table else AS_BEFORE]
                if os.path.isabs(row.path):
                    why, ways = ELSEWHERE, [*ways, ANEW] if self._is_table else [ANEW, *ways]
                raise DataError(
                    f"{row.place}: {row.path} is not below {' or '.join(self.roots)}, so the table "
                    f"is not used; {why}; {'; or '.join(ways)}"
                )
            inner = real[len(folder) :].casefold()
            if FOLDER_NAME in inner and FOLDER_NAME in inner.split(os.sep):
                raise DataError(
                    f"{row.place}: {row.path}: files in {FOLDER_NAME} are dogsort's own, so the "
                    "table is not used"
                )
            if real in seen:
                raise DataError(
                    f"{row.place}: {row.path} appears twice, also as {seen[real].path}, so the "
                    "table is not used"
                )
            seen[real] = row

    def _folder_around(self, real: str) -> str | None:
        """Return the folder around a file; empty for a single file, None if it is outside."""
        return "" if real in self._files else next(filter(real.startswith, self._folders), None)


def place_of(path: str) -> str:
    """Return where a name is: its path without links to folders."""
    folder, name = os.path.split(path)
    return os.path.join(os.path.realpath(folder or os.curdir), name)
