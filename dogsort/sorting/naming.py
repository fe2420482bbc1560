"""New names for photos, and for what goes with them: each is given once, and none that is taken."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
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

    def names(self, folder: str, /) -> Iterable[str]:
        """Give the names of the files in a folder, but not of links; none if it is gone."""
        ...


class Filing(NamedTuple):
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


@dataclass(frozen=True, slots=True)
class Group:
    """Photos of one folder and one stem that go to one folder, and keep one stem there.

    Attributes:
        folder: where they go.
        label: why.
        stem: what their names have in common.
        photos: them, each with the rest of its name.
        owners: what belongs to some of them, with all the photos that it belongs to, also such as
            stay or go elsewhere.
    """

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
        # Without case, since some file systems do not tell A.jpg from a.jpg.
        self._promised: dict[str, Filing] = {}
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
            ((photo, suffix),) = group.photos.items()
            stem = os.path.join(group.folder, group.stem)
            if not self._is_taken(stem + suffix):
                return self._promise(group, group.photos, stem, {})
        left, number = dict(group.photos), 1
        while left:
            stem = os.path.join(group.folder, group.stem) + (f" ({number})" if number > 1 else "")
            for photo in self._there(left, stem):
                del left[photo]
            going = {
                path: stem + os.path.basename(path)[len(group.stem) :]
                for path, owners in group.owners.items()
                if left.keys() >= set(owners)
            }
            taken = self._taken(left, stem, going, group.owners)
            if not taken:
                return self._promise(group, left, stem, going)
            if self._wishes.on_conflict == "rename":
                number += 1
                taken = dict.fromkeys(left, next(iter(taken.values()))) | taken
            else:
                left = {photo: suffix for photo, suffix in left.items() if photo not in taken}
            self.conflicts = taken | self.conflicts
        return []

    def _there(self, photos: Mapping[str, str], stem: str) -> list[str]:
        """Return the photos that are, or will be, under this stem already, and note them."""
        found = []
        for photo, suffix in photos.items():
            name = self._same(photo, stem + suffix)
            if name is not None:
                found.append(photo)
                self.already[photo] = name
                self.conflicts.pop(photo, None)
        return found

    def _taken(
        self,
        photos: Mapping[str, str],
        stem: str,
        going: Mapping[str, str],
        owners: Mapping[str, list[str]],
    ) -> dict[str, str]:
        """Return the photos whose name, or if all are free, whose sidecar's name is taken."""
        names = {photo: stem + suffix for photo, suffix in photos.items()}
        taken = {photo: name for photo, name in names.items() if self._is_taken(name)}
        return taken or {
            owner: name
            for path, name in going.items()
            if self._is_taken(name)
            for owner in owners[path]
        }

    def _promise(
        self, group: Group, photos: Mapping[str, str], stem: str, going: Mapping[str, str]
    ) -> list[Filing]:
        filings = []
        for photo, suffix in photos.items():
            filings.append(Filing(photo, stem + suffix, group.label))
            # What belongs to several goes with the first one.
            filings += [
                Filing(path, name, group.label, photo)
                for path, name in going.items()
                if group.owners[path][0] == photo
            ]
        for filing in filings:
            self._promised[filing.target.casefold()] = filing
        return filings

    def _is_taken(self, name: str) -> bool:
        if name.casefold() in self._promised:
            return True
        folder = os.path.dirname(name)
        if folder not in self._is_new:
            self._is_new[folder] = not self._files.lexists(folder)
        return not self._is_new[folder] and self._files.lexists(name)

    def _same(self, source: str, name: str) -> str | None:
        """Return the name of what is, or will be, there if it is the same; None if it is not."""
        if not self._is_taken(name):
            return None
        promised = self._promised.get(name.casefold())
        if self._wishes.action == "link":
            real = self._files.realpath(source)
            if promised is not None and self._files.realpath(promised.source) == real:
                return promised.target
            leads = self._files.islink(name) and self._files.realpath(name) == real
            return name if leads else None
        if promised is not None:
            other = promised.source
            if self._files.islink(other):
                other = self._files.realpath(other)
            if self._files.same_content(source, other):
                return promised.target
        return name if self._files.same_content(source, name) else None
