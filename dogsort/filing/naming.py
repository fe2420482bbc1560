"""New names for photos, and for what goes with them: each is given once, and none that is taken."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from functools import cache, partial
from typing import NamedTuple

from dogsort.errors import FilingError
from dogsort.filing.options import Action
from dogsort.filing.sidecars import Sidecars, named
from dogsort.records import Label

__all__ = ["Filing", "Namer"]


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


class Namer:
    """Finds names for photos, one group after the other.

    Args:
        action: what is to be done with photos.

    Attributes:
        already: photos that need no filing, with the name under which they are, or will be, there.
        conflicts: photos whose name another file has, or that of a file they keep one stem with,
            with that name.
    """

    def __init__(self, action: Action) -> None:
        # All names without case: some file systems do not tell A.jpg from a.jpg.
        self._taken: dict[str, dict[str, Filing | str]] = {}
        self._rivals: dict[tuple[str, str], _Rivals] = defaultdict(
            partial(_Rivals, are_links=action == "link")
        )
        self.already: dict[str, str] = {}
        self.conflicts: dict[str, str] = {}

    def name(
        self, place: str, photos: Sequence[str], folder: str, label: Label, sidecars: Sidecars
    ) -> list[Filing]:
        """Return the filings of photos that have one stem, and keep one; each before its sidecars.

        They go from a place, with what belongs to them there, to a folder. All get the first of
        ``stem``, ``stem (2)``, ``stem (3)``, ... with no name taken. A photo stays if one of them
        has what it has, and so does what belongs to it.

        Raises:
            FilingError: if the new folder cannot be looked into.
        """
        left = [photo for photo in photos if not self._is_there(place, photo, folder)]
        files = list(sidecars.going_with(left))
        taken = self._names_in(folder)
        new_names, number = [name for name, _, _ in files], 1
        while clash := next((name for name in new_names if name.casefold() in taken), None):
            for photo in left:
                path = os.path.join(place, photo)
                self.conflicts.setdefault(path, os.path.join(folder, clash))
            number = max(number + 1, *(self._rivals_of(photo, folder).number for photo in left))
            stem = f"{os.path.splitext(left[0])[0]} ({number})"
            new_names = [named(stem, rest) for _, rest, _ in files]
        filings = [
            Filing(place, name, folder, new_name, label, photo)
            for (name, _, photo), new_name in zip(files, new_names, strict=True)
        ]
        taken.update((filing.new_name.casefold(), filing) for filing in filings)
        return filings

    def _is_there(self, place: str, photo: str, folder: str) -> bool:
        """Tell whether a photo is, or will be, under its name or one with a number; note it."""
        if photo.casefold() not in self._names_in(folder):  # as most are
            return False
        path = os.path.join(place, photo)
        name = self._rivals_of(photo, folder).find(path)
        if name is not None:
            self.already[path] = name
        return name is not None

    def _rivals_of(self, photo: str, folder: str) -> _Rivals:
        """Return what has a photo's name, or that with a number, up to the first number free."""
        rivals = self._rivals[folder, photo.casefold()]
        taken = self._names_in(folder)
        while rival := taken.get(_numbered(photo, rivals.number).casefold()):
            rivals.number += 1
            if isinstance(rival, Filing):
                rivals.add(rival.source, rival.target)
            else:
                rivals.add(os.path.join(folder, rival), os.path.join(folder, rival))
        return rivals

    def _names_in(self, folder: str) -> dict[str, Filing | str]:
        """Return the names taken in a folder: by what is to come there, or what is there."""
        if folder not in self._taken:
            names: list[str] = []
            try:
                names = os.listdir(folder)
            except OSError as error:
                # What cannot be made is told of each photo that was to go there.
                if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
                    reason = f"cannot be opened: {error.strerror}"
                    raise FilingError(f"{folder}: {reason}") from error
            self._taken[folder] = {name.casefold(): name for name in names}
        return self._taken[folder]


class _Rivals:
    """Files that have one name but for a number, found again by what they hold, or lead to.

    Each is read once at most, and only if another one has its size: there may be thousands.
    """

    def __init__(self, are_links: bool) -> None:
        self.number = 1  # the first that is free
        self._are_links = are_links
        self._unread: dict[int | None, list[tuple[str, str]]] = defaultdict(list)  # by size
        self._names: dict[bytes | str, str] = {}  # by digest, or by what links lead to
        self._digest = cache(_digest)

    def add(self, path: str, name: str) -> None:
        """Take up what has, or will have, a name, and where its content is now."""
        if self._are_links:
            self._names.setdefault(os.path.realpath(path), name)
        # A link that is there is not the photo, as one that is to be copied will be.
        elif path != name or not os.path.islink(path):
            self._unread[_size_of(path)].append((path, name))

    def find(self, path: str) -> str | None:
        """Return the name of one that holds the same, or for a link, that leads to the same."""
        if self._are_links:
            return self._names.get(os.path.realpath(path))
        size = _size_of(path)
        if size is None or size not in self._unread:
            return None
        for other, name in self._unread[size]:
            self._names.setdefault(self._digest(other), name)
        self._unread[size] = []
        return self._names.get(self._digest(path))


def _numbered(name: str, number: int) -> str:
    stem, suffix = os.path.splitext(name)
    return f"{stem} ({number}){suffix}" if number > 1 else name


def _size_of(path: str) -> int | None:
    """Return a file's size; None for what is no file, or cannot be looked at."""
    with suppress(OSError):
        return os.path.getsize(path) if os.path.isfile(path) else None
    return None


def _digest(path: str) -> bytes:
    """Return the SHA-256 of a file; of one that cannot be read, what none has."""
    with suppress(OSError), open(path, "rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
        return digest.digest()
    return secrets.token_bytes()
