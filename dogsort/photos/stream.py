"""Photos -> batches: a torch DataLoader fed by threads that decode ahead.

Threads, because Pillow's decoders release the GIL, need no copies between processes and no
shared memory, and start at once. Order is kept, a photo that cannot be read keeps its place
as a Failure, what is no Photo passes through, and at no time are more photos in memory than the
look-ahead allows.
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
from dogsort.photos.twins import Twin
from dogsort.records import Failure, Photo, Record

__all__ = ["Batch", "Item", "open_stream"]

Item: TypeAlias = Photo | Twin | Record

Decoded: TypeAlias = tuple[Photo, Pixels] | Twin | Record


class Batch(NamedTuple):
    """Items in scan order, and the pixels of the photos among them.

    Attributes:
        items: what came in; a Failure in the place of a photo that could not be read.
        pixels: (number of Photos in items, size, size, 3), uint8, in the order of items.
    """

    items: Sequence[Item]
    pixels: Tensor


def open_stream(
    items: Iterable[Item], size: int, batch_size: int, workers: int, pin_memory: bool
) -> Iterable[Batch]:
    """Decode photos in batches, lazily.

    Args:
        items: consumed as batches are asked for, up to the look-ahead of two batches.
        size: side of the square the network sees, in pixels.
        batch_size: items per batch; the last one may be smaller.
        workers: threads that decode.
        pin_memory: for faster copies to a CUDA device.
    """
    stream = _DecodedPhotos(items, size, workers, look_ahead=2 * batch_size)
    return DataLoader(stream, batch_size=batch_size, collate_fn=_collate, pin_memory=pin_memory)


class _DecodedPhotos(IterableDataset[Decoded]):
    """Decodes on threads, a bounded number of photos ahead of what was asked for."""

    def __init__(self, items: Iterable[Item], size: int, workers: int, look_ahead: int) -> None:
        self.items, self.size, self.workers, self.look_ahead = items, size, workers, look_ahead

    def __iter__(self) -> Iterator[Decoded]:
        executor = ThreadPoolExecutor(self.workers, thread_name_prefix="dogsort-decode")
        ahead: deque[Future[Decoded]] = deque()
        try:
            for item in self.items:
                ahead.append(executor.submit(_decode, item, self.size))
                if len(ahead) > self.look_ahead:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            # Reached early when the consumer stops: what has not begun is not begun.
            executor.shutdown(wait=False, cancel_futures=True)


def _decode(item: Item, size: int) -> Decoded:
    if not isinstance(item, Photo):
        return item
    try:
        return item, decode_file(item.path, size)
    except UnreadablePhoto as error:
        return Failure(item.path, str(error))


def _collate(decoded: list[Decoded]) -> Batch:
    items = [one[0] if isinstance(one, tuple) else one for one in decoded]
    pixels = [one[1] for one in decoded if isinstance(one, tuple)]
    if not pixels:
        return Batch(items, torch.empty((0, 0, 0, 3), dtype=torch.uint8))
    return Batch(items, torch.from_numpy(np.stack(pixels)))
