"""One file -> upright RGB pixels at the network's size: the only such path in dogsort.

Training, evaluation and classification all read photos through here, so that they
cannot disagree about what a photo looks like.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from dogsort.errors import UnreadablePhoto

__all__ = [
    "EXIF_ORIENTATION",
    "FORMATS",
    "Pixels",
    "decode_file",
    "decode_image",
    "decode_whole",
    "readable_formats",
    "unpacked_file",
]

Pixels = npt.NDArray[np.uint8]  # (H, W, 3), RGB, 0..255

#: Pillow's names of the formats that are tried, whatever the file is called. The list is
#: closed because Pillow knows others that start outside programs (EPS) or nest (PSD, PDF).
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "AVIF", "HEIF")

#: More pixels than this are refused before anything is unpacked: Pillow takes 4 bytes for each,
#: and some steps twice that, so that one photo stays under 1.5 GB. It is also where Pillow itself
#: refuses by default, and leaves room for every camera's full frame but the 200-megapixel mode of
#: a few telephones.
MAX_PIXELS = 178_000_000

#: With Image.resize(reducing_gap=...): shrink by whole factors first, down to this many times
#: the target, which Pillow documents as near-indistinguishable from the slow way at 3.
REDUCING_GAP = 3.0

EXIF_ORIENTATION = 0x0112
TRANSPOSE_BY_ORIENTATION = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

HIGH_DEPTH_MODES = ("I", "F")  # and everything that begins with "I;16"

#: So that hidden colours of transparent pixels do not bleed when pixels are averaged.
MODES_TO_PREMULTIPLY = {"LA": "La", "RGBA": "RGBa"}


@cache
def readable_formats() -> tuple[str, ...]:
    """Names of the formats that can be read on this machine, HEIF included where possible."""
    from pillow_heif import register_heif_opener

    register_heif_opener()
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def decode_file(path: str, size: int) -> Pixels:
    """Read one photo from disk.

    Args:
        path: the file; its content decides the format, not its name.
        size: side of the square that the network sees, in pixels.

    Returns:
        The whole picture, upright, squashed to (size, size, 3), uint8, RGB.

    Raises:
        UnreadablePhoto: with the reason in a few words.
    """
    with unpacked_file(path, size) as image:
        return _upright_pixels(image, size)


@contextmanager
def unpacked_file(path: str, size: int) -> Iterator[Image.Image]:
    """Do the first half of ``decode_file``: give the picture as its decoder gives it.

    Raises:
        UnreadablePhoto: with the reason in a few words; also for what fails in the block.
    """
    with _opened(path) as image:
        # Halves, quarters or eighths inside the JPEG decoder, never below the target:
        # several times faster on camera photos. It does nothing to other formats.
        image.draft(None, (size, size))
        image.load()
        yield image


def decode_image(image: Image.Image, size: int) -> Pixels:
    """Turn a picture in memory into the network's pixels.

    Args:
        image: any mode; EXIF orientation is applied if it has one.
        size: side of the square, in pixels.

    Returns:
        (size, size, 3), uint8, RGB: the whole picture, squashed.

    Raises:
        UnreadablePhoto: if it has no pixels or too many, or was opened from a damaged file.
    """
    with _reasons():
        _check_pixel_count(image)
        return _upright_pixels(image, size)


def decode_whole(path: str) -> Image.Image:
    """Read one photo from disk at its own size: upright, RGB.

    Raises:
        UnreadablePhoto: with the reason in a few words.
    """
    with _opened(path) as image:
        image.load()
        return _turn(_to_rgb(_to_averageable(image)), _orientation(image))


def _upright_pixels(image: Image.Image, size: int) -> Pixels:
    image.load()
    orientation = _orientation(image)
    # Squashed to a square in a mode that can be averaged; colour comes afterwards, on less.
    square = _to_averageable(image).resize(
        (size, size), Image.Resampling.BILINEAR, reducing_gap=REDUCING_GAP
    )
    # A square may be turned after shrinking, which is cheaper and the same.
    return np.asarray(_turn(_to_rgb(square), orientation))


def _turn(image: Image.Image, orientation: int) -> Image.Image:
    if orientation in TRANSPOSE_BY_ORIENTATION:
        return image.transpose(TRANSPOSE_BY_ORIENTATION[orientation])
    return image


@contextmanager
def _opened(path: str) -> Iterator[Image.Image]:
    formats = readable_formats()
    with (
        _reasons(),
        _open_regular_file(path) as file,
        Image.open(file, formats=formats) as image,
    ):
        _check_pixel_count(image)
        yield image


@contextmanager
def _reasons() -> Iterator[None]:
    """Turn whatever a damaged picture raises into UnreadablePhoto with a reason."""
    try:
        yield
    except UnreadablePhoto:
        raise
    except UnidentifiedImageError:
        raise UnreadablePhoto("not an image of a known format") from None
    except Image.DecompressionBombError:
        raise UnreadablePhoto(f"more than {MAX_PIXELS // 10**6} megapixels") from None
    except OSError as error:
        raise UnreadablePhoto(_reason(error)) from error
    except MemoryError as error:
        raise UnreadablePhoto("too large for this machine's memory") from error
    except Exception as error:
        # Decoders raise almost anything on damaged data (struct.error, IndexError, ...); one
        # bad file must become one Failure and never stop the run.
        raise UnreadablePhoto(f"damaged: {_one_line(error)}") from error


def _open_regular_file(path: str) -> IO[bytes]:
    # Opened without blocking first: opening a named pipe would otherwise wait for ever.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags)
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode) and status.st_size > 0:
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    raise UnreadablePhoto("empty file" if stat.S_ISREG(status.st_mode) else "not a regular file")


def _check_pixel_count(image: Image.Image) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        limit = MAX_PIXELS // 10**6
        raise UnreadablePhoto(f"{width} x {height} pixels, more than {limit} megapixels")
    if width * height == 0:
        raise UnreadablePhoto("a picture without pixels")


def _orientation(image: Image.Image) -> int:
    # A damaged EXIF block costs the photo its orientation, not its reading. (HEIF and AVIF
    # are turned by their decoders, which then report orientation 1 or translate to it.)
    try:
        value: Any = image.getexif().get(EXIF_ORIENTATION, 1)
    except Exception:
        return 1
    return value if isinstance(value, int) else 1


def _to_averageable(image: Image.Image) -> Image.Image:
    """Convert to a mode whose pixels can be averaged, if it is in another."""
    if image.mode in HIGH_DEPTH_MODES or image.mode.startswith("I;16"):
        return _to_8_bit(image)
    if image.mode in MODES_TO_PREMULTIPLY:
        return image.convert(MODES_TO_PREMULTIPLY[image.mode])
    if image.mode in ("1", "P", "PA") or (image.mode == "RGB" and "transparency" in image.info):
        # Numbers that stand for colours, or one colour that stands for none.
        return image.convert("RGBA" if image.has_transparency_data else "RGB")
    return image


def _to_rgb(image: Image.Image) -> Image.Image:
    """Convert to RGB, transparency over white."""
    if image.mode in ("La", "RGBa", "LA", "RGBA"):
        rgba = image.convert("LA").convert("RGBA") if image.mode == "La" else image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _to_8_bit(image: Image.Image) -> Image.Image:
    """Scale a one-channel picture of more than 8 bits to mode L instead of clipping it."""
    values = np.asarray(image)
    if values.dtype.kind == "u" and values.dtype.itemsize == 2:
        return Image.fromarray((values >> 8).astype(np.uint8))
    values = np.nan_to_num(values.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = min(float(values.min()), 0.0), float(values.max())
    # Of these there is no agreed range: the usual one that holds the values, or their own.
    high = next((top for top in (1.0, 255.0, 65535.0) if high <= top), high)
    scaled = (values - low) * (255.0 / (high - low))
    return Image.fromarray(scaled.round().astype(np.uint8))


def _reason(error: OSError) -> str:
    reasons = {
        errno.ENOENT: "no such file",
        errno.EACCES: "no permission to read it",
        errno.EPERM: "no permission to read it",
        errno.ELOOP: "a loop of links",
        errno.EISDIR: "a folder, not a file",
        errno.ENXIO: "not a regular file",
    }
    if error.errno in reasons:
        return reasons[error.errno]
    if error.errno is not None:
        return f"could not be read: {_one_line(error.strerror or error)}"
    return f"damaged or cut off: {_one_line(error)}"


def _one_line(error: object) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 120 else text[:117] + "..."
