"""Labels -> what goes where. It looks at the disk, and changes nothing."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from dogsort.filing.naming import Filing, Group, Namer
from dogsort.filing.options import FilingOptions
from dogsort.filing.sidecars import Sidecars, is_sidecar_name
from dogsort.records import Failure, Label, Record

__all__ = ["Planner"]


class Planner:
    """Plans the filing of many photos.

    Args:
        options: what is to be done.

    Attributes:
        options: what is to be done.
        links: links seen, by the file that they lead to. A move leaves both where they are:
            a relative link that is moved, and one whose file is moved, lead to nothing.
        in_place: how many photos are in the folder of their label already.
        already: photos that need no filing, with the name under which they are there already, or
            will be.
        conflicts: photos whose name another file has, with that name.
        shared: sidecars that stay because only some of their photos go, or elsewhere.
        unclear: sidecars that stay because they may belong to photos of several names.

    All but the first are known once ``filings`` was called.
    """

    def __init__(self, options: FilingOptions) -> None:
        self.options = options
        self._folders = options.folders()
        self._real: dict[str, str] = {}
        self._spelled: dict[str, str] = {}  # folders as they were first named, by what they are
        self._roots = [self._real_folder(root) for root in options.keep_tree or ()]
        # By folder and name: most that must be known of a photo is the same for all in its folder.
        self._photos: dict[str, dict[str, Label | None]] = defaultdict(dict)
        self.links: dict[str, str] = {}
        self.in_place = 0
        self.already: dict[str, str] = {}
        self.conflicts: dict[str, str] = {}
        self.shared: list[str] = []
        self.unclear: list[str] = []

    def add(self, record: Record) -> None:
        """Take up one photo, whether it is to be filed or not: what belongs to it asks for it."""
        self.add_labelled(record.path, None if isinstance(record, Failure) else record.label)

    def add_labelled(self, path: str, label: Label | None) -> None:
        """Take up one photo of a label; None if it could not be read.

        That, photos of a label that is not filed, and those in their folder already stay.
        """
        # What is named by itself, and cannot be read, may still belong to a photo.
        folder, name = os.path.split(path)
        if label is not None or not is_sidecar_name(name):
            # However it is spelled, one folder is one: what belongs together is found together.
            real = self._real_folder(folder or os.curdir)
            self._photos[self._spelled.setdefault(real, folder)][name] = label

    def filings(self) -> list[Filing]:
        """Return the plan: folder after folder, its photos by stem, each before its sidecars."""
        if self.options.action == "move":
            self.links = {
                os.path.realpath(path): path
                for place, photos in self._photos.items()
                for path in (os.path.join(place, name) for name in _names_in(place, links=True))
                if os.path.basename(path) in photos
            }
        namer = Namer(self.options.action)
        plan: list[Filing] = []
        for place, photos in self._photos.items():
            owners, may_own = _find_owners(place, photos)
            first = len(plan)
            for group in self._groups(place, photos, owners):
                plan += namer.name(group)
            self.shared += _staying(place, owners, plan[first:])
            self.unclear += _staying(place, may_own, plan[first:])
        self.already, self.conflicts = namer.already, namer.conflicts
        return plan

    def _groups(
        self, place: str, photos: Mapping[str, Label | None], owners: Mapping[str, list[str]]
    ) -> Iterator[Group]:
        """Sort the photos of a folder that are to be filed by what they share: stem, new folder."""
        here = self._real_folder(place or os.curdir)
        folders = {label: self._folder_for(here, to) for label, to in self._folders.items()}
        belongings: dict[str, list[str]] = defaultdict(list)
        for other, its_photos in owners.items():
            for photo in its_photos:
                belongings[photo].append(other)
        # One stem after the other: a folder may have many, and groups take memory.
        for key, same in groupby(sorted(photos, key=_up_to_dot), _up_to_dot):
            stem = key[:-1]
            groups: list[Group] = []
            for photo in same:
                label = photos[photo]
                if label is None or label not in folders or self._stays(place, photo):
                    continue
                folder = folders[label]
                if folder is None:
                    self.in_place += 1
                    continue
                suffix = photo[len(stem) :]
                group = next((one for one in groups if one.has_room(folder, suffix)), None)
                if group is None:
                    group = Group(place, folder, label, stem, {}, {})
                    groups.append(group)
                group.photos[photo] = suffix
                group.owners.update((other, owners[other]) for other in belongings.get(photo, ()))
            yield from groups

    def _stays(self, place: str, photo: str) -> bool:
        """Tell whether a photo is a link that stays, or what such a link leads to."""
        return bool(self.links) and os.path.realpath(os.path.join(place, photo)) in self.links

    def _folder_for(self, here: str, folder: str) -> str | None:
        """Return where photos go; None if they stay.

        Args:
            here: the folder they are in, absolute, without links.
            folder: that of their label.
        """
        there = self._real_folder(folder)
        if here == there:
            return None
        if self.options.keep_tree is None:
            return folder
        if here.startswith(os.path.join(there, "")):
            return None
        # Below the innermost folder named; what was named by itself lies below none.
        starts = [start for root in self._roots if here.startswith(start := os.path.join(root, ""))]
        below = here[max(map(len, starts)) :] if starts else ""
        return os.path.join(folder, below) if below else folder

    def _real_folder(self, folder: str) -> str:
        if folder not in self._real:
            self._real[folder] = os.path.realpath(folder)
        return self._real[folder]


def _names_in(folder: str, links: bool) -> list[str]:
    """Return the names of the files in a folder, or of the links; none if it cannot be listed."""
    try:
        with os.scandir(folder or os.curdir) as listing:
            if links:
                return [entry.name for entry in listing if entry.is_symlink()]
            return [entry.name for entry in listing if entry.is_file(follow_symlinks=False)]
    except OSError:
        return []


def _find_owners(
    place: str, photos: Mapping[str, object]
) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Return what belongs to photos of a folder, with all of those that it belongs to.

    Then, likewise, what only may belong to them. What was classified by itself belongs to none.
    """
    owners: dict[str, list[str]] = defaultdict(list)
    may_own: dict[str, list[str]] = defaultdict(list)
    if sidecars := Sidecars(_names_in(place, links=False)):
        for photo in photos:
            for found, others in ((owners, sidecars.of(photo)), (may_own, sidecars.unclear(photo))):
                for other in others:
                    if other not in photos:
                        found[other].append(photo)
    return owners, may_own


def _staying(
    place: str, owners: Mapping[str, list[str]], filings: Sequence[Filing]
) -> Iterator[str]:
    """Find what stays in a folder though some of the photos that it belongs to go."""
    going = {filing.name for filing in filings} if owners else set()
    for other, photos in owners.items():
        if other not in going and not going.isdisjoint(photos):
            yield os.path.join(place, other)


def _up_to_dot(name: str) -> str:
    """Return a name's stem and a dot, by which ``x (2).jpg`` comes before ``x.jpg``, as in a scan.

    So it keeps its name, which the other one, if renamed, would take.
    """
    return os.path.splitext(name)[0] + "."
