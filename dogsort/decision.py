"""Probabilities -> label and confidence, by dogsort's one decision rule."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dogsort.records import DECIMALS, LABELS, Label, Prediction, Thresholds

__all__ = ["ANSWERS", "decide", "joint_probabilities", "likeliest", "predictions"]

#: Columns of the joint probabilities.
ANSWERS: tuple[Label, Label, Label] = ("dog", "cat", "neither")
assert LABELS[: len(ANSWERS)] == ANSWERS  # so that an index means the same in both


def joint_probabilities(
    p_dog: npt.NDArray[np.float64], p_pet: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Join "a pet at all" and "dog, given a pet" into three probabilities that sum to 1.

    Args:
        p_dog: (N,), probability of a dog, given that it is a dog or a cat.
        p_pet: (N,), probability of a dog or cat at all.

    Returns:
        (N, 3), columns as in ``ANSWERS``.
    """
    return np.stack([p_pet * p_dog, p_pet * (1.0 - p_dog), 1.0 - p_pet], axis=1)


def decide(
    p_dog: npt.NDArray[np.float64], p_pet: npt.NDArray[np.float64], thresholds: Thresholds
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Choose each photo's likeliest answer if it is likely enough, else ``unsure``.

    Args:
        p_dog: (N,), probability of a dog, given that it is a dog or a cat.
        p_pet: (N,), probability of a dog or cat at all.
        thresholds: when it is likely enough.

    Returns:
        The labels, (N,) indices into ``LABELS``, and the probabilities of the likeliest answers,
        (N,).
    """
    joint = joint_probabilities(p_dog, p_pet)
    best, confidence = joint.argmax(axis=1), joint.max(axis=1)
    one_species = np.maximum(p_dog, 1.0 - p_dog) >= thresholds.species
    is_sure = confidence >= thresholds.confidence
    is_sure &= one_species | (best == LABELS.index("neither"))
    return np.where(is_sure, best, LABELS.index("unsure")), confidence


def predictions(
    paths: Sequence[str], probabilities: npt.NDArray[np.floating], thresholds: Thresholds
) -> list[Prediction]:
    """Make Predictions.

    Args:
        paths: N paths as found; empty for pictures from memory.
        probabilities: (N, 2), 0..1: p_dog and p_pet.
        thresholds: the thresholds of a label.
    """
    # Round first, so that the same decision can be made again from a written row.
    rounded = probabilities.astype(np.float64).round(DECIMALS)
    labels, confidences = decide(rounded[:, 0], rounded[:, 1], thresholds)
    rows = zip(
        paths, labels.tolist(), rounded.tolist(), confidences.round(DECIMALS).tolist(), strict=True
    )
    return [
        Prediction(path, LABELS[label], p_dog, p_pet, confidence)
        for path, label, (p_dog, p_pet), confidence in rows
    ]


def likeliest(p_dog: float, p_pet: float) -> Label:
    """Return the likeliest of dog, cat and neither, which ``unsure`` hides."""
    joint = p_pet * p_dog, p_pet * (1.0 - p_dog), 1.0 - p_pet
    return ANSWERS[joint.index(max(joint))]
