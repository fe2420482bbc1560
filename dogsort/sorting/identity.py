"""Is this still the file that was filed?"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

from dogsort.errors import FilingError

__all__ = ["Identity", "folder_times", "leads_to", "same_name", "strays"]

BLOCK = 1 << 20  # bytes read at a time

#: Not waiting, since a named pipe would let us wait for ever.
READ_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


class Identity(NamedTuple):
    """What a file was when it was filed.

    Its time is no part of it: some systems shift the times of all files when the clocks change.

    Attributes:
        size: in bytes.
        sha256: of its content, in hexadecimal.
    """

    size: int
    sha256: str

    @classmethod
    def of(cls, path: str) -> Identity:
        """Read a file's, following links.

        Raises:
            OSError: if it cannot be read, or is none.
        """
        size, digest = 0, hashlib.sha256()
        file = os.open(path, READ_FLAGS)  # and read as it is: for small files twice as fast
        try:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise OSError(errno.EINVAL, "not a file")
            # Until there is nothing: some file systems give less at a time than was asked for.
            while block := os.read(file, BLOCK):
                digest.update(block)
                size += len(block)
        finally:
            os.close(file)
        return cls(size, digest.hexdigest())

    def is_of(self, path: str, follow: bool = False) -> bool:
        """Tell whether a path is a file, or with ``follow`` a link to one, with this content.

        Raises:
            FilingError: if that cannot be told now, which is no reason to think it was changed.
        """
        try:
            status = os.stat(path, follow_symlinks=follow)
            # The cheap question first.
            if not stat.S_ISREG(status.st_mode) or status.st_size != self.size:
                return False
            return Identity.of(path) == self
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise FilingError(f"{path}: cannot be read: {error.strerror}") from error


def folder_times(folders: Iterable[str]) -> dict[str, int]:
    """Return when something was last changed in each folder, in ns since 1970; not of links."""
    times = {}
    for folder in folders:
        with suppress(OSError):
            status = os.lstat(folder)
            if stat.S_ISDIR(status.st_mode):
                times[folder] = status.st_mtime_ns
    return times


def leads_to(link: str, path: str) -> bool:
    """Tell whether a path is a symbolic link that leads where another path does."""
    return os.path.islink(link) and os.path.realpath(link) == os.path.realpath(path)


def same_name(first: str, second: str) -> bool:
    """Tell whether two paths are one name in one folder, however they lead there.

    Whoever deletes one of two such paths deletes the other, too.
    """
    if os.path.basename(first).casefold() != os.path.basename(second).casefold():
        return False
    try:
        return os.path.samefile(os.path.dirname(first), os.path.dirname(second))
    except OSError:
        return False


def strays(path: str) -> bool:
    """Tell whether the folder of a path without links is, or lies behind, a link now."""
    folder = os.path.dirname(path)
    return os.path.realpath(folder) != folder
