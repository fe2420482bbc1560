"""The journal records steps before they are taken: one SQLite file for all runs into a folder.

It is in ``.dogsort`` in the folder filed into. Steps are ``planned`` before the first of them is
taken, and ``done`` once the folders that they changed are on disk; in an undo, ``returning`` and
``undone``. Steps found as planned or returning were interrupted.

A journal may come with a folder that somebody else made, so everything read is checked.
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

#: The journal's folder, in the folder filed into. It is hidden, so scans skip it.
FOLDER_NAME = ".dogsort"
FILE_NAME = "journal.db"

FORMAT_VERSION = 2  # stored in the file

#: A ``lost`` file can never be put back, because it has changed or gone.
State: TypeAlias = Literal["planned", "done", "returning", "undone", "lost"]

#: ``filing`` and ``undoing`` stay with a run that was killed.
RunState: TypeAlias = Literal["filing", "filed", "undoing", "undone"]

STATES, RUN_STATES, ACTIONS = get_args(State), get_args(RunState), get_args(Action)

# Folders below the folder filed into are relative, with slashes. They and names are bytes, because
# they may not be UTF-8. Times are text, because after 2262 they need more than 64 bits.
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

#: The last undone move to each target. Tables may name photos as they were before it was undone.
LAST_RETURNS = (
    "SELECT max(step) FROM steps JOIN runs USING (run) WHERE action = 'move'"
    " AND steps.state = 'undone' AND NOT sidecar GROUP BY folder, new_name"
)

NO_NAMES = ("", os.curdir, os.pardir, FOLDER_NAME)

MOST = 1 << 62  # the numbers of runs and steps are below this

LATEST = 1 << 90  # roughly the largest time, in ns: systems store seconds in at most 64 bits

#: The end of SQLite's rollback journal if a write changed several databases.
SEVERAL = bytes.fromhex("d9d505f920a163d7")

BUSY_SECONDS = 10  # how long a reader waits for a write, which takes far less


class Step(NamedTuple):
    """The filing of one file. Names and folders are separate, as many files share few folders.

    Attributes:
        number: its number in the journal; 0 before it has one.
        place: the folder it was in, absolute.
        name: its name there.
        folder: the folder it went to, absolute: the folder filed into, or one below it.
        new_name: its name there.
        label: the label it was filed under.
        sidecar: whether it went with a photo.
        size: its size in bytes.
        mtime: its modification time, in ns since 1970; negative before that.
        mode: its permissions.
        state: its state.
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
        """Its original path, absolute."""
        return os.path.join(self.place, self.name)

    @property
    def target(self) -> str:
        """Its new path, absolute."""
        return os.path.join(self.folder, self.new_name)


class Run(NamedTuple):
    """A run that filed into a folder.

    Attributes:
        number: counted from 1 in each folder.
        token: unique to this run.
        started: when it began, in ISO 8601 with the offset from UTC.
        action: what it did with photos.
        state: its state.
    """

    number: int
    token: str
    started: str
    action: Action
    state: RunState

    @property
    def stopped(self) -> bool:
        """Whether it, or its undo, was interrupted or is still running."""
        return self.state in ("filing", "undoing")


class Journal:
    """The journal of a folder. All its methods raise FilingError as below.

    Args:
        folder: the folder filed into.
        create: whether to create the file if missing.

    Attributes:
        folder: the folder's real path.
        below: the prefix of paths below it.
        path: the file.

    Raises:
        FilingError: if it cannot be read or written, is damaged, or was made by another version.
    """

    def __init__(self, folder: str, create: bool = False) -> None:
        self.folder = os.path.realpath(folder)
        self.below = os.path.join(self.folder, "")
        self._numbers: dict[str, int] = {}  # numbers of folders, by path
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
            self._database.execute("PRAGMA trusted_schema = OFF")  # it may come from somebody else
            self._database.execute("PRAGMA journal_mode = TRUNCATE")
            self._database.execute("PRAGMA synchronous = FULL")  # flush every write to disk
            version = self._rows("PRAGMA user_version")[0][0]
            if version == 0 and not self._schema():  # new, or killed while it was made
                with self._writing():
                    for statement in SCHEMA:
                        self._database.execute(statement)
                    self._database.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
            elif version != FORMAT_VERSION or self._schema() != set(SCHEMA):
                raise ValueError("it was made by another version of dogsort")

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def runs(self) -> list[Run]:
        """Return the runs, the oldest first."""
        with self._errors():
            rows = self._rows("SELECT run, token, started, action, state FROM runs ORDER BY run")
            return [_run_of(*row) for row in rows]

    def begin(self, action: Action) -> Run:
        """Return a new run, or the last one if it was interrupted; ``plan`` records it.

        A stranger's run is never continued, or its steps would count as this user's own.
        """
        runs = self.runs()
        last = runs[-1] if runs else None
        if last and last.stopped and last.action == action and self.is_trusted(last):
            return last._replace(state="filing")
        started = datetime.now().astimezone().isoformat(timespec="seconds")
        number = max((run.number for run in runs), default=0) + 1
        return Run(number, secrets.token_hex(16), started, action, "filing")

    def plan(self, run: Run, steps: Sequence[Step], new: Iterable[str]) -> list[Step]:
        """Record steps on disk before they are taken; return them with their numbers.

        The first steps of a run also record the run, and delete the steps of runs that are undone,
        except what ``returns`` needs.

        Args:
            run: the run.
            steps: its next steps.
            new: folders about to be made.
        """
        if self._reaches_out(run, steps):
            remember_own(run.token, self.folder)
        with self._errors(), self._writing() as database:
            if not self._rows("SELECT 1 FROM runs WHERE run = ?", run.number):
                # Also delete steps of no run, from a stranger: they would become this run's.
                forgotten = "WHERE run NOT IN (SELECT run FROM runs WHERE state != 'undone')"
                database.execute(f"DELETE FROM steps {forgotten} AND step NOT IN ({LAST_RETURNS})")  # noqa: S608
                database.execute(f"DELETE FROM made {forgotten}")  # noqa: S608
                database.execute("UPDATE runs SET state = 'filed' WHERE state != 'undone'")
            database.execute("INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?)", run)
            first = self._rows("SELECT coalesce(max(step), 0) + 1 FROM steps")[0][0]
            if max(run.number, first + len(steps)) >= MOST:
                raise ValueError("its numbers are used up")
            numbered = [Step(number, *step[1:]) for number, step in enumerate(steps, first)]
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
        """Record on disk the state of a run, and of a batch of its steps.

        Args:
            run: the run with its new state.
            steps: all its steps in the state ``before``, between the first and the last of them.
            before: their old state.
            after: their new state.
            others: steps with a different new state; None deletes a step.
        """
        query = "UPDATE steps SET state = ? WHERE run = ? AND step BETWEEN ? AND ? AND state = ?"
        with self._errors(), self._writing() as database:
            database.execute("UPDATE runs SET state = ? WHERE run = ?", (run.state, run.number))
            if steps:
                ends = sorted((steps[0].number, steps[-1].number))
                database.execute(query, (after, run.number, *ends, before))
            for step, state in others:
                database.execute("UPDATE steps SET state = ? WHERE step = ?", (state, step.number))
                if state is None:
                    database.execute("DELETE FROM steps WHERE step = ?", (step.number,))

    def steps(self, run: Run, *states: State, most: int = -1, before: int = MOST) -> list[Step]:
        """Return steps of a run, newest first.

        Args:
            run: the run.
            states: only steps in these states; all if empty.
            most: the maximum number of steps; -1 for all.
            before: only steps with a lower number.
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
        """Return the label and size of a file that was moved from an absolute path; or None."""
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

    def moves(self) -> dict[str, str]:
        """Return where files are now that runs moved, by absolute path before a move.

        If several files had that path, it is where the last one is.
        """
        query = (
            "SELECT place, name, folder, new_name FROM steps WHERE state != 'undone'"
            " AND run IN (SELECT run FROM runs WHERE action = 'move') ORDER BY step DESC"
        )
        ends: dict[str, str] = {}  # of moves since the step
        last: dict[str, str] = {}
        with self._errors():
            for place, name, folder, new_name in self._rows(query):
                source = os.path.join(self._path(place), _checked_name(name))
                target = os.path.join(self._path(folder, inside=True), _checked_name(new_name))
                ends[source] = ends.pop(target, target)  # a later run may have moved it on
                last.setdefault(source, ends[source])
        return last

    def returns(self) -> dict[str, str]:
        """Return where undone moves put photos back, by absolute path before the undo."""
        query = (
            "SELECT place, name, folder, new_name FROM steps"  # noqa: S608
            f" WHERE step IN ({LAST_RETURNS})"
        )
        with self._errors():
            return {
                os.path.join(self._path(folder, inside=True), _checked_name(new_name)): (
                    os.path.join(self._path(place), _checked_name(name))
                )
                for place, name, folder, new_name in self._rows(query)
            }

    def moved_as(self) -> dict[str, Label]:
        """Return the labels of photos that runs moved, by absolute path after the move."""
        query = (
            "SELECT folder, new_name, label FROM steps WHERE state = 'done' AND NOT sidecar"
            " AND run IN (SELECT run FROM runs WHERE action = 'move') ORDER BY step"
        )
        with self._errors():
            return {
                os.path.join(self._path(folder, inside=True), _checked_name(new_name)): (
                    _one_of(LABELS, label)
                )
                for folder, new_name, label in self._rows(query)
            }

    def cut_off(self) -> list[Run]:
        """Return the runs that were interrupted, or have an unfinished batch."""
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
        """Return the folders that runs filed into, except undone runs: sorted, absolute."""
        query = (
            "SELECT DISTINCT folder FROM steps"
            " WHERE run IN (SELECT run FROM runs WHERE state != 'undone')"
        )
        with self._errors():
            return sorted(self._path(folder, inside=True) for (folder,) in self._rows(query))

    def new_folders(self, run: Run) -> list[str]:
        """Return the folders that a run, or undone runs, made: inner ones first."""
        query = (
            "SELECT DISTINCT folder FROM made WHERE run = ?"
            " OR run IN (SELECT run FROM runs WHERE state = 'undone')"
        )
        with self._errors():
            made = [self._path(folder, inside=True) for (folder,) in self._rows(query, run.number)]
        return sorted(made, key=len, reverse=True)

    def is_trusted(self, run: Run) -> bool:
        """Tell whether all files of a run came from its folder, or this user began the run.

        In an interrupted run, links that it may still copy must lead there, too.
        """
        # In a forged journal, an index may differ from the steps that are read later.
        query = "SELECT DISTINCT place FROM steps NOT INDEXED WHERE run = ?"
        with self._errors():
            places = [self._path(place) for (place,) in self._rows(query, run.number)]
        is_inside = all(map(self._is_inside, places))
        if is_inside and not self._reaches_out(run, self.steps(run, "planned")):
            return True
        return is_own(run.token, self.folder)

    def _reaches_out(self, run: Run, steps: Iterable[Step]) -> bool:
        """Tell whether a source is outside the folder, or for copies and links, leads outside."""
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
        """Return the number of a folder, recorded if new."""
        if folder not in self._numbers:
            blob = self._blob(folder)
            self._database.execute("INSERT OR IGNORE INTO folders (path) VALUES (?)", (blob,))
            number = self._rows("SELECT folder FROM folders WHERE path = ?", blob)[0][0]
            if self._path(number) != folder:  # a forged index may lead to another row
                raise ValueError(f"{folder} has the number of another folder")
            self._numbers[folder] = number
        return self._numbers[folder]

    def _blob(self, folder: str) -> bytes:
        short = "" if folder == self.folder else folder.removeprefix(self.below)
        return os.fsencode(short.replace(os.sep, "/"))

    def _path(self, number: Any, inside: bool = False) -> str:
        """Return the absolute path of a folder.

        Raises:
            ValueError: if it is not normalised, is dogsort's own, or should be ``inside`` the
                folder filed into and is not.
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
        """Refuse links, and a rollback journal that names another file, which SQLite would delete.

        Only a write to several databases leaves such a journal, and dogsort never makes one.
        """
        for path in (self.path.parent, self.path):
            if path.is_symlink():
                raise FilingError(f"{path}: a link that dogsort did not make; delete it")
        rest = self.path.with_name(f"{FILE_NAME}-journal")
        if not os.path.lexists(rest):
            return
        if rest.is_symlink() or not rest.is_file():  # reading a pipe could wait for ever
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
        """Write everything in the block, or on an error or Ctrl-C, nothing."""
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
    """Return a file name as text.

    Raises:
        ValueError: if it is not a file name, or is dogsort's own.
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
    """Open the journal of a folder, if there is one, without a lock.

    It is cheap for folders without a journal, so a walk can try each.

    Raises:
        FilingError: if it cannot be read.
    """
    if not os.path.isfile(os.path.join(folder, FOLDER_NAME, FILE_NAME)):
        yield None
        return
    with closing(Journal(folder)) as journal:
        yield journal


def filed_into(folder: str) -> list[str]:
    """Return the folders that runs into a folder filed photos into, except undone runs.

    Raises:
        FilingError: if the journal cannot be read.
    """
    with reading(folder) as journal:
        return [] if journal is None else journal.folders()
