"""``dogsort undo [FOLDER]``: put back what the last run filed."""

from __future__ import annotations

from collections import Counter
from contextlib import closing

import click

from dogsort.cli.options import HELP, SOME_FAILED, Talk, talk_options
from dogsort.errors import FilingError
from dogsort.photos.scan import check_paths
from dogsort.results.summary import printable
from dogsort.sorting.journal import Journal
from dogsort.sorting.journals import journals_of
from dogsort.sorting.runs import at_work
from dogsort.sorting.undo import take_back

__all__ = ["undo"]


@click.command("undo", context_settings=HELP)
@click.argument("folder", metavar="[FOLDER]", default=".")
@click.option("--list", "only_list", is_flag=True, help="Only tell which runs there were.")
@talk_options
def undo(folder: str, only_list: bool, quiet: bool, verbose: bool, no_progress: bool) -> int:
    """Put back what the last --move, --copy, --link or --hardlink into FOLDER filed.

    Once more goes back to the run before. A file that was changed since stays where it is, nothing
    is overwritten, and what could not be put back is named.
    """
    check_paths([folder])
    talk = Talk(quiet, verbose, no_progress)
    if only_list:
        for journal in journals_of(folder):
            talk.data(_line(journal))
        return 0
    if not journals_of(folder):
        raise FilingError(f"{folder}: nothing was filed into it; name the folder that --to named")
    with at_work(folder) as found:
        for line in found:
            talk.warn(printable(line))
        journals = [journal for journal in journals_of(folder) if not journal.closed]
        if not journals:
            raise FilingError(f"{folder}: everything that was filed is undone already")
        code = 0
        # Of what nothing more can be put back now, the runs before are not kept from it.
        for journal in reversed(journals):
            back, left = _take_back(journal, talk)
            code = SOME_FAILED if left else code
            if back or not left:
                break
        return code


def _take_back(journal: Journal, talk: Talk) -> tuple[int, int]:
    """Undo one run; return how many files were put back, and how many could not be."""
    back, left = 0, 0
    total = journal.outcomes.count("done")
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
        raise KeyboardInterrupt(
            f"{back} of {total} files are put back; the same command goes on"
        ) from None
    talk.say(_line(journal) if not left else f"put back: {back} files; {left} not")
    return back, left


def _line(journal: Journal) -> str:
    """Describe a run."""
    labels: Counter[str] = Counter()
    for step, outcome in zip(journal.steps, journal.outcomes, strict=True):
        if outcome != "failed" and not step.sidecar:
            labels[step.label] += 1
    what = ", ".join(f"{count} {label}" for label, count in labels.items()) or "nothing"
    outcomes = Counter(journal.outcomes)
    if outcomes["lost"]:
        state = f"undone, but for {outcomes['lost']} changed or gone since"
    elif journal.closed:
        state = "undone"
    else:
        state = "undone in part" if outcomes["undone"] else "filed"
    return f"{journal.started}  {journal.action}  {what}  {state}"
