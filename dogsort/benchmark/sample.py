"""Photos to measure on: some of somebody's own, bounded in number and in time."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from dogsort.classifier import Classifier
from dogsort.network.cores import cores
from dogsort.records import Failure, Photo

if TYPE_CHECKING:
    from dogsort.photos.decode import Pixels

__all__ = ["Sample", "take_sample"]

# Bounds of number and of the time that decoding takes, so that any folder is measured
# in a minute or two. Where batches are large, there are several of them all the same: beginning
# and end of a run, where not all is at work, would weigh too much.
MOST_PHOTOS = 1000
MOST_BATCHES = 16
MOST_SECONDS = 5.0

BATCHES_KEPT = 4  # in memory, for the network alone


@dataclass(slots=True)
class Sample:
    """Photos to measure on, no two of the same content.

    Attributes:
        photos: those that can be read.
        failures: those that cannot.
        batches: pixels of the first, each (N, size, size, 3), uint8.
    """

    photos: list[Photo] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    batches: list[Pixels] = field(default_factory=list)

    def megabytes(self) -> float:
        """Return the mean size of a photo's file."""
        return sum(os.path.getsize(photo.path) for photo in self.photos) / len(self.photos) / 1e6


def take_sample(classifier: Classifier, photos: Sequence[Photo]) -> Sample:
    """Draw photos, always the same ones of a folder, and decode them once.

    Of several with the same content the first is taken: how often it comes says nothing of speed.
    """
    from dogsort.photos.stream import stream

    most = max(MOST_PHOTOS, MOST_BATCHES * classifier.batch_size)
    drawn = np.random.default_rng(0).permutation(len(photos))[:most]
    batches = stream(
        (photos[index] for index in drawn),
        classifier.weights.input_size,
        classifier.batch_size,
        cores(),
    )
    sample = Sample()
    seen: set[int] = set()
    end = perf_counter() + MOST_SECONDS
    for items, pixels in batches:
        decoded = iter(pixels)
        for item in items:
            if isinstance(item, Failure):
                sample.failures.append(item)
            if isinstance(item, Photo):
                content = hash(next(decoded).tobytes())
                if content not in seen:
                    seen.add(content)
                    sample.photos.append(item)
        if len(pixels) and len(sample.batches) < BATCHES_KEPT:
            sample.batches.append(pixels)
        if perf_counter() > end:
            break
    return sample
