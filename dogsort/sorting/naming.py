"""New names for photos, and for what goes with them: each is given once, and none that is taken."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from dogsort.records import Label
from dogsort.sorting.wishes import Wishes

__all__ = ["Files", "Filing", "Group", "Namer"]


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
        """Tell whether the first, perhaps a link to one, and the second are files of same bytes."""
        ...

    def links(self, folder: str, names: Collection[str], /) -> list[str]:
        """Return those of some names in a folder that are links, in their order."""
        ...

    def names(self, folder: str, /) -> list[str]:
        """Return the names of the files in a folder, but not of links; none if it is gone."""
        ...


class Filing(NamedTuple):
    """One file to be filed. Names and folders are kept apart: there are many files, few folders.

    Attributes:
        place: the folder it is in.
        name: its name there.
        folder: the folder it goes to.
        new_name: its name there, which nothing has yet.
        label: why.
        photo: the name of the photo beside it that it goes with; None for a photo.
    """

    place: str
    name: str
    folder: str
    new_name: str
    label: Label
    photo: str | None = None

    @property
    def source(self) -> str:
        """Where it is."""
        return os.path.join(self.place, self.name)

    @property
    def target(self) -> str:
        """Where it goes."""
        return os.path.join(self.folder, self.new_name)

    @property
    def belongs_to(self) -> str | None:
        """Where the photo is that it goes with; None for a photo."""
        return None if self.photo is None else os.path.join(self.place, self.photo)


@dataclass(frozen=True, slots=True)
class Group:
    """Photos of one folder and one stem that go to one folder, and keep one stem there.

    Attributes:
        place: where they are.
        folder: where they go.
        label: why.
        stem: what their names have in common.
        photos: their names, each with the rest of it.
        owners: names of what belongs to some of them, with those of all the photos that it belongs
            to, also such as stay or go elsewhere.
    """

    place: str
    folder: str
    label: Label
    stem: str
    photos: dict[str, str]
    owners: dict[str, list[str]]


class Namer:
    """Finds names for groups of photos, one group after the other.

    Args:
        wishes: what is to be done.
        files: answers for the disk.

    Attributes:
        already: photos that need no filing, with the name under which they are, or will be, there.
        conflicts: photos whose name another file has, or that of a photo they keep one stem with,
            with that name.
    """

    def __init__(self, wishes: Wishes, files: Files) -> None:
        self._wishes, self._files = wishes, files
        # By folder and name, without case: some file systems do not tell A.jpg from a.jpg.
        self._promised: dict[str, dict[str, Filing]] = defaultdict(dict)
        self._is_new: dict[str, bool] = {}  # folders that are not there yet: so is nothing in them
        self.already: dict[str, str] = {}
        self.conflicts: dict[str, str] = {}

    def name(self, group: Group) -> list[Filing]:
        """Return the filings of a group, each photo before its sidecars.

        All get the first of ``stem``, ``stem (2)``, ``stem (3)``, ... with no name taken. A photo
        stays if one of them has what it has, or its name is taken and no other one is wished for.
        What belongs to a photo that stays, stays.
        """
        if len(group.photos) == 1 and not group.owners:  # as most are; it spares half the time
            (photo,) = group.photos
            if not self._is_taken(group.folder, photo):
                return self._promise(group, group.photos, group.stem, {})
        left, number = dict(group.photos), 1
        while left:
            stem = group.stem + (f" ({number})" if number > 1 else "")
            for photo in self._there(group, left, stem):
                del left[photo]
            going = {
                name: stem + name[len(group.stem) :]
                for name, owners in group.owners.items()
                if left.keys() >= set(owners)
            }
            taken = self._taken(group, left, stem, going)
            if not taken:
                return self._promise(group, left, stem, going)
            if self._wishes.on_conflict == "rename":
                number += 1
                taken = dict.fromkeys(left, next(iter(taken.values()))) | taken
            else:
                left = {photo: suffix for photo, suffix in left.items() if photo not in taken}
            for photo, name in taken.items():
                path = os.path.join(group.place, photo)
                self.conflicts.setdefault(path, os.path.join(group.folder, name))
        return []

    def _there(self, group: Group, photos: Mapping[str, str], stem: str) -> list[str]:
        """Return the photos that are, or will be, under this stem already, and note them."""
        found = []
        for photo, suffix in photos.items():
            if not self._is_taken(group.folder, stem + suffix):
                continue
            path = os.path.join(group.place, photo)
            name = self._same(path, group.folder, stem + suffix)
            if name is not None:
                found.append(photo)
                self.already[path] = name
                self.conflicts.pop(path, None)
        return found

    def _taken(
        self, group: Group, photos: Mapping[str, str], stem: str, going: Mapping[str, str]
    ) -> dict[str, str]:
        """Return the photos whose name, or if all are free, whose sidecar's name is taken."""
        names = {photo: stem + suffix for photo, suffix in photos.items()}
        taken = {photo: name for photo, name in names.items() if self._is_taken(group.folder, name)}
        return taken or {
            owner: name
            for other, name in going.items()
            if self._is_taken(group.folder, name)
            for owner in group.owners[other]
        }

    def _promise(
        self, group: Group, photos: Mapping[str, str], stem: str, going: Mapping[str, str]
    ) -> list[Filing]:
        place, folder, label = group.place, group.folder, group.label
        filings = []
        for photo, suffix in photos.items():
            # Mostly the very name it has, which is not kept twice.
            new_name = photo if stem == group.stem else stem + suffix
            filings.append(Filing(place, photo, folder, new_name, label))
            # What belongs to several goes with the first one.
            filings += [
                Filing(place, other, folder, name, label, photo)
                for other, name in going.items()
                if group.owners[other][0] == photo
            ]
        promised = self._promised[folder.casefold()]
        for filing in filings:
            promised[filing.new_name.casefold()] = filing
        return filings

    def _is_taken(self, folder: str, name: str) -> bool:
        if name.casefold() in self._promised[folder.casefold()]:
            return True
        if folder not in self._is_new:
            self._is_new[folder] = not self._files.lexists(folder)
        return not self._is_new[folder] and self._files.lexists(os.path.join(folder, name))

    def _same(self, source: str, folder: str, name: str) -> str | None:
        """Return the path of what has, or will have, a name if it is the same; None if not."""
        path = os.path.join(folder, name)
        promised = self._promised[folder.casefold()].get(name.casefold())
        if self._wishes.action == "link":
            real = self._files.realpath(source)
            if promised is not None and self._files.realpath(promised.source) == real:
                return promised.target
            leads = self._files.islink(path) and self._files.realpath(path) == real
            return path if leads else None
        if promised is not None:
            other = promised.source
            if self._files.islink(other):
                other = self._files.realpath(other)
            if self._files.same_content(source, other):
                return promised.target
        return path if self._files.same_content(source, path) else None
