"""Do what a plan says: move, copy or link photos, one at a time, never onto another file."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil

from dogsort.errors import FilingError
from dogsort.sorting.plan import Action, Filing

__all__ = ["carry"]

#: Errors by which a file system says that it has no hard links, or not from here to there.
NO_HARD_LINK = {errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS}

COPY_BLOCK = 1 << 20  # bytes compared at a time


def carry(filing: Filing, action: Action) -> None:
    """File one photo.

    At every moment the photo has a whole file under at least one of its two names, and what
    has the target's name already keeps it.

    Raises:
        FilingError: if it could not be filed; it is then where it was, and only there.
    """
    try:
        os.makedirs(os.path.dirname(filing.target), exist_ok=True)
    except OSError as error:
        raise FilingError(
            f"not filed: the folder {os.path.dirname(filing.target)} cannot be made: "
            f"{error.strerror or error}"
        ) from error
    try:
        if action == "link":
            _link(filing)
        elif action == "copy":
            _copy(filing)
        else:
            _move(filing)
    except FileExistsError:
        raise FilingError("not filed: its new name was taken in the meantime") from None
    except OSError as error:
        raise FilingError(f"not filed: {error.strerror or error}") from error


def _link(filing: Filing) -> None:
    folder = os.path.realpath(os.path.dirname(filing.target))
    os.symlink(os.path.relpath(os.path.realpath(filing.source), folder), filing.target)


def _move(filing: Filing) -> None:
    try:
        os.link(filing.source, filing.target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in NO_HARD_LINK:
            raise
        _copy(filing)
    try:
        os.unlink(filing.source)
    except BaseException:
        # Also on Ctrl-C: a photo is moved or not, never left under both names.
        if os.path.lexists(filing.source):
            os.unlink(filing.target)
        raise


def _copy(filing: Filing) -> None:
    """Copy under a temporary name, flush, compare, and only then give the target's name."""
    # Short, so that it fits wherever the photo's own name does.
    temporary = os.path.join(os.path.dirname(filing.target), f".dogsort-{os.getpid()}.partial")
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        shutil.copy2(filing.source, temporary)
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        if not _same_content(filing.source, temporary):
            raise FilingError("not filed: the copy differs from the original; check the disk")
        _give_name(temporary, filing.target)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


def _give_name(temporary: str, target: str) -> None:
    """Rename without replacing: by a hard link, or else behind an exclusively created name."""
    try:
        os.link(temporary, target)
    except OSError as error:
        if error.errno not in NO_HARD_LINK:
            raise
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        os.replace(temporary, target)


def _same_content(first: str, second: str) -> bool:
    with open(first, "rb") as one, open(second, "rb") as two:
        while True:
            block = one.read(COPY_BLOCK)
            if block != two.read(COPY_BLOCK):
                return False
            if not block:
                return True
