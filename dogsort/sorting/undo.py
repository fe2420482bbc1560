"""The way back: undo what a run filed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

from dogsort.errors import FilingError
from dogsort.sorting.carry import HalfMoved, carry, drop_partials
from dogsort.sorting.identity import Identity, folder_times, leads_to, same_name, strays
from dogsort.sorting.journal import Journal
from dogsort.sorting.plan import Action
from dogsort.sorting.runs import BATCH_FILES, Outcomes
from dogsort.sorting.settle import UNKNOWN, settle
from dogsort.sorting.steps import Step

__all__ = ["take_back"]


def take_back(journal: Journal) -> Outcomes[Step]:
    """Undo a run, the newest step first, in a folder that ``at_work`` keeps for us.

    What was done since is respected: a file that is not the one that was filed stays, nothing is
    overwritten, and a copy whose original is gone is kept. It may be stopped and begun again.

    A run that was killed remains so until all its steps were tried, so that a Ctrl-C in between is
    no reason to leave it half taken back.

    Yields:
        Each step that was undone, or with the reason why not.

    Raises:
        FilingError: if the journal cannot be written; nothing more is undone then.
    """
    blocked = half_moved = False
    has_ended = not journal.stopped
    restored = journal.restored if journal.undoing else _times_to_restore(journal)
    try:
        journal.begin_undo(restored)
        done = [number for number, outcome in enumerate(journal.outcomes) if outcome == "done"]
        for number in _announced(journal, done[::-1]):
            step = journal.steps[number]
            try:
                lost = _undo(step, journal.action)
            except HalfMoved as error:
                blocked = half_moved = True  # and stays announced, so that it is settled
                yield step, error
            except FilingError as error:
                blocked = True
                yield step, error
            else:
                journal.note(number, "lost" if lost else "undone")
                yield step, lost
        for number in journal.unsettled():
            blocked = True
            yield journal.steps[number], FilingError(UNKNOWN)
        if not half_moved:
            journal.go_back([])
        if not blocked:
            _remove(journal.made)
            _restore_times(journal)
            journal.end_undo()
        has_ended = True
    finally:
        try:
            settle(journal)  # on Ctrl-C, no photo is left under both its names
            if has_ended and not journal.closed:
                journal.end()
        finally:
            drop_partials(os.path.dirname(step.source) for step in journal.steps.values())
            journal.close()


def _announced(journal: Journal, numbers: list[int]) -> Iterator[int]:
    """Pass steps on once it is on disk that they are about to be taken back."""
    for first in range(0, len(numbers), BATCH_FILES):
        batch = numbers[first : first + BATCH_FILES]
        journal.go_back(batch)
        yield from batch


def _remove(folders: list[str]) -> None:
    for folder in reversed(folders):
        if os.path.realpath(folder) == folder:
            with suppress(OSError):  # not empty: somebody uses it
                os.rmdir(folder)


def _times_to_restore(journal: Journal) -> dict[str, int]:
    """Return the times, before the run, of folders in which nothing was changed since."""
    return {
        folder: journal.before[folder]
        for folder, time in folder_times(journal.after).items()
        if folder in journal.before and time == journal.after[folder]
    }


def _restore_times(journal: Journal) -> None:
    paths = [
        *journal.made,
        *(path for step in journal.steps.values() for path in (step.source, step.target)),
    ]
    # Of no other folders: nobody's journal shall change just anything.
    for folder in folder_times({os.path.dirname(path) for path in paths} & journal.restored.keys()):
        with suppress(OSError):  # the photos are back; that is what was promised
            atime = os.lstat(folder).st_atime_ns
            os.utime(folder, ns=(atime, journal.restored[folder]))


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
        if not os.path.exists(step.source):
            # It may be on a disk that is not there now.
            raise FilingError(
                f"{step.source} is gone, so this may be the only one; once that is there, or this "
                "is not, undo goes on"
            )
        if not _has_another(step, step.identity):
            return FilingError("its original was changed, so this may be the only one")
    try:
        os.unlink(step.target)
    except OSError as error:
        raise FilingError(str(error.strerror or error)) from error
    return None


def _has_another(step: Step, identity: Identity) -> bool:
    """Tell whether what was filed is still where it came from, too, and not by the copy itself."""
    if same_name(step.source, step.target) or leads_to(step.source, step.target):
        return False
    return identity.is_of(step.source, follow=True)


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
