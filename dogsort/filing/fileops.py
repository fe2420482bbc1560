"""Operations on single files: rename, copy, link, delete, and never onto another file.

A folder is held open while files in it change, so that nothing lands elsewhere when its name
becomes a link in the meantime.
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

#: What a copy is called until it is whole, in the folder of its target. Short, so that it fits
#: wherever the photo's own name does; the same for all, so that what a killed run left is found.
PARTIAL_NAME = ".dogsort.partial"

BLOCK = 1 << 20  # bytes copied and compared at a time

#: How file systems say that they have no rename of this kind, or no hard links.
UNSUPPORTED = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EPERM, errno.EMLINK}

#: How they say that they cannot put a folder on disk by itself; other errors are real ones.
UNSYNCED = {errno.EINVAL, errno.ENOTSUP, errno.EACCES}

#: Not waiting, since a named pipe would let us wait for ever.
READ_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)

HAS_DESCRIPTORS = os.name != "nt"


class FolderGone(FilingError):
    """A folder is not where it was, or cannot be opened; it may be on a disk that is not there."""


class Folder:
    """A folder, held open.

    Args:
        path: absolute.

    Attributes:
        path: likewise.
        identity: device and inode.

    Raises:
        FolderGone: if the path leads through a link, or to no folder that can be opened.
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
        # Asked once it is open, or it might become a link in between.
        if os.path.realpath(path) != path:
            self.close()
            raise FolderGone(f"{path} leads elsewhere now")

    def check(self) -> None:
        """Raise FolderGone if the path leads elsewhere by now."""
        try:
            status = os.lstat(self.path)  # a link to where it was moved is not it
        except OSError as error:
            raise FolderGone(f"{self.path}: {error.strerror}") from error
        if (status.st_dev, status.st_ino) != self.identity:
            raise FolderGone(f"{self.path} leads elsewhere now")

    def sync(self) -> None:
        """Put the names in it on disk.

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
        """Let go of it."""
        if self.descriptor is not None:
            os.close(self.descriptor)


class Place(NamedTuple):
    """A name in a folder, whether there is a file or not."""

    folder: Folder
    name: str

    @property
    def path(self) -> str:
        """The absolute path, for people and for what does not know descriptors."""
        return os.path.join(self.folder.path, self.name)

    @property
    def entry(self) -> str:
        """What names it to a function that is also given ``descriptor``."""
        return self.path if self.folder.descriptor is None else self.name

    @property
    def descriptor(self) -> int | None:
        """What the functions of ``os`` take as ``dir_fd``."""
        return self.folder.descriptor


def status_of(place: Place, follow: bool = False) -> os.stat_result | None:
    """Return the status of what has a name, itself or with ``follow`` what it leads to.

    Returns:
        None if nothing has that name.

    Raises:
        OSError: if that cannot be told.
    """
    try:
        return os.stat(place.entry, dir_fd=place.descriptor, follow_symlinks=follow)
    except (FileNotFoundError, NotADirectoryError):
        return None


def unlink(place: Place) -> None:
    """Delete a file."""
    os.unlink(place.entry, dir_fd=place.descriptor)


def rename(source: Place, target: Place) -> None:
    """Give a file another name on its file system, which nothing has yet.

    Raises:
        FileExistsError: if something has it.
        OSError: if that is not possible; EXDEV means that the target is on another file system.
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
            if status_of(source) is not None:  # else it went, and only a server's answer was lost
                unlink(target)
                raise


def _rename_onto_placeholder(source: Place, target: Place) -> None:
    """Create an empty file where nothing was, and rename onto it."""
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY
    os.close(os.open(target.entry, flags, 0o600, dir_fd=target.descriptor))
    try:
        replace(source, target)
    except OSError:
        status = status_of(target)
        if status_of(source) is None and status is not None and status.st_size > 0:
            return  # it went, and only a server's answer was lost
        unlink(target)
        raise


def replace(source: Place, target: Place) -> None:
    """Rename a file onto another one, which must be a placeholder of ours."""
    os.replace(
        *(source.entry, target.entry), src_dir_fd=source.descriptor, dst_dir_fd=target.descriptor
    )


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
    os.rename(source.path, target.path)  # which refuses to replace on Windows


def _no_rename(source: Place, target: Place) -> None:
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


def hardlink(source: Place, target: Place, follow: bool = True) -> None:
    """Make a hard link, with ``follow`` to what the source leads to if it is a link itself."""
    os.link(
        *(os.path.realpath(source.path) if follow else source.entry, target.entry),
        src_dir_fd=None if follow else source.descriptor,
        dst_dir_fd=target.descriptor,
        follow_symlinks=False,
    )


def symlink(source: Place, target: Place) -> None:
    """Make a relative symbolic link to what the source is, or leads to."""
    leads = os.path.relpath(os.path.realpath(source.path), target.folder.path)
    os.symlink(leads, target.entry, dir_fd=target.descriptor)


def copy(source: Place, target: Place, mtime: int | None = None, mode: int | None = None) -> None:
    """Copy a file under a temporary name, flush, compare, and only then give it the target's name.

    Args:
        source: a file, or a link to one.
        target: a name that nothing has.
        mtime: the time that the copy gets, in ns since 1970; None for the source's.
        mode: the permissions that it gets; None for the source's.

    Raises:
        FileExistsError: if something has the target's name.
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
    """Give a copy what its original has; what its disk cannot keep is let go."""
    if hasattr(os, "chown"):
        with suppress(OSError):  # which only an administrator may
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
    """Tell whether two files hold the same; links are followed.

    Raises:
        OSError: if one cannot be read, or is no file.
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
    """Tell whether a name is a symbolic link that leads where another one does."""
    return os.path.islink(link.path) and os.path.realpath(link.path) == os.path.realpath(other.path)


def _open(place: Place, flags: int, mode: str) -> IO[bytes]:
    descriptor = os.open(
        place.entry, flags | getattr(os, "O_BINARY", 0), 0o600, dir_fd=place.descriptor
    )
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a file")
    return os.fdopen(descriptor, mode)
