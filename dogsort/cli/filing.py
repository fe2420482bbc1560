"""The filing half of ``dogsort PATH... --move``: check the call, carry out the plan, say so."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence

from dogsort.cli.options import Talk
from dogsort.errors import FilingError, UsageError
from dogsort.results.summary import printable
from dogsort.sorting.carry import carry
from dogsort.sorting.plan import Action, Filing

__all__ = ["check_filing", "file_photos"]

PAST = {"move": "moved", "copy": "copied", "link": "linked"}


def check_filing(
    paths: Sequence[str],
    action: Action | None,
    to: str | None,
    dry_run: bool,
    unsure_to: str | None,
) -> str:
    """Return the folder to file into.

    Raises:
        UsageError: if the options do not go together.
    """
    if action is None:
        for name, given in (("--to", to), ("--dry-run", dry_run), ("--unsure-to", unsure_to)):
            if given:
                raise UsageError(f"{name} needs one of --move, --copy, --link")
        return ""
    if unsure_to is not None and (
        unsure_to in ("", ".", "..") or os.path.basename(unsure_to) != unsure_to
    ):
        raise UsageError(f"--unsure-to {unsure_to!r}: give the name of a folder, not a path")
    if to is None and (len(paths) > 1 or not os.path.isdir(paths[0])):
        raise UsageError(f"--{action} needs --to FOLDER unless the PATH is one folder")
    folder = paths[0] if to is None else to
    if os.path.lexists(folder) and not os.path.isdir(folder):
        raise UsageError(f"{folder}: not a folder; --to names the folder to file into")
    return folder


def file_photos(filings: Sequence[Filing], action: Action, dry_run: bool, talk: Talk) -> int:
    """Carry out filings, or say what would be done; return how many could not be filed."""
    done: Counter[str] = Counter()
    failed = 0
    with talk.bar("photo", len(filings)) as advance:
        for filing in filings:
            try:
                if not dry_run:
                    carry(filing, action)
            except FilingError as error:
                talk.warn(f"{printable(filing.source)}: {error}")
                failed += 1
            else:
                done[filing.label] += 1
                step = f"{action} {printable(filing.source)} -> {printable(filing.target)}"
                (talk.say if dry_run else talk.detail)(step)
            advance()
    counts = ", ".join(f"{count} {label}" for label, count in done.items()) or "nothing"
    verb = f"would be {PAST[action]}" if dry_run else PAST[action]
    talk.say(f"{verb}: {counts}" + (f"; {failed} could not be" if failed else ""))
    return failed
