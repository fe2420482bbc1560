"""Move, copy or link one file, never onto another one."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterable

from dogsort.errors import FilingError
from dogsort.sorting.identity import Identity, strays
from dogsort.sorting.plan import Action

__all__ = ["carry", "clear_up", "drop_partials", "sync_folder"]

#: What a copy is called until it is whole, in the folder of its target. Short, so that it fits
#: wherever the photo's own name does; the same for all, so that what a killed run left is found.
PARTIAL_NAME = ".dogsort.partial"

#: Errors by which a file system says that it has no hard links, or not from here to there.
NO_HARD_LINK = {errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS}

COPY_BLOCK = 1 << 20  # bytes compared at a time


def carry(source: str, target: str, action: Action) -> None:
    """File one photo.

    At every moment the photo has a whole file under at least one of its two names, and what
    has the target's name already keeps it.

    Raises:
        FilingError: if it could not be filed; it is then where it was, and only there.
    """
    folder = os.path.dirname(target)
    try:
        if not os.path.isdir(folder):
            os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise FilingError(
            f"the folder {folder} cannot be made: {error.strerror or error}"
        ) from error
    try:
        if action == "link":
            _link(source, target)
        elif action == "hardlink":
            _hardlink(source, target)
        elif action == "copy":
            _copy(source, target)
        else:
            _move(source, target)
    except FileExistsError:
        raise FilingError("its new name was taken in the meantime") from None
    except OSError as error:
        raise FilingError(str(error.strerror or error)) from error


def clear_up(source: str, target: str, identity: Identity) -> bool:
    """Make whole a copy to a target that was cut off, where its folder shows one.

    Returns:
        Whether the folder held the only copy, which now has the target's name.

    Raises:
        FilingError: if that cannot be done.
    """
    partial = _partial_beside(target)
    if not os.path.lexists(partial) or strays(target):
        return False
    try:
        if identity.size > 0 and os.path.isfile(target) and os.path.getsize(target) == 0:
            os.unlink(target)  # it kept the name for the copy
        if os.path.lexists(source) or os.path.lexists(target) or not identity.is_of(partial):
            return False
        _give_name(partial, target)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(partial)
    except OSError as error:
        raise FilingError(f"{partial}: cannot be given its name: {error.strerror}") from error
    return True


def drop_partials(targets: Iterable[str]) -> None:
    """Delete unfinished copies beside targets, if there are any: only after ``clear_up``."""
    for partial in {_partial_beside(target) for target in targets}:
        if not strays(partial):
            with contextlib.suppress(OSError):
                os.unlink(partial)


def sync_folder(folder: str) -> None:
    """Put a folder's names on disk, where the system knows how."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _partial_beside(target: str) -> str:
    return os.path.join(os.path.dirname(target), PARTIAL_NAME)


def _link(source: str, target: str) -> None:
    folder = os.path.realpath(os.path.dirname(target))
    os.symlink(os.path.relpath(os.path.realpath(source), folder), target)


def _hardlink(source: str, target: str) -> None:
    try:
        os.link(os.path.realpath(source), target)
    except OSError as error:
        if error.errno not in NO_HARD_LINK:
            raise
        raise FilingError("no hard link is possible from here to there; --copy is") from error


def _move(source: str, target: str) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in NO_HARD_LINK:
            raise
        _copy(source, target)
    try:
        os.unlink(source)
    except FileNotFoundError:
        # Somebody else moved it in the meantime; what is linked elsewhere, too, is theirs.
        if os.lstat(target).st_nlink > 1:
            os.unlink(target)
            raise
    except BaseException:
        # Also on Ctrl-C: a photo is moved or not, never left under both names.
        if os.path.lexists(source):
            os.unlink(target)
        raise


def _copy(source: str, target: str) -> None:
    """Copy under a temporary name, flush, compare, and only then give the target's name."""
    partial = _partial_beside(target)
    try:
        os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        raise FilingError(f"{partial} is in the way: an unfinished copy, of another run") from None
    try:
        shutil.copy2(source, partial)
        with open(partial, "rb") as file:
            os.fsync(file.fileno())
        if not _same_content(source, partial):
            raise FilingError("the copy differs from the original; check the disk")
        _give_name(partial, target)
        # The names, too, before a move takes the original away.
        sync_folder(os.path.dirname(target))
    finally:
        # Where that fails, the end of the run tries again; the copy is as good.
        with contextlib.suppress(OSError):
            os.unlink(partial)


def _give_name(partial: str, target: str) -> None:
    """Rename without replacing: by a hard link, or else behind an exclusively created name."""
    try:
        os.link(partial, target)
    except OSError as error:
        if error.errno not in NO_HARD_LINK:
            raise
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        try:
            os.replace(partial, target)
        except BaseException:
            if os.path.lexists(partial):
                os.unlink(target)
            raise


def _same_content(first: str, second: str) -> bool:
    with open(first, "rb") as one, open(second, "rb") as two:
        while True:
            block = one.read(COPY_BLOCK)
            if block != two.read(COPY_BLOCK):
                return False
            if not block:
                return True
