"""A table's file, read and replaced whole, without overwriting what another program wrote."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Literal

from dogsort.errors import DogsortError, OutputError
from dogsort.results.cache import users_folder
from dogsort.results.output import writing
from dogsort.results.reading import reading

__all__ = ["StoredTable", "served_once"]

#: Suffix of the new file beside the table. A scan skips such names, and no command uses this
#: number, so a file that a killed server left may be removed.
PARTIAL = ".0.partial"

#: How long a file that is written in place must stay unchanged, in seconds, to count as complete.
REST = 1.0

#: Errors of file systems that cannot flush folders, such as network file systems.
UNSYNCED = (errno.EINVAL, errno.EBADF, errno.ENOTSUP)


class StoredTable:
    """The file of a table. Links are followed.

    Args:
        table: its path.

    Attributes:
        name: the path as given, for messages.
    """

    def __init__(self, table: str) -> None:
        self.name, self._path = table, os.path.realpath(table)
        self._stamp: tuple[int, ...] | None = None  # of the file as last read or written
        self._digest = ""
        self._foreign: tuple[int, ...] | None = None  # the stamp that another program gave it
        self._seen = 0.0

    @contextmanager
    def opened(self) -> Iterator[bytes | None]:
        """Yield the file's bytes; None if there is no file.

        They count as read only if the block succeeds; otherwise the file counts as changed.

        Raises:
            DataError: if it cannot be read.
        """
        stamp, content = None, None
        with reading(self.name), suppress(FileNotFoundError), open(self._path, "rb") as file:
            stamp, content = _stamp(os.fstat(file.fileno())), file.read()
        yield content
        self._stamp, self._digest = stamp, "" if content is None else _digest(content)

    def state(self) -> Literal["same", "changing", "changed"]:
        """Tell whether another program changed the file or is changing it; "same" if it is gone.

        A program that writes in place takes a while, and half a table is of no use.
        """
        try:
            stamp = _stamp(os.stat(self._path))
            if stamp == self._stamp:
                return "same"
            if stamp != self._foreign:
                self._foreign, self._seen = stamp, monotonic()
            in_place = self._stamp is not None and stamp[0] == self._stamp[0]
            if in_place and monotonic() < self._seen + REST:
                return "changing"
            with open(self._path, "rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            return "same"
        except OSError:
            return "changed"
        if digest != self._digest:
            return "changed"
        self._stamp = stamp  # it was only touched
        return "same"

    def why_read_only(self) -> str | None:
        """Return why it cannot be saved, as far as that shows without saving; None if it can."""
        if os.path.exists(self._path) and not os.access(self._path, os.W_OK):
            return f"{self.name} is write-protected"
        try:
            with writing(self.name), self.locked():
                os.unlink(self._new_partial())
        except OutputError as error:
            return str(error)
        return None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep out other servers, such as other users', if the file system has locks."""
        folder = None
        with suppress(OSError, ImportError):  # ImportError: on Windows
            import fcntl

            folder = os.open(os.path.dirname(self._path), os.O_RDONLY)
            fcntl.flock(folder, fcntl.LOCK_EX)
        try:
            yield
        finally:
            if folder is not None:
                os.close(folder)

    def write(self, content: bytes) -> bool:
        """Replace the file, and flush it to disk.

        Returns:
            Whether it was replaced; False if another program has changed it meanwhile.

        Raises:
            OutputError: if it cannot be written; the old file then stays as it was.
        """
        with writing(self.name):
            partial = self._new_partial()
            try:
                with open(partial, "r+b") as file:
                    _keep_owner_and_mode(self._path, partial)  # before it has any content
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                    stamp = _stamp(os.fstat(file.fileno()))
                # Without locks, another server may have replaced the partial file.
                is_ours = _stamp(os.stat(partial)) == stamp
                if is_ours and self.state() == "same":
                    os.replace(partial, self._path)
                    self._stamp, self._digest = stamp, _digest(content)
                    _flush_folder(os.path.dirname(self._path))
                    return True
            except BaseException:
                with suppress(OSError):
                    os.unlink(partial)
                raise
            if is_ours:
                os.unlink(partial)
            return False

    def _new_partial(self) -> str:
        partial = self._path + PARTIAL
        with suppress(FileNotFoundError):
            os.unlink(partial)
        os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        return partial


@contextmanager
def served_once(table: str) -> Iterator[Path | None]:
    """Let one server at a time show a table: a lock in the user's cache folder.

    If the server dies, the system releases it.

    Yields:
        The file for the server's address, which only this user may read; None if there is no
        cache folder. Then nothing is locked, but changes by another server are noticed.

    Raises:
        DogsortError: if another server has the lock; the message gives its address.
    """
    from filelock import FileLock, Timeout

    name = hashlib.sha256(os.fsencode(os.path.realpath(table))).hexdigest()[:32]
    try:
        folder = users_folder() / "review"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        address = folder / f"{name}.address"
        lock = FileLock(folder / f"{name}.lock", timeout=0).acquire()
    except Timeout:
        with suppress(OSError):
            raise DogsortError(f"{table}: already open at {address.read_text()}") from None
        raise DogsortError(f"{table}: already open in another dogsort review") from None
    except (OSError, RuntimeError, NotImplementedError):  # no home folder, or no locks
        yield None
        return
    with lock:
        yield address
        address.unlink(missing_ok=True)


def _keep_owner_and_mode(table: str, partial: str) -> None:
    with suppress(OSError):  # a new table, or a file system that has neither
        status = os.stat(table)
        with suppress(OSError, AttributeError):  # only root may give files away
            os.chown(partial, status.st_uid, status.st_gid)
        os.chmod(partial, stat.S_IMODE(status.st_mode))


def _flush_folder(folder: str) -> None:
    if os.name != "nt":  # Windows cannot open folders
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno not in UNSYNCED:
                raise
        finally:
            os.close(descriptor)


def _stamp(status: os.stat_result) -> tuple[int, ...]:
    return status.st_ino, status.st_size, status.st_mtime_ns


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
