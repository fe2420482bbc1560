"""``dogsort bench PATH``: photos per second, stage by stage, on this machine."""

from __future__ import annotations

import json
from typing import Any

import click

from dogsort.cli.console import Console, console_options
from dogsort.cli.options import FILE, SOME_FAILED, EngineOptions, command, engine_options
from dogsort.errors import DataError
from dogsort.photos.scan import Scan, check_paths
from dogsort.records import Failure, Photo
from dogsort.results.output import write_text
from dogsort.results.text import scan_lines, size_text

__all__ = ["bench"]


@command(
    "bench",
    "dogsort bench photos",
    "dogsort bench photos --batch-size 8 --json",
    short_help="Measure the speed on this machine.",
)
@click.argument("path", type=FILE, metavar="PATH")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@engine_options
@console_options
def bench(path: str, as_json: bool, engine: EngineOptions, console: Console) -> int:
    """Measure how many photos per second this machine classifies, stage by stage.

    It reads, decodes and classifies a sample of the photos in PATH: each stage alone, then all
    together as in a real run. This takes about 20 seconds and stores nothing.

    --json prints one object with these keys: date; machine (cpu, cores); versions; device, engine,
    batch_size and workers; photos (how many were measured) and mean_bytes; stages (read,
    decode, infer, together), each with photos_per_second and milliseconds per photo; and
    bottleneck (decoding or the network).
    """
    check_paths([path])
    classifier = engine.open(console)
    from dogsort.bench import measure, take_sample

    scan = Scan([path])
    found = list(scan)
    console.say(*scan_lines(scan))
    with console.status("measuring ..."):
        sample = take_sample(classifier, [item for item in found if isinstance(item, Photo)])
        figures = measure(classifier, sample) if sample.photos else None
    failures = [item for item in found if isinstance(item, Failure)] + sample.failures
    console.warn(*(f"{failure.path}: {failure.error}" for failure in failures))
    if figures is None:
        raise DataError(f"{path}: no readable photos, so there is nothing to measure")
    if as_json:
        write_text("-", json.dumps(figures, indent=2) + "\n")
    else:
        _show(figures, console)
    return SOME_FAILED if failures else 0


def _show(figures: dict[str, Any], console: Console) -> None:
    here = figures["machine"]
    console.data(
        f"{here['cpu']}, {here['cores']} cores",
        f"{figures['date']}: {', '.join(map(' '.join, figures['versions'].items()))}",
        f"{figures['engine']} on {figures['device']}, batch size {figures['batch_size']}, "
        f"workers {figures['workers']}",
        f"{figures['photos']:,} photos, {size_text(figures['mean_bytes'])} on average",
    )
    rows = [("", "photos/s", "ms/photo")]
    for stage, speed in figures["stages"].items():
        photos, time = speed["photos_per_second"], speed["milliseconds"]
        rows.append((stage, f"{photos:,.1f}", f"{time:,.2f}"))
    console.table(rows)
    console.data(f"bottleneck: {figures['bottleneck']}")
