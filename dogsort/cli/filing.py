"""Run and report filing, for all commands that file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from dogsort.cli.console import Console
from dogsort.errors import FilingError
from dogsort.filing.execute import at_work, carry_out
from dogsort.filing.journal import Journal, filed_into
from dogsort.filing.naming import Filing
from dogsort.filing.options import Action, FilingOptions
from dogsort.filing.plan import Planner
from dogsort.results.csv_rows import write_rows
from dogsort.results.text import printable, quoted, size_text

__all__ = ["counted", "file_photos", "open_journal", "show_plan"]

PAST: dict[Action, str] = {
    "move": "moved",
    "copy": "copied",
    "link": "linked",
    "hardlink": "linked",
}

PLAN_COLUMNS = ("action", "source", "target", "label", "belongs_to", "bytes")


@contextmanager
def open_journal(
    options: FilingOptions, console: Console, dry_run: bool
) -> Iterator[Journal | None]:
    """Lock the folder to file into, and report runs that were interrupted there.

    Yields:
        Its journal; None in a dry run, which changes nothing.

    Raises:
        FilingError: if another dogsort is at work there, or the journal cannot be read or written.
    """
    if dry_run:
        filed_into(options.folder)  # fails now if the journal cannot be read
        yield None
        return
    with at_work(options.folder) as (journal, found):
        for line in found:
            console.warn(f"{options.folder}: {line}")
        yield journal


def show_plan(planner: Planner, output: str | None, console: Console) -> None:
    """Show the plan: a summary on stderr, and each step as the output of this run."""
    filings, action = planner.filings(), planner.options.action
    sizes = [filing.size for filing in filings]
    if output is None and console.shows_lines:
        for filing in filings:
            console.data(f"{action} {filing.source} -> {filing.target}")
    else:
        rows = (
            (action, filing.source, filing.target, filing.label, filing.belongs_to, size)
            for filing, size in zip(filings, sizes, strict=True)
        )
        write_rows(output, PLAN_COLUMNS, rows)
    _say_what_stays(planner, console)
    counts = Counter(map(_kind, filings))
    console.say(f"would be {PAST[action]}: {counted(counts)}, {size_text(sum(sizes))}")


def file_photos(planner: Planner, journal: Journal, console: Console) -> int:
    """Carry out a plan; return how many files could not be filed.

    Raises:
        KeyboardInterrupt: if interrupted; it says how to undo what was filed.
    """
    filings, options = planner.filings(), planner.options
    _say_what_stays(planner, console)
    past = PAST[options.action]
    if not filings:
        console.say(f"{past}: nothing")
        return 0
    undo = f"dogsort undo {quoted(printable(options.folder))}"
    done: list[Filing] = []
    try:
        with console.bar("file", len(filings)) as advance:
            for filing, error in carry_out(filings, options.action, journal):
                if error is None:
                    done.append(filing)
                    if console.verbose:
                        console.detail(f"{options.action} {filing.source} -> {filing.target}")
                else:
                    console.warn(f"{filing.source}: not filed: {error}")
                advance()
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"files {past} so far stay; run the same command to continue, or to undo: {undo}"
        ) from None
    except FilingError as error:
        raise type(error)(f"{error}; to undo what was {past}: {undo}") from error
    failed = len(filings) - len(done)
    folders = sorted(options.folders()[label] for label in {filing.label for filing in done})
    where = f", into {' and '.join(folders)}" if done else ""
    rest = f"; {failed} could not be {past}" if failed else ""
    console.say(f"{past}: {counted(Counter(map(_kind, done)))}{where}{rest}")
    if done:
        console.say(f"to undo: {undo}")
    return failed


def counted(counts: Counter[str]) -> str:
    """Return a text such as ``3 dog, 2 cat``."""
    return ", ".join(f"{count} {kind}" for kind, count in counts.items()) or "nothing"


def _say_what_stays(planner: Planner, console: Console) -> None:
    for target, link in planner.links.items():
        console.say(f"{link}: a link to {target}; both stay where they are")
    for path in planner.shared:
        console.say(f"{path}: stays, since the photos with its name do not all go together")
    for path in planner.unclear:
        console.say(f"{path}: stays, since it may belong to photos with different names")
    if planner.in_place:
        console.say(f"already in the right folder: {planner.in_place}")
    for source, name in planner.already.items():
        console.detail(f"{source}: already there as {name}")
    if count := len(planner.already):
        console.say(f"already there, or identical to another photo, so not filed again: {count}")
    for source, name in planner.conflicts.items():
        console.detail(f"{source}: another file has the name {name}")
    if count := len(planner.conflicts):
        console.say(f"name taken by another file, so filed under a new name: {count}")


def _kind(filing: Filing) -> str:
    return "sidecar" if filing.belongs_to else filing.label
