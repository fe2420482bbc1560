"""``dogsort PATH...``: classify, write rows, and file photos where asked."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any

import click

import dogsort
from dogsort.cli.filing import file_photos, open_journal, passed_over, show_plan
from dogsort.cli.filing_options import filing_options, read_filing_options
from dogsort.cli.names import with_stdin
from dogsort.cli.options import (
    FILE,
    HELP,
    SOME_FAILED,
    Talk,
    engine_options,
    examples,
    open_classifier,
    stdout_for_rows,
    talk_options,
)
from dogsort.cli.resuming import begin_run, end_run
from dogsort.errors import OutputError, UsageError
from dogsort.filing.journal import filed_into, reading
from dogsort.filing.plan import Planner
from dogsort.photos.scan import check_paths, scan
from dogsort.records import Failure, Record
from dogsort.results.output import check_not_input, check_writable
from dogsort.results.resume import Run
from dogsort.results.summary import Summary, printable, record_line
from dogsort.results.tables import TABLE_SUFFIXES, check_table_name, csv_table

__all__ = ["classify"]


class MainCommand(click.Command):
    """The command without a name of its own; its help also lists the others, given as ``obj``."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, then the commands."""
        super().format_options(ctx, formatter)
        rows = [(name, command.get_short_help_str(80)) for name, command in ctx.obj.items()]
        with formatter.section("Commands (dogsort COMMAND --help tells more)"):
            formatter.write_dl(rows)


EXAMPLES = examples("dogsort photos -o predictions.csv", "dogsort photos --move --dry-run")


@click.command("dogsort", cls=MainCommand, context_settings=HELP, epilog=EXAMPLES)
@click.version_option(dogsort.__version__)
@click.argument("paths", nargs=-1, required=True, type=FILE, metavar="PATH...")
@click.option(
    "-o",
    "--output",
    type=FILE,
    help="Write the table here: .csv, .jsonl or .parquet; - is stdout "
    "[default: lines on a terminal, CSV in a pipe].",
)
@filing_options
@click.option(
    "--min-confidence",
    type=click.FloatRange(0, 1),
    metavar="P",
    help="Least confidence that earns a label [default: kept with the weights].",
)
@click.option(
    "--resume",
    is_flag=True,
    help="With -o FILE: take over the rows of earlier runs into it, also of one that was stopped.",
)
@click.option("--null", is_flag=True, help="With PATH -: names end in NUL instead of a line's end.")
@engine_options
@talk_options
def classify(
    paths: tuple[str, ...],
    output: str | None,
    min_confidence: float | None,
    resume: bool,
    null: bool,
    weights: str | None,
    device: str,
    batch_size: int | None,
    workers: int | None,
    quiet: bool,
    verbose: bool,
    no_progress: bool,
    **filing: Any,
) -> int:
    """Tell dogs from cats in folders of photos, offline, and file them.

    PATH is a file, a folder (walked recursively) or - for names on stdin. Each photo gets a row
    with a label: dog, cat, neither or unsure. A path that has a command's name is given as
    ./submit.
    """
    dry_run: bool = filing["dry_run"]
    named = [path for path in paths if path != "-"]
    _check_output(output, paths, resume, dry_run)
    if null and "-" not in paths:
        raise UsageError("--null needs PATH -, the names on stdin")
    folders = [path for path in named if os.path.isdir(path)]
    default = folders[0] if len(paths) == 1 and folders else None
    options = read_filing_options(filing, default, folders, "the only PATH is a folder")
    planner = None if options is None else Planner(options)
    talk = Talk(quiet, verbose, no_progress)
    pass_over = None if options is None else cache(filed_into)
    say_passed_over = None if options is None else passed_over(talk)
    journal, unfiled = None, 0
    with ExitStack() as stack:
        if options is not None:
            journal = stack.enter_context(open_journal(options, talk, dry_run))
        paths = paths if options is None else _not_moved(paths, options.folder, talk)
        check_paths(path for path in paths if path != "-")
        classifier = open_classifier(
            talk,
            device,
            weights=weights,
            min_confidence=min_confidence,
            batch_size=batch_size,
            workers=workers,
        )
        run = begin_run(None if dry_run else output, paths, classifier, resume, talk)
        summary = Summary()
        try:
            with _rows(output, talk, planner is not None, run, dry_run) as write:
                names = with_stdin(paths, null)
                photos = scan(
                    names, talk.skipped_link, pass_over, say_passed_over, talk.program_folder
                )
                looked_up = photos if run is None else run.recall(photos)
                counted = None if "-" in paths else scan(paths, pass_over=pass_over)
                for record in talk.watch(classifier.predict_photos(looked_up), counted):
                    write(record)
                    summary.add(record)
                    if planner is not None:
                        label = None if isinstance(record, Failure) else record.label
                        planner.add(record.path, label)
        except KeyboardInterrupt as error:
            if planner is None:
                raise
            raise KeyboardInterrupt("nothing was filed", *error.args) from None
        end_run(run, resume, talk)
        talk.say(summary.text())
        if planner is not None and journal is None:
            show_plan(planner, output, talk)
        elif planner is not None and journal is not None:
            unfiled = file_photos(planner, journal, talk)
    return SOME_FAILED if summary.failed or unfiled else 0


def _not_moved(paths: Sequence[str], folder: str, talk: Talk) -> tuple[str, ...]:
    """Leave out the PATHs that an earlier run into a folder moved."""
    left = []
    with reading(folder) as journal:
        for path in paths:
            place, name = os.path.split(path)
            real = os.path.join(os.path.realpath(place or os.curdir), name)
            if journal is None or os.path.lexists(path) or journal.moved_from(real) is None:
                left.append(path)
            else:
                talk.say(f"{printable(path)}: moved by an earlier run")
    return tuple(left)


def _check_output(output: str | None, paths: Sequence[str], resume: bool, dry_run: bool) -> None:
    """Raise UsageError or OutputError, before any work, if rows could not be written."""
    if resume and (dry_run or output in (None, "-")):
        raise UsageError("--resume needs -o FILE, the table to go on with, and no --dry-run")
    if output is not None and output != "-":
        check_table_name(output, (".csv",) if dry_run else TABLE_SUFFIXES)
        check_not_input(output, paths)
        check_writable(output)


@contextmanager
def _rows(
    output: str | None, talk: Talk, filing: bool, run: Run | None, dry_run: bool
) -> Iterator[Callable[[Record], None]]:
    """Give what takes the records: a file, CSV on stdout, or lines for a person."""
    if dry_run or (filing and output is None):  # which tell something else
        yield lambda record: None
    elif run is not None:
        with run.rows() as write:
            yield write
    elif output == "-" or sys.stdout is None or not sys.stdout.isatty():
        try:
            yield csv_table(stdout_for_rows(), "standard output").write
        except BrokenPipeError:
            if filing:
                raise OutputError("the reader of the rows went away; nothing was filed") from None
            raise
    else:  # failures are named on stderr already
        yield (
            lambda record: None if isinstance(record, Failure) else talk.data(record_line(record))
        )
