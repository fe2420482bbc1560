"""``dogsort PATH...``: classify, write rows, and file photos where asked."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import IO

import click

import dogsort
from dogsort.cli.filing import file_photos, filing_folder, the_action
from dogsort.cli.options import (
    HELP,
    SOME_FAILED,
    Talk,
    engine_options,
    open_classifier,
    talk_options,
)
from dogsort.cli.resuming import begin_run, end_run
from dogsort.errors import OutputError, UsageError
from dogsort.photos.scan import check_paths, scan
from dogsort.records import Failure, Record
from dogsort.results.output import check_not_input, check_writable
from dogsort.results.resume import Run
from dogsort.results.summary import Summary, printable, record_line
from dogsort.results.tables import check_table_name, csv_table
from dogsort.sorting.disk import Disk
from dogsort.sorting.journal import filed_into
from dogsort.sorting.plan import Planner
from dogsort.sorting.runs import at_work

__all__ = ["classify"]


class MainCommand(click.Command):
    """The command without a name of its own; its help also lists the others, given as ``obj``."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, then the commands."""
        super().format_options(ctx, formatter)
        rows = [(name, command.get_short_help_str(80)) for name, command in ctx.obj.items()]
        with formatter.section("Commands (dogsort COMMAND --help tells more)"):
            formatter.write_dl(rows)


@click.command("dogsort", cls=MainCommand, context_settings=HELP)
@click.version_option(dogsort.__version__)
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="Write the table here: .csv, .jsonl or .parquet; - is stdout.",
)
@click.option("--move", is_flag=True, help="Move dogs into FOLDER/dog and cats into FOLDER/cat.")
@click.option("--copy", is_flag=True, help="Copy them there instead.")
@click.option("--link", is_flag=True, help="Make symbolic links there instead.")
@click.option("--to", metavar="FOLDER", help="Where to file them [default: the PATH itself].")
@click.option(
    "-n",
    "--dry-run",
    is_flag=True,
    help="With --move, --copy or --link: only say what would be done.",
)
@click.option("--unsure-to", metavar="NAME", help="File unsure photos into FOLDER/NAME, too.")
@click.option(
    "--no-sidecars", is_flag=True, help="Leave .xmp, .aae, Live Photo's .mov ... where they are."
)
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
    move: bool,
    copy: bool,
    link: bool,
    to: str | None,
    dry_run: bool,
    unsure_to: str | None,
    no_sidecars: bool,
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
) -> int:
    """Tell dogs from cats in folders of photos, offline, and file them.

    PATH is a file, a folder (walked recursively) or - for names on stdin. Each photo gets a row
    with a label: dog, cat, neither or unsure. A path that has a command's name is given as
    ./submit.
    """
    check_paths(path for path in paths if path != "-")
    _check_output(output, paths, resume)
    if null and "-" not in paths:
        raise UsageError("--null needs PATH -, the names on stdin")
    action = the_action(move, copy, link)
    planner = None
    if action is not None:
        folder = filing_folder(paths, action, to, unsure_to)
        planner = Planner(action, folder, Disk(), unsure_to, not no_sidecars)
    elif to is not None or dry_run or unsure_to is not None or no_sidecars:
        given = "--to, --dry-run, --unsure-to and --no-sidecars"
        raise UsageError(f"{given} need one of --move, --copy, --link")
    talk = Talk(quiet, verbose, no_progress)
    filed: list[str] = []
    with ExitStack() as stack:
        if planner is not None and not dry_run:
            for found in stack.enter_context(at_work(planner.folder)):
                talk.warn(printable(found))
        if planner is not None:
            filed = filed_into(planner.folder)
        for place in filed:
            talk.say(f"{printable(place)}: an earlier run filed into it, passed over")
        classifier = open_classifier(
            talk,
            device,
            weights=weights,
            min_confidence=min_confidence,
            batch_size=batch_size,
            workers=workers,
        )
        run = begin_run(output, paths, classifier, resume, talk)
        summary = Summary()
        try:
            with _rows(output, talk, planner is not None, run) as write:
                photos = scan(_expand(paths, null), talk.skipped_link, filed)
                looked_up = photos if run is None else run.recall(photos)
                counted = None if "-" in paths else scan(paths, pass_over=filed)
                for record in talk.watch(classifier.predict_photos(looked_up), counted):
                    write(record)
                    summary.add(record)
                    if planner is not None:
                        planner.add(record)
        except KeyboardInterrupt as error:
            if planner is None:
                raise
            raise KeyboardInterrupt("nothing was filed", *error.args) from None
        end_run(run, resume, talk)
        talk.say(summary.text())
        unfiled = 0 if planner is None else file_photos(planner, dry_run, talk)
    return SOME_FAILED if summary.failed or unfiled else 0


def _check_output(output: str | None, paths: Sequence[str], resume: bool) -> None:
    """Raise UsageError or OutputError, before any work, if rows could not be written."""
    if output is not None and output != "-":
        check_table_name(output)
        check_not_input(output, paths)
        check_writable(output)
    elif resume:
        raise UsageError("--resume needs -o FILE, the table to go on with")


@contextmanager
def _rows(
    output: str | None, talk: Talk, filing: bool, run: Run | None
) -> Iterator[Callable[[Record], None]]:
    """Give what takes the records: a file, CSV on stdout, or lines for a person."""
    if run is not None:
        with run.rows() as write:
            yield write
    elif sys.stdout is None:
        raise OutputError("standard output is closed; name a file with --output")
    elif output == "-" or not sys.stdout.isatty():
        try:
            yield csv_table(_stdout_for_rows(), "standard output").write
        except BrokenPipeError:
            if filing:
                raise OutputError("the reader of the rows went away; nothing was filed") from None
            raise
    else:
        # When photos are filed, the filing is what a person wants to read. Failures are named
        # on stderr already.
        yield (
            lambda record: (
                None if filing or isinstance(record, Failure) else talk.data(record_line(record))
            )
        )


def _stdout_for_rows() -> IO[str]:
    """Return stdout as a table needs it: UTF-8, names byte for byte, each row passed on at once."""
    return open(sys.stdout.fileno(), "w", 1, "utf-8", "surrogateescape", "", closefd=False)


def _expand(paths: Iterable[str], null: bool) -> Iterator[str]:
    """Put the names on stdin in the place of ``-``."""
    for path in paths:
        if path == "-":
            yield from _names_on_stdin(b"\0" if null else b"\n")
        else:
            yield path


def _names_on_stdin(separator: bytes) -> Iterator[str]:
    if sys.stdin is None:
        raise UsageError("standard input is closed; PATH - reads names from it")
    rest = b""
    while block := os.read(sys.stdin.fileno(), 1 << 16):
        *names, rest = (rest + block).split(separator)
        yield from (_name(name, separator) for name in names if name)
    if rest:
        yield _name(rest, separator)


def _name(name: bytes, separator: bytes) -> str:
    # Lists made on Windows end in \r\n. A name that really ends in \r needs --null.
    return os.fsdecode(name.removesuffix(b"\r") if separator == b"\n" else name)
