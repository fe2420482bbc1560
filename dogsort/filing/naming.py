"""New names for photos, and for what goes with them: each is given once, and none that is taken."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import stat
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from dogsort.errors import FilingError
from dogsort.filing.options import Action
from dogsort.filing.sidecars import Sidecars, named
from dogsort.records import Label

__all__ = ["Filing", "Group", "Namer"]

BLOCK = 1 << 20  # bytes read at a time


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


class Group(NamedTuple):
    """Photos of one folder and one stem that go to one folder, and keep one stem there.

    Attributes:
        place: where they are.
        folder: where they go.
        label: why.
        stem: what their names have in common.
        photos: their names; without case, their suffixes differ.
        sidecars: those in their folder.
    """

    place: str
    folder: str
    label: Label
    stem: str
    photos: list[str]
    sidecars: Sidecars


class Namer:
    """Finds names for groups of photos, one group after the other.

    Args:
        action: what is to be done with photos.

    Attributes:
        already: photos that need no filing, with the name under which they are, or will be, there.
        conflicts: photos whose name another file has, or that of a photo they keep one stem with,
            with that name.
    """

    def __init__(self, action: Action) -> None:
        self._action = action
        # All names without case: some file systems do not tell A.jpg from a.jpg.
        self._taken: dict[str, dict[str, Filing | str]] = {}
        self._rivals: dict[tuple[str, str, str], _Rivals] = defaultdict(_Rivals)
        self.already: dict[str, str] = {}
        self.conflicts: dict[str, str] = {}

    def name(self, group: Group) -> list[Filing]:
        """Return the filings of a group, each photo before its sidecars.

        All get the first of ``stem``, ``stem (2)``, ``stem (3)``, ... with no name taken. A photo
        stays if one of them has what it has, and so does what belongs to it.

        Raises:
            FilingError: if the new folder cannot be looked into.
        """
        photos = [photo for photo in group.photos if not self._is_there(group, photo)]
        rests: dict[str, str] = {}
        goes_with: dict[str, str] = {}
        for photo in photos:
            rests[photo] = photo[len(group.stem) :]
            for name, rest in group.sidecars.going_with(photo, set(photos)):
                rests[name], goes_with[name] = rest, photo
        taken = self._names_in(group.folder)
        filings = [
            Filing(group.place, name, group.folder, new_name, group.label, goes_with.get(name))
            for name, new_name in self._new_names(group, photos, rests).items()
        ]
        taken.update((filing.new_name.casefold(), filing) for filing in filings)
        return filings

    def _new_names(
        self, group: Group, photos: Sequence[str], rests: Mapping[str, str]
    ) -> dict[str, str]:
        """Return new names for files; note the conflicts met."""
        taken = self._names_in(group.folder)
        new_names, number = {name: name for name in rests}, 1
        while clash := next((new for new in new_names.values() if new.casefold() in taken), None):
            for photo in photos:
                path = os.path.join(group.place, photo)
                self.conflicts.setdefault(path, os.path.join(group.folder, clash))
            number = max(number + 1, *(self._rivals_of(group, photo).number for photo in photos))
            stem = f"{group.stem} ({number})"
            new_names = {name: named(stem, rest) for name, rest in rests.items()}
        return new_names

    def _names_in(self, folder: str) -> dict[str, Filing | str]:
        """Return the names taken in a folder: by what is to come there, or what is there."""
        names = self._taken.get(folder)
        if names is None:
            try:
                names = {name.casefold(): name for name in os.listdir(folder)}
            except OSError as error:
                # What cannot be made is told of each photo that was to go there.
                if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
                    raise FilingError(
                        f"{folder}: cannot be looked into: {error.strerror}"
                    ) from error
                names = {}
            self._taken[folder] = names
        return names

    def _rivals_of(self, group: Group, photo: str) -> _Rivals:
        """Return what has a photo's name, or that with a number, up to the first number free."""
        suffix = photo[len(group.stem) :]
        rivals = self._rivals[group.folder, group.stem.casefold(), suffix.casefold()]
        taken = self._names_in(group.folder)
        while True:
            number = f" ({rivals.number})" if rivals.number > 1 else ""
            rival = taken.get(f"{group.stem}{number}{suffix}".casefold())
            if rival is None:
                return rivals
            rivals.number += 1
            if isinstance(rival, Filing):
                rivals.add(rival.source, rival.target)
            else:
                path = os.path.join(group.folder, rival)
                rivals.add(path, path)

    def _is_there(self, group: Group, photo: str) -> bool:
        """Tell whether a photo is, or will be, under its name or one with a number; note it."""
        if photo.casefold() not in self._names_in(group.folder):  # as most are
            return False
        path = os.path.join(group.place, photo)
        name = self._rivals_of(group, photo).find(path, self._action == "link")
        if name is not None:
            self.already[path] = name
        return name is not None


class _Rivals:
    """Files that have one name but for a number, found again by what they hold.

    Each is read once at most, and only if another one has its size: there may be thousands.
    """

    def __init__(self) -> None:
        self.number = 1  # the first that is free
        self._unread: dict[int, list[tuple[str, str]]] = defaultdict(list)
        self._by_content: dict[tuple[int, bytes], str] = {}
        self._by_place: dict[str, str] = {}
        self._last = "", b""  # the photo looked for last, which may be the next to be added

    def add(self, path: str, name: str) -> None:
        """Take up what has, or will have, a name, and where its content is now."""
        self._by_place.setdefault(os.path.realpath(path), name)
        size = _size_of(path)
        # A link that is there is not the photo, as one that is to be copied will be.
        if size is not None and not (path == name and os.path.islink(path)):
            self._unread[size].append((path, name))

    def find(self, path: str, is_link: bool) -> str | None:
        """Return the name of one that holds the same, or for a link, that leads to the same."""
        if is_link:
            return self._by_place.get(os.path.realpath(path))
        size = _size_of(path)
        if size is None or size not in self._unread:
            return None
        for other, name in self._unread[size]:
            digest = self._last[1] if other == self._last[0] else _digest(other)
            self._by_content.setdefault((size, digest), name)
        self._unread[size] = []
        self._last = path, _digest(path)
        return self._by_content.get((size, self._last[1]))


def _size_of(path: str) -> int | None:
    """Return a file's size; None for what is no file, or cannot be looked at."""
    with suppress(OSError):
        status = os.stat(path)
        return status.st_size if stat.S_ISREG(status.st_mode) else None
    return None


def _digest(path: str) -> bytes:
    """Return the SHA-256 of a file; of one that cannot be read, what none has."""
    try:
        digest = hashlib.sha256()
        with open(path, "rb") as file:
            while block := file.read(BLOCK):
                digest.update(block)
        return digest.digest()
    except OSError:
        return secrets.token_bytes()
