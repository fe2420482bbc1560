"""The clean aperture of an AVIF: how it crops its picture, which Pillow ignores."""

from __future__ import annotations

import re
import struct
from fractions import Fraction
from typing import IO

__all__ = ["clean_aperture"]

HEAD = 1_000_000  # bytes that hold the properties of a picture
BOX = re.compile(rb"\0\0\0\x28clap(.{32})", re.DOTALL)


def clean_aperture(file: IO[bytes], width: int, height: int) -> tuple[int, int, int, int] | None:
    """Return the part of the picture to show, before it is rotated.

    Args:
        file: an AVIF; its position afterwards is undefined.
        width: width of the stored picture, in pixels.
        height: height of the stored picture, in pixels.

    Returns:
        Left, upper, right and lower edge in pixels; None for the whole, or if the box is invalid.
    """
    file.seek(0)
    boxes = set(BOX.findall(file.read(HEAD)))  # the picture and its alpha have the same box
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
