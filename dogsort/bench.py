"""Photos -> photos per second on this machine: each stage alone, then all together."""

from __future__ import annotations

import os
import platform
from collections.abc import Generator, Sequence
from contextlib import closing, suppress
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from itertools import cycle
from pathlib import Path
from statistics import fmean
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

import dogsort
from dogsort.classifier import Classifier
from dogsort.network.cores import cores
from dogsort.photos.decode import Pixels
from dogsort.photos.stream import stream
from dogsort.records import Failure, Photo

__all__ = ["Sample", "machine", "measure", "take_sample", "versions"]

MOST_PHOTOS = 1000
SAMPLE_SECONDS = 5.0  # of decoding, so that large photos do not take too long
STAGE_SECONDS = 3.0  # each stage repeats the sample this long, so that runs agree closely
BATCHES_KEPT = 4  # in memory, to measure the network alone


class Sample(NamedTuple):
    """Photos to measure on: readable ones, failures, and pixels of the first readable ones."""

    photos: list[Photo]
    failures: list[Failure]
    batches: list[Pixels]  # each (N, size, size, 3), uint8


def take_sample(classifier: Classifier, photos: Sequence[Photo]) -> Sample:
    """Sample photos at random, the same ones every time, and decode them once."""
    drawn = (photos[index] for index in np.random.default_rng(0).permutation(len(photos)))
    settings = classifier.weights.input_size, classifier.batch_size, classifier.workers
    sample = Sample([], [], [])
    end = perf_counter() + SAMPLE_SECONDS
    for items, pixels in stream(drawn, *settings):
        sample.photos.extend(item for item in items if isinstance(item, Photo))
        sample.failures.extend(item for item in items if isinstance(item, Failure))
        if len(pixels) and len(sample.batches) < BATCHES_KEPT:
            sample.batches.append(pixels)
        if perf_counter() > end or len(sample.photos) >= MOST_PHOTOS:
            break
    return sample


def measure(classifier: Classifier, sample: Sample) -> dict[str, Any]:
    """Measure each stage, with the engine, batch size and workers of a real run.

    Args:
        classifier: the classifier to measure.
        sample: with at least one readable photo; files are read from the system's cache.

    Returns:
        The figures and everything they depend on, as ``dogsort bench --json`` prints them.
    """
    engine, photos, batches = classifier.engine, cycle(sample.photos), sample.batches
    settings = classifier.weights.input_size, classifier.batch_size, classifier.workers
    speeds = {
        "read": _photos_per_second(1 for one in photos if Path(one.path).read_bytes()),
        "decode": _photos_per_second(len(one.items) for one in stream(photos, *settings)),
        "infer": _photos_per_second(len(engine.probabilities(one)) for one in cycle(batches)),
        "together": _photos_per_second(1 for _ in classifier.predict_photos(photos)),
    }
    return {
        "date": date.today().isoformat(),
        "machine": machine(),
        "versions": versions(),
        "device": engine.device,
        "engine": engine.name,
        "batch_size": classifier.batch_size,
        "workers": classifier.workers,
        "photos": len(sample.photos),
        "mean_bytes": round(fmean(os.path.getsize(one.path) for one in sample.photos)),
        "stages": {
            stage: {"photos_per_second": round(speed, 2), "milliseconds": round(1000 / speed, 4)}
            for stage, speed in speeds.items()
        },
        "bottleneck": "decoding" if speeds["decode"] < speeds["infer"] else "the network",
    }


def machine() -> dict[str, str | int]:
    """Return the CPU's model and the usable cores."""
    cpu = platform.processor() or platform.machine()
    with suppress(OSError, StopIteration):  # on Linux, where Python says only x86_64
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
        cpu = next(line for line in lines if line.startswith("model name")).partition(": ")[2]
    return {"cpu": cpu, "cores": cores()}


def versions() -> dict[str, str]:
    """Return the versions of dogsort, Python and the libraries that do the work."""
    found = {"dogsort": dogsort.__version__, "python": platform.python_version()}
    for name in ("torch", "onnxruntime", "pillow"):
        with suppress(PackageNotFoundError):  # torch comes with an extra
            found[name] = version(name)
    return found


def _photos_per_second(done: Generator[int, None, None]) -> float:
    """Time an endless generator that yields how many photos it has done."""
    with closing(done):  # so that nothing is decoded ahead during the next stage
        next(done)  # starts threads and fills the look-ahead
        photos, start = 0, perf_counter()
        while (seconds := perf_counter() - start) < STAGE_SECONDS:
            photos += next(done)
    return photos / seconds
