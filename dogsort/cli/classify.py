"""``dogsort PATH...``: classify photos, write rows, and file the photos if asked."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import click

import dogsort
from dogsort.cli.console import Console, console_options_with
from dogsort.cli.filing import file_photos, open_journal, show_plan
from dogsort.cli.filing_options import filing_options, read_filing_options
from dogsort.cli.names import with_stdin
from dogsort.cli.options import (
    FILE,
    SOME_FAILED,
    EngineOptions,
    cache_option,
    check_output,
    command,
    engine_options,
    exclude_option,
    excluding,
    min_confidence_option,
    open_cache,
)
from dogsort.errors import OutputError, UsageError
from dogsort.filing.journal import filed_into, reading
from dogsort.filing.plan import Planner
from dogsort.photos.scan import Scan, check_paths
from dogsort.records import Record
from dogsort.results.output import text_on_stdout
from dogsort.results.tables import TABLE_SUFFIXES, csv_table, open_table
from dogsort.results.text import Summary

__all__ = ["classify"]


class MainCommand(click.Command):
    """The default command, which has no name; its help also lists the others, given as ``obj``."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, then the commands."""
        super().format_options(ctx, formatter)
        rows = [(name, command.get_short_help_str(80)) for name, command in ctx.obj.items()]
        with formatter.section("Commands (see dogsort COMMAND --help)"):
            formatter.write_dl(rows)


EXAMPLES = "dogsort photos -o predictions.csv", "dogsort photos --move --dry-run"


@command("dogsort", *EXAMPLES, cls=MainCommand)
@click.version_option(dogsort.__version__)
@click.argument("paths", nargs=-1, required=True, type=FILE, metavar="PATH...")
@click.option(
    "-o", "--output", type=FILE, help="Write a .csv, .jsonl or .parquet table; - is CSV on stdout."
)
@filing_options
@min_confidence_option
@exclude_option
@click.option("--null", is_flag=True, help="With PATH -: names end in NUL, not in a newline.")
@cache_option
@engine_options
@console_options_with("Also show the engine, the weights, and each file that is filed.")
def classify(
    paths: tuple[str, ...],
    output: str | None,
    min_confidence: float | None,
    exclude: tuple[str, ...],
    null: bool,
    no_cache: bool,
    engine: EngineOptions,
    console: Console,
    **filing: Any,
) -> int:
    """Find the dogs and cats in folders of photos, offline, and file them.

    PATH is a file, a folder (walked recursively) or - for names on stdin. Each photo gets a row
    with a label (dog, cat, neither or unsure): CSV in a pipe, a line on a terminal. Repeat
    --exclude for more patterns. Write ./submit for a path that has the name of a command.
    """
    dry_run: bool = filing["dry_run"]
    check_output(output, (".csv",) if dry_run else TABLE_SUFFIXES, console, paths)
    if null and "-" not in paths:
        raise UsageError("--null needs PATH -, which reads names from stdin")
    is_excluded = excluding(exclude)
    folders = [path for path in paths if path != "-" and os.path.isdir(path)]
    default = folders[0] if len(paths) == 1 and folders else None
    if default is None and filing["to"] is None:
        check_paths(path for path in paths if path != "-")  # or --to would seem to be the remedy
    missing = "needs --to FOLDER unless the only PATH is a folder"
    options = read_filing_options(filing, default, folders, missing)
    if options is not None:
        paths = _not_moved(paths, options.folder, console)
    check_paths(path for path in paths if path != "-")
    planner = None if options is None else Planner(options)
    with ExitStack() as stack:
        journal = None
        if options is not None:
            journal = stack.enter_context(open_journal(options, console, dry_run))
        cache = stack.enter_context(open_cache(no_cache, console))
        classifier = engine.open(console, min_confidence)
        pass_over = None if options is None else functools.cache(filed_into)
        scan = Scan(with_stdin(paths, null), pass_over, is_excluded)
        counted = None if "-" in paths else Scan(paths, pass_over, is_excluded)
        summary = Summary()
        try:
            with _rows(output, folders, console, planner is not None, dry_run) as write:
                records = cache.decided(cache.predict(scan, classifier))
                for record in console.watch(records, counted):
                    write(record)
                    summary.add(record)
                    if planner is not None:
                        planner.add_record(record)
        except KeyboardInterrupt as error:
            said = ["nothing was filed"] * (planner is not None) + [*map(str, error.args)]
            if cache.keeps and summary.total:
                said.append("run the same command to continue")
            raise KeyboardInterrupt(*said) from None
        console.summary(summary, scan)
        unfiled = 0
        if planner is not None and journal is None:
            show_plan(planner, output, console)
        elif planner is not None and journal is not None:
            unfiled = file_photos(planner, journal, console)
    return SOME_FAILED if summary.failed or unfiled else 0


def _not_moved(paths: Sequence[str], folder: str, console: Console) -> tuple[str, ...]:
    """Drop the PATHs that an earlier run moved into a folder."""
    left = []
    with reading(folder) as journal:
        for path in paths:
            place, name = os.path.split(path)
            real = os.path.join(os.path.realpath(place or os.curdir), name)
            if journal is None or os.path.lexists(path) or journal.moved_from(real) is None:
                left.append(path)
            else:
                console.say(f"{path}: moved by an earlier run")
    return tuple(left)


@contextmanager
def _rows(
    output: str | None, folders: Sequence[str], console: Console, filing: bool, dry_run: bool
) -> Iterator[Callable[[Record], None]]:
    """Yield the function that writes records: to a file, as CSV on stdout, or as readable lines."""
    if dry_run or (filing and output is None):  # these print the plan, or what was filed
        yield lambda record: None
    elif output is not None and output != "-":
        with open_table(output, folders) as table:
            yield table.write
        console.warn(*table.messages)
    elif output == "-" or not console.shows_lines:
        try:
            yield csv_table(text_on_stdout(), "standard output").write
        except BrokenPipeError:
            if filing:
                raise OutputError(
                    "the program that read the rows has stopped; nothing was filed"
                ) from None
            raise
    else:
        yield console.record
