"""Filing and undo as they are done and told, for all commands that file."""

from __future__ import annotations

import os
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress

from dogsort.cli.console import Console, rows_on_stdout
from dogsort.errors import FilingError
from dogsort.filing.execute import at_work, carry_out
from dogsort.filing.journal import Journal, filed_into
from dogsort.filing.naming import Filing
from dogsort.filing.options import Action, FilingOptions
from dogsort.filing.plan import Planner
from dogsort.records import Label
from dogsort.results.output import complete_file, writing
from dogsort.results.tables import CsvRows, open_text
from dogsort.results.text import printable, size_text

__all__ = [
    "counted",
    "file_photos",
    "open_journal",
    "show_plan",
    "write_rows",
]

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
    """Keep others out of the folder filed into, and say what was cut off there.

    Yields:
        Its journal; None in a dry run, which changes nothing.

    Raises:
        FilingError: if another dogsort is at work there, or the journal cannot be read or written.
    """
    if dry_run:
        filed_into(options.folder)  # or it cannot be read, which is to be told now
        yield None
        return
    with at_work(options.folder) as (journal, found):
        for line in found:
            console.warn(f"{printable(options.folder)}: {printable(line)}")
        yield journal


def show_plan(planner: Planner, output: str | None, console: Console) -> None:
    """Say what would be done: how much, to stderr; each step, as the table of this run."""
    filings, action = planner.filings(), planner.options.action
    sizes = [_size_of(filing) for filing in filings]
    rows = (
        (action, filing.source, filing.target, filing.label, filing.belongs_to, size)
        for filing, size in zip(filings, sizes, strict=True)
    )
    if output is None and console.shows_lines:
        for filing in filings:
            console.data(f"{action} {printable(filing.source)} -> {printable(filing.target)}")
    else:
        write_rows(output, PLAN_COLUMNS, rows)
    _say_what_stays(planner, console)
    counts = Counter(_kind(filing) for filing in filings)
    console.say(f"would be {PAST[action]}: {counted(counts)}, {size_text(sum(sizes))}")


def write_rows(
    output: str | None, columns: Sequence[str], rows: Iterable[Sequence[object]]
) -> None:
    """Write a table as CSV to a file, or with ``-`` or None to stdout.

    Raises:
        OutputError: if it cannot be written.
    """
    if output is None or output == "-":
        with writing("standard output"):
            _write_rows(CsvRows(rows_on_stdout(), columns), rows)
    else:
        with complete_file(output) as partial, writing(output), open_text(partial) as file:
            _write_rows(CsvRows(file, columns), rows)


def _write_rows(table: CsvRows, rows: Iterable[Sequence[object]]) -> None:
    for row in rows:
        table.write(row)


def file_photos(planner: Planner, journal: Journal, console: Console) -> int:
    """Carry out a plan; return how many files could not be filed.

    Raises:
        KeyboardInterrupt: if interrupted; it says how to take back what was filed.
    """
    filings, options = planner.filings(), planner.options
    _say_what_stays(planner, console)
    past = PAST[options.action]
    if not filings:
        console.say(f"{past}: nothing")
        return 0
    undo = f"dogsort undo {shlex.quote(printable(options.folder))}"
    done: Counter[str] = Counter()
    labels: set[Label] = set()
    failed = 0
    try:
        with console.bar("file", len(filings)) as advance:
            for filing, error in carry_out(filings, options.action, journal):
                if error is not None:
                    source = printable(filing.source)
                    console.warn(f"{source}: not filed: {printable(str(error))}")
                    failed += 1
                    advance()
                    continue
                done[_kind(filing)] += 1
                labels.add(filing.label)
                if console.verbose:
                    source, target = printable(filing.source), printable(filing.target)
                    console.detail(f"{options.action} {source} -> {target}")
                advance()
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"what was {past} stays; the same command goes on; to take it back: {undo}"
        ) from None
    except FilingError as error:
        raise type(error)(f"{error}; to take back what was {past}: {undo}") from error
    folders = sorted(printable(options.folders()[label]) for label in labels)
    where = f", into {' and '.join(folders)}" if folders else ""
    console.say(f"{past}: {counted(done)}{where}" + (f"; {failed} could not be" if failed else ""))
    if done:
        console.say(f"to take it back: {undo}")
    return failed


def counted(counts: Counter[str]) -> str:
    """Say how many there are of each kind."""
    return ", ".join(f"{count} {kind}" for kind, count in counts.items()) or "nothing"


def _say_what_stays(planner: Planner, console: Console) -> None:
    for target, link in planner.links.items():
        console.say(f"{printable(link)}: a link to {printable(target)}; both stay where they are")
    for path in planner.shared:
        console.say(f"{printable(path)}: stays, since not all photos of its name go the same way")
    for path in planner.unclear:
        console.say(f"{printable(path)}: stays, since it may belong to photos of several names")
    if planner.in_place:
        console.say(f"in the folder of their label already: {planner.in_place}")
    for source, name in planner.already.items():
        console.detail(f"{printable(source)}: already there as {printable(name)}")
    if planner.already:
        count = len(planner.already)
        console.say(f"already there, or the same as another one, so not filed again: {count}")
    for source, name in planner.conflicts.items():
        console.detail(f"{printable(source)}: another file has the name {printable(name)}")
    if planner.conflicts:
        count = len(planner.conflicts)
        console.say(f"names that another file has, so filed under other names: {count}")


def _kind(filing: Filing) -> str:
    return "sidecar" if filing.belongs_to else filing.label


def _size_of(filing: Filing) -> int:
    with suppress(OSError):
        return os.path.getsize(filing.source)
    return 0
