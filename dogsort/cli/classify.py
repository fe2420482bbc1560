"""``dogsort PATH...``: classify, write rows, and file photos where asked."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import click

import dogsort
from dogsort.cli.filing import check_filing, file_photos
from dogsort.cli.options import (
    HELP,
    SOME_FAILED,
    Talk,
    engine_options,
    open_classifier,
    talk_options,
)
from dogsort.photos.scan import check_paths, scan
from dogsort.records import Record
from dogsort.results.summary import Summary, record_line
from dogsort.results.tables import check_table_name, csv_table, open_table
from dogsort.sorting.plan import Action, Filing, Planner

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
@click.option(
    "--move",
    "action",
    flag_value="move",
    help="Move dogs into FOLDER/dog and cats into FOLDER/cat.",
)
@click.option("--copy", "action", flag_value="copy", help="Copy them there instead.")
@click.option("--link", "action", flag_value="link", help="Make symbolic links there instead.")
@click.option("--to", metavar="FOLDER", help="Where to file them [default: the PATH itself].")
@click.option(
    "-n",
    "--dry-run",
    is_flag=True,
    help="With --move, --copy or --link: only say what would be done.",
)
@click.option("--unsure-to", metavar="NAME", help="File unsure photos into FOLDER/NAME, too.")
@click.option(
    "--min-confidence",
    type=click.FloatRange(0, 1),
    metavar="P",
    help="Least confidence that earns a label [default: kept with the weights].",
)
@click.option("--null", is_flag=True, help="With PATH -: names end in NUL instead of a line's end.")
@engine_options
@talk_options
def classify(
    paths: tuple[str, ...],
    output: str | None,
    action: Action | None,
    to: str | None,
    dry_run: bool,
    unsure_to: str | None,
    min_confidence: float | None,
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
    if output is not None and output != "-":
        check_table_name(output)
    folder = check_filing(paths, action, to, dry_run, unsure_to)
    talk = Talk(quiet, verbose, no_progress)
    planner = Planner(folder, os.path.lexists, unsure_to)
    filings: list[Filing] = []
    summary = Summary()
    with _rows(output, talk, hide=action is not None) as write:
        classifier = open_classifier(
            talk,
            device,
            weights=weights,
            min_confidence=min_confidence,
            batch_size=batch_size,
            workers=workers,
        )
        records = classifier.predict(_expand(paths, null), talk.skipped_link)
        for record in talk.watch(records, None if "-" in paths else scan(paths)):
            write(record)
            summary.add(record)
            filing = planner.plan(record) if action else None
            if filing is not None:
                filings.append(filing)
    talk.say(summary.text())
    unfiled = file_photos(filings, action, dry_run, talk) if action else 0
    return SOME_FAILED if summary.failed or unfiled else 0


@contextmanager
def _rows(output: str | None, talk: Talk, hide: bool) -> Iterator[Callable[[Record], None]]:
    """Give what takes the records: a file, CSV on stdout, or lines for a person."""
    if output is not None and output != "-":
        with open_table(output) as table:
            yield table.write
    elif output == "-" or not sys.stdout.isatty():
        fileno = sys.stdout.fileno()
        with open(fileno, "w", 1, "utf-8", "surrogateescape", "", closefd=False) as stdout:
            yield csv_table(stdout).write
    else:
        # When photos are filed, the filing is what a person wants to read.
        yield (lambda record: None) if hide else (lambda record: talk.data(record_line(record)))


def _expand(paths: Iterable[str], null: bool) -> Iterator[str]:
    """Put the names on stdin in the place of ``-``."""
    for path in paths:
        if path == "-":
            yield from _names_on_stdin(b"\0" if null else b"\n")
        else:
            yield path


def _names_on_stdin(separator: bytes) -> Iterator[str]:
    rest = b""
    while block := os.read(sys.stdin.fileno(), 1 << 16):
        *names, rest = (rest + block).split(separator)
        yield from (os.fsdecode(name) for name in names if name)
    if rest:
        yield os.fsdecode(rest)
