"""Photos -> batches of pixels, decoded ahead on threads.

Threads suffice because Pillow's decoders release the GIL. They need no shared memory and no copies
between processes, and they start at once. The order is kept: a photo that cannot be read keeps its
place as a Failure, and other records pass through. The look-ahead limits the photos in memory.
(torch's DataLoader would be no faster, and takes over a second to import.)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple, TypeAlias

import numpy as np

from dogsort.errors import UnreadablePhoto
from dogsort.photos.decode import Pixels, decode_file
from dogsort.records import Failure, Photo, Record

__all__ = ["Batch", "Item", "stream"]

Item: TypeAlias = Photo | Record

Decoded: TypeAlias = tuple[Photo, Pixels] | Record


class Batch(NamedTuple):
    """Items in scan order, and the pixels of the photos among them.

    Attributes:
        items: the input, with a Failure in place of each photo that could not be read.
        pixels: (number of Photos in items, size, size, 3), uint8, in the order of items.
    """

    items: Sequence[Item]
    pixels: Pixels


def stream(items: Iterable[Item], size: int, batch_size: int, workers: int) -> Iterator[Batch]:
    """Decode photos in batches, lazily.

    Args:
        items: consumed as batches are asked for, up to the look-ahead of two batches.
        size: side of the square the network sees, in pixels.
        batch_size: items per batch; the last one may be smaller.
        workers: decoding threads.
    """
    decoded = _decoded(items, size, workers, look_ahead=2 * batch_size)
    while ones := list(islice(decoded, batch_size)):
        pixels = [one[1] for one in ones if isinstance(one, tuple)]
        yield Batch(
            [one[0] if isinstance(one, tuple) else one for one in ones],
            np.stack(pixels) if pixels else np.empty((0, size, size, 3), np.uint8),
        )


def _decoded(items: Iterable[Item], size: int, workers: int, look_ahead: int) -> Iterator[Decoded]:
    """Decode on threads, at most ``look_ahead`` photos ahead of the consumer."""
    executor = ThreadPoolExecutor(workers, thread_name_prefix="dogsort-decode")
    ahead: deque[Future[Decoded] | Record] = deque()

    def first() -> Decoded:
        one = ahead.popleft()
        return one.result() if isinstance(one, Future) else one

    try:
        for item in items:
            if isinstance(item, Photo):
                ahead.append(executor.submit(_decode, item, size))
            else:
                ahead.append(item)
            if len(ahead) > look_ahead:
                yield first()
        while ahead:
            yield first()
    finally:
        # If the consumer stops early, do not start what is still waiting.
        executor.shutdown(wait=False, cancel_futures=True)


def _decode(photo: Photo, size: int) -> Decoded:
    try:
        return photo, decode_file(photo.path, size)
    except UnreadablePhoto as error:
        return Failure(photo.path, str(error))
