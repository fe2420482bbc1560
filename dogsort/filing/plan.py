"""Labels -> a plan of what goes where. It reads the disk, and changes nothing."""

from __future__ import annotations

import os
from collections import defaultdict
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
        options: what to do.

    Attributes:
        links: links, by the file that they lead to. A move leaves both where they are, because
            moving a relative link, or the file of a link, breaks it.
        in_place: how many photos are already in the folder of their label.
        already: photos that need no filing, with the path of the identical file.
        conflicts: photos whose name is taken, with the path that is taken.
        shared: sidecars that stay because their photos do not all go together.
        unclear: sidecars that stay because they may belong to photos with different names.

    ``filings`` sets all of these but ``options``.
    """

    def __init__(self, options: FilingOptions) -> None:
        self.options = options
        self._folders = options.folders()
        self._real_folder = cache(os.path.realpath)
        self._spelled: dict[str, str] = {}  # folders as first named, by real path
        self._roots = [self._real_folder(root) for root in options.keep_tree or ()]
        # By folder and name, because most facts are the same for all photos in a folder.
        self._photos: dict[str, dict[str, Label | None]] = defaultdict(dict)
        self.links: dict[str, str] = {}
        self.in_place = 0
        self.already: dict[str, str] = {}
        self.conflicts: dict[str, str] = {}
        self.shared: list[str] = []
        self.unclear: list[str] = []

    def add_record(self, record: Record) -> None:
        """Add a photo, whether it is to be filed or not: its sidecars depend on it."""
        self.add(record.path, None if isinstance(record, Failure) else record.label)

    def add(self, path: str, label: Label | None) -> None:
        """Add a photo with its label; None if it could not be read.

        Unreadable photos, labels that are not filed, and photos already in their folder stay.
        """
        # A file that was named by itself and is unreadable may be the sidecar of a photo.
        folder, name = os.path.split(path)
        if label is not None or not is_sidecar_name(name):
            # Different spellings of a folder count as one, so that sidecars are found.
            real = self._real_folder(folder or os.curdir)
            self._photos[self._spelled.setdefault(real, folder)][name] = label

    def filings(self) -> list[Filing]:
        """Return the plan: folder by folder, with photos by stem, each before its sidecars."""
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
        """Yield groups of a folder's photos with the same stem: label, target folder, names."""
        here = self._real_folder(place or os.curdir)
        folders = {label: self._folder_for(here, to) for label, to in self._folders.items()}
        # One stem at a time, because a folder may have many and groups take memory.
        for _, same in groupby(sorted(photos, key=_up_to_dot), _up_to_dot):
            groups: dict[tuple[str, int], tuple[Label, str, list[str]]] = {}
            alike: dict[tuple[str, str], int] = defaultdict(int)  # a Counter takes longer to make
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
                # To some file systems, a.jpg and a.JPG are the same: each gets its own stem.
                alike[folder, photo.casefold()] += 1
                key = folder, alike[folder, photo.casefold()]
                groups.setdefault(key, (label, folder, []))[2].append(photo)
            yield from groups.values()

    def _folder_for(self, here: str, folder: str) -> str | None:
        """Return where photos of a label go from ``here``, a real path; None if they stay."""
        there = self._real_folder(folder)
        if here == there:
            return None
        if self.options.keep_tree is None:
            return folder
        if here.startswith(os.path.join(there, "")):
            return None
        # Relative to the innermost folder named. A photo named by itself is below none.
        starts = (os.path.join(root, "") for root in self._roots)
        belows = (here.removeprefix(start) for start in starts if here.startswith(start))
        below = min(belows, key=len, default="")
        return os.path.join(folder, below) if below else folder


def _names_in(folder: str, links: bool) -> list[str]:
    """Return the names of the files, or links, in a folder; empty if it cannot be listed."""
    try:
        with os.scandir(folder or os.curdir) as listing:
            if links:
                return [entry.name for entry in listing if entry.is_symlink()]
            return [entry.name for entry in listing if entry.is_file(follow_symlinks=False)]
    except OSError:
        return []


def _up_to_dot(name: str) -> str:
    """Return a name's stem and a dot, so that ``x (2).jpg`` sorts before ``x.jpg``, as in a scan.

    Then it keeps its name, which ``x.jpg`` might otherwise get.
    """
    return os.path.splitext(name)[0] + "."
