"""What was classified before, and where it was written: an SQLite file in the user's cache folder.

So a run that was killed goes on, and ``--move`` after a look takes seconds. A cache never holds up
a run: if it is locked, damaged or cannot be written, it is as if nothing were in it.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from dogsort.records import Photo, Prediction, Record

if TYPE_CHECKING:
    from dogsort.classifier import Classifier

__all__ = ["Cache", "WrittenTable", "cache_folder", "stamp_of"]

VARIABLE = "DOGSORT_CACHE"
FILE_NAME = "predictions.db"

# Paths are bytes, for names need not be UTF-8. A stamp is text, for times need not fit 64 bits.
SCHEMA = (
    "CREATE TABLE engines (engine INTEGER PRIMARY KEY, name TEXT UNIQUE)",
    "CREATE TABLE folders (folder INTEGER PRIMARY KEY, path BLOB UNIQUE)",
    "CREATE TABLE photos (photo INTEGER PRIMARY KEY, folder INTEGER, name BLOB, engine INTEGER,"
    " stamp TEXT, p_dog REAL, p_pet REAL, UNIQUE (folder, name, engine))",
    "CREATE TABLE tables (path BLOB PRIMARY KEY, digest TEXT, folders TEXT)",
)
FORMAT_VERSION = 1  # kept in the file

MOST = 1_000_000  # photos; the oldest are forgotten. They take about 100 MB.

#: What a killed run may lose: so many photos, or so many seconds.
FLUSH_PHOTOS, FLUSH_SECONDS = 512, 1.0

BUSY_SECONDS = 2  # another dogsort writes for some milliseconds


class WrittenTable(NamedTuple):
    """A table that dogsort wrote.

    Attributes:
        digest: SHA-256 of the file as it was written.
        folders: those of its photos that were named, absolute.
    """

    digest: str
    folders: list[str]


class Cache:
    """The cache; none of its methods raises an error.

    Args:
        folder: where its file lies.

    Attributes:
        path: of the file.
        trouble: why it could not be used, in a few words; empty if it could.
        recalled: how many photos were found in it.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE_NAME
        self.trouble = ""
        self.recalled = 0
        self._folders: dict[str, int | None] = {}  # numbers, by path as given
        self._under_way: dict[str, str] = {}  # stamps of photos that are not in it, by path
        self._found: list[tuple[int | None, bytes, int, str, float, float]] = []
        self._flushed = time.monotonic()

    def close(self) -> None:
        """Write what is left, and let go of the file."""
        self._flush()
        if "_database" in self.__dict__ and self._database is not None:
            self._database.close()

    def recall(
        self, photos: Iterable[Photo | Record], classifier: Classifier
    ) -> Iterator[Photo | Record]:
        """Pass photos on, lazily, a Prediction in the place of each that is known and unchanged."""
        from dogsort.verdict import prediction

        engine = self._engine_of(classifier)
        query = "SELECT stamp, p_dog, p_pet FROM photos WHERE folder = ? AND name = ? AND engine = ?"
        bars = classifier.bar, classifier.species_bar
        for photo in photos:
            stamp = stamp_of(photo.path) if isinstance(photo, Photo) else None
            if stamp is None or engine is None:
                yield photo
                continue
            folder, name = self._place(photo.path)
            known = self._rows(query, folder, name, engine) if folder is not None else []
            if known and known[0][0] == stamp:
                self.recalled += 1
                yield prediction(photo.path, known[0][1], known[0][2], *bars)
            else:
                self._under_way[photo.path] = stamp
                yield photo

    def keep(self, records: Iterable[Record], classifier: Classifier) -> Iterator[Record]:
        """Pass records on, lazily, and keep those that ``recall`` did not find."""
        engine = self._engine_of(classifier)
        try:
            for record in records:
                stamp = self._under_way.pop(record.path, None)
                if stamp is not None and engine is not None and isinstance(record, Prediction):
                    folder, name = self._place(record.path, write=True)
                    self._found.append((folder, name, engine, stamp, record.p_dog, record.p_pet))
                    if (
                        len(self._found) >= FLUSH_PHOTOS
                        or time.monotonic() - self._flushed > FLUSH_SECONDS
                    ):
                        self._flush()
                yield record
        finally:
            self._flush()

    def stamp(self, path: str) -> str | None:
        """Return the stamp that a photo had when it was classified last; None if not known."""
        folder, name = self._place(path)
        query = "SELECT stamp FROM photos WHERE folder = ? AND name = ? ORDER BY photo DESC LIMIT 1"
        found = self._rows(query, folder, name) if folder is not None else []
        return found[0][0] if found else None

    def note_table(self, path: str, digest: str, folders: Iterable[str]) -> None:
        """Keep what a table was when it was written, and which folders its photos are from."""
        names = json.dumps([os.path.realpath(folder) for folder in folders])
        real = os.fsencode(os.path.realpath(path))
        self._rows("INSERT OR REPLACE INTO tables VALUES (?, ?, ?)", real, digest, names)

    def table(self, path: str) -> WrittenTable | None:
        """Return what is known of a table; None if nothing."""
        query = "SELECT digest, folders FROM tables WHERE path = ?"
        found = self._rows(query, os.fsencode(os.path.realpath(path)))
        return WrittenTable(found[0][0], json.loads(found[0][1])) if found else None

    def count(self) -> int:
        """Return how many photos are in it."""
        found = self._rows("SELECT count(*) FROM photos")
        return int(found[0][0]) if found else 0

    def _engine_of(self, classifier: Classifier) -> int | None:
        """Return the number of what computes: weights, decoders, engine."""
        from dogsort.photos.decode import decoder_version

        parts = classifier.weights.identity, decoder_version(), classifier.engine.name
        name = " ".join((*parts, classifier.engine.device))
        self._rows("INSERT OR IGNORE INTO engines (name) VALUES (?)", name)
        found = self._rows("SELECT engine FROM engines WHERE name = ?", name)
        return found[0][0] if found else None

    def _place(self, path: str, write: bool = False) -> tuple[int | None, bytes]:
        """Return the number of a photo's folder, if it has one, and its name."""
        folder, name = os.path.split(path)
        number = self._folders.get(folder)
        if number is None and (write or folder not in self._folders):
            real = os.fsencode(os.path.realpath(folder or os.curdir))
            if write:
                self._rows("INSERT OR IGNORE INTO folders (path) VALUES (?)", real)
            found = self._rows("SELECT folder FROM folders WHERE path = ?", real)
            number = self._folders[folder] = found[0][0] if found else None
        return number, os.fsencode(name)

    def _flush(self) -> None:
        self._flushed = time.monotonic()
        if not self._found or self._database is None:
            return
        columns = "(folder, name, engine, stamp, p_dog, p_pet)"
        try:
            with self._database:
                self._database.executemany(
                    f"INSERT OR REPLACE INTO photos {columns} VALUES (?, ?, ?, ?, ?, ?)",
                    self._found,
                )
                oldest = "(SELECT max(photo) FROM photos) - ?"
                self._database.execute(f"DELETE FROM photos WHERE photo <= {oldest}", (MOST,))
        except sqlite3.Error as error:
            self._give_up(error)
        self._found.clear()

    def _rows(self, query: str, *values: Any) -> list[Any]:
        if self._database is None:
            return []
        try:
            with self._database:
                return self._database.execute(query, values).fetchall()
        except sqlite3.Error as error:
            self._give_up(error)
            return []

    @cached_property
    def _database(self) -> sqlite3.Connection | None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            database = sqlite3.connect(self.path, timeout=BUSY_SECONDS)
            # Readers and a writer do not wait for each other; after a power cut some may be lost.
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
            version = database.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                with database:
                    database.execute("BEGIN IMMEDIATE")
                    for statement in SCHEMA:
                        database.execute(statement)
                    database.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
            elif version != FORMAT_VERSION:
                raise sqlite3.DatabaseError("it is of another dogsort")
        except (sqlite3.Error, OSError) as error:
            self.trouble = str(error)
            return None
        return database

    def _give_up(self, error: sqlite3.Error) -> None:
        self.trouble = str(error)
        self._database = None
