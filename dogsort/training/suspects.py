"""Training photos whose label is probably wrong, as judged by the other photos."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dogsort.training.dataset import TRUTHS, LabelledPhoto, Truth

__all__ = ["Suspect", "suspects_among", "write_suspects"]

#: A label that gets less than this probability makes its photo a suspect. On our own photos,
#: looked at one by one, half of those below it are mislabelled or show no animal. A higher bound
#: takes out hard photos with right labels faster than wrong labels, and training needs those.
LEAST_PROBABILITY = 0.001


@dataclass(frozen=True, slots=True)
class Suspect:
    """A photo whose label is doubted.

    Attributes:
        index: its place among the training photos.
        photo: the photo and its label.
        probability: what the label gets from photos other than this one, 0..1.
        likelier: the label that gets the most.
    """

    index: int
    photo: LabelledPhoto
    probability: float
    likelier: Truth


def suspects_among(
    photos: Sequence[LabelledPhoto], probabilities: npt.NDArray[np.float32]
) -> list[Suspect]:
    """Return the photos whose label gets next to nothing, the most suspect first.

    Args:
        photos: N training photos.
        probabilities: (N, 3) of ``TRUTHS``, by cross-validation.
    """
    suspects = []
    for index, (photo, row) in enumerate(zip(photos, probabilities, strict=True)):
        given = float(row[TRUTHS.index(photo.truth)])
        if given < LEAST_PROBABILITY:
            suspects.append(Suspect(index, photo, given, TRUTHS[int(row.argmax())]))
    return sorted(suspects, key=lambda suspect: suspect.probability)


def write_suspects(suspects: Iterable[Suspect], root: str, file: Path) -> None:
    """Write them as CSV, their paths from the folder ``root`` on."""
    with file.open("w", newline="", encoding="utf-8", errors="surrogateescape") as out:
        writer = csv.writer(out)
        writer.writerow(("path", "label", "probability", "likelier"))
        for suspect in suspects:
            path = os.path.relpath(suspect.photo.path, root)
            chance = f"{suspect.probability:.6f}"
            writer.writerow((path, suspect.photo.truth, chance, suspect.likelier))
