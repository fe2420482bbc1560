"""Predictions -> what goes where. Pure: what it must know of the disk, it is told."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from dogsort.records import Failure, Label, Record

__all__ = ["FILED", "Action", "Files", "Filing", "Planner"]

Action: TypeAlias = Literal["move", "copy", "link"]

#: Labels that are filed, into folders of their name.
FILED: tuple[Label, ...] = ("dog", "cat")


class Files(Protocol):
    """What a planner asks of the disk; ``dogsort.sorting.disk.Disk`` answers it."""

    def lexists(self, path: str, /) -> bool:
        """Tell whether something has this name, if only a broken link."""
        ...

    def islink(self, path: str, /) -> bool:
        """Tell whether it is a symbolic link."""
        ...

    def realpath(self, path: str, /) -> str:
        """Return the absolute path with all links resolved."""
        ...

    def same_content(self, first: str, second: str, /) -> bool:
        """Tell whether both are files, no links, with the same bytes in them."""
        ...


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
        action: what will be done with them.
        folder: below it lie the folders ``dog`` and ``cat``.
        files: answers for the disk.
        unsure_to: name of the folder for unsure photos; None leaves them where they are.

    Attributes:
        action: what will be done.
        folder: below it lie the folders ``dog`` and ``cat``.
        links: links seen, by the file that they lead to. A move leaves both where they are:
            a relative link that is moved, and one whose file is moved, lead to nothing.
        already: photos that need no filing, with the name under which they are there already.
    """

    def __init__(
        self, action: Action, folder: str, files: Files, unsure_to: str | None = None
    ) -> None:
        self.action, self.folder = action, folder
        self._folders: dict[Label, str] = {label: os.path.join(folder, label) for label in FILED}
        if unsure_to is not None:
            self._folders["unsure"] = os.path.join(folder, unsure_to)
        self._files = files
        self._promised: set[str] = set()
        self._filings: list[Filing] = []
        self.links: dict[str, str] = {}
        self.already: dict[str, str] = {}

    def add(self, record: Record) -> None:
        """Plan one photo, if it is to be filed.

        Unreadable photos, those of another label, and those in their folder already stay.
        """
        if self.action == "move" and self._files.islink(record.path):
            self.links[self._files.realpath(record.path)] = record.path
            return
        if isinstance(record, Failure) or record.label not in self._folders:
            return
        folder = self._folders[record.label]
        here = self._files.realpath(os.path.dirname(record.path) or os.curdir)
        if here == self._files.realpath(folder):
            return
        wanted = os.path.join(folder, os.path.basename(record.path))
        target = self._name_for(record.path, wanted)
        if target is None:
            return
        # Without case, since some file systems do not tell A.jpg from a.jpg.
        self._promised.add(target.casefold())
        self._filings.append(Filing(record.path, target, record.label))

    def filings(self) -> list[Filing]:
        """Return the plan, in the order the photos were added."""
        if not self.links:
            return self._filings
        return [f for f in self._filings if self._files.realpath(f.source) not in self.links]

    def _name_for(self, source: str, wanted: str) -> str | None:
        """Return the name, or the first of ``name (2).jpg``, ``name (3).jpg``, ... not taken.

        None if one of these has what the source has.
        """
        stem, suffix = os.path.splitext(wanted)
        candidate, number = wanted, 1
        while candidate.casefold() in self._promised or self._files.lexists(candidate):
            if self._is_there(source, candidate):
                self.already[source] = candidate
                return None
            number += 1
            candidate = f"{stem} ({number}){suffix}"
        return candidate

    def _is_there(self, source: str, candidate: str) -> bool:
        if self.action != "link":
            return self._files.same_content(source, candidate)
        links_to = self._files.realpath(candidate)
        return self._files.islink(candidate) and links_to == self._files.realpath(source)
