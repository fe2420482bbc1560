"""Operations on single files: rename, copy, link and delete, never onto another file.

A folder is held open while files in it change, so that nothing lands elsewhere if its name becomes
a link in the meantime.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import IO, NamedTuple

from dogsort.errors import FilingError

__all__ = [
    "PARTIAL_NAME",
    "UNSUPPORTED",
    "Folder",
    "FolderGone",
    "Place",
    "copy",
    "drop_partial",
    "hardlink",
    "is_same_bytes",
    "leads_to",
    "rename",
    "status_of",
    "symlink",
    "unlink",
]

#: The name of a copy, in the folder of its target, until it is complete. It is short, to fit
#: wherever the photo's name does, and always the same, to find the remains of a killed run.
PARTIAL_NAME = ".dogsort.partial"

BLOCK = 1 << 20  # bytes copied and compared at a time

#: Errors of file systems without this kind of rename, or without hard links.
UNSUPPORTED = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EPERM, errno.EMLINK}

#: Errors of file systems that cannot flush a folder by itself; others are real failures.
UNSYNCED = {errno.EINVAL, errno.ENOTSUP, errno.EACCES}

#: Non-blocking, because opening a named pipe could wait for ever.
READ_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)

HAS_DESCRIPTORS = os.name != "nt"


class FolderGone(FilingError):
    """A folder has moved or cannot be opened; perhaps its disk is not connected."""


class Folder:
    """An open folder.

    Args:
        path: absolute path.

    Attributes:
        path: absolute path.
        identity: device and inode.

    Raises:
        FolderGone: if the path goes through a link, or the folder cannot be opened.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.descriptor: int | None = None
        try:
            if HAS_DESCRIPTORS:
                self.descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            status = os.stat(path if self.descriptor is None else self.descriptor)
        except OSError as error:
            raise FolderGone(f"{path}: {error.strerror}") from error
        self.identity = status.st_dev, status.st_ino
        # Check once it is open, or it might become a link in between.
        if os.path.realpath(path) != path:
            self.close()
            raise FolderGone(f"{path} leads elsewhere now")

    def check(self) -> None:
        """Raise FolderGone if the path now leads elsewhere."""
        try:
            status = os.lstat(self.path)  # a link to the moved folder does not count
        except OSError as error:
            raise FolderGone(f"{self.path}: {error.strerror}") from error
        if (status.st_dev, status.st_ino) != self.identity:
            raise FolderGone(f"{self.path} leads elsewhere now")

    def sync(self) -> None:
        """Flush the names in it to disk.

        Raises:
            OSError: if the disk fails.
        """
        if self.descriptor is not None:
            try:
                os.fsync(self.descriptor)
            except OSError as error:
                if error.errno not in UNSYNCED:
                    raise

    def close(self) -> None:
        """Close it."""
        if self.descriptor is not None:
            os.close(self.descriptor)


class Place(NamedTuple):
    """A name in a folder, whether it exists or not."""

    folder: Folder
    name: str

    @property
    def path(self) -> str:
        """The absolute path, for messages and for functions without ``dir_fd``."""
        return os.path.join(self.folder.path, self.name)

    @property
    def entry(self) -> str:
        """Its name for functions that also get ``descriptor``."""
        return self.path if self.folder.descriptor is None else self.name

    @property
    def descriptor(self) -> int | None:
        """The folder's descriptor, for ``dir_fd``."""
        return self.folder.descriptor


def status_of(place: Place, follow: bool = False) -> os.stat_result | None:
    """Return the status of a file or link; with ``follow``, of the link's target.

    Returns:
        None if it does not exist.

    Raises:
        OSError: if it cannot be accessed.
    """
    try:
        return os.stat(place.entry, dir_fd=place.descriptor, follow_symlinks=follow)
    except (FileNotFoundError, NotADirectoryError):
        return None


def unlink(place: Place) -> None:
    """Delete a file."""
    os.unlink(place.entry, dir_fd=place.descriptor)


def rename(source: Place, target: Place) -> None:
    """Rename a file within its file system, without replacing anything.

    Raises:
        FileExistsError: if the target exists.
        OSError: if it is not possible; EXDEV means that the target is on another file system.
    """
    try:
        _system_rename()(source, target)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
    else:
        return
    try:
        hardlink(source, target, follow=False)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
        _rename_onto_placeholder(source, target)
    else:
        try:
            unlink(source)
        except OSError:
            if status_of(source) is not None:  # else it was deleted, and only the reply was lost
                unlink(target)
                raise


def _rename_onto_placeholder(source: Place, target: Place) -> None:
    """Create an empty file under a free name, and rename onto it."""
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY
    os.close(os.open(target.entry, flags, 0o600, dir_fd=target.descriptor))
    try:
        os.replace(
            *(source.entry, target.entry),
            src_dir_fd=source.descriptor,
            dst_dir_fd=target.descriptor,
        )
    except OSError:
        status = status_of(target)
        if status_of(source) is None and status is not None and status.st_size > 0:
            return  # it was renamed, and only the server's reply was lost
        unlink(target)
        raise


@cache
def _system_rename() -> Callable[[Place, Place], None]:
    """Return the system's rename that refuses to replace."""
    if os.name == "nt":
        return _plain_rename
    names = {"linux": ("renameat2", 1), "darwin": ("renameatx_np", 4)}  # RENAME_NOREPLACE, _EXCL
    name, flag = names.get(sys.platform, ("", 0))
    function = getattr(ctypes.CDLL(None, use_errno=True), name, None) if name else None
    if function is None:
        return _no_rename
    function.argtypes = ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint

    def exclusive(source: Place, target: Place) -> None:
        names = os.fsencode(source.name), os.fsencode(target.name)
        if function(source.descriptor, names[0], target.descriptor, names[1], flag) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    return exclusive


def _plain_rename(source: Place, target: Place) -> None:
    os.rename(source.path, target.path)  # refuses to replace on Windows


def _no_rename(source: Place, target: Place) -> None:
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


def hardlink(source: Place, target: Place, follow: bool = True) -> None:
    """Make a hard link; with ``follow``, to the target of the source if that is a link."""
    os.link(
        *(os.path.realpath(source.path) if follow else source.entry, target.entry),
        src_dir_fd=None if follow else source.descriptor,
        dst_dir_fd=target.descriptor,
        follow_symlinks=False,
    )


def symlink(source: Place, target: Place) -> None:
    """Make a relative symbolic link to the source's real path."""
    leads = os.path.relpath(os.path.realpath(source.path), target.folder.path)
    os.symlink(leads, target.entry, dir_fd=target.descriptor)


def copy(source: Place, target: Place, mtime: int | None = None, mode: int | None = None) -> None:
    """Copy a file under a temporary name, flush, compare, and only then rename it to the target.

    Args:
        source: a file, or a link to one.
        target: a free name.
        mtime: the time of the copy, in ns since 1970; None for the source's.
        mode: the permissions of the copy; None for the source's.

    Raises:
        FileExistsError: if the target exists.
        OSError: if it cannot be copied.
        FilingError: if the copy differs, an unfinished copy is in the way, or the name is not
            possible there.
    """
    partial = Place(target.folder, PARTIAL_NAME)
    try:
        writer = _open(partial, os.O_CREAT | os.O_EXCL | os.O_RDWR, "w+b")
    except FileExistsError:
        raise FilingError(
            f"{partial.path} is in the way: an unfinished copy from another run"
        ) from None
    try:
        with writer, _open(source, READ_FLAGS, "rb") as reader:
            status = os.fstat(reader.fileno())
            shutil.copyfileobj(reader, writer, BLOCK)
            writer.flush()
            _keep_attributes(source, partial, status, mtime, mode)
            os.fsync(writer.fileno())  # with its time and mode
        if not is_same_bytes(source, partial):
            raise FilingError("the copy differs from the original; check the disk")
        _give_name(partial, target)
    except BaseException:
        drop_partial(target.folder)
        raise


def _give_name(partial: Place, target: Place) -> None:
    try:
        rename(partial, target)
    except FileExistsError:
        raise
    except OSError as error:  # exFAT knows no colon, and says that there is no such file
        raise FilingError(f"its copy cannot be called {target.name}: {error.strerror}") from error


def _keep_attributes(
    source: Place, target: Place, status: os.stat_result, mtime: int | None, mode: int | None
) -> None:
    """Copy the attributes of the original, as far as the disk can store them."""
    if hasattr(os, "chown"):
        with suppress(OSError):  # only an administrator may
            os.chown(target.entry, status.st_uid, status.st_gid, dir_fd=target.descriptor)
    with suppress(OSError):
        shutil.copystat(source.path, target.path)
    if mode is not None:
        with suppress(OSError):
            os.chmod(target.path, mode)
    time = status.st_mtime_ns if mtime is None else mtime
    with suppress(OSError):
        os.utime(target.path, ns=(status.st_atime_ns, time))


def drop_partial(folder: Folder) -> None:
    """Delete the unfinished copy in a folder, if there is one."""
    with suppress(OSError):
        unlink(Place(folder, PARTIAL_NAME))


def is_same_bytes(first: Place, second: Place) -> bool:
    """Tell whether two files have the same content; links are followed.

    Raises:
        OSError: if one cannot be read, or is not a file.
    """
    with _open(first, READ_FLAGS, "rb") as one, _open(second, READ_FLAGS, "rb") as two:
        if os.fstat(one.fileno()).st_size != os.fstat(two.fileno()).st_size:
            return False
        while True:
            block = one.read(BLOCK)
            if block != two.read(BLOCK):
                return False
            if not block:
                return True


def leads_to(link: Place, other: Place) -> bool:
    """Tell whether a name is a symbolic link with the same real path as another name."""
    return os.path.islink(link.path) and os.path.realpath(link.path) == os.path.realpath(other.path)


def _open(place: Place, flags: int, mode: str) -> IO[bytes]:
    descriptor = os.open(
        place.entry, flags | getattr(os, "O_BINARY", 0), 0o600, dir_fd=place.descriptor
    )
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a file")
    return os.fdopen(descriptor, mode)
