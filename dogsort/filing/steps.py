"""The step of one file, forward or back: look at both names and do what is missing.

An interrupted step can be taken again any number of times, by a run, an undo, or the recovery of
either. It overwrites nothing, and deletes only what exists twice.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from typing import Literal, NamedTuple, TypeAlias

from dogsort.errors import FilingError
from dogsort.filing.fileops import (
    UNSUPPORTED,
    Folder,
    FolderGone,
    Place,
    copy,
    hardlink,
    is_same_bytes,
    leads_to,
    rename,
    status_of,
    symlink,
    unlink,
)
from dogsort.filing.journal import Step
from dogsort.filing.options import Action

__all__ = ["DiskFailed", "Extra", "Folders", "Lost", "Missing", "Way", "delete", "take"]

#: Forward, as planned, or back, for undo.
Way: TypeAlias = Literal["there", "back"]

#: The coarsest time resolution of a file system (FAT), in ns.
TIME_GRAIN = 2 * 10**9

#: The earliest time of FAT and exFAT, 1980, in ns; they replace earlier times by it.
FAT_EPOCH = 315_532_800 * 10**9

#: File systems that store local time shift all times with the clocks, by multiples of this, in ns.
TIME_ZONE_STEP = 900 * 10**9

#: Errors that mean a file may not be deleted; after other errors it may be gone.
REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.EBUSY}


class DiskFailed(FilingError):
    """A disk failed to store data; trying again would not show whether it has."""


class Lost(FilingError):
    """A file can never be put back, because it has changed."""


class Missing(Lost):
    """A file is missing: deleted, filed by a later run, or on a missing disk."""


class Extra(NamedTuple):
    """One of two names of a file, to be deleted.

    Attributes:
        place: the name.
        status: its status when both names were checked.
        made: the other name, if this step made it; it is deleted instead if ``place`` cannot be.
    """

    place: Place
    status: os.stat_result
    made: Place | None = None


class Folders:
    """The folders of a batch, each opened once and held until ``close``.

    Args:
        root: missing folders below it are created.
    """

    def __init__(self, root: str) -> None:
        self._below = os.path.join(root, "")
        self._open: dict[str, Folder] = {}
        self._receiving: set[str] = set()

    def open(self, path: str, receives: bool = False) -> Folder:
        """Return a folder.

        Args:
            path: absolute path.
            receives: whether it will receive a file. Then it is created if missing, and its path
                must still lead to the same folder.

        Raises:
            FolderGone: if it cannot be opened, or its path now leads elsewhere.
            OSError: if it cannot be created.
        """
        folder = self._open.get(path)
        if folder is None:
            if receives and path.startswith(self._below) and not os.path.lexists(path):
                outer, name = os.path.split(path)
                place = Place(self.open(outer, receives), name)
                with suppress(FileExistsError):
                    os.mkdir(place.entry, dir_fd=place.descriptor)
            folder = self._open[path] = Folder(path)
        elif receives:
            folder.check()
        if receives:
            self._receiving.add(path)
        return folder

    def sync(self) -> None:
        """Flush the names in all of them to disk, first in folders that received files.

        Raises:
            DiskFailed: if a disk fails.
        """
        for folder in sorted(self._open.values(), key=lambda one: one.path not in self._receiving):
            try:
                folder.sync()
            except OSError as error:
                raise DiskFailed(
                    f"{folder.path}: cannot be put on disk: {error.strerror}; nothing more is filed"
                ) from error

    def close(self) -> None:
        """Close all of them."""
        for folder in self._open.values():
            folder.close()


def take(step: Step, action: Action, way: Way, again: bool, folders: Folders) -> Extra | None:
    """Take a step.

    Args:
        step: the step.
        action: move, copy or link.
        way: forward or back.
        again: whether it may have been started before.
        folders: the folders of the batch.

    Returns:
        The name to delete once the folders are on disk, if it is unchanged; see ``delete``.

    Raises:
        Lost: on the way back, if it will never be possible.
        FilingError: if it is not possible now; nothing was changed.
    """
    try:
        source = Place(folders.open(step.place, receives=way == "back"), step.name)
        target = Place(folders.open(step.folder, receives=way == "there"), step.new_name)
        if source.folder.identity == target.folder.identity:
            raise FilingError(f"{source.folder.path} and {target.folder.path} are the same folder")
        if action == "move":
            ends = (source, target) if way == "there" else (target, source)
            return _move(*ends, step, way, again)
        if way == "back":
            return _remove(source, target, step, action)
        _make(source, target, action, again)
    except FileExistsError:
        raise FilingError("its new name was taken in the meantime") from None
    except OSError as error:
        raise FilingError(str(error.strerror or error)) from error
    return None


def is_file_of(step: Step, status: os.stat_result) -> bool:
    """Tell whether size and time in a status match the file of the step."""
    if not stat.S_ISREG(status.st_mode) or status.st_size != step.size:
        return False
    if status.st_mtime_ns == step.mtime:  # the usual case
        return True
    for time in (step.mtime, max(step.mtime, FAT_EPOCH)):
        shift = (status.st_mtime_ns - time) % TIME_ZONE_STEP
        if min(shift, TIME_ZONE_STEP - shift) <= TIME_GRAIN:
            return True
    return False


def delete(extra: Extra, unless: FilingError | None = None) -> None:
    """Delete one of two names of a file, or if that is impossible, the one that the step made.

    Args:
        extra: what to delete.
        unless: a reason not to delete it, if any.

    Raises:
        DiskFailed: if neither can be deleted.
        FolderGone: if its disk does not answer; both stay, because the other may be the only one.
        FilingError: if it has changed in the meantime, or cannot be deleted; or ``unless``.
    """
    try:
        now = status_of(extra.place)
        if now is None:
            return
        if unless is not None:
            raise unless
        if _stamp(now) != _stamp(extra.status):
            raise FilingError("it has changed in the meantime")
        try:
            unlink(extra.place)
        except OSError:
            if status_of(extra.place) is not None:  # else it was deleted after all
                raise
    except (OSError, FilingError) as error:
        reason = str(getattr(error, "strerror", None) or error)
        if isinstance(error, OSError) and error.errno not in REFUSED:
            raise FolderGone(f"{reason}; it may have both names until its disk answers") from error
        if extra.made is not None:
            try:
                with suppress(FileNotFoundError):
                    unlink(extra.made)
            except OSError as other:
                raise DiskFailed(
                    f"{extra.place.path}: cannot be deleted: {reason}, nor can its copy "
                    f"{extra.made.path}; nothing more is filed"
                ) from other
        raise FilingError(reason) from error


def _stamp(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_ino, status.st_size, status.st_mtime_ns


def _move(here: Place, there: Place, step: Step, way: Way, again: bool) -> Extra | None:
    status = status_of(here)
    if status is None:
        other = status_of(there)
        if other is not None and (again or is_file_of(step, other)):
            return None  # it was moved before, and may have changed since
        raise (
            Missing("it is no longer there")
            if way == "back"
            else FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        )
    if not is_file_of(step, status):
        other = status_of(there) if again else None
        if other is not None and is_file_of(step, other):
            return None  # it was moved before, and another file now has its name
        raise (
            Lost("it has changed since it was filed")
            if way == "back"
            else FilingError("it has changed since it was checked")
        )
    try:
        rename(here, there)
    except FileExistsError:
        return _move_onto(here, there, step, way, again)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
    else:
        return None
    try:
        copy(here, there, step.mtime, step.mode)
    except FileExistsError:
        return _move_onto(here, there, step, way, again)
    return Extra(here, status, made=there)


def _move_onto(here: Place, there: Place, step: Step, way: Way, again: bool) -> Extra | None:
    """Finish an interrupted move, if the file under the other name belongs to it."""
    mine, other = status_of(here), status_of(there)
    if mine is not None and other is not None:
        if os.path.samestat(mine, other) and mine.st_nlink > 1:
            return Extra(here, mine, made=there if again else None)
        if (again or way == "back") and stat.S_ISREG(other.st_mode):
            if again and other.st_size == 0 and mine.st_size > 0:
                unlink(there)  # the placeholder
                return _move(here, there, step, way, again=False)
            if not os.path.samestat(mine, other) and is_same_bytes(here, there):
                if again and way == "there":
                    # The copy may not have reached the disk, so make it again.
                    unlink(there)
                    return _move(here, there, step, way, again=False)
                return Extra(here, mine)
    if way == "back":
        raise FilingError(f"its old name is taken: {there.path}")
    raise FileExistsError


def _make(source: Place, target: Place, action: Action, again: bool) -> None:
    """Copy or link."""
    try:
        if action == "copy":
            copy(source, target)
        elif action == "hardlink":
            hardlink(source, target)
        else:
            symlink(source, target)
    except FileExistsError:
        if not again or not _is_made(source, target, action):
            raise
    except (OSError, ValueError) as error:  # ValueError: different drives
        number = error.errno if isinstance(error, OSError) else errno.EXDEV
        if action == "copy" or number not in {*UNSUPPORTED, errno.EXDEV}:
            raise
        others = "use --copy" if action == "hardlink" else "try --hardlink, or use --copy"
        raise FilingError(f"no {action} is possible from here to there; {others}") from error


def _is_made(source: Place, target: Place, action: Action) -> bool:
    """Tell whether the copy or link was made before; a placeholder is replaced by a copy."""
    if action == "link":
        return leads_to(target, source)
    status, original = status_of(target), status_of(source, follow=True)
    if status is None or original is None or not stat.S_ISREG(status.st_mode):
        return False
    if action == "hardlink":
        return os.path.samestat(status, original)
    if is_same_bytes(source, target):
        return True
    if status.st_size == 0:
        unlink(target)
        copy(source, target)
        return True
    return False


def _remove(source: Place, target: Place, step: Step, action: Action) -> Extra | None:
    """Return the copy or link to delete, if it is certainly not the only one."""
    status = status_of(target)
    if status is None:
        return None
    if action == "link":
        if not leads_to(target, source):
            raise Lost("it is not the link that dogsort made")
        return Extra(target, status)
    if not stat.S_ISREG(status.st_mode) or status.st_size != step.size:
        raise Lost("it has changed since it was filed")
    original = status_of(source, follow=True)
    if original is None:
        # It may be on a disk that is not connected.
        raise FilingError(
            f"{source.path} is gone, so this may be the only copy; restore it or delete this "
            "one, then undo again"
        )
    if leads_to(source, target) or (action == "copy" and os.path.samestat(status, original)):
        raise Lost("its original has changed, so this may be the only copy")
    if not os.path.samestat(status, original) and not is_same_bytes(source, target):
        raise Lost("it or its original has changed, so this may be the only copy")
    return Extra(target, status)
