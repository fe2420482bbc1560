"""What the network is shown in one epoch: augmented photos, collages, targets, and the loss."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.data import Dataset

from dogsort.network.architecture import DOG, PET
from dogsort.photos.decode import Pixels
from dogsort.training.augment import Placement, augment, collage
from dogsort.training.dataset import LabelledPhoto
from dogsort.training.pixels import PixelCache
from dogsort.training.recipe import CELL, Recipe

__all__ = ["Sample", "Samples", "cell_centres", "draw", "loss_of", "shares_of"]

#: Share of a pet's collages whose other photo is sure to be of the other species, which by
#: chance it is in a third: it is these that nothing else teaches.
CHANCE_OTHER_SPECIES = 0.6


class Sample(NamedTuple):
    """What the network is shown once; a loader stacks several.

    Attributes:
        pixels: (size, size, 3), uint8.
        targets: (3,), as ``loss_of`` takes them.
        photos: (cells, cells), int64: which photo each cell of the network's last maps shows.
        places: (cells, cells, 2): which place in that, x and y, 0..1; outside of that where it
            shows no photo. What was erased counts as shown: what is around it tells it.
    """

    pixels: Tensor
    targets: Tensor
    photos: Tensor
    places: Tensor


class Samples(Dataset[Sample]):
    """Training photos of one epoch, changed at random but the same for the same seed."""

    def __init__(self, cache: PixelCache, recipe: Recipe, epoch: int) -> None:
        self.cache, self.recipe, self.epoch = cache, recipe, epoch
        self.size = recipe.crop_size(epoch)
        self.dog, self.pet = cache.targets()
        rng = np.random.default_rng([recipe.seed, epoch])
        self.indices = draw(shares_of(cache.photos, recipe.group_weights), recipe.epoch_photos, rng)
        self.species = [np.flatnonzero((self.pet > 0) & (self.dog == value)) for value in (0, 1)]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, item: int) -> Sample:
        """Return the sample at this place in the epoch."""
        rng = random.Random(f"{self.recipe.seed}/{self.epoch}/{item}")  # noqa: S311
        shown = [int(self.indices[item])]
        pixels, placement = self._augmented(shown[0], rng)
        cells = cell_centres(self.size)
        photos = np.full(cells.shape[:2], shown[0], np.int64)
        places = cells @ placement.T
        if rng.random() < self.recipe.collage_share:
            shown.append(self._companion(shown[0], rng))
            beside, its_placement = self._augmented(shown[1], rng)
            pixels, (part, its_part) = collage(pixels, beside, rng)
            places = cells @ (placement @ part).T
            its_cells = ((cells @ its_part.T)[..., :2] >= 0).all(-1)
            photos[its_cells] = shown[1]
            places[its_cells] = cells[its_cells] @ (its_placement @ its_part).T
        dogs, pets = self.dog[shown], self.pet[shown]
        pet = float(pets.max())
        # A dog beside a cat is half of each: the network shall not be sure of either.
        dog = float(np.average(dogs, weights=pets)) if pet else 0.0
        return Sample(
            torch.from_numpy(pixels),
            torch.tensor([dog, pet, pet]),
            torch.from_numpy(photos),
            torch.from_numpy(places[..., :2].astype(np.float32)),
        )

    def _augmented(self, index: int, rng: random.Random) -> tuple[Pixels, Placement]:
        return augment(self.cache.pixels(index), self.size, rng)

    def _companion(self, index: int, rng: random.Random) -> int:
        others = self.indices
        if self.pet[index] and rng.random() < CHANCE_OTHER_SPECIES:
            others = self.species[0 if self.dog[index] else 1]
        return int(others[rng.randrange(len(others))])


def shares_of(
    photos: Sequence[LabelledPhoto], group_weights: Mapping[str, float]
) -> npt.NDArray[np.float64]:
    """Return how often each photo is drawn: (N,), of sum 1.

    The photos of one kind, that is of one folder and label, are drawn as often as the square root
    of their number says (Mahajan et al. 2018, arXiv:1805.00932), times the folder's weight: few
    rabbits count for more than few among many.
    """
    kinds = [(photo.group, photo.truth) for photo in photos]
    sizes = Counter(kinds)
    shares = np.array([group_weights.get(kind[0], 1.0) * sizes[kind] ** -0.5 for kind in kinds])
    result: npt.NDArray[np.float64] = shares / shares.sum()
    return result


def draw(
    shares: npt.NDArray[np.float64], count: int, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Draw ``count`` indices, each within one of as often as its share says (systematic sampling).

    Args:
        shares: (N,), of sum 1.
        count: how many.
        rng: where the randomness comes from.
    """
    order = rng.permutation(len(shares))
    points = (np.arange(count) + rng.random()) / count
    drawn = np.searchsorted(np.cumsum(shares[order]), points).clip(max=len(shares) - 1)
    return order[drawn]


def cell_centres(size: int) -> npt.NDArray[np.float64]:
    """Return where the cells of the network's last maps look: (cells, cells, 3): x, y, 1.

    ``size`` is the side of what it sees, in pixels, a multiple of ``CELL``.

    torchvision pads convolutions of stride 2 on all sides: each looks around the upper left pixel
    of its share.
    """
    centres = (np.arange(size // CELL) * CELL + 0.5) / size
    x, y = np.meshgrid(centres, centres)
    return np.stack([x, y, np.ones_like(x)], axis=-1)


def loss_of(logits: Tensor, targets: Tensor) -> Tensor:
    """Binary cross-entropy of both neurons; the first learns from pets only.

    Args:
        logits: (N, 2).
        targets: (N, 3): dog 0..1, pet 0 or 1, weight of the first neuron's loss.
    """
    dog, pet, weight = targets.unbind(1)
    dog_loss = binary_cross_entropy_with_logits(logits[:, DOG], dog, reduction="none")
    pet_loss = binary_cross_entropy_with_logits(logits[:, PET], pet)
    return (dog_loss * weight).sum() / weight.sum().clamp(min=1) + pet_loss
