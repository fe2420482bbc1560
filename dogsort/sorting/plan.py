"""Predictions -> what goes where. Pure: it looks at nothing but its arguments."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from dogsort.records import Failure, Label, Record

__all__ = ["Action", "Filing", "Planner"]

Action: TypeAlias = Literal["move", "copy", "link"]

FILED: tuple[Label, ...] = ("dog", "cat")


@dataclass(frozen=True, slots=True)
class Filing:
    """One photo to be filed.

    Attributes:
        source: where it is.
        target: where it goes; nothing is there yet.
        label: why.
    """

    source: str
    target: str
    label: Label


class Planner:
    """Plans the filing of many photos, promising each name once.

    Args:
        folder: below it lie the folders ``dog`` and ``cat``.
        exists: tells whether something has this path already.
        unsure_to: name of the folder for unsure photos; None leaves them where they are.
    """

    def __init__(
        self, folder: str, exists: Callable[[str], bool], unsure_to: str | None = None
    ) -> None:
        self._folders: dict[Label, str] = {label: os.path.join(folder, label) for label in FILED}
        if unsure_to is not None:
            self._folders["unsure"] = os.path.join(folder, unsure_to)
        self._exists = exists
        self._promised: set[str] = set()

    def plan(self, record: Record) -> Filing | None:
        """Say where one photo goes; None if it stays.

        Unreadable photos, those of another label, and those in their folder already stay.
        """
        if isinstance(record, Failure) or record.label not in self._folders:
            return None
        folder = self._folders[record.label]
        if os.path.abspath(os.path.dirname(record.path)) == os.path.abspath(folder):
            return None
        target = self._free_name(os.path.join(folder, os.path.basename(record.path)))
        # Without case, since some file systems do not tell A.jpg from a.jpg.
        self._promised.add(target.casefold())
        return Filing(record.path, target, record.label)

    def _free_name(self, path: str) -> str:
        """Return the path, or the first of ``name (2).jpg``, ``name (3).jpg``, ... not taken."""
        stem, suffix = os.path.splitext(path)
        candidate, number = path, 1
        while candidate.casefold() in self._promised or self._exists(candidate):
            number += 1
            candidate = f"{stem} ({number}){suffix}"
        return candidate
