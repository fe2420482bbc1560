"""What a teacher sees in each place of the training photos, and how well the network tells it."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from dogsort.photos.decode import Pixels
from dogsort.training.pixels import PixelCache
from dogsort.training.teacher import Teacher

__all__ = [
    "Basis",
    "Lessons",
    "find_basis",
    "lesson_loss",
    "principal_basis",
    "size_of_lessons",
    "take_lessons",
]

#: So many photos tell in which directions a teacher's features differ. Each has dozens of places,
#: so that these are many times as many as the features.
PHOTOS_FOR_BASIS = 500

#: A feature whose variance is less than this share of the mean says nothing, and would be blown up.
LEAST_VARIANCE = 1e-6

#: Where a teacher's cell looks, in cells from the upper left corner of its share of the photo:
#: TensorFlow pads convolutions of stride 2 at the bottom and right only.
TEACHER_CENTRE = 1.0


class Basis(NamedTuple):
    """How a teacher's features are condensed: ``features @ weight - offset``.

    Attributes:
        weight: (channels, components).
        offset: (components,).
    """

    weight: Tensor
    offset: Tensor

    def components(self, features: Tensor) -> Tensor:
        """Condense (..., channels) to (..., components)."""
        return features @ self.weight - self.offset


class Lessons:
    """The teacher's maps of the photos, as ``take_lessons`` wrote them.

    Args:
        file: a .npy file of (M, h, w, components), half precision.
        rows: which of its rows are the photos.
        mean_square: of the maps' means over a photo: less than 1, that of single places, as what
            differs between places of a photo is lost in its mean.

    Attributes:
        components: how many there are of the teacher's features.
        mean_square: as given.
    """

    def __init__(self, file: Path, rows: list[int], mean_square: float) -> None:
        # Mapped, so that several processes share the memory; "c" spares torch a warning.
        self._maps = torch.from_numpy(np.load(file, mmap_mode="c"))
        self._rows = torch.tensor(rows)
        self.components = self._maps.shape[-1]
        self.mean_square = mean_square

    def close(self) -> None:
        """Let go of the file, so that every system lets it be deleted."""
        self._maps = torch.empty(0)

    def at(self, photos: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        """Return the lessons of places, interpolated between the teacher's cells.

        Args:
            photos: (...), int64, which photo.
            places: (..., 2), x and y, 0..1 within the photo.

        Returns:
            (..., components), and (...) whether the place is within the photo.
        """
        height, width = self._maps.shape[1:3]
        seen = ((places >= 0) & (places <= 1)).all(-1)
        last = torch.tensor([width - 1, height - 1])
        cells = (places * (last + 1) - TEACHER_CENTRE).clamp(min=0).minimum(last)
        low = cells.long()
        high = (low + 1).minimum(last)
        across, down = (cells - low)[..., None].unbind(-2)
        rows = self._rows[photos]
        (left, top), (right, bottom) = low.unbind(-1), high.unbind(-1)
        upper = torch.lerp(self._cells(rows, top, left), self._cells(rows, top, right), across)
        lower = torch.lerp(
            self._cells(rows, bottom, left), self._cells(rows, bottom, right), across
        )
        return torch.lerp(upper, lower, down), seen

    def _cells(self, rows: Tensor, y: Tensor, x: Tensor) -> Tensor:
        return self._maps[rows, y, x].float()


def size_of_lessons(photos: int, teacher: Teacher, components: int, size: int) -> int:
    """Return how many bytes the lessons of so many photos of (size, size) pixels take."""
    _, height, width, channels = teacher(np.zeros((1, size, size, 3), np.uint8)).shape
    return photos * height * width * min(components, channels) * np.dtype(np.float16).itemsize


def find_basis(photos: PixelCache, teacher: Teacher, components: int, seed: int) -> Basis:
    """Find the principal components of what a teacher sees in places of photos.

    Args:
        photos: some of them are looked at.
        teacher: its features are condensed.
        components: how many there shall be, at most.
        seed: decides which photos.
    """
    count = min(PHOTOS_FOR_BASIS, len(photos))
    chosen = random.Random(seed).sample(range(len(photos)), count)  # noqa: S311
    sample = photos.without(set(range(len(photos))).difference(chosen))
    places, total, products = 0, torch.zeros(()), torch.zeros(())
    # Batch by batch: all places of the sample would fill gigabytes.
    for batch in sample.batches():
        rows = teacher(batch).flatten(0, 2).double()
        places += len(rows)
        total = total + rows.sum(0)
        products = products + rows.T @ rows
    mean = total / places
    return principal_basis(mean, products / places - mean[:, None] * mean, components)


def principal_basis(mean: Tensor, covariance: Tensor, components: int) -> Basis:
    """Return the principal components of standardised features, of mean square 1 over all.

    Args:
        mean: (channels,).
        covariance: (channels, channels).
        components: how many, at most: those in which features differ most.
    """
    variance = covariance.diagonal()
    telling = variance > LEAST_VARIANCE * variance.mean()
    factor = torch.where(telling, variance.clamp(min=1e-30).rsqrt(), 0.0)
    variances, directions = torch.linalg.eigh(covariance * factor[:, None] * factor)
    scale = variances[-components:].mean().clamp(min=1e-12).sqrt()
    weight = factor[:, None] * directions[:, -components:] / scale
    return Basis(weight.float(), (mean @ weight).float())


def take_lessons(
    photos: int, batches: Iterable[Pixels], teacher: Teacher, basis: Basis, file: Path
) -> Tensor:
    """Let a teacher look at photos, and write what it sees in each place.

    Args:
        photos: how many there are.
        batches: all of them, (n, size, size, 3) each.
        teacher: what looks at them.
        basis: how what it sees is condensed.
        file: to write that to, as ``Lessons`` reads it: (photos, h, w, components).

    Returns:
        (photos, channels), what it sees on average over each photo.
    """
    maps = None
    means: list[Tensor] = []
    done = 0
    for batch in batches:
        seen = teacher(batch)
        components = basis.components(seen).half().numpy()
        if maps is None:
            shape = (photos, *components.shape[1:])
            maps = np.lib.format.open_memmap(file, mode="w+", dtype=np.float16, shape=shape)
        maps[done : done + len(components)] = components
        done += len(components)
        means.append(seen.mean((1, 2)))
    return torch.cat(means)


def lesson_loss(told: Tensor, lesson: Tensor, seen: Tensor, mean_square: float) -> Tensor:
    """Return the share of the teacher's variance that is not told: about 1 at first, 0 at best.

    Half of it is that of places, half that of their means over each picture, which is what the
    head sees.

    Args:
        told: (N, h, w, components).
        lesson: likewise, the teacher's, of mean square 1 over all photos.
        seen: (N, h, w), which places count.
        mean_square: of lessons' means over a whole photo, as in ``Lessons``.
    """
    difference = (told - lesson) * seen[..., None]
    places = seen.sum((1, 2)).clamp(min=1)  # of a picture
    of_places = difference.square().sum() / places.sum() / told.shape[-1]
    of_means = (difference.sum((1, 2)) / places[:, None]).square().mean() / mean_square
    return (of_places + of_means) / 2
