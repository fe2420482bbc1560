"""Which files a page may show: a table may come from anybody, and may name anything."""

from __future__ import annotations

import os
from collections.abc import Iterable

from dogsort.filing.from_table import check_below
from dogsort.results.reading import Row

__all__ = ["Bounds"]


class Bounds:
    """The folder whose photos may be shown.

    Args:
        folder: nothing outside of it is shown.
        follow_links: whether a link in it to a file elsewhere is shown, as classifying does.
    """

    def __init__(self, folder: str, follow_links: bool = False) -> None:
        self.folder, self.follow_links = folder, follow_links
        self._below = os.path.join(os.path.realpath(folder), "")

    def check(self, rows: Iterable[Row]) -> None:
        """Refuse a table with paths outside, as ``dogsort file`` does.

        Raises:
            FilingError: with the row.
        """
        check_below(rows, self.folder)

    def file(self, path: str) -> str | None:
        """Return the real path of a photo; None if it lies outside."""
        folder, name = os.path.split(path)
        place = os.path.join(os.path.realpath(folder or os.curdir), name)
        real = os.path.realpath(path)
        allowed = place if self.follow_links else real
        return real if allowed.startswith(self._below) else None
