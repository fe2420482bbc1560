"""Probabilities -> label and confidence: the one rule by which dogsort names what it sees."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dogsort.records import DECIMALS, Label, Prediction

__all__ = ["ANSWERS", "decide", "joint_probabilities", "prediction"]

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


def decide(p_dog: float, p_pet: float, bar: float, species_bar: float) -> tuple[Label, float]:
    """Choose the likeliest answer if it is likely enough, else ``unsure``.

    Args:
        p_dog: probability of dog against cat, given that it is one of them.
        p_pet: probability of a dog or cat at all.
        bar: least probability that earns a label, 0..1.
        species_bar: least probability of dog against cat, or of cat against dog, that earns
            ``dog`` or ``cat``, 0..1; what lies between may be a dog beside a cat.

    Returns:
        The label, and the probability of the likeliest answer.
    """
    joint = joint_probabilities(np.array([p_dog]), np.array([p_pet]))[0]
    best = ANSWERS[int(joint.argmax())]
    confidence = float(joint.max())
    if confidence < bar or (best != "neither" and max(p_dog, 1.0 - p_dog) < species_bar):
        return "unsure", confidence
    return best, confidence


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
