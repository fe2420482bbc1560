"""A lock, so that only one server at a time shows a table."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dogsort.errors import DogsortError
from dogsort.results.cache import users_folder

__all__ = ["locked"]


@contextmanager
def locked(table: str) -> Iterator[Path | None]:
    """Lock a table in the user's cache folder; the system frees it if the server dies.

    Yields:
        The file in which the server notes its address, to be read by this user only; None without
        a cache folder. Then nothing is locked, but changes by another server are noticed.

    Raises:
        DogsortError: if another server has the lock; the message has that one's address.
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
            raise DogsortError(f"{table}: is shown already, at {address.read_text()}") from None
        raise DogsortError(f"{table}: is shown already, by another dogsort review") from None
    except (OSError, RuntimeError, NotImplementedError):  # no home, or no locks there
        yield None
        return
    with lock:
        yield address
        address.unlink(missing_ok=True)
