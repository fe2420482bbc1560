"""A run that goes on where one that was stopped was: rows already made are made from its log."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from dogsort.errors import OutputError
from dogsort.records import Photo, Prediction, Record
from dogsort.results.log import Entry, Log, Stamp, current_folder, digest_of, read_log
from dogsort.results.log_file import LogFile, is_being_written
from dogsort.results.output import hidden_log
from dogsort.results.tables import FileTable, open_table

if TYPE_CHECKING:
    from dogsort.classifier import Classifier

__all__ = ["Run"]


class Run:
    """One run of the classifier into a table, which writes a log beside it.

    Args:
        table: the file that is to be written.
        paths: the PATHs of the call, as they were given.
        classifier: what classifies; its weights and its bars count.

    Attributes:
        known: what earlier runs found out, by path; nothing before ``look_back``.
        removed: partial files of stopped runs that are gone, since the table is complete.
        taken_over: how many photos had their probabilities from there.
    """

    def __init__(self, table: str, paths: Iterable[str], classifier: Classifier) -> None:
        self.table, self.paths = table, tuple(paths)
        self.weights = classifier.weights.identity
        self._bars = classifier.bar, classifier.species_bar
        self.known: dict[str, Entry] = {}
        self.taken_over = 0
        self.removed: list[str] = []
        self._stopped: list[str] = []  # partial files
        self._under_way: dict[str, Stamp] = {}

    def look_back(self) -> bool:
        """Take up what earlier runs into the same table found out.

        Returns:
            Whether there were any with other weights, which count for nothing.

        Raises:
            OutputError: if the table was changed since it was made: that would be lost.
        """
        others = False
        table = os.path.realpath(self.table)
        for file, log in _earlier(table):
            if file == table and log.table not in ("", digest_of(table)) and os.path.exists(table):
                raise OutputError(
                    f"{self.table}: was changed since it was made, and --resume would write it "
                    "anew; file by it with dogsort file, or move it away"
                )
            if log.weights != self.weights:
                others = True
                continue
            self.known.update(log.entries)
            if file != table and self._is_call_of(log):
                self._stopped.append(file)
        return others

    def _is_call_of(self, log: Log) -> bool:
        """Tell whether a log is of this call: the same PATH may be another one elsewhere."""
        here = current_folder()
        theirs = [os.path.join(log.current, path) for path in log.paths]
        return theirs == [os.path.join(here, path) for path in self.paths]

    def recall(self, items: Iterable[Photo | Record]) -> Iterator[Photo | Record]:
        """Pass items on, lazily, a Prediction in the place of each photo known and unchanged."""
        from dogsort.verdict import prediction

        for item in items:
            stamp = Stamp.of(item.path) if isinstance(item, Photo) else None
            if stamp is None:
                yield item
                continue
            self._under_way[item.path] = stamp
            entry = self.known.pop(item.path, None)
            if entry is not None and entry.stamp == stamp:
                self.taken_over += 1
                yield prediction(item.path, entry.p_dog, entry.p_pet, *self._bars)
            else:
                yield item

    @contextmanager
    def rows(self) -> Iterator[Callable[[Record], None]]:
        """Open the table, and the log beside it; give what takes the records.

        A pipe or a device gets no log. Once the table is complete, what stopped runs of the same
        call left is removed if ``look_back`` took it up.

        Raises:
            UsageError: as ``open_table`` does, like the following.
            OutputError: also if the log cannot be written.
            KeyboardInterrupt: it also says what ``look_back`` is for.
        """
        # The log gets its name after the table: an old table shall not stand beside a new log.
        with ExitStack() as after_the_table, open_table(self.table) as table:
            file = None
            if table.partial != os.path.realpath(self.table):
                file = after_the_table.enter_context(self._log_file(table.partial))
            yield lambda record: self._write(table, file, record)
            if file is not None:
                # Of photos that were not found, such as those moved: undo may put them back.
                for path, entry in self.known.items():
                    file.add(path, entry)
        self.removed = [partial for partial in self._stopped if _remove(partial)]

    @contextmanager
    def _log_file(self, partial: str) -> Iterator[LogFile]:
        file = LogFile(partial, self.weights, self.paths)
        try:
            yield file
        except BaseException as error:
            file.stop()
            if file.count and isinstance(error, KeyboardInterrupt):
                raise KeyboardInterrupt(*error.args, "--resume goes on from there") from None
            raise
        file.complete(self.table)

    def _write(self, table: FileTable, file: LogFile | None, record: Record) -> None:
        table.write(record)
        stamp = self._under_way.pop(record.path, None)
        if file is not None and stamp is not None and isinstance(record, Prediction):
            file.add(record.path, Entry(stamp, record.p_dog, record.p_pet))


def _earlier(table: str) -> Iterator[tuple[str, Log]]:
    """Read the logs of a table and of its partial files, the oldest first; give file and log."""
    folder, name = os.path.split(table)
    of_partial = re.compile(rf"\.({re.escape(name)}\.[0-9]+\.partial)\.dogsort")
    files = [table]
    with suppress(OSError):
        matches = map(of_partial.fullmatch, os.listdir(folder))
        files += [os.path.join(folder, match[1]) for match in matches if match]
    for file in sorted(files, key=_time_written):
        log = read_log(hidden_log(file))
        if log is not None:
            yield file, log


def _time_written(file: str) -> int:
    stamp = Stamp.of(hidden_log(file))
    return stamp.mtime_ns if stamp else 0


def _remove(partial: str) -> bool:
    """Remove what a stopped run left; tell whether that was done."""
    log = hidden_log(partial)
    if is_being_written(log):
        return False
    try:
        with suppress(FileNotFoundError):
            os.unlink(partial)
        os.unlink(log)
    except OSError:
        return False
    return True
