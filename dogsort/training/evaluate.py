"""How good predictions are: accuracy, log loss, precision, calibration, confusion."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dogsort.records import LABELS, Prediction
from dogsort.training.dataset import TRUTHS, Truth
from dogsort.training.figures import (
    Estimate,
    Share,
    bootstrap,
    calibration_error,
    log_loss,
    roc_auc,
)
from dogsort.verdict import ANSWERS, joint_probabilities

__all__ = ["NEITHER", "Evaluation", "evaluate", "label_indices"]

NEITHER = TRUTHS.index("neither")
UNSURE = LABELS.index("unsure")

NOTHING = Estimate(math.nan, math.nan, math.nan)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What labelled photos say about predictions.

    Attributes:
        accuracy: of dogs and cats, those on the right side of p_dog = 0.5.
        log_loss: mean negative log likelihood of dog against cat, in nats, clipped as
            submissions are.
        roc_auc_dog: area under the ROC curve of p_dog, on dogs and cats.
        roc_auc_pet: that of p_pet, on all photos.
        calibration_dog: expected calibration error of p_dog, on dogs and cats.
        calibration_pet: that of p_pet, on all photos.
        pets_labelled: of dogs and cats, those labelled dog or cat.
        labelled_wrongly: of all photos labelled dog or cat, those that are not it.
        neither_labelled: of photos with no pet, those labelled dog or cat.
        precision: for dog, cat and neither: of the photos labelled so, those that are.
        recall: for dog, cat and neither: of those that are, the photos labelled so.
        confusion: counts, (3, 4): rows dog, cat, neither as they are; columns dog, cat,
            neither, unsure as labelled.

    Figures of nothing (an accuracy without pets) are nan.
    """

    accuracy: Share
    log_loss: Estimate
    roc_auc_dog: Estimate
    roc_auc_pet: Estimate
    calibration_dog: Estimate
    calibration_pet: Estimate
    pets_labelled: Share
    labelled_wrongly: Share
    neither_labelled: Share
    precision: dict[Truth, Share]
    recall: dict[Truth, Share]
    confusion: npt.NDArray[np.int64]

    @property
    def photos(self) -> int:
        """How many photos were looked at."""
        return int(self.confusion.sum())


def evaluate(
    truths: Sequence[Truth], predictions: Sequence[Prediction], clip: float, brief: bool = False
) -> Evaluation:
    """Compare predictions, labels as they stand in them, with the truth.

    Args:
        truths: N of ``dog``, ``cat``, ``neither``.
        predictions: N, in the same order.
        clip: bound that p_dog is clipped to for the log loss, 0..0.5.
        brief: without ROC AUC and calibration error, which take a second each to bootstrap and
            say little of few photos; they are nan.
    """
    truth = np.array([TRUTHS.index(name) for name in truths], np.int64)
    label = np.array([LABELS.index(prediction.label) for prediction in predictions], np.int64)
    p_dog = np.array([prediction.p_dog for prediction in predictions])
    p_pet = np.array([prediction.p_pet for prediction in predictions])
    confusion = np.zeros((len(TRUTHS), len(LABELS)), np.int64)
    np.add.at(confusion, (truth, label), 1)

    is_pet = truth != NEITHER
    is_dog = truth[is_pet] == TRUTHS.index("dog")
    p_dog = p_dog[is_pet]
    right = (p_dog > 0.5) == is_dog
    filed = confusion[:, :2]
    diagonal = confusion.diagonal().tolist()
    labelled, there = confusion.sum(0).tolist(), confusion.sum(1).tolist()
    return Evaluation(
        accuracy=Share(int(right.sum()), len(right)),
        log_loss=bootstrap(lambda p, y: log_loss(p, y, clip), p_dog, is_dog),
        roc_auc_dog=NOTHING if brief else bootstrap(roc_auc, p_dog, is_dog, most=1.0),
        roc_auc_pet=NOTHING if brief else bootstrap(roc_auc, p_pet, is_pet, most=1.0),
        calibration_dog=NOTHING if brief else bootstrap(calibration_error, p_dog, is_dog),
        calibration_pet=NOTHING if brief else bootstrap(calibration_error, p_pet, is_pet),
        pets_labelled=Share(int(filed[:NEITHER].sum()), len(right)),
        labelled_wrongly=Share(int(filed.sum() - filed.trace()), int(filed.sum())),
        neither_labelled=Share(int(filed[NEITHER].sum()), there[NEITHER]),
        precision={name: Share(diagonal[i], labelled[i]) for i, name in enumerate(TRUTHS)},
        recall={name: Share(diagonal[i], there[i]) for i, name in enumerate(TRUTHS)},
        confusion=confusion,
    )


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
