"""Write TIFFs of every kind; Pillow writes only some."""

from __future__ import annotations

import struct
import zlib

import numpy as np

__all__ = ["DEFLATE", "RAW", "tiff_of"]

RAW, DEFLATE = 1, 8


def tiff_of(
    samples: np.ndarray,
    bits: int,
    photometric: int,
    *,
    numbers: int = 1,
    extra: tuple[int, ...] = (),
    in_planes: bool = False,
    compression: int = RAW,
    tile: int = 0,
    order: str = "<",
    reverse: bool = False,
    more: dict[int, list[int]] | None = None,
) -> bytes:
    """Return a file of (H, W, samples); ``more`` are short tags, ``tile`` is a side in pixels."""
    height, width, count = samples.shape
    across, down = (tile, tile) if tile else (width, 16)
    planes = [samples[:, :, n : n + 1] for n in range(count)] if in_planes else [samples]
    parts = []
    for plane in planes:
        for y in range(0, height, down):
            for x in range(0, width, across):
                part = plane[y : y + down, x : x + across]
                if tile:
                    missing = ((0, tile - part.shape[0]), (0, tile - part.shape[1]), (0, 0))
                    part = np.pad(part, missing) if np.any(missing) else part
                packed = _packed(part.reshape(len(part), -1), bits, numbers, order)
                packed = zlib.compress(packed) if compression == DEFLATE else packed
                if reverse:
                    backwards = np.unpackbits(np.frombuffer(packed, np.uint8), bitorder="little")
                    packed = np.packbits(backwards).tobytes()
                parts.append(packed)
    tags = {256: [width], 257: [height], 258: [bits] * count, 259: [compression]}
    tags |= {262: [photometric], 277: [count], 284: [1 + in_planes], 339: [numbers] * count}
    tags |= {266: [2]} if reverse else {}
    tags |= {338: [*extra]} if extra else {}
    tags |= {322: [tile], 323: [tile]} if tile else {278: [down]}
    places = 324 if tile else 273
    tags |= {places: [0] * len(parts), places + (1 if tile else 6): list(map(len, parts))}
    tags |= more or {}
    form = {tag: "H" if tag in (258, 320, 338, 339) else "I" for tag in tags}
    start = 8 + 2 + 12 * len(tags) + 4
    starts = {}
    for tag, values in sorted(tags.items()):
        starts[tag] = start
        length = len(values) * struct.calcsize(form[tag])
        start += length if length > 4 else 0
    tags[places] = [start + sum(map(len, parts[:n])) for n in range(len(parts))]
    directory, beyond = struct.pack(f"{order}H", len(tags)), b""
    for tag, values in sorted(tags.items()):
        packed = struct.pack(f"{order}{len(values)}{form[tag]}", *values)
        kind = 3 if form[tag] == "H" else 4
        directory += struct.pack(f"{order}HHI", tag, kind, len(values))
        if len(packed) > 4:
            directory += struct.pack(f"{order}I", starts[tag])
            beyond += packed
        else:
            directory += packed.ljust(4, b"\0")
    head = b"II*\0" if order == "<" else b"MM\0*"
    return head + struct.pack(f"{order}I", 8) + directory + bytes(4) + beyond + b"".join(parts)


def _packed(rows: np.ndarray, bits: int, numbers: int, order: str) -> bytes:
    if bits in (8, 16, 32, 64):
        kind = {1: "u", 2: "i", 3: "f"}[numbers]
        return rows.astype(f"{order}{kind}{bits // 8}").tobytes()
    single = rows[..., None].astype(np.uint32) >> np.arange(bits - 1, -1, -1, dtype=np.uint32) & 1
    return np.packbits(single.astype(np.uint8).reshape(len(rows), -1), axis=1).tobytes()
