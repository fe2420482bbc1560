"""Make the probabilities mean what they say: scaling, the bars, the clipping bound.

All three are chosen on validation photos by the rules stated here, and kept in the manifest.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from dogsort.network.engines import probabilities_of
from dogsort.network.weights import Scaling
from dogsort.records import LABELS
from dogsort.training.evaluate import label_indices
from dogsort.training.figures import log_loss

__all__ = ["Calibration", "calibrate"]

TEMPERATURES = np.exp(np.linspace(np.log(0.05), np.log(10.0), 400))

#: The best bias is looked for within this, either way; after so many halvings of the range, four
#: of its decimals are known.
MOST_BIAS = 10.0
HALVINGS = 20

#: Share of the best bias that is taken: a few dozen odd photos decide it, and it differed between
#: networks trained alike. It also moves dogs beside cats away from the middle.
BIAS_TAKEN = 0.5

BARS = np.round(np.arange(0.500, 0.9951, 0.005), 3)

#: Of all pairs of bars for which the following hold, those are taken that label most pets; if there
#: are none, the highest. Two bars, since one alone would keep back photos whose species is certain
#: for the sake of others whose species is not.
#: The first two are below what dogsort promises (2% and 0.5%), since photos not seen are a little
#: harder.
MOST_NEITHER_LABELLED = 0.010  # of the photos with no pet
MOST_LABELLED_WRONGLY = 0.004  # of the photos labelled dog or cat
MOST_PAIRS_LABELLED = 0.05  # of pictures of a dog beside a cat

#: The clipping bound is the one of these with the least log loss. The least of them admits
#: that among a thousand photos one label is wrong.
CLIPS = np.exp(np.linspace(np.log(0.001), np.log(0.1), 200))


@dataclass(frozen=True, slots=True)
class Calibration:
    """What is chosen on validation photos; units and ranges as in ``network.weights.Weights``."""

    scaling: Scaling
    bar: float
    species_bar: float
    clip: float


def calibrate(
    logits: npt.NDArray[np.float32],
    is_dog: npt.NDArray[np.bool_],
    is_pet: npt.NDArray[np.bool_],
    pair_logits: npt.NDArray[np.float32],
) -> Calibration:
    """Choose scaling, bars and clipping bound on validation photos.

    For dog against cat, half of the bias with the least log loss (Platt 1999), since a network
    may take odd cats for dogs more often than odd dogs for cats; none for pet or not, where it
    would mostly be the share of pets among validation photos, which are many more than the
    others. With that, the temperature of each neuron with the least log loss (Guo et al. 2017,
    arXiv:1706.04599).

    Args:
        logits: (N, 2), raw, columns ``DOG`` and ``PET``.
        is_dog: (N,); means nothing where ``is_pet`` is false.
        is_pet: (N,).
        pair_logits: (M, 2), raw, of pictures that show a dog beside a cat.
    """
    temperature_dog, bias_dog = _best_scaling(logits[is_pet, 0], is_dog[is_pet], biased=True)
    temperature_pet, _ = _best_scaling(logits[:, 1], is_pet, biased=False)
    scaling = Scaling(round(temperature_dog, 4), round(temperature_pet, 4), round(bias_dog, 4))
    probabilities = probabilities_of(logits, scaling).astype(np.float64)
    losses = [log_loss(probabilities[is_pet, 0], is_dog[is_pet], clip) for clip in CLIPS]
    pairs = probabilities_of(pair_logits, scaling).astype(np.float64)
    truth = np.where(is_pet, np.where(is_dog, 0, 1), 2)
    bar, species_bar = _best_bars(probabilities, truth, pairs)
    return Calibration(
        scaling=scaling,
        bar=bar,
        species_bar=species_bar,
        clip=round(float(CLIPS[int(np.argmin(losses))]), 5),
    )


def _best_scaling(
    logits: npt.NDArray[np.float32], outcomes: npt.NDArray[np.bool_], *, biased: bool
) -> tuple[float, float]:
    """Return the temperature with the least log loss, and what goes with it as its bias."""
    scaled = logits.astype(np.float64) / TEMPERATURES[:, None]  # (temperatures, N)
    biases = np.zeros((len(scaled), 1))
    if biased:
        biases = BIAS_TAKEN * _best_biases(scaled, outcomes.mean())
    scaled += biases
    # log(1 + exp(-margin)) by logaddexp, which does not overflow.
    losses = np.logaddexp(0.0, np.where(outcomes, -scaled, scaled)).mean(axis=1)
    best = int(np.argmin(losses))
    return float(TEMPERATURES[best]), float(biases[best, 0])


def _best_biases(scaled: npt.NDArray[np.float64], share: float) -> npt.NDArray[np.float64]:
    """Return for each row the bias that makes its mean probability the share of outcomes.

    That is where log loss is least, as its slope is their difference. The mean rises with the
    bias, so halving the range finds it, or the end of the range.

    Args:
        scaled: (rows, N), logits.
        share: 0..1.

    Returns:
        (rows, 1).
    """
    low = np.full((len(scaled), 1), -MOST_BIAS)
    high = -low
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        mean = np.exp(-np.logaddexp(0.0, -(scaled + middle))).mean(axis=1, keepdims=True)
        low, high = np.where(mean < share, middle, low), np.where(mean < share, high, middle)
    result: npt.NDArray[np.float64] = (low + high) / 2
    return result


def _best_bars(
    probabilities: npt.NDArray[np.float64],
    truth: npt.NDArray[np.int64],
    pairs: npt.NDArray[np.float64],
) -> tuple[float, float]:
    """Choose both bars.

    Args:
        probabilities: (N, 2).
        truth: (N,), indices into ``LABELS``.
        pairs: (M, 2), probabilities of pictures of a dog beside a cat.
    """
    cat, neither = LABELS.index("cat"), LABELS.index("neither")
    best, most = (float(BARS[-1]), float(BARS[-1])), -1.0
    for bar, species_bar in product(map(float, BARS), repeat=2):
        label = label_indices(probabilities[:, 0], probabilities[:, 1], bar, species_bar)
        filed = label <= cat
        labelled = _share(filed[truth <= cat])
        if (
            labelled >= most  # of those that label as many, the highest
            and _share(filed[truth == neither]) <= MOST_NEITHER_LABELLED
            and _share((label != truth)[filed]) <= MOST_LABELLED_WRONGLY
            and _share(label_indices(pairs[:, 0], pairs[:, 1], bar, species_bar) <= cat)
            <= MOST_PAIRS_LABELLED
        ):
            best, most = (bar, species_bar), labelled
    return best


def _share(hits: npt.NDArray[np.bool_]) -> float:
    return float(hits.mean()) if len(hits) else 0.0
