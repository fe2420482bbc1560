"""After a run or an undo that was killed: make whole what it left half-way.

Only what was about to be done when it stopped is looked at. What a file holds decides, not its
name, and nothing is deleted that is not there twice.
"""

from __future__ import annotations

import os
from contextlib import suppress

from dogsort.errors import FilingError
from dogsort.sorting.carry import HalfMoved, clear_up, drop_partials
from dogsort.sorting.identity import Identity, folder_times, leads_to, same_name, strays
from dogsort.sorting.journal import Journal, Outcome
from dogsort.sorting.plan import Action
from dogsort.sorting.steps import Step

__all__ = ["UNKNOWN", "settle"]

UNKNOWN = "cannot be reached, so it is not known if it was filed"


def settle(journal: Journal) -> list[str]:
    """Make whole what was left half-way; say what there was.

    Raises:
        FilingError: if that cannot be done, or cannot be written down.
    """
    if journal.closed:
        return []
    was_half_way = bool(journal.unsettled() or journal.going_back)
    said = _settle_filing(journal)
    _settle_undo(journal)
    times_are_missing = journal.before and not journal.after and not journal.undoing
    # Not once it ended: folders have been changed by others since, as far as anybody knows.
    if not journal.ended and (was_half_way or times_are_missing):
        journal.keep_times(folder_times(journal.before))
    return [_state(journal), *said] if journal.stopped or was_half_way else []


def _state(journal: Journal) -> str:
    """Tell how a run was left, and what becomes of it."""
    run = f"an earlier run here, begun {journal.started},"
    if journal.undoing:
        what = "is to go on" if journal.stopped else "is left to dogsort undo"
        return f"{run} was taken back only in part; that {what}"
    done = journal.outcomes.count("done")
    what = "it is to be taken back" if journal.stopped else "dogsort undo takes it back"
    return f"{run} was stopped: {done} of its files are filed, the others were not; {what}"


def _settle_filing(journal: Journal) -> list[str]:
    """Find out what became of steps; say of which ones nobody can tell, and what is others'."""
    unsettled = journal.unsettled()
    if not unsettled:
        return []
    steps = [journal.steps[number] for number in unsettled]
    for step in steps:
        if step.identity is not None:
            clear_up(step.source, step.target, step.identity)
    drop_partials(os.path.dirname(step.target) for step in steps)
    said = []
    for number, step in zip(unsettled, steps, strict=True):
        try:
            outcome = _outcome(step, journal.action)
        except HalfMoved:
            raise
        except FilingError as error:
            said.append(f"{step.source}: {UNKNOWN}: {error}")
            continue
        if outcome is None:
            said.append(f"{step.source}: {UNKNOWN}")
            continue
        journal.note(number, outcome)
        if outcome == "failed" and os.path.lexists(step.target):
            said.append(f"{step.target}: nobody can tell that it was filed, so it stays")
    return said


def _outcome(step: Step, action: Action) -> Outcome | None:
    """Tell what became of a step, after taking back a move half taken; None if nobody can."""
    if strays(step.source) or strays(step.target):
        return None
    if action == "link":
        return "done" if leads_to(step.target, step.source) else "failed"
    assert step.identity is not None
    if action != "move":
        return "done" if step.identity.is_of(step.target) else "failed"
    return _outcome_of_move(step.source, step.target, step.identity)


def _outcome_of_move(source: str, target: str, identity: Identity) -> Outcome | None:
    if identity.is_of(target):
        if not identity.is_of(source):
            return "done"
        _keep_one(source, target, identity)
        return "failed"
    if os.path.lexists(source):
        return "failed"
    # Edited, renamed or deleted since, which undo names. Without its folder, such as a memory
    # card's, nobody can tell whether the source is gone.
    is_known = os.path.lexists(target) or os.path.isdir(os.path.dirname(source))
    return "done" if is_known else None


def _settle_undo(journal: Journal) -> None:
    """Make whole what was being taken back; a copy or a link is there, or it is not."""
    if not journal.going_back:
        return
    if journal.action == "move":
        _settle_moves_back(journal, sorted(journal.going_back))
    else:
        for number in sorted(journal.going_back):
            target = journal.steps[number].target
            if not strays(target) and not os.path.lexists(target):
                journal.note(number, "undone")
    with suppress(FilingError):  # or it is looked at once more
        journal.go_back([])


def _settle_moves_back(journal: Journal, numbers: list[int]) -> None:
    steps = [journal.steps[number] for number in numbers]
    for step in steps:
        assert step.identity is not None
        clear_up(step.target, step.source, step.identity)
    drop_partials(os.path.dirname(step.source) for step in steps)
    for number, step in zip(numbers, steps, strict=True):
        identity = step.identity
        assert identity is not None
        if strays(step.source) or strays(step.target) or not identity.is_of(step.source):
            continue
        if identity.is_of(step.target):
            _keep_one(step.source, step.target, identity)
        if not os.path.lexists(step.target):
            journal.note(number, "undone")


def _keep_one(source: str, target: str, identity: Identity) -> None:
    """Delete the target of a photo that a move left under both names.

    A copy with a time of its own is somebody else's, and stays.
    """
    if same_name(source, target):
        return
    one, other = os.lstat(source), os.lstat(target)
    if not os.path.samestat(one, other) and one.st_mtime_ns != other.st_mtime_ns:
        return
    try:
        os.unlink(target)
    except OSError as error:
        raise HalfMoved(
            f"{target}: half moved, and cannot be deleted: {error.strerror}; "
            f"{source} is the same photo, of {identity.size} bytes"
        ) from error
