"""What an AVIF cuts away of its picture, which Pillow does not look at."""

from __future__ import annotations

import re
import struct
from fractions import Fraction
from typing import IO

__all__ = ["clean_aperture"]

HEAD = 1_000_000  # bytes, in which the properties of a picture are
BOX = re.compile(rb"\0\0\0\x28clap(.{32})", re.DOTALL)


def clean_aperture(file: IO[bytes], width: int, height: int) -> tuple[int, int, int, int] | None:
    """Return what is to be shown of the picture, before it is turned.

    Args:
        file: an AVIF; it is left anywhere.
        width: of the picture as it is stored, in pixels.
        height: the same.

    Returns:
        Left, upper, right and lower edge in pixels; None for the whole, or if it makes no sense.
    """
    file.seek(0)
    boxes = set(BOX.findall(file.read(HEAD)))  # the picture's and its alpha's are the same
    if len(boxes) != 1:
        return None
    numbers = struct.unpack(">IIIIiIiI", boxes.pop())
    if 0 in numbers[1::2]:
        return None
    across, down, x, y = map(Fraction, numbers[::2], numbers[1::2])
    left, upper = x + (width - across) / 2, y + (height - down) / 2
    box = (round(left), round(upper), round(left + across), round(upper + down))
    inside = 0 <= box[0] < box[2] <= width and 0 <= box[1] < box[3] <= height
    return box if inside else None
