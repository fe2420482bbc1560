"""Photos per second: each stage alone on all cores, and all of them together.

What is timed are the functions that classify photos.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, TypeVar

from dogsort.benchmark.sample import Sample
from dogsort.classifier import Classifier
from dogsort.network.cores import cores
from dogsort.photos.decode import decode_file, decode_image, unpacked_file
from dogsort.records import Photo, Record
from dogsort.results.tables import open_table

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["STAGES", "Speed", "limit", "measure"]

T = TypeVar("T")

#: What is measured, in this order.
STAGES = ("read", "decode", "transform", "infer", "write", "together")

# What is kept in memory for the stages that need no files.
PIXELS_KEPT = 50_000_000  # of unpacked pictures, at most 4 bytes each
ROWS = 1000

# So often, and for so long in all, a stage is timed at least.
LEAST_PASSES = 3
LEAST_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast a stage is.

    Attributes:
        stage: one of ``STAGES``.
        photos_per_second: the median of the passes.
        passes: how many were timed.
    """

    stage: str
    photos_per_second: float
    passes: int


def measure(classifier: Classifier, sample: Sample) -> Iterator[Speed]:
    """Measure one stage after the other, lazily, in the order of ``STAGES``.

    Args:
        classifier: its engine and batch size count throughout, its workers for all together; alone,
            a stage has all cores.
        sample: with at least one photo that can be read.
    """
    photos, batches, size = sample.photos, sample.batches, classifier.weights.input_size
    # All have run once before any is timed: files are then in the system's cache.
    records = list(classifier.predict_photos(photos))
    rows = list(islice(cycle(records), ROWS))
    pictures = _unpacked(photos, size)
    work: dict[str, tuple[int, Callable[[], object]]] = {
        "read": (len(photos), lambda: _on_all_cores(_read, photos)),
        "decode": (
            len(photos),
            lambda: _on_all_cores(lambda photo: decode_file(photo.path, size), photos),
        ),
        "transform": (
            len(pictures),
            lambda: _on_all_cores(lambda picture: decode_image(picture, size), pictures),
        ),
        "infer": (
            sum(map(len, batches)),
            lambda: [classifier.engine.probabilities(pixels) for pixels in batches],
        ),
        "write": (len(rows), lambda: _write(rows)),
        "together": (len(photos), lambda: _write(classifier.predict_photos(photos))),
    }
    for stage in STAGES:
        yield _speed(stage, *work[stage])


def limit(decode: float, infer: float, device: str) -> float:
    """Return how many photos per second this machine could do at best.

    Args:
        decode: photos per second of decoding alone.
        infer: those of the network alone.
        device: on the CPU, both share the cores; a GPU computes while the cores decode.
    """
    return 1 / (1 / decode + 1 / infer) if device == "cpu" else min(decode, infer)


def _speed(stage: str, photos: int, work: Callable[[], object]) -> Speed:
    seconds: list[float] = []
    while len(seconds) < LEAST_PASSES or sum(seconds) < LEAST_SECONDS:
        start = perf_counter()
        work()
        seconds.append(perf_counter() - start)
    return Speed(stage, photos / median(seconds), len(seconds))


def _on_all_cores(task: Callable[[T], object], items: Iterable[T]) -> None:
    with ThreadPoolExecutor(cores()) as executor:
        for _ in executor.map(task, items):
            pass


def _read(photo: Photo) -> None:
    Path(photo.path).read_bytes()


def _unpacked(photos: Iterable[Photo], size: int) -> list[Image.Image]:
    """Return the first pictures as their decoders give them, which is what ``transform`` takes."""
    pictures: list[Image.Image] = []
    pixels = 0
    for photo in photos:
        with unpacked_file(photo.path, size) as image:
            pictures.append(image.copy())
        pixels += image.width * image.height
        if pixels > PIXELS_KEPT:
            break
    return pictures


def _write(records: Iterable[Record]) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="dogsort-") as folder,
        open_table(os.path.join(folder, "rows.csv")) as table,
    ):
        for record in records:
            table.write(record)
