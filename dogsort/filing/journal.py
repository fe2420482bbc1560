"""What is filed, written down before it is done: one SQLite file for all runs into a folder.

It lies in ``.dogsort`` in the folder filed into. A run's steps stand in it as ``planned`` before
the first of them is taken, and as ``done`` once the folders that they changed are on disk; of an
undo, as ``returning`` and ``undone``. Whatever stands there as planned or returning was cut off.

A journal may come with a folder that somebody else made, so what is read is checked.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

from dogsort.errors import FilingError
from dogsort.filing.options import Action
from dogsort.filing.own_runs import is_own, remember_own
from dogsort.records import LABELS, Label

__all__ = ["FILE_NAME", "FOLDER_NAME", "Journal", "Run", "State", "Step", "filed_into", "reading"]

#: Where the journal lies, in the folder that is filed into. Hidden: scans pass over it.
FOLDER_NAME = ".dogsort"
FILE_NAME = "journal.db"

FORMAT_VERSION = 1  # kept in the file

#: ``lost`` can never be put back, for it was changed or deleted since.
State: TypeAlias = Literal["planned", "done", "returning", "undone", "lost"]

#: ``filing`` and ``undoing`` stay with a run that was killed.
RunState: TypeAlias = Literal["filing", "filed", "undoing", "undone"]

# Paths are bytes, for names need not be UTF-8: relative below the folder filed into, with slashes.
# Times are digits, for after 2262 they need more than 64 bits.
SCHEMA = (
    "CREATE TABLE runs (run INTEGER PRIMARY KEY, token TEXT, started TEXT, action TEXT,"
    " state TEXT)",
    "CREATE TABLE folders (run INTEGER, path BLOB, is_new INTEGER)",  # what targets lie in; made
    "CREATE TABLE steps (step INTEGER PRIMARY KEY, run INTEGER, source BLOB, target BLOB,"
    " label TEXT, sidecar INTEGER, size INTEGER, mtime TEXT, mode INTEGER, state TEXT)",
    "CREATE INDEX steps_by_source ON steps (source)",
)

#: Sources outside the folder: absolute ones, on Windows with a drive.
OUTSIDE = "substr(source, 1, 1) = x'2f'"
if os.name == "nt":
    OUTSIDE += " OR substr(source, 2, 1) = x'3a'"

#: The columns of a ``Step``, in its order.
COLUMNS = "step, source, target, label, sidecar, size, mtime, mode, steps.state"

MOST = 1 << 62  # numbers of runs, and of steps, are below it

LATEST = 1 << 90  # ns since 1970, about: systems keep seconds in 64 bits at most

#: How what is left of a write to several databases ends.
SEVERAL = bytes.fromhex("d9d505f920a163d7")

SENSELESS_PATH = "a path that dogsort does not write"

BUSY_SECONDS = 10  # a reader waits so long for the end of a write, which takes far less


class Step(NamedTuple):
    """One file's filing.

    Attributes:
        number: its place in the journal.
        source: where it was, absolute.
        target: where it went, absolute, below the folder filed into.
        label: why.
        sidecar: whether it went with a photo.
        size: of the file, in bytes.
        mtime: when it was last changed, in ns since 1970; below 0 before that.
        mode: its permissions.
        state: what became of it.
    """

    number: int
    source: str
    target: str
    label: Label
    sidecar: bool
    size: int
    mtime: int
    mode: int
    state: State = "planned"


class Run(NamedTuple):
    """A run that filed into a folder.

    Attributes:
        number: counted from 1 in each folder.
        token: what only this run has.
        started: when, as ISO 8601 with the offset from UTC.
        action: what was done with photos.
        state: what became of it.
    """

    number: int
    token: str
    started: str
    action: Action
    state: RunState

    @property
    def stopped(self) -> bool:
        """Whether it, or undoing it, was killed, or is still going on."""
        return self.state in ("filing", "undoing")


class Journal:
    """The journal of a folder. All its methods raise FilingError as below.

    Args:
        folder: the folder filed into.
        create: whether to make the file if there is none.

    Attributes:
        folder: absolute, without links.
        below: what paths below it begin with.
        path: of the file.

    Raises:
        FilingError: if it cannot be read or written, is damaged, or of another dogsort.
    """

    def __init__(self, folder: str, create: bool = False) -> None:
        self.folder = os.path.realpath(folder)
        self.below = os.path.join(self.folder, "")
        self._place = cache(self._place)  # type: ignore[method-assign]
        self.path = Path(self.folder, FOLDER_NAME, FILE_NAME)
        for path in (self.path.parent, self.path):
            if path.is_symlink():
                raise FilingError(f"{path}: is a link, and not dogsort's own; delete it")
        self._check_rest_of_write()
        with self._errors():
            mode = "rwc" if create else "rw"
            self._database = sqlite3.connect(
                f"{self.path.as_uri()}?mode={mode}",
                uri=True,
                timeout=BUSY_SECONDS,
                isolation_level=None,
            )
            self._database.execute("PRAGMA trusted_schema = OFF")  # it may be somebody else's
            self._database.execute("PRAGMA journal_mode = TRUNCATE")
            self._database.execute("PRAGMA synchronous = FULL")  # what is written is on disk
            version = self._rows("PRAGMA user_version")[0][0]
            if version == 0:  # new, or killed before anything was written down
                with self._writing():
                    for statement in SCHEMA:
                        self._database.execute(statement)
                    self._database.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
            elif version != FORMAT_VERSION or self._schema() != set(SCHEMA):
                raise ValueError("it is of another dogsort")

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def runs(self) -> list[Run]:
        """Return the runs, the oldest first."""
        with self._errors():
            rows = self._rows("SELECT run, token, started, action, state FROM runs ORDER BY run")
            return [_run_of(*row) for row in rows]

    def begin(self, action: Action) -> Run:
        """Return the run to file by: the last one if it has not ended, or else a new one.

        That of a stranger is none to go on with: what it did would be taken for this user's own.
        The steps of runs that are undone are forgotten.
        """
        runs = self.runs()
        last = runs[-1] if runs else None
        if last and last.stopped and last.action == action and self.is_trusted(last):
            self.set_state(last, "filing")
            return last
        started = datetime.now().astimezone().isoformat(timespec="seconds")
        number = max((run.number for run in runs), default=0) + 1
        run = Run(number, secrets.token_hex(16), started, action, "filing")
        undone = "WHERE run IN (SELECT run FROM runs WHERE state = 'undone')"
        with self._errors(), self._writing():
            self._database.execute("UPDATE runs SET state = 'filed' WHERE state != 'undone'")
            self._database.execute(f"DELETE FROM steps {undone}")  # noqa: S608
            self._database.execute(f"DELETE FROM folders {undone}")  # noqa: S608
            self._database.execute("INSERT INTO runs VALUES (?, ?, ?, ?, ?)", run)
        return run

    def set_state(self, run: Run, state: RunState) -> None:
        """Put on disk what became of a run."""
        with self._errors(), self._writing():
            self._database.execute("UPDATE runs SET state = ? WHERE run = ?", (state, run.number))

    def plan(
        self, run: Run, steps: Sequence[Step], targets: Iterable[str], new: Iterable[str]
    ) -> list[Step]:
        """Put on disk what is about to be done; return the steps with their numbers.

        Args:
            run: whose steps they are.
            steps: to be taken.
            targets: folders that they lead into.
            new: folders about to be made.
        """
        if self._reaches_out(run, steps):
            remember_own(run.token, self.folder)
        with self._errors(), self._writing():
            first = self._rows("SELECT coalesce(max(step), 0) + 1 FROM steps")[0][0]
            numbered = [step._replace(number=first + index) for index, step in enumerate(steps)]
            self._database.executemany(
                "INSERT INTO folders VALUES (?, ?, ?)",
                [(run.number, self._blob(path), False) for path in targets]
                + [(run.number, self._blob(path), True) for path in new],
            )
            self._database.executemany(
                "INSERT INTO steps VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    (
                        *(step.number, run.number),
                        *(self._blob(step.source), self._blob(step.target)),
                        *(step.label, step.sidecar, step.size, str(step.mtime), step.mode),
                        step.state,
                    )
                    for step in numbered
                ),
            )
        return numbered

    def mark(self, states: Iterable[tuple[State | None, Step]]) -> None:
        """Put on disk what became of steps; None forgets one that was not taken."""
        changes = [(state, step.number) for state, step in states]
        forgotten = [(number,) for state, number in changes if state is None]
        with self._errors(), self._writing():
            self._database.executemany("UPDATE steps SET state = ? WHERE step = ?", changes)
            self._database.executemany("DELETE FROM steps WHERE step = ?", forgotten)

    def steps(self, run: Run, *states: State, most: int = -1, before: int = MOST) -> list[Step]:
        """Return steps of a run in some states, the newest first.

        Args:
            run: whose steps.
            states: which ones.
            most: how many at most; -1 for all.
            before: only such as have a lower number.
        """
        marks = ", ".join("?" * len(states))
        return self._steps(
            f"run = ? AND state IN ({marks}) AND step < ? ORDER BY step DESC LIMIT ?",
            *(run.number, *states, before, most),
        )

    def moved_from(self, source: str) -> tuple[Label, int] | None:
        """Return label and size of a file that was moved away from a path, absolute; or None."""
        query = (
            "SELECT target, label, size, state FROM steps"
            " WHERE source = ? AND state IN ('planned', 'done')"
            " AND run IN (SELECT run FROM runs WHERE action = 'move')"
        )
        with self._errors():
            for target, label, size, state in self._rows(query, self._blob(source)):
                if state == "done" or os.path.lexists(self._path(target)):
                    return _one_of(LABELS, label), size
        return None

    def cut_off(self) -> list[Run]:
        """Return the runs that were stopped, or have a batch that is not finished."""
        query = "SELECT DISTINCT run FROM steps WHERE state IN ('planned', 'returning')"
        with self._errors():
            numbers = {number for (number,) in self._rows(query)}
        return [run for run in self.runs() if run.number in numbers or run.stopped]

    def counts(self, run: Run) -> dict[tuple[Label, bool, State], int]:
        """Count a run's steps by label, whether they are sidecars, and state."""
        query = "SELECT label, sidecar, state, count(*) FROM steps WHERE run = ? GROUP BY 1, 2, 3"
        with self._errors():
            return {
                (_one_of(LABELS, label), bool(sidecar), _one_of(get_args(State), state)): count
                for label, sidecar, state, count in self._rows(query, run.number)
            }

    def folders(self) -> list[str]:
        """Return the folders that runs, but for those undone, filed into: sorted, absolute."""
        query = (
            "SELECT DISTINCT path FROM folders WHERE NOT is_new"
            " AND run IN (SELECT run FROM runs WHERE state != 'undone')"
        )
        with self._errors():
            return sorted(self._path(path) for (path,) in self._rows(query))

    def new_folders(self, run: Run) -> list[str]:
        """Return the folders that a run made, inner ones first."""
        query = "SELECT path FROM folders WHERE run = ? AND is_new ORDER BY length(path) DESC"
        with self._errors():
            return [self._path(path) for (path,) in self._rows(query, run.number)]

    def is_trusted(self, run: Run, again: Sequence[Step] = ()) -> bool:
        """Tell whether all that a run filed lay below its folder, or the run is this user's own.

        Args:
            run: the one.
            again: steps to be taken again: what they copy must lie there, too, if it is a link.
        """
        query = f"SELECT 1 FROM steps WHERE run = ? AND ({OUTSIDE}) LIMIT 1"  # noqa: S608
        with self._errors():
            reaches_out = bool(self._rows(query, run.number)) or self._reaches_out(run, again)
        return not reaches_out or is_own(run.token, self.folder)

    def _reaches_out(self, run: Run, steps: Iterable[Step]) -> bool:
        """Tell whether a source lies outside the folder, or, if it is copied, leads there."""
        follow = run.action != "move"
        sources = (os.path.realpath(step.source) if follow else step.source for step in steps)
        return any(os.path.isabs(self._short(source)) for source in sources)

    def _steps(self, where: str, *values: Any) -> list[Step]:
        with self._errors():
            rows = self._rows(f"SELECT {COLUMNS} FROM steps WHERE {where}", *values)  # noqa: S608
            return [self._step(*row) for row in rows]

    def _step(self, number: Any, source: Any, target: Any, *rest: Any) -> Step:
        label, sidecar, size, mtime, mode, state = rest
        if not all(type(value) is int for value in (number, size, mode)):
            raise ValueError("no numbers where there should be some")
        if type(mtime) is not str or abs(int(mtime)) >= LATEST:
            raise ValueError("no time where there should be one")
        return Step(
            number,
            self._path(source, outside=True),
            self._path(target),
            _one_of(LABELS, label),
            bool(sidecar),
            size,
            int(mtime),
            mode & 0o7777,
            _one_of(get_args(State), state),
        )

    def _short(self, path: str) -> str:
        """Return a path as it is kept: relative below the folder filed into."""
        return path.removeprefix(self.below)

    def _blob(self, path: str) -> bytes:
        return os.fsencode(self._short(path).replace(os.sep, "/"))

    def _path(self, blob: Any, outside: bool = False) -> str:
        """Return a path that was kept as absolute.

        Raises:
            ValueError: if it does not say plainly where it leads, or leads out of the folder though
                it may not be ``outside``, or into our own.
        """
        path = os.fsdecode(blob).replace("/", os.sep)
        folder, _, name = path.rpartition(os.sep)
        if path.startswith(os.sep) and not folder:
            folder = os.sep
        if name in ("", os.curdir, os.pardir, FOLDER_NAME) or b"\0" in blob:
            raise ValueError(SENSELESS_PATH)
        return os.path.join(self._place(folder, outside), name)

    def _place(self, folder: str, outside: bool) -> str:
        """Do the same with the folder of a path; there are few."""
        place = os.path.join(self.folder, folder) if folder else self.folder
        parts = folder.casefold().split(os.sep)
        is_inside = place == self.folder or place.startswith(self.below)
        if (
            place != os.path.normpath(place)
            or os.pardir in parts
            or not (outside or is_inside)
            or (is_inside and FOLDER_NAME in parts)
        ):
            raise ValueError(SENSELESS_PATH)
        return place

    def _check_rest_of_write(self) -> None:
        """Refuse what a write left that was cut off, if it names a file: SQLite would delete that.

        It does so where one write changed several databases, which we never do.
        """
        rest = self.path.with_name(f"{FILE_NAME}-journal")
        if not os.path.lexists(rest):
            return
        if rest.is_symlink() or not rest.is_file():  # a pipe would let us wait
            raise FilingError(f"{rest}: is no file, and not dogsort's own; delete it")
        try:
            with rest.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - len(SEVERAL)))
                end = file.read()
        except FileNotFoundError:
            return
        except OSError as error:
            raise FilingError(f"{rest}: cannot be read: {error.strerror}") from error
        with self._errors():
            if end.endswith(SEVERAL):
                raise ValueError(f"{rest.name} names another file")

    def _schema(self) -> set[str]:
        return {sql for (sql,) in self._rows("SELECT sql FROM sqlite_schema")}

    def _rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        return self._database.execute(query, values).fetchall()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Write all that is inside, or, on an error or Ctrl-C, nothing."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._database.execute("COMMIT")
        except BaseException:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise FilingError(f"{self.path}: cannot be read or written: {error}") from error
        except (sqlite3.Error, TypeError, ValueError) as error:
            raise FilingError(
                f"{self.path}: damaged: {error}; to go on without it, and without undoing what it "
                "tells of, move it elsewhere"
            ) from error


def _run_of(number: Any, token: Any, started: Any, action: Any, state: Any) -> Run:
    if type(number) is not int or not 0 < number < MOST or type(token) is not str:
        raise ValueError("no run")
    started = datetime.fromisoformat(started).isoformat(timespec="seconds")
    action, state = _one_of(get_args(Action), action), _one_of(get_args(RunState), state)
    return Run(number, token, started, action, state)


def _one_of(values: Sequence[Any], value: Any) -> Any:
    if value not in values:
        raise ValueError(f"{value!r} is not a word of it")
    return value


@contextmanager
def reading(folder: str) -> Iterator[Journal | None]:
    """Open the journal of a folder, if there is one, while others may be at work.

    Cheap for the many folders that have none, so a walk may ask in each.

    Raises:
        FilingError: if it cannot be read.
    """
    if not os.path.isfile(os.path.join(folder, FOLDER_NAME, FILE_NAME)):
        yield None
        return
    with closing(Journal(folder)) as journal:
        yield journal


def filed_into(folder: str) -> list[str]:
    """Return the folders that runs into a folder, but for those undone, filed photos into.

    Raises:
        FilingError: if the journal cannot be read.
    """
    with reading(folder) as journal:
        return [] if journal is None else journal.folders()
