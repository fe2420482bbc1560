"""Photos -> batches: a torch DataLoader fed by threads that decode ahead.

Threads, because Pillow's decoders release the GIL, need no copies between processes and no
shared memory, and start at once. Order is kept, a photo that cannot be read keeps its place
as a Failure, and at no time are more photos in memory than the look-ahead allows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from dogsort.errors import UnreadablePhoto
from dogsort.photos.decode import Pixels, decode_file
from dogsort.records import Failure, Photo

__all__ = ["Batch", "open_stream"]

Decoded: TypeAlias = tuple[Photo, Pixels] | Failure


class Batch(NamedTuple):
    """Photos and failures in scan order, and the pixels of the photos.

    Attributes:
        items: what was scanned.
        pixels: (number of Photos in items, size, size, 3), uint8, in the order of items.
    """

    items: Sequence[Photo | Failure]
    pixels: Tensor


def open_stream(
    photos: Iterable[Photo | Failure], size: int, batch_size: int, workers: int, pin_memory: bool
) -> Iterable[Batch]:
    """Decode photos in batches, lazily.

    Args:
        photos: consumed as batches are asked for, up to the look-ahead of two batches.
        size: side of the square the network sees, in pixels.
        batch_size: photos per batch; the last one may be smaller.
        workers: threads that decode.
        pin_memory: for faster copies to a CUDA device.
    """
    stream = _DecodedPhotos(photos, size, workers, look_ahead=2 * batch_size)
    return DataLoader(stream, batch_size=batch_size, collate_fn=_collate, pin_memory=pin_memory)


class _DecodedPhotos(IterableDataset[Decoded]):
    """Decodes on threads, a bounded number of photos ahead of what was asked for."""

    def __init__(
        self, photos: Iterable[Photo | Failure], size: int, workers: int, look_ahead: int
    ) -> None:
        self.photos, self.size, self.workers, self.look_ahead = photos, size, workers, look_ahead

    def __iter__(self) -> Iterator[Decoded]:
        executor = ThreadPoolExecutor(self.workers, thread_name_prefix="dogsort-decode")
        ahead: deque[Future[Decoded]] = deque()
        try:
            for photo in self.photos:
                ahead.append(executor.submit(_decode, photo, self.size))
                if len(ahead) > self.look_ahead:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            # Reached early when the consumer stops: what has not begun is not begun.
            executor.shutdown(wait=False, cancel_futures=True)


def _decode(photo: Photo | Failure, size: int) -> Decoded:
    if isinstance(photo, Failure):
        return photo
    try:
        return photo, decode_file(photo.path, size)
    except UnreadablePhoto as error:
        return Failure(photo.path, str(error))


def _collate(decoded: list[Decoded]) -> Batch:
    items = [one if isinstance(one, Failure) else one[0] for one in decoded]
    pixels = [one[1] for one in decoded if not isinstance(one, Failure)]
    if not pixels:
        return Batch(items, torch.empty((0, 0, 0, 3), dtype=torch.uint8))
    return Batch(items, torch.from_numpy(np.stack(pixels)))
