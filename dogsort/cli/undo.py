"""``dogsort undo [FOLDER]``: put back what the last run filed."""

from __future__ import annotations

import os
from itertools import zip_longest

import click

from dogsort.cli.history import open_existing
from dogsort.cli.options import HELP, SOME_FAILED, Talk, talk_options
from dogsort.errors import FilingError
from dogsort.filing.execute import STRANGE, at_work, put_back
from dogsort.filing.journal import Journal, Run
from dogsort.results.summary import printable

__all__ = ["undo"]


@click.command("undo", context_settings=HELP)
@click.argument("folder", metavar="[FOLDER]", default=".")
@click.option("-n", "--dry-run", is_flag=True, help="Put nothing back; say what would be.")
@click.option("-y", "--yes", is_flag=True, help="Also undo what somebody else's dogsort filed.")
@talk_options
def undo(
    folder: str, dry_run: bool, yes: bool, quiet: bool, verbose: bool, no_progress: bool
) -> int:
    """Put back what the last --move, --copy, --link or --hardlink into FOLDER filed.

    Once more goes back to the run before. A file that was changed since stays where it is, nothing
    is overwritten, and what could not be put back is named.
    """
    talk = Talk(quiet, verbose, no_progress)
    with open_existing(folder) as journal:
        runs = _runs_to_undo(journal)
        if dry_run:
            _say_what_would_be(journal, runs[0], talk)
            return 0
        for run in runs[:1]:
            _check_trust(journal, run, yes)
    with at_work(folder) as (journal, found):
        for line in found:
            talk.warn(f"{printable(folder)}: {printable(line)}")
        runs = _runs_to_undo(journal)
        for run, earlier in zip_longest(runs, runs[1:]):
            back, left = _put_back(journal, run, talk)
            if back or not left or earlier is None:
                break
            # Said once before an older run is taken back, which may not be what is wanted.
            journal.set_state(run, "stuck")
            if run.state != "stuck":
                talk.say(f"to go on to the run begun {earlier.started}, call undo once more")
                break
            _check_trust(journal, earlier, yes)
            talk.say(f"nothing of it can be put back now; that begun {earlier.started} is next")
    return SOME_FAILED if left else 0


def _runs_to_undo(journal: Journal) -> list[Run]:
    """Return the runs that are not undone, the newest first."""
    runs = [run for run in journal.runs()[::-1] if run.state != "undone"]
    if not runs:
        raise FilingError(f"{journal.folder}: everything that was filed is undone already")
    return runs


def _check_trust(journal: Journal, run: Run, yes: bool) -> None:
    """Ask before files are put where only the journal says that they came from."""
    if yes or journal.is_trusted(run):
        return
    (step,) = journal.steps(run, "planned", "done", "returning", most=1)
    what = f"the run begun {run.started}: {STRANGE}; it would put {printable(step.source)} back"
    if not os.isatty(0) or not click.confirm(f"{what}, and perhaps others. Go on?", err=True):
        raise FilingError(f"{what}; if that is right, undo it with --yes")


def _put_back(journal: Journal, run: Run, talk: Talk) -> tuple[int, int]:
    """Undo one run; return how many files were put back, and how many could not be."""
    back = left = 0
    total = sum(count for (*_, state), count in journal.counts(run).items() if state == "done")
    try:
        with talk.bar("file", total) as advance:
            for step, error in put_back(journal, run):
                if error is None:
                    back += 1
                    talk.detail(f"{printable(step.target)} -> {printable(step.source)}")
                else:
                    left += 1
                    reason = printable(str(error))
                    talk.warn(f"{printable(step.target)}: not put back: {reason}")
                advance()
    except KeyboardInterrupt:
        raise KeyboardInterrupt("what was put back stays so; the same command goes on") from None
    files = "1 file" if back == 1 else f"{back} files"
    talk.say(f"Put back {files}." + (f" {left} could not be." if left else ""))
    return back, left


def _say_what_would_be(journal: Journal, run: Run, talk: Talk) -> None:
    steps = journal.steps(run, "planned", "done", "returning")
    for step in steps:
        talk.detail(f"{printable(step.target)} -> {printable(step.source)}")
    files = "1 file" if len(steps) == 1 else f"{len(steps)} files"
    talk.say(f"Would put back {files} of the run begun {run.started} ({run.action}).")
