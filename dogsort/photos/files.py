"""Opening photos: regular files only, and never reading more than they hold."""

from __future__ import annotations

import io
import os
import stat
from typing import IO

from dogsort.errors import UnreadablePhoto

__all__ = ["open_regular_file"]


def open_regular_file(path: str) -> IO[bytes]:
    """Open a file for reading, without blocking.

    Raises:
        OSError: if it cannot be opened.
        UnreadablePhoto: if it is empty, or a pipe or device.
    """
    # Open without blocking, because opening a named pipe could wait for ever.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags)
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode) and status.st_size > 0:
        return _BoundedFile(descriptor, status.st_size)
    os.close(descriptor)
    raise UnreadablePhoto("empty file" if stat.S_ISREG(status.st_mode) else "not a regular file")


class _BoundedFile(io.BufferedReader):
    """A file that is never asked for more bytes than it holds.

    Pillow asks for as many bytes as a header claims, and Python allocates memory for all of them
    before it reads: gigabytes, for a damaged file of a few hundred bytes.
    """

    def __init__(self, descriptor: int, length: int) -> None:
        super().__init__(io.FileIO(descriptor))
        self.length = length

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(-1 if size is None or size < 0 else min(size, self.length))
