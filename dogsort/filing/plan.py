"""Labels -> what goes where. It looks at the disk, and changes nothing."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import groupby

from dogsort.filing.naming import Filing, Namer
from dogsort.filing.options import FilingOptions
from dogsort.filing.sidecars import Sidecars, is_sidecar_name
from dogsort.records import Failure, Label, Record

__all__ = ["Planner"]


class Planner:
    """Plans the filing of many photos.

    Args:
        options: what is to be done.

    Attributes:
        links: links seen, by the file that they lead to. A move leaves both where they are:
            a relative link that is moved, and one whose file is moved, lead to nothing.
        in_place: how many photos are in the folder of their label already.
        already: photos that need no filing, with the name under which they are there already, or
            will be.
        conflicts: photos whose name another file has, with that name.
        shared: sidecars that stay because only some of their photos go, or elsewhere.
        unclear: sidecars that stay because they may belong to photos of several names.

    They are known once ``filings`` was called.
    """

    def __init__(self, options: FilingOptions) -> None:
        self.options = options
        self._folders = options.folders()
        self._real_folder = cache(os.path.realpath)
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

    def add_record(self, record: Record) -> None:
        """Take up one photo, whether it is to be filed or not: what belongs to it asks for it."""
        self.add(record.path, None if isinstance(record, Failure) else record.label)

    def add(self, path: str, label: Label | None) -> None:
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
            links = (
                os.path.join(place, name)
                for place, photos in self._photos.items()
                for name in _names_in(place, links=True)
                if name in photos
            )
            self.links = {os.path.realpath(path): path for path in links}
        namer = Namer(self.options.action)
        plan: list[Filing] = []
        for place, photos in self._photos.items():
            sidecars = Sidecars(_names_in(place, links=False), photos)
            first = len(plan)
            for label, folder, names in self._groups(place, photos):
                plan += namer.name(place, names, folder, label, sidecars)
            going = {filing.name for filing in plan[first:]}
            self.shared += (os.path.join(place, name) for name in sidecars.shared(going))
            self.unclear += (os.path.join(place, name) for name in sidecars.unclear(going))
        self.already, self.conflicts = namer.already, namer.conflicts
        return plan

    def _groups(
        self, place: str, photos: Mapping[str, Label | None]
    ) -> Iterator[tuple[Label, str, list[str]]]:
        """Yield photos of a folder that keep one stem, with label, and the folder they go to."""
        here = self._real_folder(place or os.curdir)
        folders = {label: self._folder_for(here, to) for label, to in self._folders.items()}
        # One stem after the other: a folder may have many, and groups take memory.
        for _, same in groupby(sorted(photos, key=_up_to_dot), _up_to_dot):
            groups: dict[tuple[str, int], tuple[Label, str, list[str]]] = {}
            alike: Counter[tuple[str, str]] = Counter()
            for photo in same:
                label = photos[photo]
                if label is None or label not in folders:
                    continue
                if self.links and os.path.realpath(os.path.join(place, photo)) in self.links:
                    continue
                folder = folders[label]
                if folder is None:
                    self.in_place += 1
                    continue
                # Some file systems do not tell a.jpg from a.JPG: these get a stem each.
                alike[folder, photo.casefold()] += 1
                key = folder, alike[folder, photo.casefold()]
                groups.setdefault(key, (label, folder, []))[2].append(photo)
            yield from groups.values()

    def _folder_for(self, here: str, folder: str) -> str | None:
        """Return where photos of a label go that are here, in a real path; None if they stay."""
        there = self._real_folder(folder)
        if here == there:
            return None
        if self.options.keep_tree is None:
            return folder
        if here.startswith(os.path.join(there, "")):
            return None
        # Below the innermost folder named; what was named by itself lies below none.
        starts = (os.path.join(root, "") for root in self._roots)
        belows = (here.removeprefix(start) for start in starts if here.startswith(start))
        below = min(belows, key=len, default="")
        return os.path.join(folder, below) if below else folder


def _names_in(folder: str, links: bool) -> list[str]:
    """Return the names of the files in a folder, or of the links; none if it cannot be listed."""
    try:
        with os.scandir(folder or os.curdir) as listing:
            if links:
                return [entry.name for entry in listing if entry.is_symlink()]
            return [entry.name for entry in listing if entry.is_file(follow_symlinks=False)]
    except OSError:
        return []


def _up_to_dot(name: str) -> str:
    """Return a name's stem and a dot, by which ``x (2).jpg`` comes before ``x.jpg``, as in a scan.

    So it keeps its name, which the other one, if renamed, would take.
    """
    return os.path.splitext(name)[0] + "."
