"""The cache of small pictures and dates: an SQLite file in the user's cache folder.

It is no trouble to anybody: one that is locked or not writable counts as empty, and a damaged one
is replaced.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from dogsort.results.cache import users_folder

__all__ = ["MOST_BYTES", "PictureCache"]

FILE_NAME = "pictures.db"

#: The oldest entries are dropped beyond this: pictures of about 80,000 photos.
MOST_BYTES = 1 << 30
#: Entries dropped at a time, and how many are added between looks at the size.
CHUNK = 512

#: A page waits for a picture, so a locked file counts as empty soon.
BUSY_SECONDS = 0.1

# Paths are bytes, because names may not be UTF-8.
SCHEMA = """
CREATE TABLE IF NOT EXISTS kept (
    number INTEGER PRIMARY KEY, path BLOB, kind TEXT, stamp TEXT, content BLOB, UNIQUE (path, kind)
)
"""


class PictureCache:
    """The cache; any thread may use it. Its methods raise no errors.

    Args:
        folder: where its file is, which is created if missing; None for the user's.
        wanted: False for one that stays empty.
        most: the size of the file, in bytes, beyond which it drops its oldest entries.
    """

    def __init__(
        self, folder: Path | None = None, wanted: bool = True, most: int = MOST_BYTES
    ) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._added = 0
        self._database: sqlite3.Connection | None = None
        self._path = Path(FILE_NAME)
        if wanted:
            with suppress(OSError, RuntimeError):  # RuntimeError: the user has no home
                self._path = (folder or users_folder()) / FILE_NAME
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._open()

    @property
    def keeps(self) -> bool:
        """Whether what is put into it can be had from it."""
        return self._database is not None

    def get(self, path: str, kind: str, stamp: str) -> bytes | None:
        """Return what was made of a file; None if it is unknown, or has another stamp now."""
        query = "SELECT content FROM kept WHERE path = ? AND kind = ? AND stamp = ?"
        rows = self._ask(query, os.fsencode(path), kind, stamp)
        return rows[0][0] if rows and isinstance(rows[0][0], bytes) else None

    def has(self, path: str, kind: str, stamp: str) -> bool:
        """Tell whether ``get`` would return something."""
        query = "SELECT 1 FROM kept WHERE path = ? AND kind = ? AND stamp = ?"
        return bool(self._ask(query, os.fsencode(path), kind, stamp))

    def put(self, path: str, kind: str, stamp: str, content: bytes) -> None:
        """Keep what was made of a file."""
        query = "INSERT OR REPLACE INTO kept (path, kind, stamp, content) VALUES (?, ?, ?, ?)"
        self._ask(query, os.fsencode(path), kind, stamp, content)
        self._added += 1
        if self._added % CHUNK == 0:
            self._forget_oldest()

    def close(self) -> None:
        """Close the file; the cache is empty from now on."""
        with self._lock:
            if self._database is not None:
                self._database.close()
                self._database = None

    def _forget_oldest(self) -> None:
        query = "SELECT (page_count - freelist_count) * page_size FROM" + ", ".join(
            f" pragma_{name}()" for name in ("page_count", "freelist_count", "page_size")
        )
        oldest = "SELECT number FROM kept ORDER BY number LIMIT ?"
        while (rows := self._ask(query)) and rows[0][0] > self._most:
            self._ask(f"DELETE FROM kept WHERE number IN ({oldest})", CHUNK)  # noqa: S608

    def _ask(self, query: str, *values: Any) -> list[Any]:
        with self._lock:
            if self._database is None:
                return []
            try:
                return self._database.execute(query, values).fetchall()
            except sqlite3.OperationalError:  # locked, or the disk is full
                return []
            except sqlite3.DatabaseError:
                self._database.close()
                self._database = None
                self._replace()
                return []

    def _open(self) -> None:
        with suppress(sqlite3.OperationalError):
            try:
                self._database = self._connected()
            except sqlite3.DatabaseError:
                self._replace()

    def _replace(self) -> None:
        with suppress(OSError, sqlite3.DatabaseError):
            for suffix in ("", "-wal", "-shm"):
                self._path.with_name(FILE_NAME + suffix).unlink(missing_ok=True)
            self._database = self._connected()

    def _connected(self) -> sqlite3.Connection:
        # Only for the user's own eyes, as the photos may be.
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        database = sqlite3.connect(
            self._path, BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            database.execute("PRAGMA journal_mode = WAL")
            # A power cut may damage the file, which is then replaced.
            database.execute("PRAGMA synchronous = OFF")
            database.execute(SCHEMA)
        except sqlite3.Error:
            database.close()
            raise
        return database
