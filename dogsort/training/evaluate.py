"""How good predictions are: accuracy, log loss, confusion, with intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dogsort.records import LABELS, Prediction
from dogsort.training.dataset import Truth
from dogsort.verdict import ANSWERS, joint_probabilities

__all__ = ["Evaluation", "Share", "evaluate", "label_indices", "log_loss", "wilson_interval"]

TRUTHS: tuple[Truth, ...] = ("dog", "cat", "neither")

UNSURE = LABELS.index("unsure")

#: Two-sided 95% point of the normal distribution.
Z_95 = 1.959964


@dataclass(frozen=True, slots=True)
class Share:
    """``count`` of ``total``, with its 95% interval."""

    count: int
    total: int

    @property
    def value(self) -> float:
        """The share, 0..1; nan of nothing."""
        return self.count / self.total if self.total else math.nan

    def interval(self) -> tuple[float, float]:
        """Return the 95% Wilson interval, each end 0..1."""
        return wilson_interval(self.count, self.total)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What labelled photos say about predictions.

    Attributes:
        accuracy: of dogs and cats, those on the right side of p_dog = 0.5.
        log_loss: mean negative log likelihood of dog against cat, in nats, clipped as
            submissions are; nan without pets.
        pets_labelled: of dogs and cats, those labelled dog or cat.
        labelled_wrongly: of all photos labelled dog or cat, those that are not it.
        neither_labelled: of photos with no pet, those labelled dog or cat.
        confusion: counts, (3, 4): rows dog, cat, neither as they are; columns dog, cat,
            neither, unsure as labelled.
    """

    accuracy: Share
    log_loss: float
    pets_labelled: Share
    labelled_wrongly: Share
    neither_labelled: Share
    confusion: npt.NDArray[np.int64]


def evaluate(truths: Sequence[Truth], predictions: Sequence[Prediction], clip: float) -> Evaluation:
    """Compare predictions, labels as they stand in them, with the truth.

    Args:
        truths: N of ``dog``, ``cat``, ``neither``.
        predictions: N, in the same order.
        clip: bound that p_dog is clipped to for the log loss, 0..0.5.
    """
    truth = np.array([TRUTHS.index(name) for name in truths], np.int64)
    label = np.array([LABELS.index(prediction.label) for prediction in predictions], np.int64)
    p_dog = np.array([prediction.p_dog for prediction in predictions])
    confusion = np.zeros((len(TRUTHS), len(LABELS)), np.int64)
    np.add.at(confusion, (truth, label), 1)

    pets = truth != TRUTHS.index("neither")
    is_dog = truth[pets] == TRUTHS.index("dog")
    right = (p_dog[pets] > 0.5) == is_dog
    filed = confusion[:, :2]
    return Evaluation(
        accuracy=Share(int(right.sum()), len(right)),
        log_loss=log_loss(p_dog[pets], is_dog, clip),
        pets_labelled=Share(int(filed[:2].sum()), len(right)),
        labelled_wrongly=Share(int(filed.sum() - filed.trace()), int(filed.sum())),
        neither_labelled=Share(int(filed[2].sum()), int(confusion[2].sum())),
        confusion=confusion,
    )


def log_loss(
    probabilities: npt.NDArray[np.float64], outcomes: npt.NDArray[np.bool_], clip: float
) -> float:
    """Return the mean negative log likelihood in nats of (N,) outcomes; nan where N is 0."""
    if len(outcomes) == 0:
        return math.nan
    clipped = np.clip(probabilities, max(clip, 1e-15), 1.0 - max(clip, 1e-15))
    return float(-np.log(np.where(outcomes, clipped, 1.0 - clipped)).mean())


def label_indices(
    p_dog: npt.NDArray[np.float64],
    p_pet: npt.NDArray[np.float64],
    bar: float,
    species_bar: float,
) -> npt.NDArray[np.int64]:
    """Return (N,) indices into ``LABELS``: the rule of ``verdict.decide`` for many at once."""
    joint = joint_probabilities(p_dog, p_pet)
    best = joint.argmax(axis=1)
    assert LABELS[:3] == ANSWERS  # so that an index means the same in both
    species_told = (best == LABELS.index("neither")) | (np.maximum(p_dog, 1 - p_dog) >= species_bar)
    return np.where((joint.max(axis=1) >= bar) & species_told, best, UNSURE)


def wilson_interval(count: int, total: int) -> tuple[float, float]:
    """Return the 95% score interval of a share (Wilson 1927, JASA 22), each end 0..1."""
    if total == 0:
        return 0.0, 1.0
    share = count / total
    denominator = 1 + Z_95**2 / total
    centre = (share + Z_95**2 / (2 * total)) / denominator
    half = Z_95 / denominator * math.sqrt(share * (1 - share) / total + Z_95**2 / (4 * total**2))
    return max(0.0, centre - half), min(1.0, centre + half)
