"""A file of JSON lines that is only ever appended to, and on disk before anybody goes on."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

from dogsort.errors import FilingError
from dogsort.sorting.durable import sync_folder

__all__ = ["Lines", "line_of"]


class Lines:
    """The lines of a file, and more of them.

    Args:
        path: the file.

    Raises:
        FilingError: if it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            if not stat.S_ISREG(os.lstat(path).st_mode):
                raise FilingError(f"{path}: not a file")  # a link would be written through
            content = path.read_bytes()
        except OSError as error:
            raise FilingError(f"{path}: cannot be read: {error.strerror}") from error
        # What was being written when the machine stopped ends in no newline.
        self._whole = content.rfind(b"\n") + 1
        self._found = content[: self._whole]
        self._file: BinaryIO | None = None
        self._noted: list[bytes] = []

    @staticmethod
    def create(path: Path, entry: dict[str, Any]) -> None:
        """Create the file, with its first line.

        Raises:
            OSError: if it cannot be written, or is there already.
        """
        with path.open("xb") as file:
            file.write(line_of(entry))
            file.flush()
            os.fsync(file.fileno())
        sync_folder(str(path.parent))

    def found(self) -> list[bytes]:
        """Return the lines that were read; a second time, none."""
        found, self._found = self._found, b""
        return found.splitlines()

    def note(self, line: bytes) -> None:
        """Keep a line, to be written before whatever is written next."""
        self._noted.append(line)

    def write(self, lines: Iterable[bytes]) -> None:
        """Put on disk what was noted, and lines after it.

        Raises:
            FilingError: if that cannot be done. What is written next, noted lines among it, begins
                where the last whole line ended.
        """
        try:
            if self._file is None:
                file = self.path.open("r+b")
                file.truncate(self._whole)
                file.seek(self._whole)
                self._file = file
            self._file.writelines(chain(self._noted, lines))
            self._file.flush()
            os.fsync(self._file.fileno())
            self._whole = self._file.tell()
            self._noted.clear()  # only now: after a Ctrl-C, better twice than not at all
        except BaseException as error:
            self._let_go()
            if not isinstance(error, OSError):
                raise
            raise FilingError(f"{self.path}: cannot be written: {error.strerror}") from error

    def close(self) -> None:
        """Write what was noted if that can be done, and let go of the file."""
        with suppress(FilingError):
            if self._noted:
                self.write(())
        self._let_go()

    def _let_go(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):
                file.close()


def line_of(entry: dict[str, Any]) -> bytes:
    """Return an entry as a line."""
    # ASCII: names that are no UTF-8 come through as escaped surrogates.
    return json.dumps(entry).encode("ascii") + b"\n"
