"""Photos with the same content: found cheaply, so that each content is classified once.

A content is only read where a size was seen before: in most albums no two photos share theirs.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from dogsort.errors import UnreadablePhoto
from dogsort.photos.files import open_regular_file
from dogsort.records import Photo, Record

__all__ = ["Twin", "Twins"]

#: Larger files are not compared but simply decoded. Only uncompressed pictures get there, and
#: decoders give up at once on the films that lie about under a photo's name.
LARGEST = 1 << 28  # bytes

BLOCK = 1 << 20  # bytes read at a time


@dataclass(slots=True)
class _Original:
    """The first photo of its content.

    Attributes:
        path: as found; empty once its content was read. There may be a million of them.
        size: in bytes.
        mtime_ns: when it was changed last; a photo that changed since is not what was classified.
        record: what became of it, without its path; None while it is under way.
    """

    path: str
    size: int
    mtime_ns: int
    record: Record | None = None


@dataclass(frozen=True, slots=True)
class Twin:
    """A photo whose content an earlier one had."""

    path: str
    original: _Original

    @property
    def record(self) -> Record:
        """The original's record under this path; it is there once the original's turn was."""
        assert self.original.record is not None
        return replace(self.original.record, path=self.path)


class Twins:
    """The contents of one run."""

    def __init__(self) -> None:
        # The only photo so far of a size; None once there were more, which are in _by_content.
        self._by_size: dict[int, _Original | None] = {}
        self._by_content: dict[bytes, _Original] = {}
        self._under_way: dict[str, _Original] = {}

    def find(self, items: Iterable[Photo | Record]) -> Iterator[Photo | Twin | Record]:
        """Pass items on, lazily and in order, a Twin in the place of each photo that is one."""
        for item in items:
            yield self._look(item.path) if isinstance(item, Photo) else item

    def keep(self, record: Record) -> Record:
        """Take up what became of an item, for the twins that may come; return it."""
        original = self._under_way.pop(record.path, None)
        if original is not None:
            original.record = replace(record, path="")
        return record

    def _look(self, path: str) -> Photo | Twin:
        try:
            status = os.stat(path)
        except OSError:
            return Photo(path)  # decoding will say why
        photo = _Original(path, status.st_size, status.st_mtime_ns)
        if not 0 < photo.size <= LARGEST:
            return Photo(path)
        if photo.size in self._by_size:
            alone = self._by_size[photo.size]
            if alone is not None:
                self._first_of_content(alone)
            self._by_size[photo.size] = None
            original = self._first_of_content(photo)
            if original is not photo:
                return Twin(path, original)
        else:
            self._by_size[photo.size] = photo
        self._under_way[path] = photo
        return Photo(path)

    def _first_of_content(self, photo: _Original) -> _Original:
        content = _content(photo)
        photo.path = ""
        return photo if content is None else self._by_content.setdefault(content, photo)


def _content(photo: _Original) -> bytes | None:
    """Return what stands for a photo's content; None if it cannot be read, or has changed."""
    digest = hashlib.sha256()
    try:
        with open_regular_file(photo.path) as file:
            while block := file.read(BLOCK):
                digest.update(block)
            status = os.fstat(file.fileno())
    except (OSError, UnreadablePhoto):
        return None
    unchanged = (status.st_size, status.st_mtime_ns) == (photo.size, photo.mtime_ns)
    return digest.digest() if unchanged else None
