"""Which files the page may show: a table may come from anybody, and may name anything."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from dogsort.filing.from_table import WITH_PHOTOS, Roots, check_below, place_of
from dogsort.results.reading import Row

__all__ = ["Bounds"]

AS_BEFORE = "run the command in the folder where it ran first, or name another table with -o"


class Bounds:
    """The folders, or single files, that may be shown.

    Args:
        roots: their paths.
        is_table: whether only a table names the photos. Then a link to a file outside is not
            shown, which classifying would follow.

    Attributes:
        roots: as given.
    """

    def __init__(self, roots: Sequence[str], is_table: bool) -> None:
        self.roots, self._is_table = roots, is_table
        self._allowed = Roots(roots)

    def check(self, rows: Iterable[Row]) -> None:
        """Refuse a table with paths outside, as ``dogsort file`` does.

        Raises:
            FilingError: with the row.
        """
        check_below(rows, self.roots, WITH_PHOTOS if self._is_table else AS_BEFORE)

    def file(self, path: str) -> str | None:
        """Return where a photo lies, without links to folders; None if it lies outside."""
        place = place_of(path)
        shown = os.path.realpath(place) if self._is_table else place
        return None if self._allowed.around(shown) is None else place
