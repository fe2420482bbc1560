"""``dogsort bench PATH``: photos per second, stage by stage, on this machine."""

from __future__ import annotations

import json

import click

from dogsort.cli.options import (
    FILE,
    HELP,
    SOME_FAILED,
    Talk,
    engine_options,
    examples,
    open_classifier,
    talk_options,
)
from dogsort.errors import DataError
from dogsort.photos.scan import check_paths, scan
from dogsort.records import Failure, Photo
from dogsort.results.output import write_text
from dogsort.results.summary import printable

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
@talk_options
def bench(
    path: str,
    as_json: bool,
    weights: str | None,
    device: str,
    batch_size: int | None,
    workers: int | None,
    quiet: bool,
    verbose: bool,
    no_progress: bool,
) -> int:
    """Measure how many photos per second this machine does, stage by stage.

    A sample of the photos in PATH, at most about a thousand, is read, decoded, transformed,
    inferred and written: each alone on all cores, then all together. Nothing is kept.
    """
    check_paths([path])
    talk = Talk(quiet, verbose, no_progress)
    classifier = open_classifier(
        talk, device, weights=weights, batch_size=batch_size, workers=workers
    )
    from dogsort.benchmark.report import figures, lines
    from dogsort.benchmark.sample import take_sample
    from dogsort.benchmark.stages import STAGES, measure

    found = list(scan([path], talk.skipped_link, on_program_folder=talk.program_folder))
    photos = [item for item in found if isinstance(item, Photo)]
    with talk.status("drawing a sample ..."):
        sample = take_sample(classifier, photos)
    failures = [item for item in found if isinstance(item, Failure)] + sample.failures
    for failure in failures:
        talk.warn(f"{printable(failure.path)}: {printable(failure.error)}")
    if not sample.photos:
        raise DataError(f"{path}: has no photo that can be read, so there is nothing to measure")
    try:
        speeds = list(talk.count(measure(classifier, sample), len(STAGES), "bench"))
    except KeyboardInterrupt:
        # Rows that were being written are gone with their temporary folder.
        raise KeyboardInterrupt("nothing was measured") from None
    made = figures(classifier, len(photos), sample, speeds)
    tell = talk.say if as_json else talk.data
    for line in lines(made):
        tell(line)
    if as_json:
        write_text("-", json.dumps(made, indent=2) + "\n")
    return SOME_FAILED if failures else 0
