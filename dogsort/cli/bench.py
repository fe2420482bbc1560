"""``dogsort bench PATH``: photos per second, stage by stage, on this machine."""

from __future__ import annotations

import json

import click

from dogsort.cli.console import Console, console_options
from dogsort.cli.options import (
    FILE,
    HELP,
    SOME_FAILED,
    EngineOptions,
    engine_options,
    examples,
)
from dogsort.errors import DataError
from dogsort.photos.scan import Scan, check_paths
from dogsort.records import Failure, Photo
from dogsort.results.output import write_text
from dogsort.results.text import printable, scan_lines

__all__ = ["bench"]


@click.command(
    "bench",
    context_settings=HELP,
    epilog=examples("dogsort bench photos", "dogsort bench photos --batch-size 8 --json"),
    short_help="Measure the speed on this machine.",
)
@click.argument("path", type=FILE, metavar="PATH")
@click.option(
    "--json", "as_json", is_flag=True, help="Print JSON on stdout; the table goes to stderr."
)
@engine_options
@console_options
def bench(
    path: str,
    as_json: bool,
    engine: EngineOptions,
    console: Console,
) -> int:
    """Measure how many photos per second this machine does, stage by stage.

    A sample of the photos in PATH, at most about a thousand, is read, decoded, transformed,
    inferred and written: each alone on all cores, then all together. Nothing is kept.
    """
    check_paths([path])
    classifier = engine.open(console)
    from dogsort.benchmark.report import figures, lines
    from dogsort.benchmark.sample import take_sample
    from dogsort.benchmark.stages import STAGES, measure

    scan = Scan([path])
    found = list(scan)
    for line in scan_lines(scan):
        console.say(line)
    photos = [item for item in found if isinstance(item, Photo)]
    with console.status("drawing a sample ..."):
        sample = take_sample(classifier, photos)
    failures = [item for item in found if isinstance(item, Failure)] + sample.failures
    for failure in failures:
        console.warn(f"{printable(failure.path)}: {printable(failure.error)}")
    if not sample.photos:
        raise DataError(f"{path}: has no photo that can be read, so there is nothing to measure")
    try:
        speeds = list(console.count(measure(classifier, sample), len(STAGES), "bench"))
    except KeyboardInterrupt:
        # Rows that were being written are gone with their temporary folder.
        raise KeyboardInterrupt("nothing was measured") from None
    made = figures(classifier, len(photos), sample, speeds)
    tell = console.say if as_json else console.data
    for line in lines(made):
        tell(line)
    if as_json:
        write_text("-", json.dumps(made, indent=2) + "\n")
    return SOME_FAILED if failures else 0
