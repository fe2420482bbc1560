"""Labelled photos: found by folder or Kaggle name, decoded once, kept as pixels on disk."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from functools import cached_property
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
    "decode_all",
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
    """A photo and what it is known to show.

    Attributes:
        path: as found.
        truth: its label.
        group: the folder it lies in, from the one given downward and without the folders dog
            and cat: photos of one kind, which are worth figures of their own.
    """

    path: str
    truth: Truth
    group: str = ""


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
    roots = list(folders)
    for folder in roots:
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
            above = os.path.dirname(root) if len(roots) > 1 else root
            group = _group_of(os.path.relpath(os.path.dirname(path), above))
            photos.setdefault(os.path.realpath(path), LabelledPhoto(found.path, truth, group))
    if not photos:
        raise DataError("no labelled photos found")
    return list(photos.values())


def _group_of(folder: str) -> str:
    parts = folder.replace("\\", "/").split("/")
    return "/".join(
        part
        for part in parts
        if _FOLDER_NAMES.get(part.lower()) not in ("dog", "cat") and part != "."
    )


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


@dataclass(frozen=True)
class PixelCache:
    """Photos decoded once by the common path and kept as uint8 pixels in one file.

    It goes to other processes as the name of that file, which they map into memory, too.

    Attributes:
        photos: those that could be read; row i of ``pixels`` belongs to ``photos[i]``.
        failures: those that could not be read and are left out.
        file: a .npy file of shape (M, size, size, 3).
        rows: which of its rows are ``photos``.
    """

    photos: list[LabelledPhoto]
    failures: list[Failure]
    file: str
    rows: npt.NDArray[np.int64]

    @cached_property
    def _map(self) -> npt.NDArray[np.uint8]:
        mapped: npt.NDArray[np.uint8] = np.load(self.file, mmap_mode="r")
        return mapped

    def __getstate__(self) -> dict[str, object]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def __len__(self) -> int:
        return len(self.photos)

    def pixels(self, index: int) -> npt.NDArray[np.uint8]:
        """Return the pixels (size, size, 3), uint8, RGB, of ``photos[index]``."""
        row: npt.NDArray[np.uint8] = self._map[self.rows[index]]
        return row

    def batches(self, size: int = 64) -> Iterator[npt.NDArray[np.uint8]]:
        """Yield all pixels in order, (N, size, size, 3), N at most ``size``."""
        for start in range(0, len(self), size):
            yield self._map[self.rows[start : start + size]]

    def targets(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Return (dog, pet), each (N,), 0 or 1; ``dog`` means nothing where ``pet`` is 0."""
        dog = np.array([photo.truth == "dog" for photo in self.photos], np.float32)
        pet = np.array([photo.truth != "neither" for photo in self.photos], np.float32)
        return dog, pet

    def without(self, left_out: Collection[int]) -> PixelCache:
        """Return the same without the photos at these indices."""
        gone = set(left_out)
        kept = [i for i in range(len(self)) if i not in gone]
        return replace(self, photos=[self.photos[i] for i in kept], rows=self.rows[kept])


def decode_all(
    photos: Sequence[LabelledPhoto],
    size: int,
    file: str,
    track: Callable[[Iterable[Decoded]], Iterable[Decoded]] = lambda decoded: decoded,
) -> PixelCache:
    """Decode photos into ``file``; those that cannot be read are its ``failures``."""
    read: list[LabelledPhoto] = []
    failures: list[Failure] = []
    pixels: npt.NDArray[np.uint8] = np.lib.format.open_memmap(
        file, mode="w+", dtype=np.uint8, shape=(len(photos), size, size, 3)
    )
    for photo, result in track(_decode_each(photos, size)):
        if isinstance(result, Failure):
            failures.append(result)
        else:
            pixels[len(read)] = result
            read.append(photo)
    return PixelCache(read, failures, file, np.arange(len(read)))


def _decode_each(photos: Sequence[LabelledPhoto], size: int) -> Iterator[Decoded]:
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
