"""The filing half of ``dogsort PATH... --move``: check the call, carry out, say so."""

from __future__ import annotations

import os
import shlex
from collections import Counter
from collections.abc import Sequence
from contextlib import closing

from dogsort.cli.options import Talk
from dogsort.errors import FilingError, UsageError
from dogsort.results.summary import printable
from dogsort.sorting.plan import FILED, Action, Filing, Planner
from dogsort.sorting.runs import Outcomes, carry_out

__all__ = ["file_photos", "filing_folder", "the_action"]

PAST = {"move": "moved", "copy": "copied", "link": "linked"}


def the_action(move: bool, copy: bool, link: bool) -> Action | None:
    """Return what to do with photos; None if nothing.

    Raises:
        UsageError: if there is more than one thing to do.
    """
    actions: dict[Action, bool] = {"move": move, "copy": copy, "link": link}
    chosen = [action for action, asked in actions.items() if asked]
    if len(chosen) > 1:
        raise UsageError("give only one of --move, --copy, --link")
    return chosen[0] if chosen else None


def filing_folder(
    paths: Sequence[str], action: Action, to: str | None, unsure_to: str | None
) -> str:
    """Return the folder to file into, after looking whether that can be done.

    Raises:
        UsageError: if the options do not go together.
        FilingError: if the folders in it cannot be made or written.
    """
    if to is None and (len(paths) > 1 or paths[0] == "-" or not os.path.isdir(paths[0])):
        raise UsageError(f"--{action} needs --to FOLDER unless the PATH is one folder")
    if to == "":
        raise UsageError("--to: the name of the folder is empty")
    if unsure_to in FILED:
        raise UsageError(f"--unsure-to {unsure_to!r}: is the folder of the {unsure_to}s")
    if unsure_to is not None and (
        unsure_to in ("", ".", "..") or os.path.basename(unsure_to) != unsure_to
    ):
        raise UsageError(f"--unsure-to {unsure_to!r}: give the name of a folder, not a path")
    folder = paths[0] if to is None else to
    for place in (folder, *(os.path.join(folder, name) for name in (*FILED, unsure_to) if name)):
        if os.path.lexists(place) and not os.path.isdir(place):
            raise FilingError(f"{place}: is not a folder, so nothing can be filed into it")
        if os.path.isdir(place) and not os.access(place, os.W_OK | os.X_OK):
            raise FilingError(f"{place}: no permission to write into it")
    return folder


def file_photos(planner: Planner, dry_run: bool, talk: Talk) -> int:
    """Carry out a plan, or say what would be done; return how many could not be filed.

    Raises:
        KeyboardInterrupt: if interrupted; it says how far the filing came.
    """
    filings, action = planner.filings(), planner.action
    tell = talk.say if dry_run else talk.detail
    # The dry run takes the same way but for this.
    outcomes: Outcomes[Filing] = (
        ((filing, None) for filing in filings)
        if dry_run
        else carry_out(filings, action, planner.folder)
    )
    for target, link in planner.links.items():
        talk.say(f"{printable(link)}: a link to {printable(target)}; both stay where they are")
    for source, name in planner.already.items():
        talk.detail(f"{printable(source)}: already there as {printable(name)}")
    for path in planner.shared():
        talk.say(f"{printable(path)}: stays, since not all photos of its name go the same way")
    if planner.already:
        talk.say(f"already there, so left where they are: {len(planner.already)}")
    undo = f"dogsort undo {shlex.quote(printable(planner.folder))}"
    done: Counter[str] = Counter()
    failed = 0
    try:
        with closing(outcomes), talk.bar("file", len(filings)) as advance:
            for filing, error in outcomes:
                if error is not None:
                    talk.warn(f"{printable(filing.source)}: not filed: {printable(str(error))}")
                    failed += 1
                else:
                    done["sidecar" if filing.belongs_to else filing.label] += 1
                    tell(f"{action} {printable(filing.source)} -> {printable(filing.target)}")
                advance()
    except KeyboardInterrupt:
        if dry_run:
            raise
        so_far = f"{done.total()} of {len(filings)} files were {PAST[action]}"
        raise KeyboardInterrupt(f"{so_far}, the others are as they were; {undo}") from None
    counts = ", ".join(f"{count} {label}" for label, count in done.items()) or "nothing"
    verb = f"would be {PAST[action]}" if dry_run else PAST[action]
    talk.say(f"{verb}: {counts}" + (f"; {failed} could not be" if failed else ""))
    if done and not dry_run:
        talk.say(f"to take it back: {undo}")
    return failed
