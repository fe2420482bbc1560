"""A log while it is being written: line by line, and never where somebody else put something."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, BinaryIO

import dogsort
from dogsort.results.log import (
    FORMAT_VERSION,
    Entry,
    current_folder,
    digest_of,
    log_of,
    open_safely,
)
from dogsort.results.output import hidden_log, writing

if sys.platform != "win32":
    import fcntl

__all__ = ["LogFile", "is_being_written"]


class LogFile:
    """A log that is being written, beside the partial file of its table.

    Args:
        partial: that file.
        weights: as in ``Log``.
        paths: likewise.

    Attributes:
        path: where it lies.
        count: how many entries were added.

    Raises:
        OutputError: if it cannot be created or written; from the methods, too.
    """

    def __init__(self, partial: str, weights: str, paths: Iterable[str]) -> None:
        self.path, self.count = hidden_log(partial), 0
        head = {"log": FORMAT_VERSION, "dogsort": dogsort.__version__, "weights": weights}
        with writing(self.path):
            # Exclusively: never over or through what somebody put there.
            self._file = open_safely(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
            with suppress(OSError):  # without locks, ``is_being_written`` cannot tell, and says so
                _lock(self._file)
            try:
                self._write(head | {"paths": list(paths), "current": current_folder()})
            except OSError:
                self.stop()
                raise

    def add(self, path: str, entry: Entry) -> None:
        """Write down what was found out about a photo."""
        (size, mtime_ns), p_dog, p_pet = entry
        line = {"path": path, "size": size, "mtime_ns": mtime_ns, "p_dog": p_dog, "p_pet": p_pet}
        with writing(self.path):
            self._write(line)
        self.count += 1

    def complete(self, table: str) -> None:
        """Put it on disk, and give it the name that belongs to the complete table."""
        name = log_of(table)
        with writing(name):
            self._write({"table": digest_of(table)})
            os.fsync(self._file.fileno())
            self._file.close()
            os.replace(self.path, name)

    def stop(self) -> None:
        """Leave it as it is, for a run that goes on from there; delete it if it holds nothing."""
        with suppress(OSError):
            self._file.close()
            if not self.count:
                os.unlink(self.path)

    def _write(self, values: dict[str, Any]) -> None:
        # ASCII: names that are no UTF-8 come through as escaped surrogates.
        line = json.dumps(values).encode("ascii") + b"\n"
        while line:
            line = line[self._file.write(line) :]


def is_being_written(path: str) -> bool:
    """Tell whether a dogsort is still at work on a log; True if that cannot be told."""
    if sys.platform == "win32":
        return False  # a file that somebody has open cannot be deleted there
    try:
        with open_safely(path, os.O_RDWR) as file:
            _lock(file)
    except OSError:
        return True
    return False


def _lock(file: BinaryIO) -> None:
    if sys.platform != "win32":
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
