"""Probabilities -> label and confidence: the one rule by which dogsort names what it sees."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dogsort.records import DECIMALS, LABELS, Label, Prediction

__all__ = ["ANSWERS", "decide", "decide_many", "joint_probabilities", "prediction"]

#: Columns of the joint probabilities.
ANSWERS: tuple[Label, Label, Label] = ("dog", "cat", "neither")


def joint_probabilities(
    p_dog: npt.NDArray[np.float64], p_pet: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Join "a pet at all" and "dog, given a pet" into three probabilities that sum to 1.

    Args:
        p_dog: (N,), probability of dog against cat, given that it is one of them.
        p_pet: (N,), probability of a dog or cat at all.

    Returns:
        (N, 3), columns as in ``ANSWERS``.
    """
    return np.stack([p_pet * p_dog, p_pet * (1.0 - p_dog), 1.0 - p_pet], axis=1)


def decide_many(
    p_dog: npt.NDArray[np.float64],
    p_pet: npt.NDArray[np.float64],
    threshold: float,
    species_threshold: float,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Choose each photo's likeliest answer if it is likely enough, else ``unsure``.

    Args:
        p_dog: (N,), probability of dog against cat, given that it is one of them.
        p_pet: (N,), probability of a dog or cat at all.
        threshold: least probability that earns a label, 0..1.
        species_threshold: least probability of dog against cat, or of cat against dog, that
            earns ``dog`` or ``cat``, 0..1; what lies between may be a dog beside a cat.

    Returns:
        The labels, (N,) indices into ``LABELS``, and the (N,) probabilities of the likeliest
        answers.
    """
    joint = joint_probabilities(p_dog, p_pet)
    best, confidence = joint.argmax(axis=1), joint.max(axis=1)
    assert LABELS[: len(ANSWERS)] == ANSWERS  # so that an index means the same in both
    one_species = np.maximum(p_dog, 1.0 - p_dog) >= species_threshold
    sure = (confidence >= threshold) & (one_species | (best == LABELS.index("neither")))
    return np.where(sure, best, LABELS.index("unsure")), confidence


def decide(p_dog: float, p_pet: float, bar: float, species_bar: float) -> tuple[Label, float]:
    """Decide on one photo, as ``decide_many`` does.

    Args:
        p_dog: probability of dog against cat, given that it is one of them.
        p_pet: probability of a dog or cat at all.
        bar: its ``threshold``.
        species_bar: its ``species_threshold``.

    Returns:
        The label, and the probability of the likeliest answer.
    """
    labels, confidence = decide_many(np.array([p_dog]), np.array([p_pet]), bar, species_bar)
    return LABELS[labels[0]], float(confidence[0])


def prediction(path: str, p_dog: float, p_pet: float, bar: float, species_bar: float) -> Prediction:
    """Make a photo's Prediction, of which label and confidence follow from the two numbers in it.

    Args:
        path: as found; empty for a picture that came from memory.
        p_dog: as in ``decide``, like the following.
        p_pet: the second number.
        bar: what a label needs.
        species_bar: what ``dog`` and ``cat`` need besides.
    """
    # Rounded first: from a row that was written down the same row can be made again.
    p_dog, p_pet = round(p_dog, DECIMALS), round(p_pet, DECIMALS)
    label, confidence = decide(p_dog, p_pet, bar, species_bar)
    return Prediction(path, label, p_dog, p_pet, round(confidence, DECIMALS))
