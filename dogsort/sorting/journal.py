"""What is filed, on disk before it is done, and what became of it: one file for each run.

A journal is a file of JSON lines that is only ever appended to: a head, then for each photo a
step before it is taken, then its outcome. Paths below the folder are kept relative to it, so that
they hold wherever it is mounted. What is read is checked: a journal may come with a folder that
somebody else made.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeAlias, get_args

import dogsort
from dogsort.errors import FilingError
from dogsort.photos.scan import is_photo_name
from dogsort.records import Label
from dogsort.sorting.carry import sync_folder
from dogsort.sorting.identity import Identity
from dogsort.sorting.plan import Action, Filing
from dogsort.sorting.sidecars import is_sidecar_name

__all__ = ["FOLDER_NAME", "Journal", "Outcome", "Step", "filed_into", "journals_of", "place_of"]

#: Where journals lie, in the folder that is filed into. Hidden: scans pass over it.
FOLDER_NAME = ".dogsort"

FORMAT_VERSION = 1

#: What became of a step. ``None`` stands for one that was written down and perhaps taken.
Outcome: TypeAlias = Literal["done", "failed", "undone", "lost"]

_ACTIONS: dict[str, Action] = {name: name for name in get_args(Action)}
_LABELS: dict[str, Label] = {name: name for name in get_args(Label)}
_OUTCOMES: dict[str, Outcome] = {name: name for name in get_args(Outcome)}

_NAME = re.compile(r"run-(\d{6,9})\.jsonl")


@dataclass(frozen=True, slots=True)
class Step:
    """One photo's filing.

    Attributes:
        source: where it was, absolute.
        target: where it went, absolute.
        label: why.
        identity: what it was when it was filed; None for a link, which is made anew.
        sidecar: whether it went with a photo.
        is_inside: whether the source lies below the folder filed into.
    """

    source: str
    target: str
    label: Label
    identity: Identity | None = None
    sidecar: bool = False
    is_inside: bool = True

    @classmethod
    def of(cls, filing: Filing) -> Step:
        """Make the step of a filing, but for its identity.

        Raises:
            OSError: if its folders cannot be told.
        """
        source, target = _resolved(filing.source), _resolved(filing.target)
        return cls(source, target, filing.label, sidecar=filing.belongs_to is not None)


class Journal:
    """One run's journal, read from its file.

    Args:
        path: the file.

    Attributes:
        run: its number, counted from 1 in each folder.
        started: when, as ISO 8601 with the offset from UTC.
        action: what was done with photos.
        steps: what was to be done, in order.
        outcomes: what became of each step; None where that was not written down.
        made: folders made on the way, absolute.
        undoing: whether undoing it was begun.
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
        self.run = _number_of(path.name)
        self.steps: list[Step] = []
        self.outcomes: list[Outcome | None] = []
        self.made: list[str] = []
        self.begun = self.undoing = self.closed = False
        try:
            if not stat.S_ISREG(os.lstat(path).st_mode):
                raise FilingError(f"{path}: not a file")  # a link would be written through
            content = path.read_bytes()
        except OSError as error:
            raise FilingError(f"{path}: cannot be read: {error.strerror}") from error
        # What was being written when the machine stopped ends in no newline.
        self._whole = content.rfind(b"\n") + 1
        self._file: BinaryIO | None = None
        for number, line in enumerate(content[: self._whole].splitlines(), 1):
            try:
                self._take(json.loads(line))
            except (ValueError, TypeError, KeyError, IndexError, RecursionError) as error:
                raise FilingError(f"{path}: damaged in line {number}; nothing is undone") from error

    @classmethod
    def begin(cls, folder: str, action: Action) -> Journal:
        """Begin a new run in a folder, whose ``FOLDER_NAME`` is there already.

        Raises:
            OSError: if it cannot be written.
        """
        place = place_of(folder)
        run = max((_number_of(name) for name in os.listdir(place)), default=0) + 1
        path = place / f"run-{run:06}.jsonl"
        head = {
            "journal": FORMAT_VERSION,
            "dogsort": dogsort.__version__,
            "started": datetime.now().astimezone().isoformat(timespec="seconds"),
            "action": action,
        }
        with path.open("xb") as file:
            file.write(_line(head))
            file.flush()
            os.fsync(file.fileno())
        sync_folder(str(place))
        return cls(path)

    def plan(self, steps: Sequence[Step], made: Iterable[str]) -> list[int]:
        """Put steps, and folders about to be made, on disk; return the steps' numbers.

        Raises:
            OSError: if they cannot be written.
        """
        first = len(self.steps)
        entries: list[dict[str, Any]] = [{"make": self._short(path)} for path in made]
        for number, step in enumerate(steps, first):
            entry: dict[str, Any] = {"step": number, "label": step.label}
            entry |= {"source": self._short(step.source), "target": self._short(step.target)}
            entry |= {} if step.identity is None else asdict(step.identity)
            entry |= {"sidecar": True} if step.sidecar else {}
            entries.append(entry)
        self._append(entries, sync=True)
        return list(range(first, len(self.steps)))

    def note(self, number: int, outcome: Outcome) -> None:
        """Write down what became of a step.

        Not forced onto the disk: the next plan does that; what is missing, the files tell.
        """
        with suppress(OSError):
            self._append([{outcome: number}], sync=False)

    def sync(self) -> None:
        """Put on disk what was noted.

        Raises:
            OSError: if it cannot be written.
        """
        if self._file is not None:
            self._append([], sync=True)

    def begin_undo(self) -> None:
        """Put on disk that the run is being undone; OSError if that cannot be written."""
        self._append([{"undoing": True}], sync=True)

    def end_undo(self) -> None:
        """Put on disk that it is undone as far as it can be; OSError likewise."""
        self._append([{"closed": True}], sync=True)

    def close(self) -> None:
        """Let go of the file; nothing can be written after that."""
        if self._file is not None:
            with suppress(OSError):  # as in ``note``
                self._file.close()

    def unsettled(self) -> list[int]:
        """Return the steps of which it is not known whether they were taken."""
        return [number for number, outcome in enumerate(self.outcomes) if outcome is None]

    def _append(self, entries: Iterable[dict[str, Any]], sync: bool) -> None:
        if self._file is None:
            file = self.path.open("r+b")
            file.truncate(self._whole)
            file.seek(self._whole)
            self._file = file
        for entry in entries:
            self._file.write(_line(entry))
            self._take(entry)
        if sync:
            self._file.flush()
            os.fsync(self._file.fileno())

    def _take(self, entry: Any) -> None:
        """Take up one line; ValueError, TypeError, KeyError or IndexError if it makes no sense."""
        if not isinstance(entry, dict) or ("journal" in entry) == self.begun:
            raise ValueError("not the line that belongs here")
        if "journal" in entry:
            if entry["journal"] != FORMAT_VERSION:
                raise FilingError(f"{self.path}: written by another dogsort")
            self.started = datetime.fromisoformat(entry["started"]).isoformat(timespec="seconds")
            self.action = _ACTIONS[entry["action"]]
            self.begun = True
        elif "step" in entry:
            self._take_step(entry)
        elif "make" in entry:
            self.made.append(self._inside(entry["make"]))
        elif "undoing" in entry:
            self.undoing = True
        elif "closed" in entry:
            self.closed = True
        else:
            ((word, number),) = entry.items()
            if not 0 <= number < len(self.outcomes):
                raise IndexError(number)
            self.outcomes[number] = _OUTCOMES[word]

    def _take_step(self, entry: dict[str, Any]) -> None:
        identity = None
        if self.action != "link":
            identity = Identity(int(entry["size"]), str(entry["sha256"]))
        target, given = self._inside(entry["target"]), entry["source"]
        inside = not os.path.isabs(given)
        source = self._inside(given) if inside else _plain(given)
        ending = os.path.splitext(source)[1]
        # Nobody's journal shall make undo put just anything just anywhere.
        known = is_photo_name("a" + ending) or is_sidecar_name("a" + ending)
        if os.path.splitext(target)[1] != ending or not (inside or known or not ending):
            raise ValueError("names that filing does not give")
        sidecar = entry.get("sidecar", False) is True
        label = _LABELS[entry["label"]]
        self.steps.append(Step(source, target, label, identity, sidecar, inside))
        self.outcomes.append(None)

    def _short(self, path: str) -> str:
        below = os.path.join(self.folder, "")
        return path[len(below) :] if path.startswith(below) else path

    def _inside(self, path: str) -> str:
        """Return a path that is relative to the folder as absolute."""
        if os.path.isabs(path) or path.split(os.sep, maxsplit=1)[0] in (os.pardir, FOLDER_NAME):
            raise ValueError("a path that leads out of the folder")
        return os.path.join(self.folder, _plain(path))


def journals_of(folder: str) -> list[Journal]:
    """Return the journals of a folder, the oldest first.

    Raises:
        FilingError: if one cannot be read.
    """
    place = place_of(folder)
    try:
        names = os.listdir(place)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise FilingError(f"{place}: cannot be looked into: {error.strerror}") from error
    journals = [Journal(place / name) for name in names if _NAME.fullmatch(name)]
    return sorted((one for one in journals if one.begun), key=lambda journal: journal.run)


def filed_into(folder: str) -> list[str]:
    """Return the folders that runs, but for those undone, filed photos into: sorted, absolute.

    Raises:
        FilingError: if a journal cannot be read.
    """
    return sorted(
        {
            os.path.dirname(step.target)
            for journal in journals_of(folder)
            for step, outcome in zip(journal.steps, journal.outcomes, strict=True)
            if outcome == "done" and not journal.closed
        }
    )


def place_of(folder: str) -> Path:
    """Return where the journals of a folder lie.

    Raises:
        FilingError: if that is a link, which may lead to others' files, or cannot be told.
    """
    try:
        place = Path(os.path.realpath(folder), FOLDER_NAME)
        if place.is_symlink():
            raise FilingError(f"{place}: is a link, and not dogsort's own folder; delete it")
    except OSError as error:
        raise FilingError(f"{folder}: cannot be looked into: {error.strerror}") from error
    return place


def _number_of(name: str) -> int:
    match = _NAME.fullmatch(name)
    return int(match[1]) if match else 0


def _resolved(path: str) -> str:
    """Return the absolute name of a file, the links in its folder resolved."""
    folder, name = os.path.split(path)
    return os.path.join(os.path.realpath(folder or os.curdir), name)


def _plain(path: str) -> str:
    """Return a path if it says where it leads: nothing empty, no dots, no NUL in it."""
    if not path or path != os.path.normpath(path) or b"\0" in os.fsencode(path):
        raise ValueError("not a plain path")
    return path


def _line(entry: dict[str, Any]) -> bytes:
    # ASCII: names that are no UTF-8 come through as escaped surrogates.
    return json.dumps(entry).encode("ascii") + b"\n"
