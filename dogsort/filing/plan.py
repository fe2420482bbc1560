"""Labels -> what goes where. It looks at the disk, and changes nothing."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import groupby

from dogsort.errors import FilingError
from dogsort.filing.naming import Filing, Group, Namer
from dogsort.filing.options import FilingOptions
from dogsort.filing.sidecars import Sidecars, is_sidecar_name
from dogsort.records import Label

__all__ = ["Planner"]


class Planner:
    """Plans the filing of many photos.

    Args:
        options: what is to be done.

    Attributes:
        options: what is to be done.
        links: links seen, by the file that they lead to. A move leaves both where they are:
            a relative link that is moved, and one whose file is moved, lead to nothing.
        outward: links that are left because they lead out of the folders that were named, with
            what they lead to.
        in_place: how many photos are in the folder of their label already.
        already: photos that need no filing, with the name under which they are there already, or
            will be.
        conflicts: photos whose name another file has, with that name.
        shared: sidecars that stay because only some of their photos go, or elsewhere.

    All but the first are known once ``filings`` was called.
    """

    def __init__(self, options: FilingOptions) -> None:
        self.options = options
        self._folders = options.folders()
        self._real: dict[str, str] = {}
        self._spelled: dict[str, str] = {}  # folders as they were first named, by what they are
        self._roots = [self._real_folder(root) for root in options.keep_tree or ()]
        self._named = set(options.within or ())
        self._within = [os.path.join(self._real_folder(root), "") for root in self._named]
        # By folder and name: most that must be known of a photo is the same for all in its folder.
        self._photos: dict[str, dict[str, Label | None]] = defaultdict(dict)
        self.links: dict[str, str] = {}
        self.outward: dict[str, str] = {}
        self.in_place = 0
        self.already: dict[str, str] = {}
        self.conflicts: dict[str, str] = {}
        self.shared: list[str] = []

    def add(self, path: str, label: Label | None) -> None:
        """Take up one photo, whether it is to be filed or not: what belongs to it asks for it.

        Photos that could not be read (label None), those of a label that is not filed, and those
        in their folder already stay.
        """
        # What is named by itself, and cannot be read, may still belong to a photo.
        folder, name = os.path.split(path)
        if label is not None or not is_sidecar_name(name):
            # However it is spelled, one folder is one: what belongs together is found together.
            real = self._real_folder(folder or os.curdir)
            self._photos[self._spelled.setdefault(real, folder)][name] = label

    def filings(self) -> list[Filing]:
        """Return the plan: folder after folder, its photos by stem, each before its sidecars.

        Raises:
            FilingError: if there are conflicts, and the options say that nothing is done then.
        """
        namer = Namer(self.options)
        links = self._find_links()
        if self.options.action == "move":
            self.links = {real: path for path, real in links.items()}
        else:
            self.outward = {
                path: real for path, real in links.items() if self._leads_out(path, real)
            }
        plan: list[Filing] = []
        for place, photos in self._photos.items():
            owners = self._find_owners(place, photos)
            groups = self._groups(place, photos, owners)
            first = len(plan)
            plan += (filing for group in groups for filing in namer.name(group))
            self.shared += _staying(owners, plan[first:]) if owners else ()
        self.already, self.conflicts = namer.already, namer.conflicts
        if self.conflicts and self.options.on_conflict == "fail":
            source, name = next(iter(self.conflicts.items()))
            raise FilingError(
                f"{source}: the name {name} is another photo's, there already or of this run; "
                f"so it is with {len(self.conflicts)} in all, and nothing is filed"
            )
        return plan

    def _find_links(self) -> dict[str, str]:
        """Return the photos that are links, with what they lead to; of copies, only those to do."""
        found = {}
        for folder, photos in self._photos.items():
            for name in _names_in(folder, links=True):
                if name in photos and (
                    self.options.action == "move" or photos[name] in self._folders
                ):
                    path = os.path.join(folder, name)
                    found[path] = os.path.realpath(path)
        return found

    def _leads_out(self, link: str, real: str) -> bool:
        """Tell whether a link that was found in a folder leads out of all that were named."""
        here = os.path.join(self._real_folder(os.path.dirname(link) or os.curdir), "")
        starts = tuple(self._within)
        return (
            link not in self._named
            and here.startswith(starts)
            and not os.path.join(real, "").startswith(starts)
        )

    def _find_owners(self, place: str, photos: Collection[str]) -> dict[str, list[str]]:
        """Return what belongs to photos of a folder, with all of those that it belongs to.

        What was classified by itself belongs to none.
        """
        owners: dict[str, list[str]] = defaultdict(list)
        if self.options.sidecars and (sidecars := Sidecars(_names_in(place, links=False))):
            for photo in photos:
                for other in sidecars.of(photo):
                    if other not in photos:
                        owners[other].append(photo)
        return owners

    def _groups(
        self, place: str, photos: Mapping[str, Label | None], owners: Mapping[str, list[str]]
    ) -> Iterator[Group]:
        """Sort the photos of a folder that are to be filed by what they share: stem, new folder."""
        here = self._real_folder(place or os.curdir)
        folders = {label: self._folder_for(here, to) for label, to in self._folders.items()}
        self.in_place += sum(
            label in folders and folders[label] is None for label in photos.values() if label
        )
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
                folder = None if label is None else folders.get(label)
                if folder is None or label is None or self._stays(place, photo):
                    continue
                suffix = photo[len(stem) :]
                group = next((one for one in groups if _has_room(one, folder, suffix)), None)
                if group is None:
                    group = Group(place, folder, label, stem, {}, {})
                    groups.append(group)
                group.photos[photo] = suffix
                group.owners.update((other, owners[other]) for other in belongings.get(photo, ()))
            yield from groups

    def _stays(self, place: str, photo: str) -> bool:
        """Tell whether a photo is a link that stays, or what such a link leads to."""
        if not self.outward and not self.links:  # as it is mostly
            return False
        path = os.path.join(place, photo)
        return path in self.outward or (bool(self.links) and os.path.realpath(path) in self.links)

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


def _staying(owners: Mapping[str, list[str]], filings: Sequence[Filing]) -> list[str]:
    """Return what stays in a folder though some of the photos that it belongs to go."""
    going = {filing.name for filing in filings}
    return [
        os.path.join(filings[0].place, other)
        for other, photos in owners.items()
        if other not in going and not going.isdisjoint(photos)
    ]


def _up_to_dot(name: str) -> str:
    """Return a name's stem and a dot, by which ``x (2).jpg`` comes before ``x.jpg``, as in a scan.

    So it keeps its name, which the other one, if renamed, would take.
    """
    return os.path.splitext(name)[0] + "."


def _has_room(group: Group, folder: str, suffix: str) -> bool:
    """Tell whether a photo that goes there fits under a group's stem: a.jpg beside a.JPG does not.

    Some file systems do not tell case.
    """
    taken = map(str.casefold, group.photos.values())
    return group.folder == folder and suffix.casefold() not in taken
