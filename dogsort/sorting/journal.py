"""What is filed, on disk before it is done, and what became of it: one file for each run.

A journal is a file of JSON lines that is only ever appended to: a head, then for each photo a
step before it is taken, then its outcome. Paths below the folder are kept relative to it, so that
they hold wherever it is mounted.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeAlias, get_args

import dogsort
from dogsort.errors import FilingError
from dogsort.records import Label
from dogsort.sorting.identity import Identity
from dogsort.sorting.plan import Action, Filing

__all__ = ["FOLDER_NAME", "Journal", "Outcome", "Step", "filed_into", "journals_of"]

#: Where journals lie, in the folder that is filed into. Hidden: scans pass over it.
FOLDER_NAME = ".dogsort"

FORMAT_VERSION = 1

#: What became of a step. ``None`` stands for one that was written down and perhaps taken.
Outcome: TypeAlias = Literal["done", "failed", "undone", "lost"]

_OUTCOMES: dict[str, Outcome] = {name: name for name in get_args(Outcome)}

_NAME = re.compile(r"run-(\d{6})\.jsonl")


@dataclass(frozen=True, slots=True)
class Step:
    """One photo's filing.

    Attributes:
        source: where it was, absolute.
        target: where it went, absolute.
        label: why.
        identity: what it was when it was filed; None for a link, which is made anew.
        sidecar: whether it went with a photo.
    """

    source: str
    target: str
    label: Label
    identity: Identity | None
    sidecar: bool = False

    @classmethod
    def of(cls, filing: Filing, identity: Identity | None) -> Step:
        """Make the step of a filing."""
        source, target = os.path.abspath(filing.source), os.path.abspath(filing.target)
        return cls(source, target, filing.label, identity, filing.belongs_to is not None)


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
        FilingError: if it cannot be read, is damaged or made by a later dogsort.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.folder = str(path.parent.parent)
        match = _NAME.fullmatch(path.name)
        self.run = int(match[1]) if match else 0
        self.steps: list[Step] = []
        self.outcomes: list[Outcome | None] = []
        self.made: list[str] = []
        self.undoing = self.closed = False
        try:
            # What was being written when the machine stopped ends in no newline.
            content = path.read_bytes()
        except OSError as error:
            raise FilingError(f"{path}: cannot be read: {error.strerror}") from error
        self._whole = content.rfind(b"\n") + 1
        self._file: BinaryIO | None = None
        lines = content[: self._whole].splitlines()
        for number, line in enumerate(lines, 1):
            try:
                self._take(json.loads(line))
            except (ValueError, TypeError, KeyError, IndexError) as error:
                raise FilingError(f"{path}: damaged in line {number}; nothing is undone") from error
        self.begun = bool(lines)

    @classmethod
    def begin(cls, folder: str, action: Action) -> Journal:
        """Begin a new run in a folder, whose ``FOLDER_NAME`` is there already.

        Raises:
            OSError: if it cannot be written.
        """
        place = Path(os.path.abspath(folder), FOLDER_NAME)
        run = (
            max(
                (int(match[1]) for name in os.listdir(place) if (match := _NAME.fullmatch(name))),
                default=0,
            )
            + 1
        )
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
        _sync_folder(place)
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

    def begin_undo(self) -> None:
        """Put on disk that the run is being undone."""
        self._append([{"undoing": True}], sync=True)

    def end_undo(self) -> None:
        """Write down that the run was undone as far as it can be."""
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
            self._file = self.path.open("r+b")
            self._file.truncate(self._whole)
            self._file.seek(self._whole)
        for entry in entries:
            self._file.write(_line(entry))
            self._take(entry)
        if sync:
            self._file.flush()
            os.fsync(self._file.fileno())

    def _take(self, entry: dict[str, Any]) -> None:
        """Take up one line."""
        if "journal" in entry:
            if entry["journal"] != FORMAT_VERSION:
                raise FilingError(f"{self.path}: written by another dogsort ({entry['dogsort']})")
            self.started: str = entry["started"]
            self.action: Action = entry["action"]
        elif "step" in entry:
            names = [field.name for field in fields(Identity)]
            identity = (
                Identity(**{name: entry[name] for name in names}) if "size" in entry else None
            )
            source, target = self._long(entry["source"]), self._long(entry["target"])
            sidecar = entry.get("sidecar", False)
            self.steps.append(Step(source, target, entry["label"], identity, sidecar))
            self.outcomes.append(None)
        elif "make" in entry:
            self.made.append(self._long(entry["make"]))
        elif "undoing" in entry:
            self.undoing = True
        elif "closed" in entry:
            self.closed = True
        else:
            ((word, number),) = entry.items()
            self.outcomes[number] = _OUTCOMES[word]

    def _short(self, path: str) -> str:
        below = os.path.join(self.folder, "")
        return path[len(below) :] if path.startswith(below) else path

    def _long(self, path: str) -> str:
        return os.path.join(self.folder, path)


def journals_of(folder: str) -> list[Journal]:
    """Return the journals of a folder, the oldest first.

    Raises:
        FilingError: if one cannot be read.
    """
    place = Path(os.path.abspath(folder), FOLDER_NAME)
    names = sorted(os.listdir(place)) if place.is_dir() else []
    journals = [Journal(place / name) for name in names if _NAME.fullmatch(name)]
    return [journal for journal in journals if journal.begun]


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


def _line(entry: dict[str, Any]) -> bytes:
    # ASCII: names that are no UTF-8 come through as escaped surrogates.
    return json.dumps(entry).encode("ascii") + b"\n"


def _sync_folder(folder: Path) -> None:
    """Put a folder's names on disk, where the system lets a folder be opened for that."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
