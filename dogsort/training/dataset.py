"""Labelled photos for training: split, checked, and decoded once."""

from __future__ import annotations

import math
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dogsort.errors import DataError, OutputError, UnreadablePhoto
from dogsort.evaluation.labelled import TRUTHS, LabelledPhoto, find_labelled
from dogsort.photos.decode import Pixels, decode_file
from dogsort.records import Failure
from dogsort.results.output import writing

__all__ = [
    "DecodedPhotos",
    "check_apart",
    "check_classes",
    "check_room",
    "count_shared",
    "decode_photos",
    "find_photos",
    "hold_out",
]

HELD_OUT = 10  # without validation photos, one photo in so many is held out

BATCH = 64  # photos per batch outside training; larger ones are no faster on a CPU


def check_classes(
    name: str,
    photos: Iterable[LabelledPhoto],
    advice: str = "each class needs a folder of its name with photos in it",
) -> None:
    """Raise DataError unless there are dogs, cats and others."""
    missing = set(TRUTHS) - {photo.truth for photo in photos}
    if missing:
        raise DataError(f"no {name} photos of: {', '.join(sorted(missing))}; {advice}")


def find_photos(
    data: str, validation: str | None
) -> tuple[list[LabelledPhoto], list[LabelledPhoto], list[str]]:
    """Find training and validation photos.

    Args:
        data: the folder to train on.
        validation: the folder to validate on; None holds out a part of ``data``.

    Returns:
        Training photos, validation photos, and the program folders that were skipped.

    Raises:
        DataError: if a class is missing, or as ``find_labelled`` and ``hold_out`` raise it.
    """
    photos, program_folders = find_labelled([data])
    if validation is None:
        return *hold_out(photos), program_folders
    check_classes("training", photos)
    held_out, passed_over = find_labelled([validation])
    check_classes("validation", held_out)
    return photos, held_out, program_folders + passed_over


def hold_out(photos: list[LabelledPhoto]) -> tuple[list[LabelledPhoto], list[LabelledPhoto]]:
    """Split into (training, validation): every tenth photo of each class is held out.

    Raises:
        DataError: if a class is missing or has too few photos.
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


@dataclass(frozen=True)
class DecodedPhotos:
    """Photos decoded once, in the same way as for classification, and stored in one file.

    Attributes:
        photos: N photos.
        file: a .npy file with at least N pictures of (size, size, 3).
    """

    photos: list[LabelledPhoto]
    file: Path

    @cached_property
    def pixels(self) -> Pixels:
        """All pixels, (N, size, size, 3), uint8, RGB, mapped from the file."""
        mapped: Pixels = np.load(self.file, mmap_mode="c")  # torch would warn about "r"
        return mapped[: len(self)]

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle without the pixels, which other processes map for themselves."""
        return DecodedPhotos, (self.photos, self.file)

    def __len__(self) -> int:
        return len(self.photos)

    def batches(self) -> Iterator[Pixels]:
        """Yield all pixels in order, ``BATCH`` photos at a time."""
        for start in range(0, len(self), BATCH):
            yield np.asarray(self.pixels[start : start + BATCH])

    def labels(self) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Return (is_dog, is_pet), each (N,); ignore ``is_dog`` where there is no pet."""
        truths = np.array([photo.truth for photo in self.photos])
        return truths == "dog", truths != "neither"


def decode_photos(
    photos: Sequence[LabelledPhoto], size: int, file: Path
) -> Iterator[LabelledPhoto | Failure | DecodedPhotos]:
    """Decode photos into a .npy file of (size, size, 3) each.

    Yields:
        Each photo that was read, a Failure for each that could not be, and at the end all photos.

    Raises:
        OutputError: if the file cannot be written.
    """
    read: list[LabelledPhoto] = []
    shape = (len(photos), size, size, 3)
    with writing(str(file)):
        pixels = np.lib.format.open_memmap(file, mode="w+", dtype=np.uint8, shape=shape)

    def decode(photo: LabelledPhoto) -> Pixels | Failure:
        try:
            return decode_file(photo.path, size)
        except UnreadablePhoto as error:
            return Failure(photo.path, str(error))

    remaining = iter(photos)
    with ThreadPoolExecutor() as executor:
        # In slices, so that decoded pixels never pile up in memory.
        while chunk := list(islice(remaining, 4 * BATCH)):
            for photo, decoded in zip(chunk, executor.map(decode, chunk), strict=True):
                if isinstance(decoded, Failure):
                    yield decoded
                else:
                    pixels[len(read)] = decoded
                    read.append(photo)
                    yield photo
    with writing(str(file)):
        pixels.flush()
    yield DecodedPhotos(read, file)


def check_room(folder: Path, need: int) -> None:
    """Raise OutputError if a folder's disk has fewer free bytes than needed."""
    free = shutil.disk_usage(folder).free
    if free < need:
        raise OutputError(
            f"{folder}: needs {math.ceil(need / 1e8) / 10} GB for decoded photos and weights, but "
            f"only {math.floor(free / 1e8) / 10} GB are free"
        )


def check_apart(output: str, folders: Iterable[str]) -> None:
    """Raise DataError if the output folder is among labelled photos."""
    made = Path(output).resolve()
    for folder in folders:
        if made.is_relative_to(Path(folder).resolve()):
            raise DataError(
                f"{output}: is inside {folder}, among the photos; name a folder elsewhere"
            )


def count_shared(first: Iterable[LabelledPhoto], second: Iterable[LabelledPhoto]) -> int:
    """Return how many files are in both."""
    real = {os.path.realpath(photo.path) for photo in first}
    return sum(os.path.realpath(photo.path) in real for photo in second)
