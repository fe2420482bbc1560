"""Filing runs: each photo's step is on disk before it is taken.

However a run ends, what its journal holds and what the disk holds together tell what was done.
One dogsort at a time works in a folder; the one that comes after a killed one first makes whole
what that one left half-way.
"""

from __future__ import annotations

import json
import os
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TypeAlias, TypeVar

from dogsort.errors import FilingError
from dogsort.sorting.carry import carry
from dogsort.sorting.identity import Identity
from dogsort.sorting.journal import Journal, Step, journals_of, place_of
from dogsort.sorting.plan import Action, Filing
from dogsort.sorting.settle import settle

__all__ = ["Outcomes", "at_work", "carry_out"]

#: Steps that go onto the disk together, before the first of them is taken: forcing each one there
#: by itself would take longer than the filing.
BATCH = 64

T = TypeVar("T")

#: Items once they are done, or with the reason why they could not be.
Outcomes: TypeAlias = Generator[tuple[T, FilingError | None], None, None]

LOCK_NAME = "lock"
WHO_NAME = "at-work.json"


@contextmanager
def at_work(folder: str) -> Iterator[list[str]]:
    """Keep others out of a folder, and make whole what a killed run left there.

    Yields:
        What was found of a killed run, for people; nothing if there was none.

    Raises:
        FilingError: if another dogsort is at work there, or the journals cannot be read or written.
    """
    from filelock import FileLock, Timeout

    place = place_of(folder)
    try:
        place.mkdir(parents=True, exist_ok=True)
        lock = FileLock(place / LOCK_NAME, timeout=0)
        lock.acquire()
    except Timeout:
        raise FilingError(
            f"{folder}: {_who(place)} is at work in it; wait until it is done"
        ) from None
    except OSError as error:
        raise FilingError(f"{place}: cannot be written: {error.strerror}") from error
    try:
        _tell_who(place)
        found: list[str] = []
        for journal in journals_of(folder):
            found += settle(journal)
            journal.close()
        yield found
    finally:
        with suppress(OSError):
            (place / WHO_NAME).unlink()
        lock.release()


def carry_out(filings: Sequence[Filing], action: Action, folder: str) -> Outcomes[Filing]:
    """File photos, in a folder that ``at_work`` keeps for us.

    Yields:
        Each filing once it is done, or with the reason why it could not be: the photo is then where
        it was.

    Raises:
        FilingError: if the journal cannot be written; nothing more is filed then.
    """
    if not filings:
        return
    try:
        journal = Journal.begin(folder, action)
    except OSError as error:
        raise FilingError(f"{folder}: no journal can be written: {error.strerror}") from error
    remaining = iter(filings)
    unfiled: set[str] = set()
    try:
        while batch := list(islice(remaining, BATCH)):
            yield from _carry_batch(batch, action, journal, unfiled)
    finally:
        settle(journal)
        journal.close()


def _carry_batch(
    batch: list[Filing], action: Action, journal: Journal, unfiled: set[str]
) -> Outcomes[Filing]:
    """File a few; ``unfiled`` takes up the photos that could not be, whose sidecars stay, too."""
    steps: list[Step] = []
    planned: list[Filing] = []
    for filing in batch:
        try:
            step = Step.of(filing)
            if action != "link":
                step = replace(step, identity=Identity.of(step.source))
        except OSError as error:
            unfiled.add(filing.source)
            yield filing, FilingError(str(error.strerror or error))
            continue
        steps.append(step)
        planned.append(filing)
    try:
        numbers = journal.plan(steps, _folders_to_make(steps))
    except OSError as error:
        raise FilingError(
            f"{journal.path}: cannot be written, so nothing more is filed: {error.strerror}"
        ) from error
    for number, step, filing in zip(numbers, steps, planned, strict=True):
        try:
            if filing.belongs_to in unfiled:
                raise FilingError("its photo was not filed")
            carry(step.source, step.target, action)
        except FilingError as error:
            unfiled.add(filing.source)
            journal.note(number, "failed")
            yield filing, error
        else:
            journal.note(number, "done")
            yield filing, None


def _folders_to_make(steps: Sequence[Step]) -> list[str]:
    """Return the folders that steps need and that are not there, outer ones first."""
    missing: dict[str, None] = {}
    for step in steps:
        folder, chain = os.path.dirname(step.target), []
        while folder not in missing and not os.path.lexists(folder):
            chain.append(folder)
            folder = os.path.dirname(folder)
        missing |= dict.fromkeys(reversed(chain))
    return list(missing)


def _who(place: Path) -> str:
    try:
        who = json.loads((place / WHO_NAME).read_text(encoding="utf-8"))
        return f"another dogsort (process {who['process']} on {who['host']}, since {who['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another dogsort"


def _tell_who(place: Path) -> None:
    """Say in a file who is at work; without, others still find the lock."""
    import socket

    now = datetime.now().astimezone().isoformat(timespec="seconds")
    me = {"process": os.getpid(), "host": socket.gethostname(), "since": now}
    with suppress(OSError):
        (place / WHO_NAME).unlink(missing_ok=True)
        with (place / WHO_NAME).open("x", encoding="utf-8") as file:  # never through a link
            json.dump(me, file)
