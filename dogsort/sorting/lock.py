"""One dogsort at a time works in a folder.

The one that comes after a killed one first makes whole what that one left half-way.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path

from dogsort.errors import FilingError
from dogsort.sorting.durable import sync_folder
from dogsort.sorting.journals import journals_of, place_of
from dogsort.sorting.settle import settle

__all__ = ["at_work"]

LOCK_NAME = "lock"
WHO_NAME = "at-work.json"

#: Folders locked at a time; some systems let a process open no more than 256 files. Of more
#: folders, the one around them all is locked.
MOST_LOCKED = 64


@contextmanager
def at_work(folder: str, sources: Collection[str] = ()) -> Iterator[list[str]]:
    """Keep others out of a folder, and make whole what a killed run left there.

    Args:
        folder: to be filed into, or undone; it is made if it is not there.
        sources: files that are to be moved, and folders with such; others are kept out there, too.

    Yields:
        What was found of a killed run, for people; nothing if there was none.

    Raises:
        FilingError: if another dogsort is at work in any of them, or the journals cannot be read or
            written.
    """
    from filelock import FileLock, Timeout

    place = place_of(folder)
    try:
        _make(place)
        if (place / LOCK_NAME).is_symlink():
            raise FilingError(f"{place / LOCK_NAME}: is a link, and not dogsort's own; delete it")
        lock = FileLock(place / LOCK_NAME, timeout=0)
        lock.acquire()
    except Timeout:
        raise FilingError(
            f"{folder}: {_who(place)} is at work in it; wait until it is done"
        ) from None
    except OSError as error:
        raise FilingError(f"{place}: cannot be written: {error.strerror}") from error
    try:
        with _alone_in(folder, sources):
            _tell_who(place)
            found: list[str] = []
            for journal in journals_of(folder):
                found += settle(journal)
                journal.close()
            yield found
    finally:
        with suppress(OSError):
            (place / WHO_NAME).unlink()
        lock.release()


@contextmanager
def _alone_in(folder: str, sources: Collection[str]) -> Iterator[None]:
    """Keep out others that file from or into the same folders, or ones in them or around them.

    The folders themselves are locked, so that no file is left in them; where the system knows no
    such locks, as on Windows, nobody is kept out.

    Raises:
        FilingError: if somebody is in one of them.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    ours = {
        os.path.realpath(path if os.path.isdir(path) else os.path.dirname(path))
        for path in (folder, *sources)
    }
    if sources and len(ours | _around(ours)) > MOST_LOCKED:
        outer = os.path.commonpath(list(map(os.path.realpath, sources)))
        # Not all of a disk, for photos from everywhere on it.
        ours = {os.path.realpath(folder)} | ({outer} - {os.path.dirname(outer)})
    locked = set()
    with ExitStack() as stack:
        for place in [*sorted(ours), *sorted(_around(ours) - ours)]:
            try:
                handle = os.open(place, os.O_RDONLY)
            except OSError:  # such as one that may only be passed through
                continue
            stack.callback(os.close, handle)
            status = os.fstat(handle)
            if (status.st_dev, status.st_ino) in locked:  # by another name
                continue
            locked.add((status.st_dev, status.st_ino))
            how = fcntl.LOCK_EX if place in ours else fcntl.LOCK_SH
            try:
                fcntl.flock(handle, how | fcntl.LOCK_NB)
            except BlockingIOError:
                raise FilingError(
                    f"{place}: another dogsort, or a program that locked it, is at work in it; "
                    "wait until it is done"
                ) from None
            except OSError:  # a file system without such locks
                continue
        yield


def _around(folders: Iterable[str]) -> set[str]:
    return {str(outer) for folder in folders for outer in Path(folder).parents}


def _make(place: Path) -> None:
    """Make the folder of the journals, and keep the time of the one that there was."""
    outer = next(folder for folder in place.parents if folder.exists())
    times = outer.stat()
    place.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        place.mkdir()
        sync_folder(str(place.parent))
        with suppress(OSError):  # only its owner may
            os.utime(outer, ns=(times.st_atime_ns, times.st_mtime_ns))


def _who(place: Path) -> str:
    try:
        who = json.loads((place / WHO_NAME).read_text(encoding="utf-8"))
        return f"another dogsort (process {who['process']} on {who['host']}, since {who['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another dogsort"


def _tell_who(place: Path) -> None:
    """Say in a file who is at work; without, others still find the lock."""
    import socket

    now = datetime.now().astimezone().isoformat(timespec="seconds")
    me = {"process": os.getpid(), "host": socket.gethostname(), "since": now}
    with suppress(OSError):
        (place / WHO_NAME).unlink(missing_ok=True)
        with (place / WHO_NAME).open("x", encoding="utf-8") as file:  # never through a link
            json.dump(me, file)
