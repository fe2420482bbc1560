"""The way back: undo what a run filed."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress

from dogsort.errors import FilingError
from dogsort.sorting.carry import carry
from dogsort.sorting.identity import leads_to, same_name, strays
from dogsort.sorting.journal import Journal, Step
from dogsort.sorting.plan import Action
from dogsort.sorting.runs import Outcomes

__all__ = ["take_back"]


def take_back(journal: Journal) -> Outcomes[Step]:
    """Undo a run, the newest step first, in a folder that ``at_work`` keeps for us.

    What was done since is respected: a file that is not the one that was filed stays, nothing is
    overwritten, and a copy whose original is gone is kept. It may be stopped and begun again.

    Yields:
        Each step that was undone, or with the reason why not.
    """
    if journal.unsettled():
        raise FilingError(f"{journal.path}: does not tell yet what was done; nothing is undone")
    blocked = False
    try:
        _write(journal, journal.begin_undo)
        for number in reversed(range(len(journal.steps))):
            if journal.outcomes[number] != "done":
                continue
            step = journal.steps[number]
            try:
                lost = _undo(step, journal.action)
            except FilingError as error:
                blocked = True
                yield step, error
                continue
            journal.note(number, "lost" if lost else "undone")
            yield step, lost
        if not blocked:
            for folder in reversed(journal.made):
                with suppress(OSError):  # not empty: somebody uses it
                    os.rmdir(folder)
            _write(journal, journal.end_undo)
    finally:
        journal.close()


def _write(journal: Journal, what: Callable[[], None]) -> None:
    try:
        what()
    except OSError as error:
        raise FilingError(f"{journal.path}: cannot be written: {error.strerror}") from error


def _undo(step: Step, action: Action) -> FilingError | None:
    """Undo a step; return why that will never be possible.

    Raises:
        FilingError: if it is not possible now.
    """
    for path in (step.source, step.target):
        if strays(path):
            raise FilingError(f"{os.path.dirname(path)} leads elsewhere now")
    if action == "move":
        return _move_back(step)
    if not os.path.lexists(step.target):
        return None
    if action == "link":
        if not leads_to(step.target, step.source):
            return FilingError("it is not the link that was made")
    else:
        assert step.identity is not None
        if not step.identity.is_of(step.target):
            return FilingError("it was changed since it was filed")
        if not step.identity.is_of(step.source, follow=True) or same_name(step.source, step.target):
            return FilingError("its original is gone or was changed, so this may be the only one")
    try:
        os.unlink(step.target)
    except OSError as error:
        raise FilingError(str(error.strerror or error)) from error
    return None


def _move_back(step: Step) -> FilingError | None:
    """Undo a move; ``at_work`` has made whole what was half-way."""
    assert step.identity is not None
    if not os.path.lexists(step.target):
        return FilingError("it is no longer there")
    if not step.identity.is_of(step.target):
        return FilingError("it was changed since it was filed")
    if os.path.lexists(step.source):
        raise FilingError(f"its old name is taken: {step.source}")
    home = os.path.dirname(step.source)
    if not step.is_inside and not os.path.isdir(home):
        # It may be a disk that is not there now; and no journal shall make folders anywhere.
        raise FilingError(f"its old folder is gone: {home}; once it is there, undo goes on")
    carry(step.target, step.source, "move")
    return None
