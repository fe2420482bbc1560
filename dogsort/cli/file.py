"""``dogsort file TABLE``: file photos by a table, perhaps a corrected one."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import partial
from typing import Any

import click

from dogsort.cli.filing import file_photos, open_journal, passed_over, show_plan
from dogsort.cli.filing_options import filing_options, read_filing_options
from dogsort.cli.options import FILE, FOLDER, HELP, SOME_FAILED, Talk, examples, talk_options
from dogsort.errors import UsageError
from dogsort.filing.from_table import GONE, MOVED, check_below, folders_of, photos_of, walked
from dogsort.filing.journal import filed_into, reading
from dogsort.filing.plan import Planner
from dogsort.photos.scan import check_paths
from dogsort.records import Failure, Label
from dogsort.results.log import Log, log_of, read_log
from dogsort.results.output import check_not_input, check_writable
from dogsort.results.reading import read_table
from dogsort.results.summary import printable
from dogsort.results.tables import check_table_name

__all__ = ["file"]


@click.command(
    "file",
    context_settings=HELP,
    short_help="File photos by the labels in a table.",
    epilog=examples(
        "dogsort file predictions.csv --move --dry-run",
        "dogsort file predictions.csv --copy --to sorted",
    ),
)
@click.argument("table", type=FILE, metavar="TABLE")
@click.option(
    "--photos",
    type=FOLDER,
    help="The folder that the photos must lie below [default: the table's own].",
)
@click.option("-o", "--output", type=FILE, help="With --dry-run: write the plan here, .csv.")
@filing_options
@talk_options
def file(
    table: str,
    photos: str | None,
    output: str | None,
    quiet: bool,
    verbose: bool,
    no_progress: bool,
    **filing: Any,
) -> int:
    """File photos by the labels in a table, such as a corrected one, without classifying again.

    TABLE is what dogsort PATH... -o TABLE wrote; paths in it count from the current folder. Photos
    that have changed or gone since they were classified are named, and left alone.
    """
    check_paths([table] if photos is None else [table, photos])
    dry_run: bool = filing["dry_run"]
    if output is not None and not dry_run:
        raise UsageError("--output needs --dry-run, whose plan it takes")
    if output not in (None, "-"):
        check_table_name(output, (".csv",))
        check_not_input(output, [table])
        check_writable(output)
    talk = Talk(quiet, verbose, no_progress)
    rows = read_table(table)
    below = photos or os.path.dirname(table) or os.curdir
    check_below(rows, below)
    log = read_log(log_of(table))
    roots = folders_of(log, below)
    within = roots or [below]
    default = roots[0] if len(roots) == 1 else photos
    unless = (
        "the log beside the table names one folder that is here, counting from the current folder, "
        "or --photos names it"
    )
    options = read_filing_options(filing, default, within, unless)
    if options is None:
        raise UsageError("say what to do: --move, --copy, --link or --hardlink")
    planner = Planner(options)
    with open_journal(options, talk, dry_run) as journal:
        say_program_folder = partial(talk.program_folder, named_how="with --photos")
        named = [*within, *_files_named(log)]
        found_below = walked(rows, named, filed_into, passed_over(talk), say_program_folder)
        with reading(options.folder) as earlier:
            moved = _nothing_moved if earlier is None else earlier.moved_from
            photos_found = photos_of(found_below, options.folders().keys(), log, moved)
            failed = _take_up(photos_found, planner, talk)
        if journal is None:
            show_plan(planner, output, talk)
        else:
            failed += file_photos(planner, journal, talk)
    return SOME_FAILED if failed else 0


def _nothing_moved(source: str) -> None:
    return None


def _files_named(log: Log | None) -> list[str]:
    return [] if log is None else [path for path in log.paths if not os.path.isdir(path)]


def _take_up(
    photos: Iterable[tuple[str, Label | None] | Failure], planner: Planner, talk: Talk
) -> int:
    """Give photos to the planner, and say which cannot be filed; return how many these are."""
    failed = moved = gone = seen = 0
    for photo in photos:
        seen += 1
        if isinstance(photo, Failure) and photo.error == MOVED:
            talk.detail(f"{printable(photo.path)}: {MOVED}")
            moved += 1
        elif isinstance(photo, Failure):
            talk.warn(f"{printable(photo.path)}: not filed: {printable(photo.error)}")
            failed += 1
            gone += photo.error.startswith(GONE)
        else:
            planner.add(*photo)
    if gone and gone == seen:
        talk.warn("none of them is there: paths in a table count from the current folder")
    if moved:
        talk.say(f"{MOVED}: {moved}")
    return failed
