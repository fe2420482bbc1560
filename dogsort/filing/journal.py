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

FORMAT_VERSION = 2  # kept in the file

#: ``lost`` can never be put back, for it was changed or deleted since.
State: TypeAlias = Literal["planned", "done", "returning", "undone", "lost"]

#: ``filing`` and ``undoing`` stay with a run that was killed.
RunState: TypeAlias = Literal["filing", "filed", "undoing", "undone"]

STATES, RUN_STATES, ACTIONS = get_args(State), get_args(RunState), get_args(Action)

# Folders are relative where they lie below the folder filed into, with slashes. They and names are
# bytes, for they need not be UTF-8. Times are digits, for after 2262 they need more than 64 bits.
SCHEMA = (
    "CREATE TABLE runs (run INTEGER PRIMARY KEY, token TEXT, started TEXT, action TEXT,"
    " state TEXT)",
    "CREATE TABLE folders (folder INTEGER PRIMARY KEY, path BLOB UNIQUE)",
    "CREATE TABLE made (run INTEGER, folder INTEGER)",
    "CREATE TABLE steps (step INTEGER PRIMARY KEY, run INTEGER, place INTEGER, name BLOB,"
    " folder INTEGER, new_name BLOB, label TEXT, sidecar INTEGER, size INTEGER, mtime TEXT,"
    " mode INTEGER, state TEXT)",
    "CREATE INDEX steps_by_source ON steps (place, name)",
)

NO_NAMES = ("", os.curdir, os.pardir, FOLDER_NAME)

MOST = 1 << 62  # numbers of runs, and of steps, are below it

LATEST = 1 << 90  # ns since 1970, about: systems keep seconds in 64 bits at most

#: How what is left of a write to several databases ends.
SEVERAL = bytes.fromhex("d9d505f920a163d7")

BUSY_SECONDS = 10  # a reader waits so long for the end of a write, which takes far less


class Step(NamedTuple):
    """One file's filing. Names and folders are kept apart: there are many files, few folders.

    Attributes:
        number: its place in the journal; 0 before it has one.
        place: the folder it was in, absolute.
        name: its name there.
        folder: the folder it went to, absolute, below the folder filed into or that itself.
        new_name: its name there.
        label: why.
        sidecar: whether it went with a photo.
        size: of the file, in bytes.
        mtime: when it was last changed, in ns since 1970; below 0 before that.
        mode: its permissions.
        state: what became of it.
    """

    number: int
    place: str
    name: str
    folder: str
    new_name: str
    label: Label
    sidecar: bool
    size: int
    mtime: int
    mode: int
    state: State = "planned"

    @property
    def source(self) -> str:
        """Where it was, absolute."""
        return os.path.join(self.place, self.name)

    @property
    def target(self) -> str:
        """Where it went, absolute."""
        return os.path.join(self.folder, self.new_name)


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
        self._numbers: dict[str, int] = {}  # of folders, by path
        self._paths: dict[int, str] = {}
        self.path = Path(self.folder, FOLDER_NAME, FILE_NAME)
        self._check_files()
        with self._errors():
            self._database = sqlite3.connect(
                f"{self.path.as_uri()}?mode={'rwc' if create else 'rw'}",
                uri=True,
                timeout=BUSY_SECONDS,
                isolation_level=None,
            )
            self._database.execute("PRAGMA trusted_schema = OFF")  # it may be somebody else's
            self._database.execute("PRAGMA journal_mode = TRUNCATE")
            self._database.execute("PRAGMA synchronous = FULL")  # what is written is on disk
            version = self._rows("PRAGMA user_version")[0][0]
            if version == 0 and not self._schema():  # new, or killed before it was made
                with self._writing():
                    for statement in SCHEMA:
                        self._database.execute(statement)
                    self._database.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
            elif version != FORMAT_VERSION or self._schema() != set(SCHEMA):
                raise ValueError("it was made by another version of dogsort")

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def runs(self) -> list[Run]:
        """Return the runs, the oldest first."""
        with self._errors():
            rows = self._rows("SELECT run, token, started, action, state FROM runs ORDER BY run")
            return [_run_of(*row) for row in rows]

    def begin(self, action: Action) -> Run:
        """Return the run to file by, which ``plan`` writes down: the last one, if it was stopped.

        That of a stranger is none to go on with: what it did would be taken for this user's own.
        """
        runs = self.runs()
        last = runs[-1] if runs else None
        if last and last.stopped and last.action == action and self.is_trusted(last):
            return last._replace(state="filing")
        started = datetime.now().astimezone().isoformat(timespec="seconds")
        number = max((run.number for run in runs), default=0) + 1
        return Run(number, secrets.token_hex(16), started, action, "filing")

    def plan(self, run: Run, steps: Sequence[Step], new: Iterable[str]) -> list[Step]:
        """Put on disk what is about to be done; return the steps with their numbers.

        With its first steps, a run is written down; the steps of those undone are then forgotten.

        Args:
            run: whose steps they are.
            steps: to be taken.
            new: folders about to be made.
        """
        if self._reaches_out(run, steps):
            remember_own(run.token, self.folder)
        with self._errors(), self._writing() as database:
            if not self._rows("SELECT 1 FROM runs WHERE run = ?", run.number):
                # Also those of no run, which are a stranger's: they would become this one's.
                forgotten = "WHERE run NOT IN (SELECT run FROM runs WHERE state != 'undone')"
                for table in ("steps", "made"):
                    database.execute(f"DELETE FROM {table} {forgotten}")  # noqa: S608
                database.execute("UPDATE runs SET state = 'filed' WHERE state != 'undone'")
            database.execute("INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?)", run)
            first = self._rows("SELECT coalesce(max(step), 0) + 1 FROM steps")[0][0]
            if max(run.number, first + len(steps)) >= MOST:
                raise ValueError("its numbers are used up")
            numbered = [step._replace(number=first + index) for index, step in enumerate(steps)]
            database.executemany(
                "INSERT INTO made VALUES (?, ?)",
                [(run.number, self._number_of(path)) for path in new],
            )
            database.executemany(
                "INSERT INTO steps VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    (
                        *(step.number, run.number),
                        *(self._number_of(step.place), os.fsencode(step.name)),
                        *(self._number_of(step.folder), os.fsencode(step.new_name)),
                        *(step.label, step.sidecar, step.size, str(step.mtime), step.mode),
                        step.state,
                    )
                    for step in numbered
                ),
            )
        return numbered

    def mark(
        self,
        run: Run,
        steps: Sequence[Step] = (),
        before: State = "planned",
        after: State = "done",
        others: Iterable[tuple[Step, State | None]] = (),
    ) -> None:
        """Put on disk what became of a run, and of a batch of its steps.

        Args:
            run: with its state as it is now.
            steps: all that it has in the state ``before``, from the first to the last of them.
            before: what they are.
            after: what they become.
            others: those of them that become something else; None forgets one.
        """
        numbers = [step.number for step in steps]
        query = "UPDATE steps SET state = ? WHERE run = ? AND step BETWEEN ? AND ? AND state = ?"
        with self._errors(), self._writing() as database:
            database.execute("UPDATE runs SET state = ? WHERE run = ?", (run.state, run.number))
            if numbers:
                ends = min(numbers), max(numbers)
                database.execute(query, (after, run.number, *ends, before))
            for step, state in others:
                database.execute("UPDATE steps SET state = ? WHERE step = ?", (state, step.number))
                if state is None:
                    database.execute("DELETE FROM steps WHERE step = ?", (step.number,))

    def steps(self, run: Run, *states: State, most: int = -1, before: int = MOST) -> list[Step]:
        """Return steps of a run, the newest first.

        Args:
            run: whose steps.
            states: only such as are in one of these; none means all.
            most: how many at most; -1 for all.
            before: only such as have a lower number.
        """
        states = states or STATES
        query = (
            "SELECT step, place, name, folder, new_name, label, sidecar, size, mtime, mode, state"  # noqa: S608
            f" FROM steps WHERE run = ? AND state IN ({', '.join('?' * len(states))})"
            " AND step < ? ORDER BY step DESC LIMIT ?"
        )
        with self._errors():
            rows = self._rows(query, run.number, *states, before, most)
            return [self._step(*row) for row in rows]

    def moved_from(self, source: str) -> tuple[Label, int] | None:
        """Return label and size of a file that was moved away from a path, absolute; or None."""
        query = (
            "SELECT folder, new_name, label, size, state FROM steps"
            " WHERE place = (SELECT folder FROM folders WHERE path = ?) AND name = ?"
            " AND state IN ('planned', 'done')"
            " AND run IN (SELECT run FROM runs WHERE action = 'move')"
        )
        place, name = os.path.split(source)
        with self._errors():
            for folder, new_name, label, size, state in self._rows(
                query, self._blob(place), os.fsencode(name)
            ):
                target = os.path.join(self._path(folder), _checked_name(new_name))
                if state == "done" or os.path.lexists(target):
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
                (_one_of(LABELS, label), bool(sidecar), _one_of(STATES, state)): count
                for label, sidecar, state, count in self._rows(query, run.number)
            }

    def folders(self) -> list[str]:
        """Return the folders that runs, but for those undone, filed into: sorted, absolute."""
        query = (
            "SELECT DISTINCT folder FROM steps"
            " WHERE run IN (SELECT run FROM runs WHERE state != 'undone')"
        )
        with self._errors():
            return sorted(self._path(folder, inside=True) for (folder,) in self._rows(query))

    def new_folders(self, run: Run) -> list[str]:
        """Return the folders that a run, or one that is undone, made: inner ones first."""
        query = (
            "SELECT DISTINCT folder FROM made WHERE run = ?"
            " OR run IN (SELECT run FROM runs WHERE state = 'undone')"
        )
        with self._errors():
            made = [self._path(folder, inside=True) for (folder,) in self._rows(query, run.number)]
        return sorted(made, key=len, reverse=True)

    def is_trusted(self, run: Run) -> bool:
        """Tell whether all that a run filed lay below its folder, or the run is this user's own.

        If it was cut off, what a link leads to that it may copy must lie there, too.
        """
        # What an index says may differ from what is read of the steps later.
        query = "SELECT DISTINCT place FROM steps NOT INDEXED WHERE run = ?"
        with self._errors():
            places = [self._path(place) for (place,) in self._rows(query, run.number)]
        is_inside = all(map(self._is_inside, places))
        if is_inside and not self._reaches_out(run, self.steps(run, "planned")):
            return True
        return is_own(run.token, self.folder)

    def _reaches_out(self, run: Run, steps: Iterable[Step]) -> bool:
        """Tell whether a source lies outside the folder, or, if it is copied, leads there."""
        if run.action == "move":
            places = {step.place for step in steps}
        else:
            places = {os.path.dirname(os.path.realpath(step.source)) for step in steps}
        return not all(map(self._is_inside, places))

    def _is_inside(self, folder: str) -> bool:
        return folder == self.folder or folder.startswith(self.below)

    def _step(self, number: Any, place: Any, name: Any, folder: Any, *rest: Any) -> Step:
        new_name, label, sidecar, size, mtime, mode, state = rest
        if not type(number) is type(size) is type(mode) is int:
            raise ValueError("a number is missing")
        if type(mtime) is not str or abs(int(mtime)) >= LATEST:
            raise ValueError("a time is missing")
        return Step(
            number,
            self._path(place),
            _checked_name(name),
            self._path(folder, inside=True),
            _checked_name(new_name),
            _one_of(LABELS, label),
            bool(sidecar),
            size,
            int(mtime),
            mode & 0o7777,
            _one_of(STATES, state),
        )

    def _number_of(self, folder: str) -> int:
        """Return the number of a folder, written down if it has none."""
        if folder not in self._numbers:
            blob = self._blob(folder)
            self._database.execute("INSERT OR IGNORE INTO folders (path) VALUES (?)", (blob,))
            number = self._rows("SELECT folder FROM folders WHERE path = ?", blob)[0][0]
            if self._path(number) != folder:  # it is found by an index, and read by its number
                raise ValueError(f"{folder} has the number of another folder")
            self._numbers[folder] = number
        return self._numbers[folder]

    def _blob(self, folder: str) -> bytes:
        short = "" if folder == self.folder else folder.removeprefix(self.below)
        return os.fsencode(short.replace(os.sep, "/"))

    def _path(self, number: Any, inside: bool = False) -> str:
        """Return the path of a folder, absolute.

        Raises:
            ValueError: if it does not say plainly where it leads, leads to our own, or, though it
                should be ``inside``, out of the folder filed into.
        """
        path = self._paths.get(number)
        if path is None:
            ((blob,),) = self._rows("SELECT path FROM folders WHERE folder = ?", number)
            short = os.fsdecode(blob).replace("/", os.sep)
            path = os.path.join(self.folder, short) if short else self.folder
            parts = short.casefold().split(os.sep)
            if (
                path != os.path.normpath(path)
                or b"\0" in blob
                or (FOLDER_NAME in parts and self._is_inside(path))
            ):
                raise ValueError(f"{blob!r} is not a folder that dogsort would record")
            self._paths[number] = path
        if inside and not self._is_inside(path):
            raise ValueError(f"{path} is outside the folder")
        return path

    def _check_files(self) -> None:
        """Refuse links, and what is left of a write if it names a file: SQLite would delete that.

        It does so where one write changed several databases, which we never do.
        """
        for path in (self.path.parent, self.path):
            if path.is_symlink():
                raise FilingError(f"{path}: a link that dogsort did not make; delete it")
        rest = self.path.with_name(f"{FILE_NAME}-journal")
        if not os.path.lexists(rest):
            return
        if rest.is_symlink() or not rest.is_file():  # a pipe would let us wait
            raise FilingError(f"{rest}: not a file, and not made by dogsort; delete it")
        with self._errors():
            if rest.read_bytes().endswith(SEVERAL):
                raise ValueError(f"{rest.name} names another file")

    def _schema(self) -> set[str]:
        query = "SELECT sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_autoindex%'"
        return {sql for (sql,) in self._rows(query)}

    def _rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        return self._database.execute(query, values).fetchall()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Write all that is inside, or, on an error or Ctrl-C, nothing."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield self._database
            self._database.execute("COMMIT")
        except BaseException:
            self._numbers.clear()
            self._paths.clear()
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.OperationalError, OSError) as error:
            raise FilingError(f"{self.path}: cannot be read or written: {error}") from error
        except (sqlite3.Error, TypeError, ValueError) as error:
            raise FilingError(
                f"{self.path}: damaged: {error}; to continue without it, move it away; its runs "
                "can then not be undone"
            ) from error


def _checked_name(name: Any) -> str:
    """Return a file's name.

    Raises:
        ValueError: if it is none, or our own.
    """
    text = os.fsdecode(name)
    if text in NO_NAMES or os.path.basename(text) != text or type(name) is not bytes or 0 in name:
        raise ValueError(f"{name!r} is not a file name")
    return text


def _run_of(number: Any, token: Any, started: Any, action: Any, state: Any) -> Run:
    if type(number) is not int or not 0 < number < MOST or type(token) is not str:
        raise ValueError("not a run")
    started = datetime.fromisoformat(started).isoformat(timespec="seconds")
    return Run(number, token, started, _one_of(ACTIONS, action), _one_of(RUN_STATES, state))


def _one_of(values: Sequence[Any], value: Any) -> Any:
    if value not in values:
        raise ValueError(f"{value!r} is unknown")
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
