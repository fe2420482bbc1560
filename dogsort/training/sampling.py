"""The samples of an epoch: which photos, how augmented, with which labels."""

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

#: Share of a pet's collages whose other photo is deliberately of the other species. Chance would
#: give about a third, and no other samples teach this.
CHANCE_OTHER_SPECIES = 0.6


class Sample(NamedTuple):
    """One training sample; a loader stacks them into batches.

    Attributes:
        pixels: (size, size, 3), uint8, RGB.
        labels: (2,), float32: dog vs. cat, and pet or not; each 0..1. The first is one half if both
            are shown.
        taught: (C,), float32, the teacher's output for the sample; (0,) without a teacher.
    """

    pixels: Tensor
    labels: Tensor
    taught: Tensor


class TrainingSamples(Dataset[Sample]):
    """The samples of one epoch: photos, augmented at random, and some joined in collages.

    Args:
        decoded: N photos.
        taught: (N, C), float16, the teacher's outputs; C is 0 without a teacher.
        recipe: the recipe of the run.
        epoch: the number of the epoch, which determines the photos drawn.
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
            # A dog beside a cat counts half for each, so that the network is sure of neither.
            is_dog = float(np.mean(self.is_dog[pets])) if pets else 0.0
            is_pet = float(bool(pets))
        # The network takes (size, size, 3).
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
    """Return the sampling probability of each photo, (N,), with sum 1.

    Each kind (a folder and a label) is sampled in proportion to the square root of its size
    (Mahajan et al. 2018, arXiv:1805.00932), times the folder's weight. So a few hundred rabbits are
    not drowned out by ten thousand portraits.
    """
    kinds = [(photo.group, photo.truth) for photo in photos]
    sizes = Counter(kinds)
    shares = np.array([group_weights.get(kind[0], 1.0) * sizes[kind] ** -0.5 for kind in kinds])
    result: npt.NDArray[np.float64] = shares / shares.sum()
    return result


def draw(
    shares: npt.NDArray[np.float64], count: int, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Draw indices by systematic sampling: each count is within one of its expected value.

    Args:
        shares: (N,), sampling probabilities with sum 1.
        count: how many indices to draw.
        rng: the random generator.

    Returns:
        The indices, (count,), in random order.
    """
    order = rng.permutation(len(shares))
    points = (np.arange(count) + rng.random()) / count
    drawn = np.searchsorted(np.cumsum(shares[order]), points).clip(max=len(shares) - 1)
    result: npt.NDArray[np.int64] = order[rng.permutation(drawn)]
    return result
