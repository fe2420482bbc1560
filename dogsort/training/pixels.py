"""Labelled photos decoded once and kept as pixels on disk, for every epoch and process."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from dogsort.errors import OutputError, UnreadablePhoto
from dogsort.photos.decode import decode_file
from dogsort.records import Failure
from dogsort.training.dataset import LabelledPhoto

__all__ = ["PixelCache", "check_room", "decode_all"]

BATCH = 64  # photos at a time where nothing is learned; more are no faster on a CPU

#: What decoding makes of a labelled photo: pixels (size, size, 3), or why there are none.
Decoded: TypeAlias = "tuple[LabelledPhoto, npt.NDArray[np.uint8] | Failure]"


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

    def close(self) -> None:
        """Let go of the file, so that every system lets it be deleted."""
        self.__dict__.pop("_map", None)

    def pixels(self, index: int) -> npt.NDArray[np.uint8]:
        """Return the pixels (size, size, 3), uint8, RGB, of ``photos[index]``."""
        row: npt.NDArray[np.uint8] = self._map[self.rows[index]]
        return row

    @property
    def batch_count(self) -> int:
        """How many ``batches`` there are."""
        return -(-len(self) // BATCH)

    def batches(self) -> Iterator[npt.NDArray[np.uint8]]:
        """Yield all pixels in order: (N, size, size, 3), N at most ``BATCH``."""
        for start in range(0, len(self), BATCH):
            yield self._map[self.rows[start : start + BATCH]]

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


def check_room(folder: Path, need: int) -> None:
    """Raise OutputError if a disk has no room for so many bytes."""
    free = shutil.disk_usage(folder).free
    if free < need:
        raise OutputError(
            f"{folder}: {math.ceil(need / 1e8) / 10} GB are needed there for decoded photos and "
            f"weights, {math.floor(free / 1e8) / 10} GB are free"
        )
