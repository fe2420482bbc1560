"""Make the probabilities mean what they say: temperatures, the bar, the clipping bound.

All three are chosen on validation photos by the rules stated here, and kept in the manifest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dogsort.network.engines import probabilities_of
from dogsort.records import LABELS
from dogsort.training.evaluate import label_indices
from dogsort.training.figures import log_loss

__all__ = ["Calibration", "calibrate"]

TEMPERATURES = np.exp(np.linspace(np.log(0.05), np.log(10.0), 400))

BARS = np.round(np.arange(0.500, 0.9951, 0.005), 3)

#: The bar is the lowest at which both of the following hold, so that as many pets as possible
#: get their label; if there is none, the highest.
#: Both are below what dogsort promises (2% and 0.5%), since photos not seen are a little harder.
MOST_NEITHER_LABELLED = 0.015  # of the photos with no pet
MOST_LABELLED_WRONGLY = 0.004  # of the photos labelled dog or cat

#: The bar for the species is then the lowest at which no more than this share of pictures of a
#: dog beside a cat is labelled dog or cat. (A higher bar for both would do it, too, and leave
#: more single animals without their label.)
MOST_PAIRS_LABELLED = 0.05

#: The clipping bound is the one of these with the least log loss. The least of them admits
#: that among a thousand photos one label is wrong.
CLIPS = np.exp(np.linspace(np.log(0.001), np.log(0.1), 200))


@dataclass(frozen=True, slots=True)
class Calibration:
    """What is chosen on validation photos; units and ranges as in ``network.weights.Weights``."""

    temperature_dog: float
    temperature_pet: float
    bar: float
    species_bar: float
    clip: float


def calibrate(
    logits: npt.NDArray[np.float32],
    is_dog: npt.NDArray[np.bool_],
    is_pet: npt.NDArray[np.bool_],
    pair_logits: npt.NDArray[np.float32],
) -> Calibration:
    """Choose temperatures, bar and clipping bound on validation photos.

    The temperature divides a neuron's logits before the sigmoid, and is the one with the
    least log loss (temperature scaling; Guo et al. 2017, arXiv:1706.04599).

    Args:
        logits: (N, 2), raw, columns ``DOG`` and ``PET``.
        is_dog: (N,); means nothing where ``is_pet`` is false.
        is_pet: (N,).
        pair_logits: (M, 2), raw, of pictures that show a dog beside a cat.
    """
    temperature_dog = _best_temperature(logits[is_pet, 0], is_dog[is_pet])
    temperature_pet = _best_temperature(logits[:, 1], is_pet)
    probabilities = probabilities_of(logits, temperature_dog, temperature_pet).astype(np.float64)
    p_dog, p_pet = probabilities[:, 0], probabilities[:, 1]
    losses = [log_loss(p_dog[is_pet], is_dog[is_pet], clip) for clip in CLIPS]
    bar = _lowest_bar(p_dog, p_pet, np.where(is_pet, np.where(is_dog, 0, 1), 2))
    pairs = probabilities_of(pair_logits, temperature_dog, temperature_pet).astype(np.float64)
    return Calibration(
        temperature_dog=round(temperature_dog, 4),
        temperature_pet=round(temperature_pet, 4),
        bar=bar,
        species_bar=_lowest_species_bar(pairs, bar),
        clip=round(float(CLIPS[int(np.argmin(losses))]), 5),
    )


def _best_temperature(logits: npt.NDArray[np.float32], outcomes: npt.NDArray[np.bool_]) -> float:
    # log(1 + exp(-margin)) by logaddexp, which does not overflow.
    margins = np.where(outcomes, logits, -logits).astype(np.float64)
    losses = [np.logaddexp(0.0, -margins / temperature).mean() for temperature in TEMPERATURES]
    return float(TEMPERATURES[int(np.argmin(losses))])


def _lowest_bar(
    p_dog: npt.NDArray[np.float64], p_pet: npt.NDArray[np.float64], truth: npt.NDArray[np.int64]
) -> float:
    """Choose the bar; ``truth`` holds indices into ``LABELS``."""
    neither = truth == LABELS.index("neither")
    for bar in BARS:
        label = label_indices(p_dog, p_pet, float(bar), species_bar=0.0)
        filed = label <= LABELS.index("cat")
        if (
            _share(filed[neither]) <= MOST_NEITHER_LABELLED
            and _share((label != truth)[filed]) <= MOST_LABELLED_WRONGLY
        ):
            return float(bar)
    return float(BARS[-1])


def _lowest_species_bar(pairs: npt.NDArray[np.float64], bar: float) -> float:
    """Choose the bar for the species; ``pairs`` are the probabilities (M, 2) of such pictures."""
    for species_bar in BARS:
        label = label_indices(pairs[:, 0], pairs[:, 1], bar, float(species_bar))
        if _share(label <= LABELS.index("cat")) <= MOST_PAIRS_LABELLED:
            return float(species_bar)
    return float(BARS[-1])


def _share(hits: npt.NDArray[np.bool_]) -> float:
    return float(hits.mean()) if len(hits) else 0.0
