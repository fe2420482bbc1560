"""Predictions -> what goes where. Pure: what it must know of the disk, it is told."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from dogsort.records import Failure, Label, Record
from dogsort.sorting.sidecars import Sidecars, is_sidecar_name

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

    def names(self, folder: str, /) -> list[str]:
        """Return the names of the files in a folder, but not of links; none if it is gone."""
        ...


@dataclass(frozen=True, slots=True)
class Filing:
    """One file to be filed.

    Attributes:
        source: where it is.
        target: where it goes; nothing is there yet.
        label: why.
        belongs_to: the source of the photo that it goes with; None for a photo.
    """

    source: str
    target: str
    label: Label
    belongs_to: str | None = None


class Planner:
    """Plans the filing of many photos, promising each name once.

    Args:
        action: what will be done with them.
        folder: below it lie the folders ``dog`` and ``cat``.
        files: answers for the disk.
        unsure_to: name of the folder for unsure photos; None leaves them where they are.
        sidecars: whether what belongs to a photo goes with it.

    Attributes:
        action: what will be done.
        folder: below it lie the folders ``dog`` and ``cat``.
        links: links seen, by the file that they lead to. A move leaves both where they are:
            a relative link that is moved, and one whose file is moved, lead to nothing.
        already: photos that need no filing, with the name under which they are there already.
    """

    def __init__(
        self,
        action: Action,
        folder: str,
        files: Files,
        unsure_to: str | None = None,
        sidecars: bool = True,
    ) -> None:
        self.action, self.folder = action, folder
        self._folders: dict[Label, str] = {label: os.path.join(folder, label) for label in FILED}
        if unsure_to is not None:
            self._folders["unsure"] = os.path.join(folder, unsure_to)
        self._files = files
        self._sidecars: dict[str, Sidecars] | None = {} if sidecars else None
        self._promised: set[str] = set()
        self._filings: list[Filing] = []
        # Sidecars, and the folders that their photos go to; None is where they are.
        self._wanted: dict[str, set[str | None]] = defaultdict(set)
        self._by_themselves: set[str] = set()  # what could be sidecars and was classified
        self._goes_to: dict[str, str] = {}  # sidecars, and the folders they are promised to
        self.links: dict[str, str] = {}
        self.already: dict[str, str] = {}

    def add(self, record: Record) -> None:
        """Plan one photo, if it is to be filed, and what belongs to it.

        Unreadable photos, those of another label, and those in their folder already stay.
        """
        place, name = os.path.split(record.path)
        belonging = self._belonging(place, name)
        if is_sidecar_name(name):  # named by itself: what it cannot be read as, it may still be
            if isinstance(record, Failure):
                return
            self._by_themselves.add(record.path)
            belonging = {}
        folder = self._folder_for(record)
        for other in belonging:
            self._wanted[os.path.join(place, other)].add(folder)
        if folder is None or isinstance(record, Failure):
            return
        # Of two photos with one stem that go together, the first one takes what belongs to both.
        belonging = {
            other: ending
            for other, ending in belonging.items()
            if self._goes_to.get(os.path.join(place, other)) != folder
        }
        stem, suffix = os.path.splitext(name)
        named = self._name_for(record.path, os.path.join(folder, stem), suffix, belonging.values())
        if named is None:
            return
        self._promise(Filing(record.path, named + suffix, record.label))
        for other, ending in belonging.items():
            source = os.path.join(place, other)
            self._promise(Filing(source, named + ending, record.label, record.path))
            self._goes_to[source] = folder

    def filings(self) -> list[Filing]:
        """Return the plan, in the order the photos were added, each before its sidecars."""
        plan = []
        for filing in self._filings:
            photo = filing.belongs_to or filing.source
            if self.links and self._files.realpath(photo) in self.links:
                continue
            if filing.belongs_to is not None and (
                filing.source in self._by_themselves or len(self._wanted[filing.source]) > 1
            ):
                continue
            plan.append(filing)
        return plan

    def shared(self) -> list[str]:
        """Return the sidecars that stay because only some of their photos go, or elsewhere."""
        return [path for path, folders in self._wanted.items() if len(folders) > 1]

    def _folder_for(self, record: Record) -> str | None:
        """Return where a photo goes; None if it stays."""
        if self.action == "move" and self._files.islink(record.path):
            self.links[self._files.realpath(record.path)] = record.path
            return None
        if isinstance(record, Failure) or record.label not in self._folders:
            return None
        folder = self._folders[record.label]
        here = self._files.realpath(os.path.dirname(record.path) or os.curdir)
        return None if here == self._files.realpath(folder) else folder

    def _belonging(self, place: str, name: str) -> dict[str, str]:
        if self._sidecars is None:
            return {}
        if place not in self._sidecars:
            self._sidecars[place] = Sidecars(self._files.names(place))
        return self._sidecars[place].of(name)

    def _promise(self, filing: Filing) -> None:
        # Without case, since some file systems do not tell A.jpg from a.jpg.
        self._promised.add(filing.target.casefold())
        self._filings.append(filing)

    def _name_for(self, source: str, stem: str, suffix: str, endings: Iterable[str]) -> str | None:
        """Return the stem, or the first of ``stem (2)``, ``stem (3)``, ... with no name taken.

        None if one of them has what the source has.
        """
        candidate, number = stem, 1
        while any(self._taken(candidate + ending) for ending in (suffix, *endings)):
            if self._is_there(source, candidate + suffix):
                self.already[source] = candidate + suffix
                return None
            number += 1
            candidate = f"{stem} ({number})"
        return candidate

    def _taken(self, name: str) -> bool:
        return name.casefold() in self._promised or self._files.lexists(name)

    def _is_there(self, source: str, candidate: str) -> bool:
        if self.action != "link":
            return self._files.same_content(source, candidate)
        links_to = self._files.realpath(candidate)
        return self._files.islink(candidate) and links_to == self._files.realpath(source)
