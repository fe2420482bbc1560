"""The album: a table's rows for the page, corrections, undo, and a log of changes."""

from __future__ import annotations

import secrets
import threading
from array import array
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import closing
from time import sleep
from typing import Any, TypeAlias

from dogsort.errors import DogsortError, OutputError, UnreadablePhoto, UsageError
from dogsort.filing.bounds import Bounds
from dogsort.filing.job import Filer
from dogsort.records import LABELS, Label, Record
from dogsort.results.cache import Cache
from dogsort.results.editable import FAILED, NOBODY, EditableTable
from dogsort.results.reading import Row
from dogsort.results.stored import StoredTable

__all__ = ["Album", "OldGeneration"]

#: How often, and how far apart, a save checks whether another program is still writing the table.
GLANCES, GLANCE_SECONDS = 150, 0.1

#: JavaScript represents integers of up to 53 bits exactly.
GENERATION_BITS = 52

#: Rows with their new labels and network_labels.
Step: TypeAlias = list[tuple[int, int, int]]


class OldGeneration(DogsortError):
    """A request numbers rows as they were before the table changed on disk."""


class Album:
    """A table that the threads of the server share.

    Args:
        stored: its file.
        bounds: which files may be shown.
        filer: knows where moved files are.

    Raises:
        DataError: if it cannot be read, or names files that may not be shown.

    Attributes:
        table: its rows.
        name: the table's path.
        bounds, filer: as given.
        running: whether photos are still being classified.
        expected: how many rows there will be in the end; None if not known.
        generation: names one order of the rows; another program that changes the file ends it.
        version: counts the changes.
        read_only: why no label can be set; None if labels can be set.
        trouble: why the latest changes are not on disk; empty if they are.
    """

    def __init__(self, stored: StoredTable, bounds: Bounds, filer: Filer) -> None:
        self.name, self.bounds, self.filer, self._stored = stored.name, bounds, filer, stored
        self.running = False
        self.expected: int | None = None
        self._lock, self._saving = threading.RLock(), threading.Lock()
        self.version = 0
        self.read_only = stored.why_read_only()
        self.trouble = ""
        self._unsaved: dict[int, bool] = {}  # unsaved rows; whether a label was set
        self._take(self._read())

    def label(self, generation: object, rows: Sequence[int], label: Label | None) -> int:
        """Set the label of rows, and save it. None confirms the labels that they have.

        Returns:
            The version, once it is on disk.

        Raises:
            OldGeneration: if the rows have moved.
            UsageError: if there is no such row.
            OutputError: if it cannot be saved. The next change tries again.
        """
        with self._lock:
            self.check(generation, rows)
            step: Step = []
            for row in dict.fromkeys(rows):
                before, said = self.table.labels[row], self.table.network_labels[row]
                after = before if label is None else LABELS.index(label)
                if after != FAILED and (after != before or said == NOBODY):
                    step.append((row, after, before if said == NOBODY else said))
            if step:
                self._undo.append(self._apply(step))
            version = self.version
        self.save()
        return version

    def undo(self, generation: object) -> tuple[int, list[int]]:
        """Undo the last call of ``label``, and save it; return the version and the rows.

        Raises:
            OldGeneration: if the rows have moved.
            OutputError: if it cannot be saved; nothing is then undone.
        """
        with self._lock:
            self.check(generation)
            step = self._undo.pop() if self._undo else []
            undone, version = self._apply(step), self.version
        try:
            self.save()
        except DogsortError:
            with self._lock:
                if step and generation == self.generation:
                    self._undo.append(self._apply(undone))
            raise
        return version, [row for row, *_ in step]

    def put(self, record: Record, label: Label | None = None) -> None:
        """Add a row, or reset the row of this path; the next call of ``save`` saves it.

        Args:
            record: what the network says.
            label: a person's earlier label for the photo, if it is a different one.
        """
        with self._lock:
            row = self.table.put(record)
            self._unsaved[row] = False
            if label is not None:
                self._set(row, LABELS.index(label), self.table.labels[row])
            self._changed([row])

    def place(self, path: str) -> str | None:
        """Return where a photo of the table is now; None if it may not be shown."""
        return self.bounds.file(self.filer.place(path))

    def touch(self, paths: Iterable[str]) -> None:
        """Mark the rows of paths as changed, because the page shows more than their values."""
        with self._lock:
            self._changed([self.table.places[path] for path in paths if path in self.table.places])

    def rows(self) -> list[Row]:
        """Return the rows with their labels as they are now."""
        with self._lock:
            return list(self.table.rows())

    def least_sure_first(self) -> Iterator[str]:
        """Yield where the photos are now, in the order of the page."""
        for path in self.table.least_sure_first():
            if (file := self.place(path)) is not None:
                yield file

    def save(self) -> None:
        """Save what is not on disk yet.

        Raises:
            OutputError, DataError: if that fails.
        """
        # A thread that waits for another's save often finds its own change saved, too.
        with self._saving:
            try:
                saved = not self._unsaved
                while not saved:
                    with self._stored.locked():
                        self._notice(patiently=True)
                        saved = self._save()
            except DogsortError as error:
                self.trouble = str(error)
                raise

    def _save(self) -> bool:
        """Return whether it is saved; False if another program has just changed the table."""
        with self._lock:
            content, unsaved, self._unsaved = self.table.content(), self._unsaved, {}
        saved = False
        try:
            saved = self._stored.write(content)
        finally:
            if not saved:
                with self._lock:
                    self._unsaved = {**unsaved, **self._unsaved}
        if saved:
            self.trouble = ""
            self.filer.notice(self.table.paths)
            self._note([row for row, has_label in unsaved.items() if has_label])
        return saved

    def notice(self) -> None:
        """Read the table again if another program has changed it, unless it is being saved."""
        if self._saving.acquire(blocking=False):
            try:
                self._notice()
                if not self._unsaved:
                    self.trouble = ""
            except DogsortError as error:
                self.trouble = str(error)
            finally:
                self._saving.release()

    def changes(self, since: int) -> dict[str, Any]:
        """Return the rows that changed after a version, each with its number and values."""
        with self._lock:
            first = bisect_right(self._log_versions, since)
            rows = dict.fromkeys(self._log_rows[first:])
            values = [[row, *self.table.values(row)] for row in rows]
            return {"generation": self.generation, "version": self.version, "rows": values}

    def columns(self) -> dict[str, Any]:
        """Return all rows, column by column."""
        with self._lock:
            columns = self.table.columns()
            return {"generation": self.generation, "version": self.version, "columns": columns}

    def photo(self, generation: int, row: int) -> tuple[str, str]:
        """Return the path of a row in the table, and where the photo is now.

        Raises:
            OldGeneration: if the rows have moved.
            UsageError: if there is no such row.
            UnreadablePhoto: if it may not be shown.
        """
        with self._lock:
            self.check(generation, [row])
            path = self.table.paths[row]
        if (file := self.place(path)) is None:
            raise UnreadablePhoto("a link that leads out of the folder")
        return path, file

    def _note(self, rows: Collection[int]) -> None:
        """Tell later runs of dogsort which labels a person gave these photos, or took back."""
        with self._lock:
            table = self.table
            set_by_person = {
                row: LABELS[table.labels[row]]
                for row in rows
                if table.network_labels[row] != NOBODY and table.labels[row] != FAILED
            }
            paths = [(row, table.paths[row]) for row in rows]
        labels = [(path, self.filer.place(path), set_by_person.get(row)) for row, path in paths]
        with closing(Cache()) as cache:
            cache.note_labels(labels)

    def _notice(self, patiently: bool = False) -> None:
        """Read the table again if another program has changed it; reapply what is unsaved."""
        for _ in range(GLANCES):
            if (state := self._stored.state()) != "changing" or not patiently:
                break
            sleep(GLANCE_SECONDS)
        else:
            raise OutputError(f"{self.name}: another program is writing to it")
        if state != "changed":
            return
        table = self._read()
        with self._lock:
            old, unsaved = self.table, self._unsaved
            self._take(table)
            for row, has_label in unsaved.items():
                place = table.places.get(old.paths[row])
                if place is None:
                    place = table.put(old.record(row))
                    self._unsaved[place] = False
                if has_label:
                    self._set(place, old.labels[row], old.network_labels[row])

    def _read(self) -> EditableTable:
        with self._stored.opened() as content:
            table = EditableTable(self._stored.name, content)
            self.bounds.check(table.rows())
            self.filer.locate(table.paths)
        return table

    def _take(self, table: EditableTable) -> None:
        self.table = table
        self.generation = secrets.randbits(GENERATION_BITS)
        self._log_versions, self._log_rows = array("Q"), array("L")
        self._undo: list[Step] = []
        self._unsaved = {}

    def _apply(self, step: Step) -> Step:
        """Set labels; return the step that undoes it."""
        if self.read_only is not None:
            raise OutputError(self.read_only)
        labels, network_labels = self.table.labels, self.table.network_labels
        back = [(row, labels[row], network_labels[row]) for row, _, _ in step]
        for row, label, network_label in step:
            self._set(row, label, network_label)
        if step:
            self._changed([row for row, _, _ in step])
        return back

    def _set(self, row: int, label: int, network_label: int) -> None:
        self.table.set(row, label, network_label)
        self._unsaved[row] = True

    def _changed(self, rows: Iterable[int]) -> None:
        self.version += 1
        for row in rows:
            self._log_versions.append(self.version)
            self._log_rows.append(row)

    def check(self, generation: object, rows: Iterable[int] = ()) -> None:
        """Raise OldGeneration if the rows have moved, and UsageError if there is no such row."""
        if generation != self.generation:
            raise OldGeneration("the table has changed on disk")
        if not all(0 <= row < len(self.table) for row in rows):
            raise UsageError("there is no such row")
