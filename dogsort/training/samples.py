"""What the network is shown in one epoch: augmented photos, collages, targets, and the loss."""

from __future__ import annotations

import random

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.data import Dataset

from dogsort.network.architecture import DOG, PET
from dogsort.photos.decode import Pixels
from dogsort.training.augment import augment, collage
from dogsort.training.pixels import PixelCache
from dogsort.training.recipe import Recipe

__all__ = ["COLLAGE", "Samples", "loss_of"]

#: Share of a pet's collages whose other photo is sure to be of the other species, which by
#: chance it is in a third: it is these that nothing else teaches.
CHANCE_OTHER_SPECIES = 0.6

COLLAGE = -1  # stands for the place of a photo where a sample shows two


class Samples(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """Training photos of one epoch, changed at random but the same for the same seed."""

    def __init__(self, cache: PixelCache, recipe: Recipe, epoch: int) -> None:
        self.cache, self.recipe, self.epoch = cache, recipe, epoch
        self.size = recipe.crop_size(epoch)
        self.dog, self.pet = cache.targets()
        repeats = np.where(self.pet > 0, 1, recipe.neither_repeats)
        self.indices = np.repeat(np.arange(len(self.pet)), repeats)
        self.species = [np.flatnonzero((self.pet > 0) & (self.dog == value)) for value in (0, 1)]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, item: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return a sample.

        Returns:
            Pixels (size, size, 3), uint8; targets (3,) as ``loss_of`` takes them; which photo it
            is, or ``COLLAGE``.
        """
        rng = random.Random(f"{self.recipe.seed}/{self.epoch}/{item}")  # noqa: S311
        index = int(self.indices[item])
        pixels = self._augmented(index, rng)
        shown = index
        dogs, pets = [self.dog[index]], [self.pet[index]]
        if rng.random() < self.recipe.collage_share:
            other = self._companion(index, rng)
            pixels = collage(pixels, self._augmented(other, rng), rng)
            shown = COLLAGE
            dogs.append(self.dog[other])
            pets.append(self.pet[other])
        pet = max(pets)
        # A dog beside a cat is half of each: the network shall not be sure of either.
        dog = float(np.average(dogs, weights=pets)) if pet else 0.0
        return torch.from_numpy(pixels), torch.tensor([dog, pet, pet]), torch.tensor(shown)

    def _augmented(self, index: int, rng: random.Random) -> Pixels:
        return augment(self.cache.pixels(index), self.size, rng)

    def _companion(self, index: int, rng: random.Random) -> int:
        others = self.indices
        if self.pet[index] and rng.random() < CHANCE_OTHER_SPECIES:
            others = self.species[0 if self.dog[index] else 1]
        return int(others[rng.randrange(len(others))])


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
