"""Labels -> what goes where. Pure: what it must know of the disk, it is told."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator

from dogsort.errors import FilingError
from dogsort.records import Label
from dogsort.sorting.naming import Files, Filing, Group, Namer
from dogsort.sorting.sidecars import Sidecars, is_sidecar_name
from dogsort.sorting.wishes import FILED, Action, OnConflict, Wishes

__all__ = ["FILED", "Action", "Files", "Filing", "OnConflict", "Planner", "Wishes"]


class Planner:
    """Plans the filing of many photos.

    Args:
        wishes: what is to be done.
        files: answers for the disk.

    Attributes:
        wishes: what is to be done.
        links: links seen, by the file that they lead to. A move leaves both where they are:
            a relative link that is moved, and one whose file is moved, lead to nothing.
        already: photos that need no filing, with the name under which they are there already, or
            will be.
        conflicts: photos whose name another file has, with that name.
        shared: sidecars that stay because only some of their photos go, or elsewhere.

    All but the first are known once ``filings`` was called.
    """

    def __init__(self, wishes: Wishes, files: Files) -> None:
        self.wishes = wishes
        self._files = files
        self._folders = wishes.folders()
        self._real: dict[str, str] = {}
        self._roots = [self._real_folder(root) for root in wishes.keep_tree or ()]
        self._sidecars: dict[str, Sidecars] = {}
        self._photos: dict[str, Label | None] = {}
        self.links: dict[str, str] = {}
        self.already: dict[str, str] = {}
        self.conflicts: dict[str, str] = {}
        self.shared: list[str] = []

    def add(self, path: str, label: Label | None) -> None:
        """Take up one photo, whether it is to be filed or not: what belongs to it asks for it.

        Photos that could not be read (label None), those of a label that is not filed, and those
        in their folder already stay.
        """
        # What is named by itself, and cannot be read, may still belong to a photo.
        if label is not None or not is_sidecar_name(os.path.basename(path)):
            self._photos[path] = label

    def filings(self) -> list[Filing]:
        """Return the plan, in the order the photos were added, each before its sidecars.

        Raises:
            FilingError: if there are conflicts, and it was wished that nothing is done then.
        """
        namer = Namer(self.wishes, self._files)
        self.links = self._find_links()
        owners = self._find_owners()
        plan = [filing for group in self._groups(owners) for filing in namer.name(group)]
        self.already, self.conflicts = namer.already, namer.conflicts
        if self.conflicts and self.wishes.on_conflict == "fail":
            source, name = next(iter(self.conflicts.items()))
            raise FilingError(
                f"{source}: the name {name} is another photo's, there already or of this run; "
                f"so it is with {len(self.conflicts)} in all, and nothing is filed"
            )
        gone = {filing.source for filing in plan}
        self.shared = [
            path
            for path, photos in owners.items()
            if path not in gone and not gone.isdisjoint(photos)
        ]
        return plan

    def _find_links(self) -> dict[str, str]:
        if self.wishes.action != "move":
            return {}
        return {
            self._files.realpath(path): path for path in self._photos if self._files.islink(path)
        }

    def _find_owners(self) -> dict[str, list[str]]:
        """Return what belongs to photos, with all the photos that it belongs to."""
        owners: dict[str, list[str]] = defaultdict(list)
        if self.wishes.sidecars:
            for path in self._photos:
                for other in self._belonging(path):
                    owners[other].append(path)
        return owners

    def _groups(self, owners: dict[str, list[str]]) -> Iterator[Group]:
        """Sort the photos that are to be filed by what they share: folder, stem, and new folder."""
        groups: dict[tuple[str, str, str, str], Group] = {}
        for path, label in self._photos.items():
            folder = self._folder_for(path, label)
            if folder is None or label is None:
                continue
            place, name = os.path.split(path)
            stem, suffix = os.path.splitext(name)
            key = (place, stem, folder, "")
            group = groups.get(key)
            if group is not None and suffix.casefold() in map(str.casefold, group.photos.values()):
                key = (place, stem, folder, suffix)  # a.jpg beside a.JPG: not under one stem
                group = groups.get(key)
            if group is None:
                group = groups[key] = Group(folder, label, stem, {}, {})
            group.photos[path] = suffix
            if owners:
                group.owners.update((other, owners[other]) for other in self._belonging(path))
        yield from groups.values()

    def _folder_for(self, path: str, label: Label | None) -> str | None:
        """Return where a photo goes; None if it stays."""
        if label is None or label not in self._folders:
            return None
        if self.links and self._files.realpath(path) in self.links:
            return None
        folder = self._folders[label]
        here = self._real_folder(os.path.dirname(path) or os.curdir)
        there = self._real_folder(folder)
        if here == there:
            return None
        if self.wishes.keep_tree is None:
            return folder
        if here.startswith(os.path.join(there, "")):
            return None
        below = self._below_root(here)
        return os.path.join(folder, below) if below else folder

    def _below_root(self, here: str) -> str:
        """Return what leads to a folder from the one that the user named, both without links.

        Nothing for a photo that lies below none of them: it was named by itself.
        """
        starts = [os.path.join(root, "") for root in self._roots]
        lengths = [len(start) for start in starts if here.startswith(start)]
        return here[max(lengths, default=len(here)) :]

    def _real_folder(self, folder: str) -> str:
        if folder not in self._real:
            self._real[folder] = self._files.realpath(folder)
        return self._real[folder]

    def _belonging(self, path: str) -> list[str]:
        """Return what belongs to a photo and was not classified by itself."""
        if not self.wishes.sidecars:
            return []
        place, name = os.path.split(path)
        if place not in self._sidecars:
            self._sidecars[place] = Sidecars(self._files.names(place))
        if not self._sidecars[place]:
            return []
        others = (os.path.join(place, other) for other in self._sidecars[place].of(name))
        return [other for other in others if other not in self._photos]
