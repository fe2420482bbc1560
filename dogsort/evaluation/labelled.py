"""Labelled photos, found by folder or by Kaggle's file names."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, TypeAlias

from dogsort.errors import DataError
from dogsort.photos.scan import Scan
from dogsort.records import Failure

__all__ = ["TRUTHS", "LabelledPhoto", "Truth", "find_labelled", "truth_of"]

Truth: TypeAlias = Literal["dog", "cat", "neither"]
TRUTHS: tuple[Truth, ...] = ("dog", "cat", "neither")

_FOLDER_NAMES: dict[str, Truth] = {"dogs": "dog", "cats": "cat", **{name: name for name in TRUTHS}}
_KAGGLE_NAME = re.compile(r"(dog|cat)\.\d+\.\w+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class LabelledPhoto:
    """A photo and its true label."""

    path: str  # as found
    truth: Truth
    group: str = ""  # its folder, relative to the given one, without the names of labels


def truth_of(path: str) -> Truth | None:
    """Read a photo's label from its path.

    A file name like Kaggle's ``cat.1.jpg`` decides, unless a folder around it is called dog, dogs,
    cat, cats or neither: then the nearest of these does. None if nothing decides.
    """
    folder, name = os.path.split(path)
    match = _KAGGLE_NAME.fullmatch(name)
    words = [*([match[1]] if match else []), *_parts(folder)]
    labels = (_FOLDER_NAMES.get(word.lower()) for word in reversed(words))
    return next(filter(None, labels), None)


def find_labelled(folders: Sequence[str]) -> tuple[list[LabelledPhoto], list[str]]:
    """Walk folders for labelled photos, in scan order, each once.

    Labels come from the given folder and those below it; if these give none, from its parent (as in
    ``neither/furry``).

    Returns:
        The photos; and the program folders that were skipped.

    Raises:
        DataError: if there are no photos; or naming the first photo without a label, a path that
            cannot be opened, or a link to a folder.
    """
    photos: dict[str, LabelledPhoto] = {}
    passed_over: list[str] = []
    roots = [os.path.abspath(folder) for folder in folders]
    # Name the groups of several folders relative to a common parent, so that they are unique.
    above = ""
    if len(roots) > 1:
        with suppress(ValueError):  # different drives on Windows
            above = os.path.commonpath([os.path.dirname(root) for root in roots])
    for folder, root in zip(folders, roots, strict=True):
        parent = os.path.dirname(root)
        scan = Scan([folder])
        for found in scan:
            if isinstance(found, Failure):
                raise DataError(f"{found.path}: {found.error}")
            path = os.path.abspath(found.path)
            truth = truth_of(os.path.relpath(path, parent))
            truth = truth or truth_of(os.path.relpath(path, os.path.dirname(parent)))
            if truth is None:
                raise DataError(
                    f"{found.path}: no label; put photos into folders dog, cat and neither, "
                    "or name them as Kaggle does: cat.1.jpg, dog.1.jpg"
                )
            parts = _parts(os.path.relpath(os.path.dirname(path), above or root))
            group = "/".join(part for part in parts if part.lower() not in {*_FOLDER_NAMES, "."})
            photos.setdefault(os.path.realpath(path), LabelledPhoto(found.path, truth, group))
        for link in scan.links:
            raise DataError(f"{link}: a link to a folder; name the folder itself")
        passed_over += scan.program_folders
    if not photos:
        raise DataError(f"{', '.join(folders)}: no labelled photos found")
    return list(photos.values()), passed_over


def _parts(folder: str) -> list[str]:
    return folder.replace("\\", "/").split("/")
