"""The way back: undo what a run filed."""

from __future__ import annotations

import os
from contextlib import suppress

from dogsort.errors import FilingError
from dogsort.sorting.carry import carry, drop_partial
from dogsort.sorting.identity import leads_to
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
    blocked = False
    try:
        journal.begin_undo()
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
            journal.end_undo()
    finally:
        journal.close()


def _undo(step: Step, action: Action) -> FilingError | None:
    """Undo a step; return why that will never be possible.

    Raises:
        FilingError: if it is not possible now.
    """
    drop_partial(step.source)
    reason = _undo_link(step) if action == "link" else _undo_file(step, action)
    if reason is not None:
        return FilingError(reason)
    if os.path.lexists(step.target):
        try:
            os.unlink(step.target)
        except OSError as error:
            raise FilingError(str(error.strerror or error)) from error
    return None


def _undo_link(step: Step) -> str | None:
    if not os.path.lexists(step.target) or leads_to(step.target, step.source):
        return None
    return "it is not the link that was made"


def _undo_file(step: Step, action: Action) -> str | None:
    """Undo a move or copy, but leave a target that there is still to ``_undo``."""
    assert step.identity is not None
    there = os.path.lexists(step.target)
    if there and not step.identity.is_of(step.target):
        return "it was changed since it was filed"
    if step.identity.is_of(step.source):
        return None  # the original of a copy; or a move that was taken back half-way, or wholly
    if not there:
        return "it is no longer there"
    if action == "copy":
        return "its original is gone or was changed, so this may be the only one"
    if os.path.lexists(step.source):
        raise FilingError(f"its old name is taken: {step.source}")
    carry(step.target, step.source, "move")
    return None
