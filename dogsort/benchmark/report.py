"""Speeds -> what people and programs read, with all that the speeds depend on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from dogsort.benchmark.machine import machine, today, versions
from dogsort.benchmark.sample import Sample
from dogsort.benchmark.stages import Speed, limit
from dogsort.classifier import Classifier

__all__ = ["figures", "lines"]

NAMES = {
    "read": "read",
    "decode": "decode",
    "transform": "  of that, transform",
    "infer": "infer",
    "write": "write",
    "together": "all together",
}

WIDTH = 22  # of the first column


def figures(
    classifier: Classifier, found: int, sample: Sample, speeds: Iterable[Speed]
) -> dict[str, Any]:
    """Join speeds with the machine, the versions and the settings, as JSON takes them.

    Args:
        classifier: what was measured.
        found: how many photos the sample was drawn from.
        sample: what it was measured on.
        speeds: one for each stage.
    """
    by_stage = {speed.stage: speed for speed in speeds}
    engine = classifier.engine
    most = limit(
        by_stage["decode"].photos_per_second, by_stage["infer"].photos_per_second, engine.device
    )
    return {
        "date": today(),
        "machine": machine(),
        "versions": versions(),
        "device": engine.device,
        "engine": engine.name,
        "batch_size": classifier.batch_size,
        "workers": classifier.workers,
        "photos": {
            "found": found,
            "measured": len(sample.photos),
            "mean_megabytes": round(sample.megabytes(), 3),
        },
        "stages": {
            stage: {
                "photos_per_second": round(speed.photos_per_second, 2),
                "share_of_limit": round(speed.photos_per_second / most, 4),
                "passes": speed.passes,
            }
            for stage, speed in by_stage.items()
        },
        "limit": {"photos_per_second": round(most, 2)},
    }


def lines(made: dict[str, Any]) -> Iterator[str]:
    """Yield the figures as text."""
    here, photos, most = made["machine"], made["photos"], made["limit"]["photos_per_second"]
    gpu = f", {here['gpu']}" if here["gpu"] else ""
    yield f"{here['cpu']}, {here['cores']} cores{gpu}"
    yield f"{made['date']}: " + ", ".join(f"{name} {v}" for name, v in made["versions"].items())
    yield (
        f"{made['engine']} on {made['device']}, batch size {made['batch_size']}, "
        f"workers {made['workers']}"
    )
    yield (
        f"{photos['measured']:,} of {photos['found']:,} photos, "
        f"{photos['mean_megabytes']:.2f} MB on average"
    )
    yield ""
    yield f"{'':{WIDTH}}{'photos/s':>10}{'ms a photo':>12}{'of the limit':>14}"
    for stage, name in NAMES.items():
        speed = made["stages"][stage]
        yield _row(name, speed["photos_per_second"], speed["share_of_limit"])
    yield _row("limit", most, 1.0)


def _row(name: str, rate: float, share: float) -> str:
    return f"{name:{WIDTH}}{rate:>10,.1f}{1000 / rate:>12.3f}{share:>14,.1%}"
