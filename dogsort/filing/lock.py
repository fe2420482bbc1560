"""A lock, so that only one dogsort at a time files into a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from dogsort.errors import FilingError
from dogsort.filing.fileops import Folder, FolderGone
from dogsort.filing.journal import FOLDER_NAME

__all__ = ["locked"]

LOCK_NAME = "lock"


@contextmanager
def locked(folder: str) -> Iterator[None]:
    """Lock a folder, which is created if missing.

    Raises:
        FilingError: if another dogsort is at work in it, or it cannot be written.
    """
    from filelock import FileLock, Timeout

    place = Path(os.path.realpath(folder), FOLDER_NAME)
    for path in (place, place / LOCK_NAME):
        if path.is_symlink():
            raise FilingError(f"{path}: a link that dogsort did not make; delete it")
    try:
        if not place.is_dir():
            place.mkdir(parents=True, exist_ok=True)
            # Flush its parents before anything in it counts, because they may be new, too.
            for outer in place.parents:
                with suppress(FolderGone), closing(Folder(str(outer))) as around:
                    around.sync()
                if outer.is_mount():
                    break
        lock = FileLock(place / LOCK_NAME, timeout=0)
        lock.acquire()
    except Timeout:
        raise FilingError(
            f"{folder}: another dogsort is at work in it; wait until it has finished"
        ) from None
    except (OSError, NotImplementedError) as error:
        reason = error.strerror if isinstance(error, OSError) else "its file system has no locks"
        raise FilingError(f"{place}: cannot be written: {reason}") from error
    try:
        yield
    finally:
        lock.release()
