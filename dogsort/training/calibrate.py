"""Calibration: temperatures, bias, thresholds and the clipping bound.

All are chosen on validation photos by the rules stated here, and stored in the manifest.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from dogsort.decision import decide
from dogsort.network.engines import probabilities_of
from dogsort.network.weights import Scaling, Weights
from dogsort.records import LABELS, Thresholds

__all__ = ["Calibration", "calibrate", "calibration_of", "enough"]

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

TEMPERATURES = np.exp(np.linspace(np.log(0.05), np.log(10.0), 200))

#: Networks trained so far had best biases of -0.9 to 0.
BIASES = np.linspace(-1.5, 1.5, 61)

#: Share of the best bias that is used. A few dozen odd photos decide the best bias, and it differed
#: between networks trained alike. It also moves photos of a dog beside a cat away from 0.5.
BIAS_TAKEN = 0.5

#: Share of dogs and cats in a folder that people want sorted: most photos show neither.
PETS_IN_FOLDERS = 0.3

THRESHOLDS = np.round(np.arange(0.500, 0.9951, 0.005), 3)

#: Of all pairs of thresholds that meet these limits, the pair that labels most pets is chosen. One
#: threshold alone would also hold back photos whose species is certain.
MOST_NEITHER_LABELLED = 0.010  # of the photos with no pet
MOST_LABELLED_WRONGLY = 0.005  # of the pets labelled dog or cat
MOST_PAIRS_LABELLED = 0.05  # of pictures of a dog beside a cat

#: With fewer photos, a share of one in a hundred, or the temperature, would be chance: a network
#: fine-tuned on 108 photos and calibrated on 12 seemed perfect, and was far worse.
LEAST_OF_EACH_PET = 100
LEAST_NEITHER = 200

#: The clipping bound is the one of these with the lowest log loss. The smallest allows for one
#: wrong label in a thousand photos.
CLIPS = np.exp(np.linspace(np.log(0.001), np.log(0.1), 200))


@dataclass(frozen=True, slots=True)
class Calibration:
    """The values chosen on validation photos; units and ranges as in ``network.weights.Weights``.

    Attributes:
        kept: whether the thresholds meet the limits above on these photos; if none do, they are the
            highest.
    """

    scaling: Scaling
    threshold: float
    species_threshold: float
    clip: float
    kept: bool = True


def calibration_of(weights: Weights) -> Calibration:
    """Return the calibration stored with weights."""
    return Calibration(weights.scaling, *weights.thresholds, weights.clip)


def enough(is_dog: Flags, is_pet: Flags) -> bool:
    """Tell whether there are enough validation photos to calibrate on."""
    dogs, cats = int((is_dog & is_pet).sum()), int((~is_dog & is_pet).sum())
    return min(dogs, cats) >= LEAST_OF_EACH_PET and int((~is_pet).sum()) >= LEAST_NEITHER


def calibrate(
    logits: npt.NDArray[np.float32],
    is_dog: Flags,
    is_pet: Flags,
    shares: Floats,
    pair_logits: npt.NDArray[np.float32],
) -> Calibration:
    """Choose temperatures, thresholds and clipping bound on validation photos.

    Dog vs. cat gets half of the bias with the lowest log loss (Platt 1999), because a network may
    take odd cats for dogs more often than odd dogs for cats. Pet or not gets none: it would mostly
    reflect the share of pets among the validation photos. Then each neuron gets the temperature
    with the lowest log loss (Guo et al. 2017, arXiv:1706.04599).

    Args:
        logits: (N, 2), raw, columns ``DOG`` and ``PET``.
        is_dog: (N,); ignored where ``is_pet`` is false.
        is_pet: (N,).
        shares: (N,), the weight of each photo, from ``sampling.shares_of``. They are rescaled so
            that pets have the same share as in people's folders.
        pair_logits: (M, 2), raw, for pictures of a dog beside a cat.
    """
    shares = np.where(
        is_pet,
        PETS_IN_FOLDERS * shares / shares[is_pet].sum(),
        (1 - PETS_IN_FOLDERS) * shares / shares[~is_pet].sum(),
    )
    of_pets = shares[is_pet] / shares[is_pet].sum()
    temperature_dog, bias_dog = _best_scaling(logits[is_pet, 0], is_dog[is_pet], of_pets, BIASES)
    temperature_pet, _ = _best_scaling(logits[:, 1], is_pet, shares, np.zeros(1))
    scaling = Scaling(round(temperature_dog, 4), round(temperature_pet, 4), round(bias_dog, 4))
    probabilities = probabilities_of(logits, scaling).astype(np.float64)
    given = np.where(is_dog, probabilities[:, 0], 1 - probabilities[:, 0])[is_pet]
    losses = [-(np.log(given.clip(clip, 1 - clip)) * of_pets).sum() for clip in CLIPS]
    pairs = probabilities_of(pair_logits, scaling).astype(np.float64)
    truth = np.where(is_pet, np.where(is_dog, 0, 1), 2)
    threshold, species_threshold, kept = _best_thresholds(probabilities, truth, shares, pairs)
    clip = round(float(CLIPS[int(np.argmin(losses))]), 5)
    return Calibration(scaling, threshold, species_threshold, clip, kept)


def _best_scaling(
    logits: npt.NDArray[np.float32], outcomes: Flags, shares: Floats, biases: Floats
) -> tuple[float, float]:
    """Return the temperature with the lowest log loss, and a share of the best bias."""
    scaled = logits.astype(np.float64) / TEMPERATURES[:, None]  # (temperatures, N)
    against = np.where(outcomes, -1.0, 1.0)

    def losses(bias: float) -> Floats:
        # log(1 + exp(-margin)), without overflow.
        return np.logaddexp(0.0, against * (scaled + bias)) @ shares

    bias = BIAS_TAKEN * min(map(float, biases), key=lambda bias: float(losses(bias).min()))
    return float(TEMPERATURES[np.argmin(losses(bias))]), bias


def _best_thresholds(
    probabilities: Floats, truth: npt.NDArray[np.int64], shares: Floats, pairs: Floats
) -> tuple[float, float, bool]:
    """Choose both thresholds, and tell whether they meet the limits.

    Args:
        probabilities: (N, 2).
        truth: (N,), indices into ``LABELS``.
        shares: (N,), the weight of each photo.
        pairs: (M, 2), probabilities for pictures of a dog beside a cat.
    """
    cat = LABELS.index("cat")
    is_pet = truth <= cat

    def share(hits: Flags, among: Flags) -> float:
        return float(shares[hits & among].sum() / max(shares[among].sum(), 1e-12))

    best, most = (float(THRESHOLDS[-1]), float(THRESHOLDS[-1]), False), -1.0
    for threshold, species in product(map(float, THRESHOLDS), repeat=2):
        thresholds = Thresholds(threshold, species)
        label, _ = decide(probabilities[:, 0], probabilities[:, 1], thresholds)
        beside, _ = decide(pairs[:, 0], pairs[:, 1], thresholds)
        filed = label <= cat
        labelled = share(filed, is_pet)
        if (
            labelled >= most  # of equal ones, the highest
            and share(filed, ~is_pet) <= MOST_NEITHER_LABELLED
            and share(label != truth, filed & is_pet) <= MOST_LABELLED_WRONGLY
            and (not len(beside) or float((beside <= cat).mean()) <= MOST_PAIRS_LABELLED)
        ):
            best, most = (threshold, species, True), labelled
    return best
