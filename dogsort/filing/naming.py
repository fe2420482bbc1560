"""New names for photos and their sidecars, so that no name is used twice or already taken."""

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
    """One file to be filed. Names and folders are separate, as many files share few folders.

    Attributes:
        place: the folder it is in.
        name: its name there.
        folder: the folder it goes to.
        new_name: its name there, which is free.
        label: the label it is filed under.
        photo: for a sidecar, the name of its photo in the same folder; None for a photo.
    """

    place: str
    name: str
    folder: str
    new_name: str
    label: Label
    photo: str | None = None

    @property
    def source(self) -> str:
        """Its path now."""
        return os.path.join(self.place, self.name)

    @property
    def target(self) -> str:
        """Its new path."""
        return os.path.join(self.folder, self.new_name)

    @property
    def belongs_to(self) -> str | None:
        """For a sidecar, the path of its photo; None for a photo."""
        return None if self.photo is None else os.path.join(self.place, self.photo)

    @property
    def size(self) -> int:
        """Its size now, in bytes; 0 if it is gone."""
        with suppress(OSError):
            return os.path.getsize(self.source)
        return 0


class Namer:
    """Finds names for photos, group by group.

    Args:
        action: what to do with photos.

    Attributes:
        already: photos that need no filing, with the path of the identical file.
        conflicts: photos that need a new name, with the path that is taken: their own, or that of
            a file with the same stem.
    """

    def __init__(self, action: Action) -> None:
        # All names are case-folded: to some file systems, A.jpg and a.jpg are the same.
        self._taken: dict[str, dict[str, Filing | str]] = {}
        self._rivals: dict[tuple[str, str], _Rivals] = defaultdict(
            partial(_Rivals, are_links=action == "link")
        )
        self.already: dict[str, str] = {}
        self.conflicts: dict[str, str] = {}

    def name(
        self, place: str, photos: Sequence[str], folder: str, label: Label, sidecars: Sidecars
    ) -> list[Filing]:
        """Return the filings of photos with the same stem, each photo before its sidecars.

        They go from a place to a folder together, and keep a common stem: the first of ``stem``,
        ``stem (2)``, ``stem (3)``, ... for which all names are free. A photo stays, with its
        sidecars, if a file with one of these names is identical to it.

        Raises:
            FilingError: if the new folder cannot be listed.
        """
        taken, first = self._names_in(folder), photos[0]
        if len(photos) == 1 and first.casefold() not in taken and not sidecars.of(first):
            filing = taken[first.casefold()] = Filing(place, first, folder, first, label)
            return [filing]  # the usual case, and fast
        left = [photo for photo in photos if not self._is_there(place, photo, folder)]
        files = list(sidecars.going_with(left))
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
        """Tell whether a photo is, or will be, there under its name or a numbered one; note it."""
        if photo.casefold() not in self._names_in(folder):
            return False
        path = os.path.join(place, photo)
        name = self._rivals_of(photo, folder).find(path)
        if name is not None:
            self.already[path] = name
        return name is not None

    def _rivals_of(self, photo: str, folder: str) -> _Rivals:
        """Return the files with a photo's name, or a numbered one, up to the first free number."""
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
        """Return the names taken in a folder, by planned or existing files."""
        if folder not in self._taken:
            names: list[str] = []
            try:
                names = os.listdir(folder)
            except OSError as error:
                # A folder that cannot be made is reported later, for each photo.
                if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
                    reason = f"cannot be opened: {error.strerror}"
                    raise FilingError(f"{folder}: {reason}") from error
            self._taken[folder] = {name.casefold(): name for name in names}
        return self._taken[folder]


class _Rivals:
    """Files whose names differ only by a number, looked up by content, or by link target.

    Each is read at most once, and only if another has the same size, as there may be thousands.
    """

    def __init__(self, are_links: bool) -> None:
        self.number = 1  # the first free number
        self._are_links = are_links
        self._unread: dict[int | None, list[tuple[str, str]]] = defaultdict(list)  # by size
        self._names: dict[bytes | str, str] = {}  # by digest, or by link target
        self._digest = cache(_digest)

    def add(self, path: str, name: str) -> None:
        """Add a file: where its content is now, and the name that it has or will have."""
        if self._are_links:
            self._names.setdefault(os.path.realpath(path), name)
        # An existing link is not a copy of the photo. A link to be copied becomes one.
        elif path != name or not os.path.islink(path):
            self._unread[_size_of(path)].append((path, name))

    def find(self, path: str) -> str | None:
        """Return the name of a file with the same content, or of a link with the same target."""
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
    """Return a file's size; None if it is not a file or not accessible."""
    with suppress(OSError):
        return os.path.getsize(path) if os.path.isfile(path) else None
    return None


def _digest(path: str) -> bytes:
    """Return a file's SHA-256; if it cannot be read, random bytes, which match nothing."""
    with suppress(OSError), open(path, "rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
        return digest.digest()
    return secrets.token_bytes()
