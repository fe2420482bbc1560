"""``dogsort undo [FOLDER]``: put back what the last run filed."""

from __future__ import annotations

import os

import click

from dogsort.cli.console import Console, console_options_with
from dogsort.cli.history import open_existing, run_option
from dogsort.cli.options import FOLDER, SOME_FAILED, command
from dogsort.errors import FilingError, UsageError
from dogsort.filing.execute import STRANGE, at_work, put_back
from dogsort.filing.journal import Journal, Run
from dogsort.filing.options import Action
from dogsort.results.text import printable

__all__ = ["undo"]


@command(
    "undo",
    "dogsort undo photos --dry-run --verbose",
    "dogsort undo photos",
    short_help="Put back what the last run filed.",
)
@click.argument("folder", type=FOLDER, metavar="[FOLDER]", default=".")
@click.option("-n", "--dry-run", is_flag=True, help="Put nothing back; show what would be.")
@run_option
@click.option("-y", "--yes", is_flag=True, help="Also undo a run that somebody else began.")
@console_options_with("Also show each file that is put back, or would be.")
def undo(folder: str, dry_run: bool, number: int | None, yes: bool, console: Console) -> int:
    """Put back what the last --move, --copy, --link or --hardlink into FOLDER filed.

    FOLDER defaults to the current folder. Run undo again to undo the run before. A file that has
    changed since stays where it is, nothing is overwritten, and files that could not be put back
    are named. dogsort history lists the runs.
    """
    with open_existing(folder) as journal:
        run = _run_to_undo(journal, number)
        if dry_run:
            steps = journal.steps(run, "planned", "done", "returning")
            console.detail(*(f"{step.target} -> {step.source}" for step in steps))
            would = "Would put back" if run.action == "move" else "Would remove"
            files = _counted(run.action, len(steps))
            console.say(f"{would} {files} of the run of {run.started}.")
            return 0
        trusted = run if yes or _confirmed(journal, run) else None
    with at_work(folder, trusted) as (journal, found):
        console.warn(*(f"{folder}: {line}" for line in found))
        left = _put_back(journal, _run_to_undo(journal, number), console)
    return SOME_FAILED if left else 0


def _run_to_undo(journal: Journal, number: int | None) -> Run:
    runs = {run.number: run for run in journal.runs() if run.state != "undone"}
    if not runs:
        raise FilingError(f"{journal.folder}: everything that was filed is already undone")
    if number is not None and number not in runs:
        raise UsageError(f"--run {number}: the runs to undo are {', '.join(map(str, runs))}")
    return runs[max(runs) if number is None else number]


def _confirmed(journal: Journal, run: Run) -> bool:
    """Ask before files go to places that only the journal vouches for.

    Returns:
        Whether the user was asked and said yes.

    Raises:
        FilingError: if nobody could be asked, or the answer was no.
    """
    steps = journal.steps(run, "planned", "done", "returning", most=1)
    if not steps or journal.is_trusted(run):
        return False
    what = (
        f"{printable(journal.folder)}: the run of {run.started}: {STRANGE}; undo would put "
        f"{printable(steps[0].source)} back"
    )
    if not os.isatty(0) or not click.confirm(f"{what}, and perhaps others. Continue?", err=True):
        raise FilingError(f"{what}; if that is right, undo it with --yes")
    return True


def _put_back(journal: Journal, run: Run, console: Console) -> int:
    """Undo one run; return how many files could not be put back."""
    back = left = 0
    total = sum(count for (*_, state), count in journal.counts(run).items() if state == "done")
    try:
        with console.bar("file", total) as advance:
            for step, error in put_back(journal, run):
                if error is None:
                    back += 1
                    console.detail(f"{step.target} -> {step.source}")
                else:
                    left += 1
                    console.warn(f"{step.target}: not put back: {error}")
                advance()
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            "files put back so far stay there; run the same command to continue"
        ) from None
    rest = f" {left} could not be put back." if left else ""
    did = "Put back" if run.action == "move" else "Removed"
    console.say(f"{did} {_counted(run.action, back)}.{rest}")
    return left


def _counted(action: Action, count: int) -> str:
    """Say how many files undo puts back, or how many copies or links it removes."""
    one, many = {"move": ("file", "files"), "copy": ("copy", "copies")}.get(
        action, ("link", "links")
    )
    return f"1 {one}" if count == 1 else f"{count} {many}"
