"""``dogsort history [FOLDER]``: what was filed into a folder, run by run."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager

import click

from dogsort.cli.console import Console
from dogsort.cli.filing import counted
from dogsort.cli.options import FILE, FOLDER, check_output, command
from dogsort.errors import FilingError, UsageError
from dogsort.filing.journal import FILE_NAME, FOLDER_NAME, Journal, Run
from dogsort.photos.scan import check_paths
from dogsort.results.csv_rows import write_rows

__all__ = ["history", "open_existing", "run_option"]

COLUMNS = ("source", "target", "label", "state")

run_option = click.option(
    "--run", "number", type=int, metavar="N", help="Which run [default: the last]."
)


@command(
    "history",
    "dogsort history photos",
    "dogsort history photos --run 1 -o run.csv",
    short_help="Show what was filed into a folder, run by run.",
)
@click.argument("folder", type=FOLDER, metavar="[FOLDER]", default=".")
@run_option
@click.option("-o", "--output", type=FILE, help="Write the run's table as .csv.")
def history(folder: str, number: int | None, output: str | None) -> int:
    """Show what was filed into FOLDER: on a terminal, a list of the runs, oldest first.

    In a pipe, with -o or with --run, it is the table of one run: where each file was, where it
    went, its label, and whether that is done or undone. FOLDER defaults to the current folder.
    """
    console = Console()
    check_output(output, (".csv",), console)
    with open_existing(folder) as journal:
        runs = {run.number: run for run in journal.runs()}
        on_terminal = output is None and console.shows_lines
        if on_terminal and number is None:
            console.data(*(_described(journal, run) for run in runs.values()))
            return 0
        if number is not None and number not in runs:
            raise UsageError(
                f"--run {number}: no such run; the runs are {', '.join(map(str, runs))}"
            )
        steps = journal.steps(runs[max(runs) if number is None else number])[::-1]
        if on_terminal:
            console.data(*(f"{step.source} -> {step.target}  {step.state}" for step in steps))
        else:
            rows = ((step.source, step.target, step.label, step.state) for step in steps)
            write_rows(output, COLUMNS, rows)
    return 0


@contextmanager
def open_existing(folder: str) -> Iterator[Journal]:
    """Open the journal of a folder that was filed into.

    Raises:
        PathNotFound: if there is no such folder.
        FilingError: if nothing was filed into it, or the journal cannot be read.
    """
    check_paths([folder])
    if not os.path.isdir(folder):
        raise FilingError(f"{folder}: not a folder; name the folder that was filed into")
    if not os.path.lexists(os.path.join(folder, FOLDER_NAME, FILE_NAME)):
        raise FilingError(
            f"{folder}: nothing was filed into it; name the photo folder, or the one given to --to"
        )
    with closing(Journal(folder)) as journal:
        if not journal.runs():
            raise FilingError(f"{folder}: nothing has been filed into it yet")
        yield journal


def _described(journal: Journal, run: Run) -> str:
    """Describe a run in one line."""
    labels: Counter[str] = Counter()
    states: Counter[str] = Counter()
    for (label, sidecar, state), count in journal.counts(run).items():
        states[state] += count
        if not sidecar:
            labels[label] += count
    words = "undone" if run.state == "undone" else "filed"
    if run.stopped:
        words = "unfinished: stopped, or still running"
    elif run.state != "undone" and states["undone"]:
        words = "partly undone"
    if states["lost"]:
        words += f", except {states['lost']} changed or gone since"
    what = f"{counted(labels)}  " if labels else ""
    return f"{run.number}  {run.started}  {run.action}  {what}{words}"
