"""The cache of earlier results, a person's labels and written tables.

It is an SQLite file in the user's cache folder. With it, a killed run continues, ``--move`` after
a look takes seconds, and later runs know a person's labels. It never blocks a run: a cache that is
locked, damaged or not writable counts as empty.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from dogsort.records import LABELS, Label, Photo, Prediction, Record

if TYPE_CHECKING:
    from dogsort.classifier import Classifier

__all__ = ["Cache", "WrittenTable", "stamp_of", "users_folder"]

VARIABLE = "DOGSORT_CACHE"
FILE_NAME = "predictions.db"
FORMAT_VERSION = 2  # stored in the file; a newer one only adds tables

# Paths are bytes, because names may not be UTF-8. Stamps are text: times may exceed 64 bits.
SCHEMA = """
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS engines (engine INTEGER PRIMARY KEY, name TEXT UNIQUE);
CREATE TABLE IF NOT EXISTS folders (folder INTEGER PRIMARY KEY, path BLOB UNIQUE);
CREATE TABLE IF NOT EXISTS photos (
    photo INTEGER PRIMARY KEY, folder INTEGER, name BLOB, engine INTEGER,
    stamp TEXT, p_dog REAL, p_pet REAL, UNIQUE (folder, name, engine)
);
CREATE TABLE IF NOT EXISTS tables (path BLOB PRIMARY KEY, digest TEXT, folders TEXT);
CREATE TABLE IF NOT EXISTS decided (name BLOB, stamp TEXT, label TEXT, PRIMARY KEY (name, stamp));
"""

#: Most photos that it keeps after a run; the oldest are dropped. A million take about 100 MB.
MOST = 1_000_000

#: Photos looked up at a time: few, because names may arrive slowly.
CHUNK = 64

#: How many photos, or seconds, of work a killed run may lose.
FLUSH_PHOTOS, FLUSH_SECONDS = 512, 1.0

#: What trouble is: with a message of SQLite's that quotes a damaged file, or no home to be found.
ERRORS = (sqlite3.Error, OSError, UnicodeDecodeError, RuntimeError)

BUSY_SECONDS = 2  # another dogsort writes for milliseconds


class WrittenTable(NamedTuple):
    """A table that dogsort wrote.

    Attributes:
        digest: SHA-256 of the file as it was written; for a partial file, its stamp.
        folders: the folders, absolute, that were classified into it.
    """

    digest: str
    folders: list[str]


def users_folder() -> Path:
    """Return where the cache lies: where the environment variable says, else the system's place."""
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named)
    from platformdirs import user_cache_path

    return user_cache_path("dogsort", appauthor=False)


def stamp_of(path: str) -> str | None:
    """Return a file's size and time, which show whether it has changed; None if it is gone."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return f"{status.st_size} {status.st_mtime_ns}"


class Cache:
    """The cache. Its methods raise no errors; ``trouble`` describes the last one.

    Args:
        folder: where its file lies, which is made if it is not there; None for the user's.
        wanted: False for one that is as empty as one in trouble, and stays so.

    Attributes:
        path: the file.
        trouble: why it cannot be used, in a few words; empty if it can.
        recalled: how many photos were found in it.
    """

    def __init__(self, folder: Path | None = None, wanted: bool = True) -> None:
        self.path = Path(FILE_NAME)
        self.trouble = ""
        self.recalled = 0
        self._folders: dict[str, int | None] = {}  # numbers, by path as found
        self._under_way: dict[str, str] = {}  # stamps, by path
        self._unwritten: list[tuple[int | None, bytes, int | None, str, float, float]] = []
        self._written = monotonic()
        self._database: sqlite3.Connection | None = None
        if not wanted:
            return
        try:
            self.path = (folder or users_folder()) / FILE_NAME
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(self.path, BUSY_SECONDS, isolation_level=None)
            # Readers and a writer do not wait for each other. A power cut may cost the last rows.
            with suppress(sqlite3.OperationalError):  # if another dogsort does it right now
                self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = NORMAL")
            version = self._database.execute("PRAGMA user_version").fetchone()[0]
            if version < FORMAT_VERSION:
                self._database.executescript(
                    f"{SCHEMA} PRAGMA user_version = {FORMAT_VERSION}; COMMIT;"
                )
            elif version > FORMAT_VERSION:
                raise sqlite3.DatabaseError("it was made by a newer dogsort")
        except ERRORS as error:
            self._give_up(error)

    def close(self) -> None:
        """Write pending rows and close the file."""
        self._write()
        if self._database is not None:
            self._database.close()
            self._database = None

    @property
    def keeps(self) -> bool:
        """Whether what is classified now is known to the next run."""
        return self._database is not None

    def predict(self, photos: Iterable[Photo | Record], classifier: Classifier) -> Iterator[Record]:
        """Classify photos like ``Classifier.predict_photos``, skipping those in the cache."""
        engine = self._engine_of(classifier)
        for record in classifier.predict_photos(self._recall(photos, classifier, engine)):
            stamp = self._under_way.pop(record.path, None)
            if stamp is not None and isinstance(record, Prediction):
                self._keep(record, engine, stamp)
            yield record
        self._write()
        # Only now, or a run over more photos would drop rows that it is about to look up.
        self._forget_oldest()

    def note_labels(self, labels: Iterable[tuple[str, str, Label | None]]) -> None:
        """Record a person's labels for photos.

        They hold for every file of the same name, size and time, so they survive filing and undo.

        Args:
            labels: each photo's path in its table, the place to which it was filed (or its path),
                and its label; None removes the label.
        """
        found = [
            (_name(path), stamp_of(place) or stamp_of(path), label) for path, place, label in labels
        ]
        rows = [row for row in found if row[1] is not None]
        if self._database is None or not rows:
            return
        try:
            with self._database:
                self._database.execute("BEGIN IMMEDIATE")
                self._database.executemany("INSERT OR REPLACE INTO decided VALUES (?, ?, ?)", rows)
                self._database.execute("DELETE FROM decided WHERE label IS NULL")
        except ERRORS as error:
            self._give_up(error)

    def decided(self, records: Iterable[Record]) -> Iterator[Record]:
        """Replace labels with those that a person gave the photos, unless these have changed."""
        found = self._ask(
            "SELECT name, stamp, label FROM decided WHERE label IN (?, ?, ?, ?)", *LABELS
        )
        known = {(name, stamp): label for name, stamp, label in found}
        names = {name for name, _ in known}
        for record in records:
            if isinstance(record, Prediction) and (name := _name(record.path)) in names:
                label = known.get((name, stamp_of(record.path)))
                yield replace(record, label=label or record.label)
            else:
                yield record

    def stamps(self, paths: Iterable[str]) -> dict[str, str]:
        """Return the stamps of photos when last classified, where known; pass at most 900 paths."""
        by_folder: dict[str, dict[bytes, str]] = defaultdict(dict)
        for path in paths:
            folder, name = os.path.split(path)
            by_folder[folder][os.fsencode(name)] = path
        found: dict[str, str] = {}
        for folder, names in by_folder.items():
            query = (
                "SELECT name, stamp FROM photos WHERE folder = ?"  # noqa: S608
                f" AND name IN ({', '.join('?' * len(names))}) ORDER BY photo"
            )
            if (number := self._number_of(folder)) is not None:
                rows = self._ask(query, number, *names)
                found |= {names[name]: stamp for name, stamp in rows if name in names}
        return found

    def note_table(self, path: str, digest: str, folders: Iterable[str]) -> None:
        """Record a table that was just written, and the folders of its photos."""
        real = os.fsencode(os.path.realpath(path))
        names = json.dumps([os.path.realpath(folder) for folder in folders])
        self._ask("INSERT OR REPLACE INTO tables VALUES (?, ?, ?)", real, digest, names)

    def table(self, path: str) -> WrittenTable | None:
        """Return the record of a table that dogsort wrote; None if unknown."""
        query = "SELECT digest, folders FROM tables WHERE path = ?"
        found = self._ask(query, os.fsencode(os.path.realpath(path)))
        try:
            return WrittenTable(found[0][0], json.loads(found[0][1])) if found else None
        except (TypeError, ValueError) as error:  # from damaged rows
            self._give_up(error)
            return None

    def count(self) -> int:
        """Return how many photos are in the cache."""
        found = self._ask("SELECT count(*) FROM photos")
        return int(found[0][0]) if found else 0

    def _recall(
        self, photos: Iterable[Photo | Record], classifier: Classifier, engine: int | None
    ) -> Iterator[Photo | Record]:
        """Pass photos on, replacing each that is known and unchanged by its Prediction."""
        import numpy as np

        from dogsort.decision import predictions

        remaining = iter(photos)
        while chunk := list(islice(remaining, CHUNK)):
            known: dict[str, tuple[float, float]] = {}
            for photo in chunk:
                if isinstance(photo, Photo) and (stamp := stamp_of(photo.path)) is not None:
                    found = self._known(photo.path, engine, stamp)
                    if found is None:
                        self._under_way[photo.path] = stamp
                    else:
                        known[photo.path] = found
            self.recalled += len(known)
            probabilities = np.array(list(known.values())).reshape(-1, 2)
            made = predictions(list(known), probabilities, classifier.thresholds)
            recalled = dict(zip(known, made, strict=True))
            yield from (recalled.get(photo.path, photo) for photo in chunk)

    def _known(self, path: str, engine: int | None, stamp: str) -> tuple[float, float] | None:
        folder, name = os.path.split(path)
        query = (  # BETWEEN, because the file may be damaged
            "SELECT p_dog, p_pet FROM photos WHERE folder = ? AND name = ? AND engine = ?"
            " AND stamp = ? AND p_dog BETWEEN 0 AND 1 AND p_pet BETWEEN 0 AND 1"
        )
        found = self._ask(query, self._number_of(folder), os.fsencode(name), engine, stamp)
        return found[0] if found else None

    def _keep(self, record: Prediction, engine: int | None, stamp: str) -> None:
        folder, name = os.path.split(record.path)
        number = self._number_of(folder, new=True)
        self._unwritten.append(
            (number, os.fsencode(name), engine, stamp, record.p_dog, record.p_pet)
        )
        waited = monotonic() - self._written
        if len(self._unwritten) >= FLUSH_PHOTOS or waited > FLUSH_SECONDS:
            self._write()

    def _write(self) -> None:
        self._written = monotonic()
        if self._database is not None and self._unwritten:
            try:
                if not self._database.in_transaction:  # unless an interrupt left one open
                    self._database.execute("BEGIN IMMEDIATE")
                self._database.executemany(
                    "INSERT OR REPLACE INTO photos (folder, name, engine, stamp, p_dog, p_pet)"
                    " VALUES (?, ?, ?, ?, ?, ?)",
                    self._unwritten,
                )
                self._database.execute("COMMIT")
            except ERRORS as error:
                self._give_up(error)
        self._unwritten.clear()

    def _forget_oldest(self) -> None:
        # Ask first, because a DELETE waits for other writers even if there is nothing to delete.
        query = (
            "SELECT last FROM (SELECT min(photo) AS first, max(photo) - ? AS last FROM photos)"
            " WHERE first <= last"
        )
        for found in self._ask(query, MOST):
            self._ask("DELETE FROM photos WHERE photo <= ?", *found)

    def _engine_of(self, classifier: Classifier) -> int | None:
        """Return the number for these weights, decoders and engine; None in trouble."""
        from dogsort.photos.decode import decoder_version

        engine = classifier.engine
        parts = classifier.weights.identity, decoder_version(), engine.name, engine.device
        return self._number(
            "SELECT engine FROM engines WHERE name = ?",
            "INSERT OR IGNORE INTO engines (name) VALUES (?)",
            ", ".join(parts),
        )

    def _number_of(self, folder: str, new: bool = False) -> int | None:
        """Return a folder's number; None if it is unknown and not ``new``, or the cache fails."""
        if folder not in self._folders or (new and self._folders[folder] is None):
            real = os.fsencode(os.path.realpath(folder or os.curdir))
            self._folders[folder] = self._number(
                "SELECT folder FROM folders WHERE path = ?",
                "INSERT OR IGNORE INTO folders (path) VALUES (?)" if new else "",
                real,
            )
        return self._folders[folder]

    def _number(self, query: str, insertion: str, value: str | bytes) -> int | None:
        # Ask first, because an INSERT waits for other writers even if there is nothing to insert.
        found = self._ask(query, value)
        if not found and insertion:
            self._ask(insertion, value)
            found = self._ask(query, value)
        return found[0][0] if found else None

    def _ask(self, query: str, *values: Any) -> list[Any]:
        if self._database is None:
            return []
        try:
            return self._database.execute(query, values).fetchall()
        except ERRORS as error:
            self._give_up(error)
            return []

    def _give_up(self, error: Exception) -> None:
        self.trouble = str(error)
        if self._database is not None:
            self._database.close()
            self._database = None


def _name(path: str) -> bytes:
    return os.fsencode(os.path.basename(path))
