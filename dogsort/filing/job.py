"""Plan, file and undo the photos of a table in the background, as the commands do."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from functools import cache
from typing import Any, TypeVar, get_args

from dogsort.errors import DogsortError, FilingError, UsageError
from dogsort.filing.execute import at_work, carry_out, put_back, run_to_undo
from dogsort.filing.folders import check_folders, has_own_photos
from dogsort.filing.from_table import GONE, MOVED, photos_of, walked
from dogsort.filing.journal import FILE_NAME, FOLDER_NAME, reading
from dogsort.filing.options import Action, FilingOptions
from dogsort.filing.plan import Planner
from dogsort.records import Failure
from dogsort.results.cache import Cache
from dogsort.results.reading import Row
from dogsort.results.text import printable, quoted

__all__ = ["Busy", "Filer"]

T = TypeVar("T")

#: Most failures and steps listed for people; all are counted.
MOST_FAILURES, MOST_STEPS = 100, 200


class Busy(FilingError):
    """A job is in progress, so no other can begin."""


class Filer:
    """Files the photos of a table, in one job at a time, and knows where they are.

    Args:
        folder: the folder to file into; None if there is no obvious one.
        roots: the folders in which the photos were found; see ``from_table.walked``.

    Attributes:
        filed: where photos are that were moved, or moved back, by path in the table.
        job: the job in progress, or else the last one. ``number`` counts the jobs from 1; ``kind``
            is file or undo; ``action`` is what it does or undoes. ``found`` says what was done
            about interrupted runs. ``done`` of ``total`` files are dealt with. ``counts`` has the
            successes by label, ``failures`` the number of the others, and ``failed`` the first of
            these with reasons. ``message`` says why it ended early. Once it is ``finished``,
            ``undoable`` is what ``undoable`` returned.
    """

    def __init__(self, folder: str | None, roots: Sequence[str]) -> None:
        self.filed: dict[str, str] = {}
        self.job: dict[str, Any] | None = None
        self._folder, self._roots = folder, roots
        self._going: dict[str, str] = {}  # where the job in progress moves photos, likewise
        self._moved: list[str] = []
        self._known: object = None  # the state of the journal when it was last read
        self._thread: threading.Thread | None = None
        self._starting, self._stopping = threading.Lock(), threading.Event()

    def place(self, path: str) -> str:
        """Return where a photo of the table is now."""
        place = self.filed.get(path, path)
        if self.job is None or self.job["finished"] or os.path.lexists(place):
            return place
        return self._going.get(path, path)

    def take_moved(self) -> list[str]:
        """Return the paths in the table of photos that have moved since the last call."""
        moved, self._moved = self._moved, []
        return moved

    def locate(self, paths: Iterable[str]) -> None:
        """Find out where moved photos are, if there is a readable journal."""
        self._known = self._state()
        ends: dict[str, str] = {}
        returns: dict[str, str] = {}
        if self._folder is not None:
            with suppress(FilingError), reading(self._folder) as journal:
                if journal is not None:
                    ends, returns = journal.moves(), journal.returns()
        resolved, filed = cache(os.path.realpath), {}
        inside = os.path.join(os.path.realpath(self._folder or os.curdir), "")
        recorded: dict[str, str] = {}
        for path in paths if ends or returns else ():
            folder, name = os.path.split(path)
            recorded[os.path.join(resolved(folder or os.curdir), name)] = path
        taken = set(recorded)  # one photo is not to be two rows
        for start, path in recorded.items():
            if not (start in ends or start in returns) or os.path.lexists(path):
                continue
            for place in _later_places(start, ends, returns):
                # The folder may come from a stranger, with links to the user's files.
                folder = os.path.join(resolved(os.path.dirname(place)), "")
                if place not in taken and os.path.lexists(place) and folder.startswith(inside):
                    filed[path] = place
                    taken.add(place)
                    break
        self._moved += dict(self.filed.items() ^ filed.items())
        self.filed = filed

    def notice(self, paths: Iterable[str]) -> None:
        """Locate photos again if another program has moved some, or put some back."""
        if (self.job is None or self.job["finished"]) and self._state() != self._known:
            self.locate(paths)

    def _state(self) -> object:
        """Return what changes whenever the journal does; None if there is none."""
        if self._folder is not None:
            with suppress(OSError):
                status = os.stat(os.path.join(self._folder, FOLDER_NAME, FILE_NAME))
                return status.st_ino, status.st_size, status.st_mtime_ns
        return None

    def plan(self, rows: Sequence[Row], action: str, neither: bool, unsure: bool) -> dict[str, Any]:
        """Say what ``file`` would do, and change nothing.

        Raises:
            DogsortError: if nothing can be filed that way.
        """
        planner, failures = self._planned(rows, self._options(action, neither, unsure))
        filings = planner.filings()
        counts = Counter(filing.label for filing in filings if not filing.belongs_to)
        others = planner.in_place + len(planner.already) + len(failures)
        return {
            "folder": self._folder,
            "counts": counts,
            "sidecars": len(filings) - counts.total(),
            "conflicts": len(planner.conflicts),
            "in_place": planner.in_place,
            "already": len(planner.already),
            "stays": max(0, len(rows) - counts.total() - others),
            "failed": len(failures),
            "failures": [(failure.path, failure.error) for failure in failures[:MOST_FAILURES]],
            "bytes": sum(filing.size for filing in filings),
            "steps": [(filing.source, filing.target) for filing in filings[:MOST_STEPS]],
            "undoable": self.undoable(),
        }

    def undoable(self) -> dict[str, Any] | None:
        """Return what ``undo`` would undo: when that began, its action, and files by label.

        ``command`` does the same in a terminal. None if there is nothing to undo, or somebody
        else's run.
        """
        with suppress(FilingError):
            run = None if self._folder is None else run_to_undo(self._folder)
            if self._folder is None or run is None:
                return None
            counts: Counter[str] = Counter()
            with reading(self._folder) as journal:
                found = {} if journal is None else journal.counts(run)
                sidecars_last = sorted(found.items(), key=lambda item: item[0][1])
                for (label, sidecar, state), count in sidecars_last:
                    if state in ("planned", "done", "returning"):
                        counts["sidecar" if sidecar else label] += count
            command = f"dogsort undo {quoted(printable(self._folder))}"
            return {
                "started": run.started,
                "action": run.action,
                "counts": counts,
                "command": command,
            }
        return None

    def file(self, rows: Sequence[Row], action: str, neither: bool, unsure: bool) -> None:
        """Begin to file, or to continue an interrupted run.

        Raises:
            Busy: if a job is in progress.
            DogsortError: if nothing can be filed that way.
        """
        options = self._options(action, neither, unsure)
        self._begin("file", rows, lambda job: self._file(job, rows, options))

    def undo(self, rows: Sequence[Row]) -> None:
        """Begin to undo the last run.

        Raises:
            Busy: if a job is in progress.
        """
        self._begin("undo", rows, self._undo)

    def stop(self) -> None:
        """Let the job end after its current files; what is done stays."""
        self._stopping.set()

    def close(self) -> None:
        """Stop the job, and wait until it ends."""
        self.stop()
        if self._thread is not None:
            self._thread.join()

    def _options(self, action: str, neither: bool, unsure: bool) -> FilingOptions:
        if self._folder is None:
            raise UsageError(
                "no folder to file into: start dogsort review with --photos FOLDER, or use "
                "dogsort file with --to FOLDER"
            )
        chosen: dict[str, Action] = {name: name for name in get_args(Action)}
        if action not in chosen:
            raise UsageError(f"unknown action {action!r}")
        names = "unsure" if unsure else None, "neither" if neither else None
        options = FilingOptions(chosen[action], self._folder, *names)
        check_folders(options)
        for name in filter(None, names):
            if has_own_photos(options, name):
                raise UsageError(
                    f"the folder {name} has photos of yours; use dogsort file and another name"
                )
        return options

    def _planned(
        self, rows: Sequence[Row], options: FilingOptions
    ) -> tuple[Planner, list[Failure]]:
        """Plan photos from where they are now; return also those that cannot be filed."""
        self.locate(row.path for row in rows)
        still = walked((row for row in rows if row.path not in self.filed), self._roots).rows
        moved = [replace(row, path=self.filed[row.path]) for row in rows if row.path in self.filed]
        in_table = self._paths_in_table()
        planner, failures = Planner(options), []
        # One cache for this thread.
        with closing(Cache()) as known, reading(options.folder) as journal:

            def classified(places: Iterable[str]) -> dict[str, str]:
                named = {in_table.get(place, place): place for place in places}
                return {named[path]: stamp for path, stamp in known.stamps(named).items()}

            labels = options.folders().keys()
            for photo in photos_of([*still, *moved], labels, classified, journal):
                if isinstance(photo, Failure):
                    # It is no longer where it was moved, or it would have been located.
                    failures.append(replace(photo, error=GONE) if photo.error == MOVED else photo)
                else:
                    planner.add(*photo)
        return planner, failures

    def _paths_in_table(self) -> dict[str, str]:
        """Return the paths in the table of moved photos, by where they are now."""
        return {place: path for path, place in self.filed.items()}

    def _begin(
        self, kind: str, rows: Sequence[Row], work: Callable[[dict[str, Any]], None]
    ) -> None:
        with self._starting:
            if self.job is not None and not self.job["finished"]:
                raise Busy("wait until the job in progress has finished, or stop it")
            number = 1 if self.job is None else self.job["number"] + 1
            job: dict[str, Any] = {"number": number, "kind": kind, "action": "", "found": []}
            job |= {"total": 0, "done": 0, "counts": Counter(), "failures": 0, "failed": []}
            job |= {"message": "", "undoable": None, "finished": False}
            self.job = job
            self._stopping.clear()

        def run() -> None:
            try:
                work(job)
            except DogsortError as error:
                job["message"] = str(error)
            except Exception as error:
                job["message"] = f"stopped by an error in dogsort: {error!r}"
                raise
            finally:
                self.locate(row.path for row in rows)
                job["undoable"] = self.undoable()
                self._going, job["finished"] = {}, True

        self._thread = threading.Thread(target=run, name="dogsort-filing")
        self._thread.start()

    def _file(self, job: dict[str, Any], rows: Sequence[Row], options: FilingOptions) -> None:
        job["action"] = options.action
        with at_work(options.folder) as (journal, job["found"]):
            planner, failures = self._planned(rows, options)
            filings, in_table = planner.filings(), self._paths_in_table()
            job["total"] = len(filings) + len(failures)
            for failure in failures:
                _note(job, failure.path, "", failure.error)
            if options.action == "move":
                self._going = {
                    in_table.get(filing.source, filing.source): filing.target for filing in filings
                }
            going = self._until_stopped(filings)
            for filing, error in carry_out(going, options.action, journal):
                what = "sidecar" if filing.belongs_to else filing.label
                _note(job, filing.source, what, error)

    def _undo(self, job: dict[str, Any]) -> None:
        run = None if self._folder is None else run_to_undo(self._folder)
        if self._folder is None or run is None:
            raise FilingError("there is nothing to undo")
        job["action"] = run.action
        with at_work(self._folder) as (journal, job["found"]):
            counts = journal.counts(run).items()
            job["total"] = sum(count for (*_, state), count in counts if state == "done")
            for step, error in self._until_stopped(put_back(journal, run)):
                _note(job, step.target, "sidecar" if step.sidecar else step.label, error)

    def _until_stopped(self, items: Iterable[T]) -> Iterator[T]:
        """Pass items on.

        Raises:
            FilingError: if ``stop`` was called. The next job then continues the run.
        """
        for item in items:
            yield item
            if self._stopping.is_set():
                raise FilingError("stopped; what is done stays, and the rest can follow later")


def _later_places(start: str, ends: Mapping[str, str], returns: Mapping[str, str]) -> Iterator[str]:
    """Yield where a photo may be now that was at a path; see ``Journal`` for the others."""
    seen: set[str] = set()
    while start not in seen:
        seen.add(start)
        if start in ends:
            yield ends[start]
        if start in returns:
            start = returns[start]
            yield start


def _note(job: dict[str, Any], path: str, what: str, error: object) -> None:
    """Count a file that was dealt with."""
    job["done"] += 1
    if error is None:
        job["counts"][what] += 1
        return
    job["failures"] += 1
    if len(job["failed"]) < MOST_FAILURES:
        job["failed"].append((path, str(error)))
