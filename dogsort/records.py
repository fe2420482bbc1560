"""What flows between the rooms: photos, predictions and failures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

__all__ = [
    "COLUMNS",
    "DECIMALS",
    "DEVICES",
    "LABELS",
    "Failure",
    "Label",
    "Photo",
    "Prediction",
    "Record",
    "Thresholds",
]

Label: TypeAlias = Literal["dog", "cat", "neither", "unsure"]
LABELS: tuple[Label, ...] = ("dog", "cat", "neither", "unsure")

#: The values of --device and Classifier(device=...); auto takes a GPU if there is one.
DEVICES = ("auto", "cpu", "cuda", "mps")

#: Decimal places of every probability that leaves dogsort.
DECIMALS = 6

#: The columns of every output table, in order.
COLUMNS = ("path", "label", "p_dog", "p_pet", "confidence", "error")


@dataclass(frozen=True, slots=True)
class Photo:
    """A file to classify; ``path`` is the given PATH joined with the file's path below it."""

    path: str


@dataclass(frozen=True, slots=True)
class Prediction:
    """The network's answer for one photo.

    Attributes:
        path: as found; empty for a picture from memory.
        label: ``dog``, ``cat``, ``neither`` or ``unsure``.
        p_dog: probability of a dog, given that it is a dog or a cat, 0..1.
        p_pet: probability of a dog or a cat at all, 0..1.
        confidence: probability that ``label`` is right, 0..1; for ``unsure``, the probability of
            the likeliest other label, which missed the threshold.
    """

    path: str
    label: Label
    p_dog: float
    p_pet: float
    confidence: float


@dataclass(frozen=True, slots=True)
class Failure:
    """A photo that could not be read, with the reason in a few words."""

    path: str
    error: str


Record: TypeAlias = Prediction | Failure


class Thresholds(NamedTuple):
    """The thresholds of a label.

    Attributes:
        confidence: lowest confidence that gets a label, 0..1.
        species: lowest p_dog that gets ``dog``, and lowest 1 - p_dog that gets ``cat``, 0..1; a
            photo in between may show a dog beside a cat.
    """

    confidence: float
    species: float
