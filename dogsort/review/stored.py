"""A table's file: read and replaced whole, and never over what another program wrote."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

from dogsort.errors import OutputError
from dogsort.filing.fileops import Folder
from dogsort.results.output import writing
from dogsort.results.reading import reading

__all__ = ["StoredTable"]

#: Beside the table, while it is saved. A scan passes over such names, and no command makes this
#: number, so what is left of a killed server may go.
PARTIAL = ".0.partial"


class StoredTable:
    """The file of a table. Links are followed.

    Args:
        table: its path.

    Attributes:
        name: the path as given, for messages.
    """

    def __init__(self, table: str) -> None:
        self.name, self._path = table, os.path.realpath(table)
        self._stamp: tuple[int, ...] | None = None  # of the file as read or written last
        self._digest = ""

    @contextmanager
    def opened(self) -> Iterator[bytes | None]:
        """Yield the file's bytes; None if there is no file.

        Only if the block succeeds do they count as read. Else they are another program's.

        Raises:
            DataError: if it cannot be read.
        """
        stamp, content = None, None
        with reading(self.name), suppress(FileNotFoundError), open(self._path, "rb") as file:
            stamp, content = _stamp(os.fstat(file.fileno())), file.read()
        yield content
        self._stamp, self._digest = stamp, "" if content is None else _digest(content)

    def has_changed(self) -> bool:
        """Tell whether another program has changed the file since; a file that is gone has not."""
        try:
            stamp = _stamp(os.stat(self._path))
            if stamp == self._stamp:
                return False
            with open(self._path, "rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            return False
        except OSError:
            return True
        if digest != self._digest:
            return True
        self._stamp = stamp  # it was only touched
        return False

    def why_read_only(self) -> str | None:
        """Return why it cannot be saved, as far as one can tell without saving; None if it can."""
        if os.path.exists(self._path) and not os.access(self._path, os.W_OK):
            return f"{self.name} is write-protected"
        try:
            with writing(self.name), self._partial():
                return None
        except OutputError as error:
            return str(error)

    def write(self, content: bytes) -> None:
        """Replace the file. When it returns, the new one is on disk, whatever happens.

        Raises:
            OutputError: if it cannot be written; the old one is then as it was.
        """
        with writing(self.name), self._partial() as partial:
            with open(partial, "r+b") as file:
                file.write(content)
                _keep_owner_and_mode(self._path, partial)
                file.flush()
                os.fsync(file.fileno())
                stamp = _stamp(os.fstat(file.fileno()))
            os.replace(partial, self._path)
            with closing(Folder(os.path.dirname(self._path))) as folder:
                folder.sync()
        self._stamp, self._digest = stamp, _digest(content)

    @contextmanager
    def _partial(self) -> Iterator[str]:
        """Make an empty file beside the table; unless it was renamed, it is deleted in the end."""
        partial = self._path + PARTIAL
        with suppress(FileNotFoundError):
            os.unlink(partial)
        os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        try:
            yield partial
        finally:
            with suppress(OSError):
                os.unlink(partial)


def _keep_owner_and_mode(table: str, partial: str) -> None:
    with suppress(OSError):  # a new table, or a file system without them
        status = os.stat(table)
        with suppress(OSError, AttributeError):  # only root may give files away
            os.chown(partial, status.st_uid, status.st_gid)
        os.chmod(partial, stat.S_IMODE(status.st_mode))


def _stamp(status: os.stat_result) -> tuple[int, ...]:
    return status.st_ino, status.st_size, status.st_mtime_ns


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
