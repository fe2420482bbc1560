"""Labels -> what goes where. Pure: what it must know of the disk, it is told."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from dogsort.errors import FilingError
from dogsort.records import Label
from dogsort.sorting.sidecars import Sidecars, is_sidecar_name

__all__ = ["FILED", "Action", "Files", "Filing", "OnConflict", "Planner", "Wishes"]

Action: TypeAlias = Literal["move", "copy", "link", "hardlink"]

#: What is done where another file has the name: take another name, leave the photo, or all.
OnConflict: TypeAlias = Literal["rename", "skip", "fail"]

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
class Wishes:
    """What is to be done with photos.

    Attributes:
        action: how they are filed.
        folder: below it lie the folders ``dog`` and ``cat``.
        unsure_to, neither_to: names of the folders for unsure photos, and for those with neither;
            None leaves them where they are.
        keep_tree: the folders whose sub-folders are kept below the label; None files all photos of
            a label into one folder.
        sidecars: whether what belongs to a photo goes with it.
        on_conflict: what is done where another file has the name.
    """

    action: Action
    folder: str
    unsure_to: str | None = None
    neither_to: str | None = None
    keep_tree: Sequence[str] | None = None
    sidecars: bool = True
    on_conflict: OnConflict = "rename"

    def folders(self) -> dict[Label, str]:
        """Return the folder of each label that is filed."""
        names: dict[Label, str | None] = {label: label for label in FILED}
        names |= {"unsure": self.unsure_to, "neither": self.neither_to}
        return {label: os.path.join(self.folder, name) for label, name in names.items() if name}


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
        wishes: what is to be done.
        files: answers for the disk.

    Attributes:
        wishes: what is to be done.
        links: links seen, by the file that they lead to. A move leaves both where they are:
            a relative link that is moved, and one whose file is moved, lead to nothing.
        already: photos that need no filing, with the name under which they are there already.
        conflicts: photos whose name another file has, with that name.
    """

    def __init__(self, wishes: Wishes, files: Files) -> None:
        self.wishes = wishes
        self._folders = wishes.folders()
        # As they stand before the names of what is in them.
        self._roots = [os.path.dirname(os.path.join(root, "x")) for root in wishes.keep_tree or ()]
        self._files = files
        self._real: dict[str, str] = {}
        self._sidecars: dict[str, Sidecars] = {}
        self._promised: set[str] = set()
        self._filings: list[Filing] = []
        # Sidecars, and the folders that their photos go to; None is where they are.
        self._wanted: dict[str, set[str | None]] = defaultdict(set)
        self._by_themselves: set[str] = set()  # what could be sidecars and was classified
        self._goes_to: dict[str, str] = {}  # sidecars, and the folders they are promised to
        self.links: dict[str, str] = {}
        self.already: dict[str, str] = {}
        self.conflicts: dict[str, str] = {}

    def add(self, path: str, label: Label | None) -> None:
        """Plan one photo, if it is to be filed, and what belongs to it.

        Photos that could not be read (label None), those of a label that is not filed, and those
        in their folder already stay.
        """
        place, name = os.path.split(path)
        belonging = self._belonging(place, name)
        if is_sidecar_name(name):  # named by itself: what it cannot be read as, it may still be
            if label is None:
                return
            self._by_themselves.add(path)
            belonging = {}
        folder = self._folder_for(path, place, label)
        for other in belonging:
            self._wanted[os.path.join(place, other)].add(folder)
        if folder is None or label is None:
            return
        # Of two photos with one stem that go together, the first one takes what belongs to both.
        belonging = {
            other: ending
            for other, ending in belonging.items()
            if self._goes_to.get(os.path.join(place, other)) != folder
        }
        stem, suffix = os.path.splitext(name)
        named = self._name_for(path, os.path.join(folder, stem), suffix, belonging.values())
        if named is None:
            return
        self._promise(Filing(path, named + suffix, label))
        for other, ending in belonging.items():
            source = os.path.join(place, other)
            self._promise(Filing(source, named + ending, label, path))
            self._goes_to[source] = folder

    def filings(self) -> list[Filing]:
        """Return the plan, in the order the photos were added, each before its sidecars.

        Raises:
            FilingError: if there are conflicts, and it was wished that nothing is done then.
        """
        if self.conflicts and self.wishes.on_conflict == "fail":
            source, name = next(iter(self.conflicts.items()))
            raise FilingError(
                f"{name}: is there already, and is not {source}; of {len(self.conflicts)} photos "
                "the name is taken, so nothing is filed"
            )
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

    def _folder_for(self, path: str, place: str, label: Label | None) -> str | None:
        """Return where a photo goes; None if it stays."""
        if self.wishes.action == "move" and self._files.islink(path):
            self.links[self._files.realpath(path)] = path
            return None
        if label is None or label not in self._folders:
            return None
        folder = self._folders[label]
        here, there = self._real_folder(place or os.curdir), self._real_folder(folder)
        if here == there:
            return None
        if self.wishes.keep_tree is None:
            return folder
        if here.startswith(os.path.join(there, "")):
            return None
        return os.path.join(folder, self._below_root(place)) if self._below_root(place) else folder

    def _below_root(self, place: str) -> str:
        """Return what leads from the folder named by the user to this one."""
        roots = [
            root
            for root in self._roots
            if place == root or place.startswith(os.path.join(root, ""))
        ]
        longest = max(roots, key=len, default=place)
        return place[len(os.path.join(longest, "")) :]

    def _real_folder(self, folder: str) -> str:
        if folder not in self._real:
            self._real[folder] = self._files.realpath(folder)
        return self._real[folder]

    def _belonging(self, place: str, name: str) -> dict[str, str]:
        if not self.wishes.sidecars:
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

        None if one of them has what the source has, or if no other name is wished for.
        """
        candidate, number = stem, 1
        while taken := [
            name
            for name in (candidate + ending for ending in (suffix, *endings))
            if self._taken(name)
        ]:
            if self._is_there(source, candidate + suffix):
                self.already[source] = candidate + suffix
                self.conflicts.pop(source, None)
                return None
            self.conflicts.setdefault(source, taken[0])
            if self.wishes.on_conflict != "rename":
                return None
            number += 1
            candidate = f"{stem} ({number})"
        return candidate

    def _taken(self, name: str) -> bool:
        return name.casefold() in self._promised or self._files.lexists(name)

    def _is_there(self, source: str, candidate: str) -> bool:
        if self.wishes.action != "link":
            return self._files.same_content(source, candidate)
        links_to = self._files.realpath(candidate)
        return self._files.islink(candidate) and links_to == self._files.realpath(source)
