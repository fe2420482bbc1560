"""Labelled photos: found by folder or Kaggle name, decoded once, kept as pixels on disk."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from dogsort.errors import DataError, UnreadablePhoto
from dogsort.photos.decode import decode_file
from dogsort.photos.scan import scan
from dogsort.records import Failure

__all__ = [
    "LabelledPhoto",
    "PixelCache",
    "Truth",
    "check_classes",
    "find_labelled",
    "hold_out",
    "truth_of",
]

Truth: TypeAlias = Literal["dog", "cat", "neither"]

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
    """A photo and what it is known to show."""

    path: str
    truth: Truth


#: What decoding makes of a labelled photo: pixels (size, size, 3), or why there are none.
Decoded: TypeAlias = "tuple[LabelledPhoto, npt.NDArray[np.uint8] | Failure]"


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


def find_labelled(folders: Iterable[str]) -> list[LabelledPhoto]:
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
    for folder in folders:
        root = os.path.abspath(folder)
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
            photos.setdefault(os.path.realpath(path), LabelledPhoto(found.path, truth))
    if not photos:
        raise DataError("no labelled photos found")
    return list(photos.values())


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


def check_classes(name: str, photos: Iterable[LabelledPhoto]) -> None:
    """Raise DataError unless dogs, cats and others are all there."""
    missing = {"dog", "cat", "neither"} - {photo.truth for photo in photos}
    if missing:
        raise DataError(
            f"no {name} photos of: {', '.join(sorted(missing))}; "
            "each class needs a folder of its name with photos in it"
        )


class PixelCache:
    """Photos decoded once by the common path and kept as uint8 pixels in one file.

    Attributes:
        photos: those that could be read; row i of ``pixels`` belongs to ``photos[i]``.
        pixels: (N, size, size, 3), uint8, RGB, a memory map that worker processes share.
        failures: those that could not be read and are left out.
    """

    def __init__(
        self,
        photos: Sequence[LabelledPhoto],
        size: int,
        file: str,
        track: Callable[[Iterable[Decoded]], Iterable[Decoded]] = lambda decoded: decoded,
    ) -> None:
        self.photos: list[LabelledPhoto] = []
        self.failures: list[Failure] = []
        rows: npt.NDArray[np.uint8] = np.lib.format.open_memmap(
            file, mode="w+", dtype=np.uint8, shape=(len(photos), size, size, 3)
        )
        for photo, result in track(_decode_all(photos, size)):
            if isinstance(result, Failure):
                self.failures.append(result)
            else:
                rows[len(self.photos)] = result
                self.photos.append(photo)
        self.pixels = rows[: len(self.photos)]

    def targets(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Return (dog, pet), each (N,), 0 or 1; ``dog`` means nothing where ``pet`` is 0."""
        dog = np.array([photo.truth == "dog" for photo in self.photos], np.float32)
        pet = np.array([photo.truth != "neither" for photo in self.photos], np.float32)
        return dog, pet


def _decode_all(photos: Sequence[LabelledPhoto], size: int) -> Iterator[Decoded]:
    def decode(photo: LabelledPhoto) -> npt.NDArray[np.uint8] | Failure:
        try:
            return decode_file(photo.path, size)
        except UnreadablePhoto as error:
            return Failure(photo.path, str(error))

    remaining = iter(photos)
    with ThreadPoolExecutor() as executor:
        # In slices, so that decoded pixels never pile up in memory.
        while chunk := list(islice(remaining, 256)):
            yield from zip(chunk, executor.map(decode, chunk), strict=True)
