"""What the network is shown in an epoch: which photos, how changed, with which labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from dogsort.evaluation.labelled import LabelledPhoto
from dogsort.training.augment import augmentation, collage
from dogsort.training.dataset import DecodedPhotos
from dogsort.training.recipe import Recipe

__all__ = ["Sample", "TrainingSamples", "draw", "shares_of"]

#: Share of a pet's collages whose other photo is sure to be of the other species, which by
#: chance it is in a third: it is these that nothing else teaches.
CHANCE_OTHER_SPECIES = 0.6


class Sample(NamedTuple):
    """What the network is shown once; a loader stacks several.

    Attributes:
        pixels: (size, size, 3), uint8, RGB.
        labels: (2,), float32: dog against cat, and dog or cat at all; each 0..1. The first is
            one half where both are shown.
        taught: (C,), float32, what the teacher says of what is shown; (0,) without a teacher.
    """

    pixels: Tensor
    labels: Tensor
    taught: Tensor


class TrainingSamples(Dataset[Sample]):
    """The photos of one epoch: drawn, changed at random, some of them joined in collages.

    Args:
        decoded: N photos.
        taught: (N, C), float16, what the teacher says of each; C is 0 without one.
        recipe: of the run.
        epoch: decides which photos are drawn.
    """

    def __init__(self, decoded: DecodedPhotos, taught: Tensor, recipe: Recipe, epoch: int) -> None:
        self.decoded, self.taught, self.recipe = decoded, taught, recipe
        self.is_dog, self.is_pet = decoded.labels()
        self.augment = augmentation(recipe.crop_size, recipe.least_area)
        shares = shares_of(decoded.photos, recipe.group_weights)
        rng = np.random.default_rng([recipe.seed, epoch])
        self.drawn = draw(shares, recipe.epoch_photos or len(decoded), rng)

    def __len__(self) -> int:
        return len(self.drawn)

    def __getitem__(self, item: int) -> Sample:
        """Return the sample at this place in the epoch."""
        index = int(self.drawn[item])
        picture, taught = self._augmented(index), self.taught[index].float()
        is_dog, is_pet = float(self.is_dog[index]), float(self.is_pet[index])
        if torch.rand(()) < self.recipe.collage_share:
            other = self._companion(index)
            picture, share = collage(picture, self._augmented(other))
            taught = share * taught + (1 - share) * self.taught[other].float()
            pets = [shown for shown in (index, other) if self.is_pet[shown]]
            # A dog beside a cat is half of each: the network shall not be sure of either.
            is_dog = float(np.mean(self.is_dog[pets])) if pets else 0.0
            is_pet = float(bool(pets))
        # In the order that the network takes, (size, size, 3).
        pixels = picture.permute(1, 2, 0).contiguous()
        return Sample(pixels, torch.tensor([is_dog, is_pet]), taught)

    def _augmented(self, index: int) -> Tensor:
        pixels = torch.from_numpy(np.array(self.decoded.pixels[index]))
        changed: Tensor = self.augment(pixels.permute(2, 0, 1))
        return changed

    def _companion(self, index: int) -> int:
        """Draw the other photo of a collage."""
        others = self.drawn
        if self.is_pet[index] and torch.rand(()) < CHANCE_OTHER_SPECIES:
            of_drawn = self.is_pet[others] & (self.is_dog[others] != self.is_dog[index])
            others = others[of_drawn] if of_drawn.any() else others
        return int(others[int(torch.randint(len(others), ()))])


def shares_of(
    photos: Sequence[LabelledPhoto], group_weights: Mapping[str, float]
) -> npt.NDArray[np.float64]:
    """Return how often each photo is drawn: (N,), of sum 1.

    The photos of one kind, that is of one folder and label, are drawn as often as the square root
    of their number says (Mahajan et al. 2018, arXiv:1805.00932), times the folder's weight: a
    few hundred rabbits are not drowned by ten thousand portraits.
    """
    kinds = [(photo.group, photo.truth) for photo in photos]
    sizes = Counter(kinds)
    shares = np.array([group_weights.get(kind[0], 1.0) * sizes[kind] ** -0.5 for kind in kinds])
    result: npt.NDArray[np.float64] = shares / shares.sum()
    return result


def draw(
    shares: npt.NDArray[np.float64], count: int, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Draw indices so that none comes more than once too often or too rarely.

    Args:
        shares: (N,), of sum 1: how often each is to be drawn.
        count: how many to draw.
        rng: where the randomness comes from.

    Returns:
        (count,), in random order: systematic sampling.
    """
    order = rng.permutation(len(shares))
    points = (np.arange(count) + rng.random()) / count
    drawn = np.searchsorted(np.cumsum(shares[order]), points).clip(max=len(shares) - 1)
    result: npt.NDArray[np.int64] = order[rng.permutation(drawn)]
    return result
