"""After a run or an undo that was killed: make whole what it left half-way."""

from __future__ import annotations

import os

from dogsort.errors import FilingError
from dogsort.sorting.carry import clear_up, drop_partials
from dogsort.sorting.identity import folder_times, same_name
from dogsort.sorting.journal import Journal
from dogsort.sorting.plan import Action
from dogsort.sorting.steps import Step

__all__ = ["settle"]


def settle(journal: Journal) -> list[str]:
    """Make whole what was left half-way; say what there was.

    Raises:
        FilingError: if that cannot be done, or cannot be written down.
    """
    said = []
    unsettled = journal.unsettled()
    steps = [journal.steps[number] for number in unsettled]
    for step in steps:
        if step.identity is not None:
            clear_up(step.source, step.target, step.identity)
    drop_partials(step.target for step in steps)
    for number, step in zip(unsettled, steps, strict=True):
        journal.note(number, "done" if _was_taken(step, journal.action) else "failed")
    if unsettled:
        done = journal.outcomes.count("done")
        said.append(
            f"an earlier run here, begun {journal.started}, was stopped: {done} of its files are "
            "filed, the others were not; dogsort undo takes it back"
        )
    if (
        journal.undoing
        and not journal.closed
        and journal.action == "move"
        and _settle_undo(journal)
    ):
        said = ["an earlier undo here was stopped half-way; dogsort undo goes on"]
    if not unsettled and not said and (journal.after or journal.undoing or not journal.before):
        return said
    try:
        journal.end(folder_times(journal.before))
    except OSError as error:
        raise FilingError(f"{journal.path}: cannot be written: {error.strerror}") from error
    return said


def _was_taken(step: Step, action: Action) -> bool:
    """Tell whether a step was taken; a move half taken is taken back."""
    if action != "move":
        return os.path.lexists(step.target)
    if not os.path.lexists(step.source):
        return True
    _drop_second_name(step)
    return False


def _settle_undo(journal: Journal) -> bool:
    """Make whole a move that was being taken back; tell whether there was one."""
    found = False
    steps = [
        (number, step)
        for number, step in enumerate(journal.steps)
        if journal.outcomes[number] == "done"
    ]
    for _, step in steps:
        assert step.identity is not None
        clear_up(step.target, step.source, step.identity)
    drop_partials(step.source for _, step in steps)
    for number, step in steps:
        if not os.path.lexists(step.source):
            continue
        _drop_second_name(step)
        assert step.identity is not None
        if not os.path.lexists(step.target) and step.identity.is_of(step.source):
            journal.note(number, "undone")
            found = True
    return found


def _drop_second_name(step: Step) -> None:
    """Delete the target of a photo that is whole, and the same, under both its names."""
    assert step.identity is not None
    if same_name(step.source, step.target):
        return
    if step.identity.is_of(step.source) and step.identity.is_of(step.target):
        try:
            os.unlink(step.target)
        except OSError as error:
            raise FilingError(
                f"{step.target}: half moved, and cannot be deleted: {error.strerror}; "
                f"{step.source} is the same photo"
            ) from error
