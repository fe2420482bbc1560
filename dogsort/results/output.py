"""A file that appears complete or not at all: written beside its place, then renamed."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

from dogsort.errors import OutputError

__all__ = ["PartialFile", "check_writable", "complete_file"]


class PartialFile:
    """Where a result is being written before it gets its name."""

    def __init__(self, target: str, path: str) -> None:
        self.target = target
        self.path = path

    @property
    def in_place(self) -> bool:
        """True for pipes and devices, which are written to directly."""
        return self.path == self.target


@contextmanager
def complete_file(target: str) -> Iterator[PartialFile]:
    """Give a path to write to, and rename it to ``target`` once the block has succeeded.

    A file that exists is replaced only then; a link is followed; a pipe or device is written
    to in place. If the block fails, the partial file stays if it holds anything.

    Args:
        target: the name that the finished file gets.

    Raises:
        OutputError: if the file cannot be created, written or renamed; of the errors raised
            inside the block, OSErrors are turned into it.
    """
    partial = _create(os.path.realpath(target), target)
    try:
        yield partial
        if not partial.in_place:
            _flush_to_disk(partial.path)
            os.replace(partial.path, partial.target)
    except OSError as error:
        raise OutputError(f"{target}: cannot be written: {error.strerror or error}") from error
    finally:
        if not partial.in_place:
            with contextlib.suppress(OSError):
                if os.path.getsize(partial.path) == 0:
                    os.unlink(partial.path)


def check_writable(target: str) -> None:
    """Raise OutputError, before any work, if ``complete_file`` could not begin."""
    partial = _create(os.path.realpath(target), target)
    if not partial.in_place:
        os.unlink(partial.path)


def _create(real: str, target: str) -> PartialFile:
    try:
        status = os.stat(real)
    except OSError:
        status = None
    if status and stat.S_ISDIR(status.st_mode):
        raise OutputError(f"{target}: is a folder; name a file to write to")
    if status and not stat.S_ISREG(status.st_mode):
        return PartialFile(real, real)
    folder = os.path.dirname(real)
    if not os.path.isdir(folder):
        raise OutputError(f"{target}: the folder {folder} does not exist")
    for number in count(1):
        path = f"{real}.{number}.partial"
        try:
            # Exclusively: a partial file of another run, or of a stopped one, is not touched.
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        except FileExistsError:
            continue
        except OSError as error:
            raise OutputError(f"{target}: cannot be written: {error.strerror}") from error
        return PartialFile(real, path)
    raise AssertionError("count() ended")


def _flush_to_disk(path: str) -> None:
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
