"""Labelled photos, found by folder or by Kaggle's names."""

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
    """A photo and what it is known to show."""

    path: str  # as found
    truth: Truth
    group: str = ""  # the folder it lies in, from the one given downward, less names of labels


def truth_of(path: str) -> Truth | None:
    """Read a photo's label off its path.

    The nearest folder called dog, dogs, cat, cats or neither decides; else a name as Kaggle's
    ``cat.1.jpg``; else there is none.
    """
    folder, name = os.path.split(path)
    match = _KAGGLE_NAME.fullmatch(name)
    words = [*([match[1]] if match else []), *_parts(folder)]
    labels = (_FOLDER_NAMES.get(word.lower()) for word in reversed(words))
    return next(filter(None, labels), None)


def find_labelled(folders: Sequence[str]) -> tuple[list[LabelledPhoto], list[str]]:
    """Walk folders for labelled photos, in scan order, each once.

    Folders from the one given downward tell labels; where they don't, the one that it lies in
    (``neither/furry``) does.

    Returns:
        The photos; and the folders of programs that were passed over.

    Raises:
        DataError: if there are none; or naming the first photo whose label nothing tells, a
            path that cannot be looked into, or a link to a folder.
    """
    photos: dict[str, LabelledPhoto] = {}
    passed_over: list[str] = []
    roots = [os.path.abspath(folder) for folder in folders]
    # Groups of several folders are named from above all of them, so that no two are the same.
    above = ""
    if len(roots) > 1:
        with suppress(ValueError):  # on several drives of Windows
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
