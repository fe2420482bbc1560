"""Move, copy or link one file, never onto another one."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil

from dogsort.errors import FilingError
from dogsort.sorting.plan import Action

__all__ = ["PARTIAL_NAME", "carry", "drop_partial"]

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
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise FilingError(
            f"the folder {folder} cannot be made: {error.strerror or error}"
        ) from error
    try:
        if action == "link":
            _link(source, target)
        elif action == "copy":
            _copy(source, target)
        else:
            _move(source, target)
    except FileExistsError:
        raise FilingError("its new name was taken in the meantime") from None
    except OSError as error:
        raise FilingError(str(error.strerror or error)) from error


def drop_partial(target: str) -> None:
    """Delete the unfinished copy that a killed run left beside a target, if there is one."""
    with contextlib.suppress(OSError):
        os.unlink(os.path.join(os.path.dirname(target), PARTIAL_NAME))


def _link(source: str, target: str) -> None:
    folder = os.path.realpath(os.path.dirname(target))
    os.symlink(os.path.relpath(os.path.realpath(source), folder), target)


def _move(source: str, target: str) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in NO_HARD_LINK:
            raise
        _copy(source, target)
    try:
        os.unlink(source)
    except BaseException:
        # Also on Ctrl-C: a photo is moved or not, never left under both names.
        if os.path.lexists(source):
            os.unlink(target)
        raise


def _copy(source: str, target: str) -> None:
    """Copy under a temporary name, flush, compare, and only then give the target's name."""
    partial = os.path.join(os.path.dirname(target), PARTIAL_NAME)
    os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        shutil.copy2(source, partial)
        with open(partial, "rb") as file:
            os.fsync(file.fileno())
        if not _same_content(source, partial):
            raise FilingError("the copy differs from the original; check the disk")
        _give_name(partial, target)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(partial)


def _give_name(partial: str, target: str) -> None:
    """Rename without replacing: by a hard link, or else behind an exclusively created name."""
    try:
        os.link(partial, target)
    except OSError as error:
        if error.errno not in NO_HARD_LINK:
            raise
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        os.replace(partial, target)


def _same_content(first: str, second: str) -> bool:
    with open(first, "rb") as one, open(second, "rb") as two:
        while True:
            block = one.read(COPY_BLOCK)
            if block != two.read(COPY_BLOCK):
                return False
            if not block:
                return True
