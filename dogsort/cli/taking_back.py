"""Runs as they are taken back and told, for ``dogsort undo`` and before anything is filed."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager

from dogsort.cli.options import Talk
from dogsort.results.summary import printable
from dogsort.sorting.journal import Journal
from dogsort.sorting.journals import keeps_within, stopped_runs
from dogsort.sorting.lock import at_work
from dogsort.sorting.undo import take_back
from dogsort.sorting.wishes import Wishes

__all__ = ["described", "put_back", "tell_of_stopped", "turn_to_file", "undo_command"]


@contextmanager
def turn_to_file(
    wishes: Wishes, paths: Collection[str], talk: Talk, dry_run: bool
) -> Iterator[int]:
    """Keep others out of folders, and take back first what killed runs filed into this one.

    A run that filed photos from elsewhere is not taken back unasked.

    Args:
        wishes: what is to be done; its folder is the one to be filed into.
        paths: where photos are filed from.
        talk: says so.
        dry_run: whether nothing is to be changed; then only what would be done is said.

    Yields:
        How many files could not be put back.

    Raises:
        FilingError: if another dogsort is at work there, or journals cannot be read or written.
    """
    folder = wishes.folder
    if dry_run:
        tell_of_stopped(folder, talk)
        yield 0
        return
    is_to_move = wishes.action == "move" or stopped_runs(folder)
    with at_work(folder, paths if is_to_move else ()) as found:
        for line in found:
            talk.warn(printable(line))
        left = 0
        for journal in stopped_runs(folder):
            if keeps_within(journal, paths):
                left += put_back(journal, talk)[1]
            else:
                talk.warn(
                    f"the run begun {journal.started} filed photos from elsewhere, so it is left "
                    f"as it is; to take it back: {undo_command(folder)}"
                )
        yield left


def tell_of_stopped(folder: str, talk: Talk) -> None:
    """Say that runs were killed, or are still going on: nobody is kept out to find out.

    Raises:
        FilingError: if a journal cannot be read.
    """
    for journal in stopped_runs(folder):
        talk.warn(
            f"{printable(folder)}: an earlier run into it, begun {journal.started}, has not ended; "
            "if it was killed, the next one that files into it takes it back first"
        )


def undo_command(folder: str) -> str:
    """Return the command that takes back what was filed into a folder."""
    return f"dogsort undo {shlex.quote(printable(folder))}"


def put_back(journal: Journal, talk: Talk) -> tuple[int, int]:
    """Undo one run; return how many files were put back, and how many could not be.

    Raises:
        KeyboardInterrupt: if interrupted; it says how far that came.
    """
    back, left, earlier = 0, 0, journal.outcomes.count("undone")
    total = sum(outcome in ("done", None) for outcome in journal.outcomes)
    try:
        with closing(take_back(journal)) as outcomes, talk.bar("file", total) as advance:
            for step, error in outcomes:
                if error is None:
                    back += 1
                    talk.detail(f"{printable(step.target)} -> {printable(step.source)}")
                else:
                    left += 1
                    reason = printable(str(error))
                    talk.warn(f"{printable(step.target)}: not put back: {reason}")
                advance()
    except KeyboardInterrupt:
        back = journal.outcomes.count("undone") - earlier  # with the one that was interrupted
        raise KeyboardInterrupt(
            f"{back} of {total} files are put back; the same command goes on"
        ) from None
    talk.say(described(journal) if not left else f"put back: {back} files; {left} not")
    return back, left


def described(journal: Journal) -> str:
    """Describe a run in a line."""
    labels: Counter[str] = Counter()
    for step, outcome in zip(journal.steps.values(), journal.outcomes, strict=True):
        if outcome != "failed" and not step.sidecar:
            labels[step.label] += 1
    what = ", ".join(f"{count} {label}" for label, count in labels.items()) or "nothing"
    outcomes = Counter(journal.outcomes)
    if journal.stopped:
        state = "not ended: killed, or still going on"
        what = f"up to {what}" if labels else what
    elif journal.closed:
        lost = outcomes["lost"]
        state = f"undone, but for {lost} changed or gone since" if lost else "undone"
    else:
        state = "undone in part" if outcomes["undone"] or outcomes["lost"] else "filed"
    return f"{journal.started}  {journal.action}  {what}  {state}"
