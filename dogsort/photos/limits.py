"""Limits on a picture's size, checked in its header before it is unpacked.

A file of a few bytes can claim any size. No file may take more than about 1 GB of memory, or
minutes, so that one bad file never stops a run.
"""

from __future__ import annotations

from operator import mul
from typing import Any

from PIL import Image

from dogsort.errors import UnreadablePhoto

__all__ = ["MAX_PIXELS", "bytes_needed", "check_canvas", "check_size"]

#: Larger pictures are refused, whatever the format. Pillow refuses them by default, too. All
#: cameras stay below this, except for the 200-megapixel mode of a few phones.
MAX_PIXELS = 178_000_000

#: 1 GB minus the memory that does not grow with the picture: the bands used to shrink it.
MAX_BYTES = 950_000_000

#: Decoders keep whole rows, and Pillow a pointer to each. Without this limit, a picture with very
#: long or many rows would take several times the memory of its pixels.
MAX_SIDE = 1_000_000

#: Pillow unpacks run-length-coded BMP byte by byte in Python, about 15 million pixels a second.
MAX_RUN_LENGTH_PIXELS = 20_000_000

#: Bytes of memory per pixel, measured with everything that exists at once: the decoder's planes,
#: its output, Pillow's copies. Second numbers are for alpha; HEIF's also for 4:4:4.
WEBP_BYTES = 16.2
AVIF_BYTES = (15.0, 20.0)
HEIF_BYTES = (8.6, 21.0)

ORIENTATION, TILE_WIDTH, TILE_HEIGHT, ROWS_PER_STRIP = 274, 322, 323, 278
BITS, PHOTOMETRIC, YCBCR = 258, 262, 6


def check_size(image: Image.Image) -> None:
    """Refuse a picture that has no pixels or too many, before it is unpacked.

    Raises:
        UnreadablePhoto: with the reason in a few words.
    """
    _check_sides(*image.size)
    size = f"{image.width} x {image.height} pixels"
    in_run_lengths = image.format in ("BMP", "DIB") and image.info.get("compression") in (1, 2)
    if in_run_lengths and image.width * image.height > MAX_RUN_LENGTH_PIXELS:
        limit = MAX_RUN_LENGTH_PIXELS // 10**6
        raise UnreadablePhoto(f"{size}, more than {limit} megapixels in a run-length-coded BMP")
    needed = bytes_needed(image)
    if needed > MAX_BYTES:
        raise UnreadablePhoto(f"{size}, which would need {needed / 10**6:,.0f} MB of memory")


def check_canvas(head: bytes) -> None:
    """Refuse a WebP file with too many pixels: Pillow allocates them when it opens the file.

    Args:
        head: the file's first 30 bytes.

    Raises:
        UnreadablePhoto: with the reason in a few words.
    """
    if len(head) < 30 or not head.startswith(b"RIFF") or head[8:12] != b"WEBP":
        return
    if head[12:16] == b"VP8X":
        width, height = (int.from_bytes(head[at : at + 3], "little") + 1 for at in (24, 27))
    elif head[12:16] == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    else:
        width, height = (int.from_bytes(head[at : at + 2], "little") & 0x3FFF for at in (26, 28))
    _check_sides(width, height)
    limit = int(MAX_BYTES / WEBP_BYTES)
    if width * height > limit:
        size = f"{width} x {height} pixels"
        raise UnreadablePhoto(f"{size}, more than {limit // 10**6} megapixels in WebP")


def _check_sides(width: int, height: int) -> None:
    if width * height == 0:
        raise UnreadablePhoto("a picture without pixels")
    if width * height > MAX_PIXELS:
        limit = MAX_PIXELS // 10**6
        raise UnreadablePhoto(f"{width} x {height} pixels, more than {limit} megapixels")
    if max(width, height) > MAX_SIDE:
        raise UnreadablePhoto(f"{width} x {height} pixels, one side longer than {MAX_SIDE:,}")


def bytes_needed(image: Image.Image) -> float:
    """Return roughly how many bytes of memory unpacking takes at its peak."""
    pixels = image.width * image.height
    match image.format:
        case "JPEG" | "MPO":
            return _coefficients_of_jpeg(image) * 2.0 * pixels
        case "WEBP":
            return WEBP_BYTES * pixels
        case "AVIF":
            return AVIF_BYTES[image.mode == "RGBA"] * pixels
        case "HEIF":
            unusual = image.mode == "RGBA" or image.info.get("chroma") == 444
            return HEIF_BYTES[unusual] * pixels
        case "TIFF":
            return _bytes_of_tiff(image, pixels)
        case _:
            return float(_bytes_of(image.mode) * pixels)


def _coefficients_of_jpeg(image: Any) -> float:
    """Return the coefficients per pixel: the decoder keeps all of them for a file in several scans.

    The pixels themselves need little, because the decoder shrinks large pictures itself.
    """
    try:
        _, across, down, _ = zip(*image.layer, strict=True)  # by component
        return float(sum(map(mul, across, down)) / (max(across) * max(down)))
    except (AttributeError, TypeError, ValueError, ZeroDivisionError):
        # Pillow does not document ``layer``: assume the maximum.
        return float(len(image.getbands()))


def _bytes_of(mode: str) -> int:
    return 1 if mode in ("1", "L", "P") else 2 if mode.startswith("I;16") else 4


def _bytes_of_tiff(image: Any, pixels: int) -> float:
    picture = _bytes_of(image.mode) * pixels
    if image.tag_v2.get(ORIENTATION, 1) != 1:
        picture *= 2  # Pillow rotates the whole picture
    if image.info.get("compression") == "raw":
        return picture
    # libtiff also unpacks one tile or strip, of whatever size the file claims.
    if TILE_WIDTH in image.tag_v2:
        unit = image.tag_v2[TILE_WIDTH] * image.tag_v2[TILE_HEIGHT]
    else:
        unit = min(image.tag_v2.get(ROWS_PER_STRIP, MAX_SIDE) * max(image.size), pixels)
    bits = image.tag_v2.get(BITS, (1,))
    samples = len(image.getbands()) if len(bits) == 1 else len(bits)
    bytes_each = 4.0 if image.tag_v2.get(PHOTOMETRIC) == YCBCR else max(bits) * samples / 8
    return float(picture + unit * bytes_each)
