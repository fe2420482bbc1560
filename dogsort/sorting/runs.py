"""Filing runs: each photo's step is on disk before it is taken.

However a run ends, what its journal holds and what the disk holds together tell what was done, and
whether it was killed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from itertools import chain
from typing import TypeAlias, TypeVar

from dogsort.errors import FilingError
from dogsort.sorting.carry import HalfMoved, carry, drop_partials
from dogsort.sorting.identity import folder_times
from dogsort.sorting.journal import Journal
from dogsort.sorting.journals import begin_journal
from dogsort.sorting.plan import Action, Filing
from dogsort.sorting.settle import settle
from dogsort.sorting.steps import Step

__all__ = ["Outcomes", "carry_out", "filing_into"]

#: Steps that go onto the disk together, before the first of them is taken: forcing each one there
#: by itself would take longer than the filing. Each file is read for its checksum before, so
#: there are fewer of large ones, or nothing would seem to happen for long.
BATCH_FILES = 1024
BATCH_BYTES = 1 << 28

T = TypeVar("T")

#: Items once they are done, or with the reason why they could not be.
Outcomes: TypeAlias = Generator[tuple[T, FilingError | None], None, None]


@contextmanager
def filing_into(folder: str, action: Action) -> Iterator[Journal]:
    """Keep the journal of a run in a folder that ``at_work`` keeps for us.

    In the end, or on an error or Ctrl-C, what is half-way is made whole, and put on disk that the
    run ended.

    Yields:
        The journal.

    Raises:
        FilingError: if the journal cannot be written.
    """
    journal = begin_journal(folder, action)
    try:
        yield journal
    except BaseException:
        with suppress(FilingError):  # what came first is what is told
            _end(journal)
        raise
    _end(journal)


def carry_out(filings: Sequence[Filing], journal: Journal) -> Outcomes[Filing]:
    """File photos, while ``filing_into`` keeps the journal.

    Yields:
        Each filing once it is done, or with the reason why it could not be: the photo is then where
        it was.

    Raises:
        FilingError: if the journal cannot be written; nothing more is filed then.
    """
    remaining = iter(filings)
    unfiled: set[str] = set()
    resolved = cache(os.path.realpath)
    for filing in remaining:
        yield from _carry_batch(chain([filing], remaining), journal, unfiled, resolved)


def _end(journal: Journal) -> None:
    """Settle and close; the last one first, and each whatever becomes of the others."""
    with ExitStack() as stack:
        stack.callback(journal.close)
        stack.callback(_note_end, journal)
        stack.callback(lambda: drop_partials(journal.targets))
        stack.callback(settle, journal)


def _note_end(journal: Journal) -> None:
    """Put on disk that the run ended, and before, folders' times if ``settle`` did not come to it.

    That is after a Ctrl-C; the next run would look too late.
    """
    if journal.before and not journal.after:
        journal.keep_times(folder_times(journal.before))
    journal.end()


def _carry_batch(
    filings: Iterable[Filing], journal: Journal, unfiled: set[str], resolved: Callable[[str], str]
) -> Outcomes[Filing]:
    """File the first ones; ``unfiled`` takes up photos that could not be: their sidecars stay."""
    steps: list[Step] = []
    planned: list[Filing] = []
    size = 0
    for filing in filings:
        try:
            if filing.belongs_to in unfiled:
                raise FilingError("its photo was not filed")
            steps.append(Step.of(filing, journal.action, journal.folder, resolved))
        except (FilingError, OSError) as error:
            unfiled.add(filing.source)
            reason = error.strerror if isinstance(error, OSError) else None
            yield filing, FilingError(str(reason or error))
        else:
            planned.append(filing)
            size += steps[-1].size
        if len(planned) >= BATCH_FILES or size >= BATCH_BYTES:
            break
    numbers = _write_down(steps, planned, journal, resolved)
    for number, step, filing in zip(numbers, steps, planned, strict=True):
        try:
            if filing.belongs_to in unfiled:
                raise FilingError("its photo was not filed")
            carry(step.source, step.target, journal.action)
        except HalfMoved as error:  # which the end of the run tries to settle
            unfiled.add(filing.source)
            yield filing, error
        except FilingError as error:
            unfiled.add(filing.source)
            journal.finish(number, "failed")
            yield filing, error
        else:
            journal.finish(number, "done")
            yield filing, None


def _write_down(
    steps: Sequence[Step],
    filings: Sequence[Filing],
    journal: Journal,
    resolved: Callable[[str], str],
) -> list[int]:
    """Put on disk what is about to be done, and what it changes; return the steps' numbers."""
    targets = dict.fromkeys(resolved(filing.folder) for filing in filings)
    made = _folders_to_make(targets)
    changed = {*targets, *map(os.path.dirname, made)}
    if journal.action == "move":
        changed.update(resolved(filing.place or os.curdir) for filing in filings)
    times = folder_times(changed - {*made, *journal.made, *journal.before})
    try:
        return journal.plan(steps, targets, made, times)
    except FilingError as error:
        raise FilingError(f"{error}; nothing more is filed") from error


def _folders_to_make(folders: Iterable[str]) -> list[str]:
    """Return those folders, and those around them, that are not there, outer ones first."""
    missing: dict[str, None] = {}
    for folder in folders:
        inner_first, outer = [], folder
        while outer not in missing and not os.path.lexists(outer):
            inner_first.append(outer)
            outer = os.path.dirname(outer)
        missing |= dict.fromkeys(reversed(inner_first))
    return list(missing)
