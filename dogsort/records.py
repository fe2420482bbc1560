"""What flows between the rooms: photos found, predictions made, failures met."""

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

#: What --device and Classifier(device=...) may be; auto takes a GPU if there is one.
DEVICES = ("auto", "cpu", "cuda", "mps")

#: Digits behind the point of every probability that leaves dogsort.
DECIMALS = 6

#: The columns of every output table, in order.
COLUMNS = ("path", "label", "p_dog", "p_pet", "confidence", "error")


@dataclass(frozen=True, slots=True)
class Photo:
    """A file to look at; ``path`` is the PATH given joined with what lies below it."""

    path: str


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the network says of one photo.

    Attributes:
        path: as found; empty for a picture that came from memory.
        label: ``dog``, ``cat``, ``neither`` or ``unsure``.
        p_dog: probability of dog against cat, given that it is one of them, 0..1.
        p_pet: probability that there is a dog or a cat at all, 0..1.
        confidence: probability that ``label`` is right, 0..1; of ``unsure``, the
            probability of the likeliest of the other three, which missed the threshold.
    """

    path: str
    label: Label
    p_dog: float
    p_pet: float
    confidence: float


@dataclass(frozen=True, slots=True)
class Failure:
    """A photo that could not be read, and why, in a few words."""

    path: str
    error: str


Record: TypeAlias = Prediction | Failure


class Thresholds(NamedTuple):
    """What a label needs.

    Attributes:
        confidence: least probability that earns a label, 0..1.
        species: least probability of dog against cat, or of cat against dog, that earns ``dog`` or
            ``cat``, 0..1; what lies between may be a dog beside a cat.
    """

    confidence: float
    species: float
