"""Before the first epoch: what a teacher sees in the photos, and which labels are doubted."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dogsort.errors import DataError
from dogsort.training.cross_validation import (
    Features,
    features_of,
    out_of_fold,
    standardised,
)
from dogsort.training.dataset import TRUTHS, check_classes
from dogsort.training.lessons import Basis, Lessons, find_basis, take_lessons
from dogsort.training.pixels import PixelCache
from dogsort.training.processes import Processes
from dogsort.training.recipe import Recipe
from dogsort.training.suspects import suspects_among, write_suspects
from dogsort.training.teacher import Teacher
from dogsort.training.watcher import Watcher

__all__ = ["Looked", "look_at_photos"]

SUSPECTS_NAME = "suspects.csv"
LESSONS_NAME = "lessons.npy"


@dataclass(frozen=True)
class Looked:
    """Training photos that were looked at.

    Attributes:
        photos: those whose label is not doubted.
        suspects: how many others there were.
        lessons: what the teacher sees in ``photos``, if there is one.
        judged: (N, 3), what all photos say of each other's labels; for a checkpoint.
        basis: how the lessons are condensed; likewise.
    """

    photos: PixelCache
    suspects: int
    lessons: Lessons | None
    judged: Tensor
    basis: Basis | None


def look_at_photos(
    photos: PixelCache,
    network: Features,
    teacher: Teacher | None,
    recipe: Recipe,
    saved: dict[str, Any],
    folder: Path,
    caches: Path,
    processes: Processes,
    watcher: Watcher,
) -> Looked:
    """Ask the teacher what it sees, and leave out photos whose label is probably wrong.

    Args:
        photos: N training photos.
        network: judges labels if there is no teacher.
        teacher: what looks at the photos.
        recipe: of the run.
        saved: the state of a stopped run, empty if there is none.
        folder: where the suspects are listed.
        caches: where lessons are written.
        processes: of which the first does it.
        watcher: is told how it goes.

    Raises:
        DataError: if a class is missing among the others, or the stopped run had other photos.
    """
    lessons_file = caches / LESSONS_NAME

    def look() -> tuple[Tensor, Basis | None, float]:
        # The basis of a stopped run is kept: what is told so far is told by it.
        basis = Basis(*saved["basis"]) if saved.get("basis") else None
        features, mean_square = None, 1.0
        if teacher is not None:
            basis = basis or find_basis(photos, teacher, recipe.teacher_components, recipe.seed)
            batches = watcher.track(photos.batches(), photos.batch_count, "asking the teacher")
            features = take_lessons(len(photos), batches, teacher, basis, lessons_file)
            mean_square = float(basis.components(features).square().mean())
        if saved:
            return saved["judged"], basis, mean_square
        if features is None:
            batches = watcher.track(photos.batches(), photos.batch_count, "judging labels")
            features = features_of(batches, network)
        truth = torch.tensor([TRUTHS.index(photo.truth) for photo in photos.photos])
        return out_of_fold(standardised(features), truth, recipe.seed), basis, mean_square

    judged, basis, mean_square = processes.share(look)
    if len(judged) != len(photos):
        raise DataError(f"{folder}: begun with other photos; use another output folder")
    suspects = suspects_among(photos.photos, judged.numpy())
    if processes.rank == 0:
        places = [os.path.dirname(os.path.abspath(photo.path)) for photo in photos.photos]
        write_suspects(suspects, os.path.commonpath(places), folder / SUSPECTS_NAME)
    watcher.say(f"{len(suspects)} photos with doubtful labels left out: see {SUSPECTS_NAME}")
    left_out = {suspect.index for suspect in suspects}
    kept = photos.without(left_out)
    advice = f"all their labels are doubted, see {folder / SUSPECTS_NAME}: mend them, or add photos"
    check_classes("believable training", kept.photos, advice)
    rows = [index for index in range(len(photos)) if index not in left_out]
    lessons = None if teacher is None else Lessons(lessons_file, rows, mean_square)
    return Looked(kept, len(left_out), lessons, judged, basis)
