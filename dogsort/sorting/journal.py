"""What is filed, on disk before it is done, and what became of it: one file for each run.

A journal is a file of JSON lines that is only ever appended to: a head, then for each photo a
step before it is taken, then its outcome; for each folder its time before the run, and after it;
at last, that it ended. Undo appends which steps it is about to take back, what became of them, and
that it ended. Where that is missing, it was killed.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import dogsort
from dogsort.errors import FilingError
from dogsort.sorting.lines import Lines, line_of
from dogsort.sorting.plan import Action
from dogsort.sorting.sidecars import is_sidecar_of
from dogsort.sorting.steps import Step, inside, plain, short

__all__ = ["Journal", "Outcome", "name_of", "run_of"]

FORMAT_VERSION = 2

#: Its journals do not tell which runs ended; none of them is taken back unasked.
WITHOUT_ENDS = 1

#: What became of a step. ``None`` stands for one that was written down and perhaps taken.
Outcome: TypeAlias = Literal["done", "failed", "undone", "lost"]

_ACTIONS: dict[str, Action] = {name: name for name in get_args(Action)}
_OUTCOMES: dict[str, Outcome] = {name: name for name in get_args(Outcome)}

#: What reading a line raises if dogsort does not write such lines.
_SENSELESS = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)

_NAME = re.compile(r"run-(\d{6,9})\.jsonl")


class Journal:
    """One run's journal, read from its file.

    Args:
        path: the file.

    Attributes:
        folder: the folder filed into, absolute, without links.
        run: its number, counted from 1 in each folder.
        started: when, as ISO 8601 with the offset from UTC.
        action: what was done with photos.
        steps: what was to be done, by number, in order; of a run that goes on, only those that are
            not finished: there may be many, and it needs none of the others again.
        targets: folders that steps lead into, absolute.
        outcomes: what became of each step, in order; None where that was not written down.
        made: folders made on the way, absolute.
        before, after: times of the folders that the run changed something in, before it and after
            it, in ns since 1970; by their absolute paths.
        restored: the times that undo gives back, likewise, once it was begun.
        undoing: whether undoing it was begun.
        going_back: steps that undo was about to take back when it was stopped.
        stuck: whether nothing more of it could be put back when that was last tried, and the user
            was told how to go on to the run before nevertheless.
        ended: whether the run, or if undoing it was begun, that, came to an end of its own: also on
            Ctrl-C or an error, but not if it was killed, or is still going on.
        closed: whether the run was undone as far as it can be.
        begun: whether there is a head; without, the machine stopped before anything was done.

    Raises:
        FilingError: if it cannot be read, is damaged or made by another dogsort.
    """

    started: str
    action: Action

    def __init__(self, path: Path) -> None:
        self.path = path
        self.folder = str(path.parent.parent)
        self.run = run_of(path.name)
        self.steps: dict[int, Step] = {}
        self.targets: set[str] = set()
        self.outcomes: list[Outcome | None] = []
        self.made: list[str] = []
        self.before: dict[str, int] = {}
        self.after: dict[str, int] = {}
        self.restored: dict[str, int] = {}
        self.going_back: set[int] = set()
        self.begun = self.undoing = self.stuck = self.ended = self.closed = False
        self._lines = Lines(path)
        for number, line in enumerate(self._lines.found(), 1):
            try:
                self._take(json.loads(line))
            except _SENSELESS as error:
                raise FilingError(
                    f"{path}: damaged in line {number}; to go on without it, and without undoing "
                    "that run, move it elsewhere"
                ) from error

    @classmethod
    def create(cls, path: Path, action: Action) -> Journal:
        """Create the file of a new run, with its head.

        Raises:
            OSError: if it cannot be written, or is there already.
        """
        head = {
            "journal": FORMAT_VERSION,
            "dogsort": dogsort.__version__,
            "started": datetime.now().astimezone().isoformat(timespec="seconds"),
            "action": action,
        }
        Lines.create(path, head)
        return cls(path)

    def plan(
        self,
        steps: Sequence[Step],
        targets: Collection[str],
        made: Sequence[str],
        times: Mapping[str, int],
    ) -> list[int]:
        """Put on disk what is about to be done; return the steps' numbers.

        Args:
            steps: to be taken.
            targets: folders that they lead into, absolute.
            made: folders about to be made.
            times: of the folders in which something changes for the first time.

        Raises:
            FilingError: if it cannot be written.
        """
        first = len(self.outcomes)
        entries: list[dict[str, Any]] = [{"before": self._by_name(times)}] if times else []
        entries += [{"make": short(path, self.folder)} for path in made]
        planned = dict(enumerate(steps, first))
        lines = (step.line(number, self.folder).encode("ascii") for number, step in planned.items())
        self._lines.write(chain(map(line_of, entries), lines))
        self.before |= times
        self.made += made
        self.targets.update(targets)
        self.steps |= planned
        self.outcomes += [None] * len(steps)
        return list(planned)

    def note(self, number: int, outcome: Outcome) -> None:
        """Note what became of a step; it is written with whatever is put on disk next.

        What is missing if the machine stops before that, the files tell. Known only once it is
        noted, so that after a Ctrl-C in between, the files are asked, too.
        """
        self._lines.note(b'{"%b": %d}\n' % (outcome.encode("ascii"), number))
        self.outcomes[number] = outcome
        self.going_back.discard(number)

    def finish(self, number: int, outcome: Outcome) -> None:
        """Note what became of a step, and keep no more of it in memory than that."""
        self.note(number, outcome)
        del self.steps[number]

    def keep_times(self, times: Mapping[str, int]) -> None:
        """Put on disk what was noted, and the times of folders after the run.

        Raises:
            FilingError: if it cannot be written.
        """
        self._lines.write([line_of({"after": self._by_name(times)})] if times else [])
        self.after = dict(times)

    def end(self) -> None:
        """Put on disk that filing, or undoing, ended; FilingError likewise."""
        self._append({"ended": True})

    def note_stuck(self) -> None:
        """Put on disk that nothing more can be put back now; FilingError likewise."""
        self._append({"ended": True, "stuck": True})

    def begin_undo(self, restored: Mapping[str, int]) -> None:
        """Put on disk that the run is being undone, and the times that folders get back.

        Raises:
            FilingError: if it cannot be written.
        """
        self._append({"undoing": True, "restored": self._by_name(restored)})

    def go_back(self, numbers: Sequence[int]) -> None:
        """Put on disk which steps are about to be taken back, none to say that it is over.

        Raises:
            FilingError: if it cannot be written.
        """
        self._append({"back": list(numbers)})

    def end_undo(self) -> None:
        """Put on disk that it is undone as far as it can be; FilingError likewise."""
        self._append({"closed": True})

    def close(self) -> None:
        """Let go of the file; nothing can be written after that."""
        self._lines.close()  # what could not be written, the files tell

    @property
    def stopped(self) -> bool:
        """Whether the run, or undoing it, was killed, or is still going on."""
        return self.begun and not self.ended and not self.closed

    def unsettled(self) -> list[int]:
        """Return the steps of which it is not known whether they were taken."""
        return [number for number, outcome in enumerate(self.outcomes) if outcome is None]

    def _append(self, entry: dict[str, Any]) -> None:
        self._lines.write([line_of(entry)])
        self._take(entry)

    def _take(self, entry: Any) -> None:
        """Take up one line; one of ``_SENSELESS`` if it makes no sense."""
        if not isinstance(entry, dict) or ("journal" in entry) == self.begun:
            raise ValueError("not the line that belongs here")
        if "journal" in entry:
            if entry["journal"] not in (FORMAT_VERSION, WITHOUT_ENDS):
                raise FilingError(f"{self.path}: written by another dogsort")
            self.started = datetime.fromisoformat(entry["started"]).isoformat(timespec="seconds")
            self.action = _ACTIONS[entry["action"]]
            self.begun, self.ended = True, entry["journal"] == WITHOUT_ENDS
        elif "step" in entry:
            self._take_step(Step.read(entry, self.action, self.folder))
        elif "make" in entry:
            self.made.append(inside(entry["make"], self.folder))
        elif "before" in entry:
            self.before |= self._times(entry["before"])
        elif "after" in entry:
            self.after = self._times(entry["after"])
        elif "undoing" in entry:
            self.restored = self._times(entry.get("restored", {}))
            self.undoing, self.ended = True, False
        elif "ended" in entry:
            self.ended, self.stuck = True, entry.get("stuck", False) is True
        elif "back" in entry:
            self.going_back = {self._known(number) for number in entry["back"]}
        elif "closed" in entry:
            self.closed = True
        else:
            ((word, number),) = entry.items()
            self.outcomes[self._known(number)] = _OUTCOMES[word]
            self.going_back.discard(number)

    def _take_step(self, step: Step) -> None:
        if step.sidecar:
            earlier = reversed(self.steps.values())
            photo = next((one for one in earlier if not one.sidecar), None)
            if photo is None or not is_sidecar_of(step.source, photo.source):
                raise ValueError("what belongs to no photo")
        self.steps[len(self.outcomes)] = step
        self.targets.add(os.path.dirname(step.target))
        self.outcomes.append(None)

    def _known(self, number: Any) -> int:
        if type(number) is not int or not 0 <= number < len(self.outcomes):
            raise IndexError(number)
        return number

    def _by_name(self, times: Mapping[str, int]) -> dict[str, int]:
        """Name folders as a journal does; the folder filed into is ``.``."""
        return {
            os.curdir if path == self.folder else short(path, self.folder): time
            for path, time in times.items()
        }

    def _times(self, entry: Any) -> dict[str, int]:
        times = {}
        for name, time in entry.items():
            if type(time) is not int or not 0 <= time < 1 << 63:
                raise ValueError("not a time")
            path = self.folder if name == os.curdir else os.path.join(self.folder, plain(name))
            times[path] = time
        return times


def name_of(run: int) -> str:
    """Return the name of a run's journal."""
    return f"run-{run:06}.jsonl"


def run_of(name: str) -> int:
    """Return the number of the run whose journal has this name; 0 for any other file."""
    match = _NAME.fullmatch(name)
    return int(match[1]) if match else 0
