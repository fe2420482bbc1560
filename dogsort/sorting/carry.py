"""Move, copy or link one file, never onto another one."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterable
from contextlib import suppress

from dogsort.errors import FilingError
from dogsort.sorting.durable import sync_folder
from dogsort.sorting.identity import Identity, strays
from dogsort.sorting.plan import Action
from dogsort.sorting.steps import PARTIAL_NAME

__all__ = ["HalfMoved", "carry", "clear_up", "drop_partials"]

#: Errors by which a file system says that it has no hard links, or not from here to there.
NO_HARD_LINK = {errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS}
if os.name == "nt":
    NO_HARD_LINK.add(errno.EINVAL)  # what "Incorrect function" becomes, as on memory cards

COPY_BLOCK = 1 << 20  # bytes copied and compared at a time


class HalfMoved(FilingError):
    """A photo is under both its names, and neither could be taken away."""


def carry(source: str, target: str, action: Action) -> None:
    """File one photo.

    At every moment the photo has a whole file under at least one of its two names, and what
    has the target's name already keeps it.

    Raises:
        HalfMoved: if it has both names now.
        FilingError: if it could not be filed; it is then where it was, and only there.
    """
    try:
        try:
            _ACTIONS[action](source, target)
        except FileNotFoundError:
            # Seldom, so it is not asked before each file whether its folder is there.
            if not _make_folder(os.path.dirname(target)):
                raise
            _ACTIONS[action](source, target)
    except FileExistsError:
        raise FilingError("its new name was taken in the meantime") from None
    except OSError as error:
        raise FilingError(str(error.strerror or error)) from error


def _make_folder(folder: str) -> bool:
    """Make a folder; tell whether that was needed."""
    if os.path.isdir(folder):
        return False
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise FilingError(
            f"the folder {folder} cannot be made: {error.strerror or error}"
        ) from error
    sync_folder(os.path.dirname(folder))
    return True


def clear_up(source: str, target: str, identity: Identity) -> None:
    """Make whole a copy to a target that was cut off, where its folder shows one.

    Raises:
        FilingError: if that cannot be done.
    """
    partial = _partial_beside(target)
    if not os.path.lexists(partial) or strays(target):
        return
    try:
        if not identity.is_of(partial):
            return
        if identity.size > 0 and os.path.isfile(target) and os.path.getsize(target) == 0:
            os.unlink(target)  # it kept the name for the copy
        if os.path.lexists(source) or os.path.lexists(target):
            return
        _give_name(partial, target)  # the only copy
        with suppress(FileNotFoundError):
            os.unlink(partial)
    except OSError as error:
        raise FilingError(f"{partial}: cannot be given its name: {error.strerror}") from error


def drop_partials(folders: Iterable[str]) -> None:
    """Delete unfinished copies in folders, if there are any: only after ``clear_up``."""
    for folder in set(folders):
        partial = os.path.join(folder, PARTIAL_NAME)
        if not strays(partial):
            with suppress(OSError):
                os.unlink(partial)


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
    before = os.lstat(source)
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in NO_HARD_LINK:
            raise
        _copy(source, target)
    try:
        if _stamp(os.lstat(source)) != _stamp(before):
            raise FilingError("it was changed while it was moved")
        os.unlink(source)
    except FileNotFoundError:
        # Somebody else moved it in the meantime; what is linked elsewhere, too, is theirs.
        if os.lstat(target).st_nlink > 1:
            os.unlink(target)
            raise
    except BaseException as error:
        # Also on Ctrl-C: a photo is moved or not, never left under both names.
        if os.path.lexists(source):
            try:
                os.unlink(target)
            except OSError:
                raise HalfMoved(f"it is also {target} now, since neither can go") from error
        raise


def _stamp(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_ino, status.st_size, status.st_mtime_ns


def _copy(source: str, target: str) -> None:
    """Copy under a temporary name, flush, compare, and only then give the target's name."""
    partial = _partial_beside(target)
    try:
        os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        raise FilingError(f"{partial} is in the way: an unfinished copy, of another run") from None
    try:
        with open(source, "rb") as reader, open(partial, "r+b") as writer:
            shutil.copyfileobj(reader, writer, COPY_BLOCK)
            writer.flush()
            os.fsync(writer.fileno())
        _keep_owner(source, partial)
        shutil.copystat(source, partial)
        if not _same_content(source, partial):
            raise FilingError("the copy differs from the original; check the disk")
        _give_name(partial, target)
        # The names, too, before a move takes the original away.
        sync_folder(os.path.dirname(target))
    finally:
        # Where that fails, the end of the run tries again; the copy is as good.
        with suppress(OSError):
            os.unlink(partial)


def _keep_owner(source: str, copy: str) -> None:
    """Give a copy the owner of its original, which only an administrator may."""
    if hasattr(os, "chown"):
        status = os.stat(source)
        with suppress(OSError):
            os.chown(copy, status.st_uid, status.st_gid)


def _give_name(partial: str, target: str) -> None:
    """Rename without replacing: by a hard link, or else behind an exclusively created name."""
    try:
        os.link(partial, target)
    except OSError as error:
        if error.errno not in NO_HARD_LINK:
            raise
    else:
        return
    ours = False
    try:
        handle = os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        ours = True
        os.close(handle)
        os.replace(partial, target)
    except BaseException:
        if ours and os.path.lexists(partial):
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


_ACTIONS = {"move": _move, "copy": _copy, "link": _link, "hardlink": _hardlink}
