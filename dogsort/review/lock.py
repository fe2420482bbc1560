"""A lock, so that only one server at a time shows a table."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from dogsort.errors import DogsortError
from dogsort.results.cache import users_folder

__all__ = ["TableLock"]


class TableLock:
    """The lock of a table, in the user's cache folder; the system frees it if the server dies.

    Where there is no such folder, nothing is locked. A table that another program changes is
    noticed in any case.

    Args:
        table: its path.

    Raises:
        DogsortError: if another server has it; the message has that one's address.
    """

    def __init__(self, table: str) -> None:
        from filelock import FileLock, Timeout

        name = hashlib.sha256(os.fsencode(os.path.realpath(table))).hexdigest()[:32]
        self._address: Path | None = None
        with suppress(OSError, RuntimeError, NotImplementedError):  # no home, or no locks there
            folder = users_folder() / "review"
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock, address = FileLock(folder / f"{name}.lock", timeout=0), folder / f"{name}.address"
            try:
                lock.acquire()
            except Timeout:
                where = _read(address) or "an address that it has printed"
                raise DogsortError(f"{table}: is shown already, at {where}") from None
            self._lock, self._address = lock, address

    def tell(self, address: str) -> None:
        """Note the address of the page, with its token, for this user only."""
        if self._address is not None:
            with suppress(OSError):
                self._address.unlink(missing_ok=True)
                flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY
                with open(os.open(self._address, flags, 0o600), "w", encoding="utf-8") as file:
                    file.write(address)

    def close(self) -> None:
        """Free the table."""
        if self._address is not None:
            with suppress(OSError):
                self._address.unlink(missing_ok=True)
            self._lock.release()


def _read(address: Path) -> str:
    try:
        return address.read_text(encoding="utf-8")
    except (OSError, UnicodeError):
        return ""
