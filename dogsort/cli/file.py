"""``dogsort file TABLE``: file photos by the labels in a table, which may be corrected."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import ExitStack
from typing import Any

import click

from dogsort.cli.console import Console, console_options_with
from dogsort.cli.filing import file_photos, open_journal, show_plan
from dogsort.cli.filing_options import filing_options, read_filing_options
from dogsort.cli.options import FILE, FOLDER, SOME_FAILED, check_output, command, open_cache
from dogsort.errors import UsageError
from dogsort.filing.bounds import Bounds, place_of
from dogsort.filing.from_table import (
    GONE,
    MOVED,
    folders_of,
    photos_of,
    walked,
)
from dogsort.filing.journal import Journal, reading
from dogsort.filing.plan import Planner
from dogsort.photos.scan import check_paths
from dogsort.records import Failure, Label
from dogsort.results.cache import Cache
from dogsort.results.reading import Row, read_table
from dogsort.results.text import passed_over_lines, program_folder_lines

__all__ = ["file"]


@command(
    "file",
    "dogsort file predictions.csv --move --dry-run",
    "dogsort file predictions.csv --copy --to sorted",
    short_help="File photos by the labels in a table.",
)
@click.argument("table", type=FILE, metavar="TABLE")
@click.option(
    "--photos",
    type=FOLDER,
    help="The folder that holds the photos [default: the table's folder].",
)
@click.option("-o", "--output", type=FILE, help="With --dry-run: write the plan as .csv.")
@filing_options
@console_options_with("Also show each file that is filed, or was moved earlier.")
def file(
    table: str, photos: str | None, output: str | None, console: Console, **filing: Any
) -> int:
    """File photos by the labels in a table, corrected or not, without classifying again.

    TABLE comes from dogsort PATH... -o TABLE. Its paths are relative to the current folder. Photos
    that have changed or gone since they were classified are named and left alone.
    """
    check_paths([table] if photos is None else [table, photos])
    dry_run: bool = filing["dry_run"]
    if output is not None and not dry_run:
        raise UsageError("--output needs --dry-run: it writes the plan")
    check_output(output, (".csv",), console, [table])
    rows = read_table(table)
    below = photos or os.path.dirname(table) or os.curdir
    Bounds([below]).check(rows)
    with open_cache(False, console) as cache, ExitStack() as stack:
        roots = folders_of(table, below, cache)
        default = roots[0] if len(roots) == 1 else photos
        missing = (
            "needs --photos FOLDER, the folder of the photos, because dogsort does not know this "
            "table (it was renamed, moved or made otherwise); or --to FOLDER"
        )
        options = read_filing_options(filing, default, roots or [below], missing)
        if options is None:
            raise UsageError("say what to do: --move, --copy, --link or --hardlink")
        planner = Planner(options)
        journal = stack.enter_context(open_journal(options, console, dry_run))
        found = walked(rows, roots or [below])
        console.say(*program_folder_lines(found.program_folders, "with --photos"))
        console.say(*passed_over_lines(found.passed_over))
        console.detail(*(f"{folder}: skipped" for folder in found.passed_over))
        earlier = journal or stack.enter_context(reading(options.folder))
        looked_at = photos_of(found.rows, options.folders().keys(), cache.stamps, earlier)
        failed = _take_up(looked_at, planner, console)
        if journal is not None:
            _note_corrections(found.rows, journal, cache)
        del rows, found  # frees 200 bytes for each photo
        if journal is None:
            show_plan(planner, output, console)
        else:
            failed += file_photos(planner, journal, console)
    return SOME_FAILED if failed else 0


def _note_corrections(rows: Iterable[Row], journal: Journal, cache: Cache) -> None:
    """Let later runs, such as a nightly job, obey the corrections, wherever the photos are now."""
    # A list without probabilities corrects nothing; it may have a row for every photo.
    known = (row for row in rows if row.network_label or row.p_dog is not None)
    if corrected := [row for row in known if row.is_corrected and row.label is not None]:
        moves = journal.moves()
        cache.note_labels(
            (row.path, moves.get(place_of(row.path), row.path), row.label) for row in corrected
        )


def _take_up(
    photos: Iterable[tuple[str, Label | None] | Failure], planner: Planner, console: Console
) -> int:
    """Give photos to the planner and name those that cannot be filed; return how many."""
    failed = moved = gone = seen = 0
    for photo in photos:
        seen += 1
        if isinstance(photo, Failure) and photo.error == MOVED:
            console.detail(f"{photo.path}: {MOVED}")
            moved += 1
        elif isinstance(photo, Failure):
            console.warn(f"{photo.path}: not filed: {photo.error}")
            failed += 1
            gone += photo.error.startswith(GONE)
        else:
            planner.add(*photo)
    if gone and gone == seen:
        console.warn("no photo was found: paths in a table are relative to the current folder")
    if moved:
        console.say(f"{MOVED}: {moved}")
    return failed
