"""Labelled photos: found by folder or Kaggle name, and held out."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from dogsort.errors import DataError
from dogsort.photos.scan import scan
from dogsort.records import Failure

__all__ = [
    "TRUTHS",
    "LabelledPhoto",
    "Truth",
    "check_apart",
    "check_classes",
    "count_shared",
    "find_labelled",
    "hold_out",
    "truth_of",
]

Truth: TypeAlias = Literal["dog", "cat", "neither"]

TRUTHS: tuple[Truth, ...] = ("dog", "cat", "neither")

_FOLDER_NAMES: dict[str, Truth] = {
    "dog": "dog",
    "dogs": "dog",
    "cat": "cat",
    "cats": "cat",
    "neither": "neither",
}
HELD_OUT = 10  # one photo in so many is kept for validation where none are given

_KAGGLE_NAME = re.compile(r"(dog|cat)\.\d+\.\w+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class LabelledPhoto:
    """A photo and what it is known to show.

    Attributes:
        path: as found.
        truth: its label.
        group: the folder it lies in, from the one given downward, without those that only tell
            the label: photos of one kind, which are worth figures of their own.
    """

    path: str
    truth: Truth
    group: str = ""


def truth_of(path: str) -> Truth | None:
    """Read a photo's label off its path.

    The nearest folder called dog, dogs, cat, cats or neither decides; else a name as Kaggle's
    ``cat.1.jpg``; else there is none.
    """
    folder, name = os.path.split(path)
    for part in reversed(folder.replace("\\", "/").split("/")):
        if part.lower() in _FOLDER_NAMES:
            return _FOLDER_NAMES[part.lower()]
    match = _KAGGLE_NAME.fullmatch(name)
    return _FOLDER_NAMES[match[1].lower()] if match else None


def find_labelled(folders: Sequence[str]) -> list[LabelledPhoto]:
    """Walk folders for labelled photos, in scan order, each once.

    Folders from the one given downward tell labels, and where they don't, the one that it is
    in (``neither/furry``), but none above that.

    Raises:
        DataError: if there are none; or naming the first photo whose label nothing tells, a
            path that cannot be looked into, or a link to a folder.
    """

    def refuse(path: str) -> None:
        raise DataError(f"{path}: a link to a folder; name the folder itself")

    photos: dict[str, LabelledPhoto] = {}
    roots = [os.path.abspath(folder) for folder in folders]
    # Of several folders, names from the folder above all of them on: no two are the same.
    above = os.path.commonpath([os.path.dirname(root) for root in roots]) if roots[1:] else ""
    for folder, root in zip(folders, roots, strict=True):
        for found in scan([folder], refuse):
            if isinstance(found, Failure):
                raise DataError(f"{found.path}: {found.error}")
            path = os.path.abspath(found.path)
            parent = os.path.dirname(root)
            truth = truth_of(os.path.relpath(path, parent)) or truth_of(
                os.path.relpath(path, os.path.dirname(parent))
            )
            if truth is None:
                raise DataError(
                    f"{found.path}: no label; put photos into folders dog, cat and neither, "
                    "or name them as Kaggle does: cat.1.jpg, dog.1.jpg"
                )
            group = _group_of(os.path.relpath(os.path.dirname(path), above or root))
            photos.setdefault(os.path.realpath(path), LabelledPhoto(found.path, truth, group))
    if not photos:
        raise DataError(f"{', '.join(folders)}: no labelled photos found")
    return list(photos.values())


def _group_of(folder: str) -> str:
    parts = folder.replace("\\", "/").split("/")
    return "/".join(part for part in parts if part.lower() not in {*_FOLDER_NAMES, "."})


def hold_out(photos: list[LabelledPhoto]) -> tuple[list[LabelledPhoto], list[LabelledPhoto]]:
    """Split into (training, validation): every tenth photo of each class is held out.

    Raises:
        DataError: if a class is missing or has too few photos for that.
    """
    check_classes("training", photos)
    kept: list[LabelledPhoto] = []
    held_out: list[LabelledPhoto] = []
    seen: Counter[str] = Counter()
    for photo in photos:
        seen[photo.truth] += 1
        (held_out if seen[photo.truth] % HELD_OUT == 0 else kept).append(photo)
    few = sorted(truth for truth, count in seen.items() if count < HELD_OUT)
    if few:
        raise DataError(
            f"fewer than {HELD_OUT} photos of: {', '.join(few)}; give validation photos with --val"
        )
    return kept, held_out


def check_apart(output: str, folders: Iterable[str]) -> None:
    """Raise DataError if what is to be made would lie among labelled photos."""
    made = Path(output).resolve()
    for folder in folders:
        if made.is_relative_to(Path(folder).resolve()):
            raise DataError(
                f"{output}: lies in {folder}, among the photos; name a folder elsewhere"
            )


def count_shared(first: Iterable[LabelledPhoto], second: Iterable[LabelledPhoto]) -> int:
    """Return how many files are in both."""
    real = {os.path.realpath(photo.path) for photo in first}
    return sum(os.path.realpath(photo.path) in real for photo in second)


def check_classes(
    name: str,
    photos: Iterable[LabelledPhoto],
    advice: str = "each class needs a folder of its name with photos in it",
) -> None:
    """Raise DataError unless dogs, cats and others are all there."""
    missing = set(TRUTHS) - {photo.truth for photo in photos}
    if missing:
        raise DataError(f"no {name} photos of: {', '.join(sorted(missing))}; {advice}")
