"""What an AVIF cuts away of its picture, which Pillow does not look at."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from fractions import Fraction
from typing import IO

__all__ = ["clean_aperture"]

HEAD = 1_000_000  # bytes, in which the properties of a picture are


def clean_aperture(file: IO[bytes], width: int, height: int) -> tuple[int, int, int, int] | None:
    """Return what is to be shown of the main picture, before it is turned.

    Args:
        file: an AVIF; it is left anywhere.
        width: of the picture as it is stored, in pixels.
        height: the same.

    Returns:
        Left, upper, right and lower edge in pixels; None for the whole, or if it makes no sense.
    """
    file.seek(0)
    head = file.read(HEAD)
    if b"clap" not in head:
        return None
    try:
        meta = dict(_boxes(dict(_boxes(head))[b"meta"][4:]))
        item = int.from_bytes(meta[b"pitm"][4:], "big")
        properties = dict(_boxes(meta[b"iprp"]))
        stored = list(_boxes(properties[b"ipco"]))
        for number in _associated(properties[b"ipma"], item):
            kind, body = stored[number - 1]
            if kind == b"clap":
                numbers = struct.unpack(">IIIIiIiI", body)
                across, down, x, y = map(Fraction, numbers[::2], numbers[1::2])
                left, upper = x + (width - across) / 2, y + (height - down) / 2
                box = (round(left), round(upper), round(left + across), round(upper + down))
                inside = 0 <= box[0] < box[2] <= width and 0 <= box[1] < box[3] <= height
                return box if inside else None
    except (IndexError, KeyError, ValueError, ZeroDivisionError, struct.error):
        pass  # damaged: then the decoder's word counts
    return None


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        yield kind, data[at + 8 : at + length]
        at += max(length, 8)


def _associated(ipma: bytes, item: int) -> list[int]:
    """Return the numbers, from 1 on, of the properties that an item has."""
    version, wide = ipma[0], ipma[3] & 1
    count, at = int.from_bytes(ipma[4:8], "big"), 8
    for _ in range(count):
        length = 4 if version else 2
        found, many = int.from_bytes(ipma[at : at + length], "big"), ipma[at + length]
        at += length + 1
        step = 2 if wide else 1
        ends = range(at, at + many * step, step)
        if found == item:
            mask = 0x7FFF if wide else 0x7F
            return [int.from_bytes(ipma[one : one + step], "big") & mask for one in ends]
        at += many * step
    return []
