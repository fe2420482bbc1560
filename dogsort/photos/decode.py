"""One file -> upright RGB pixels at the network's size: the only such path in dogsort.

Training, evaluation and classification all read photos through here, so that they
cannot disagree about what a photo looks like.
"""

from __future__ import annotations

import errno
import os
import stat
from functools import cache
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from dogsort.errors import UnreadablePhoto

__all__ = ["FORMATS", "Pixels", "decode_file", "decode_image", "readable_formats"]

Pixels = npt.NDArray[np.uint8]  # (H, W, 3), RGB, 0..255

#: Pillow's names of the formats that are tried, whatever the file is called. The list is
#: closed because Pillow knows others that start outside programs (EPS) or nest (PSD, PDF).
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "AVIF", "HEIF")

#: More pixels than this are refused before anything is unpacked: at 3 bytes each they would
#: take over half a gigabyte. It is also where Pillow itself refuses by default, and leaves
#: room for every camera's full frame but the 200-megapixel mode of a few telephones.
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
    try:
        with _open_regular_file(path) as file:
            return _decode_stream(file, size)
    except UnreadablePhoto:
        raise
    except OSError as error:
        raise UnreadablePhoto(_reason(error)) from error
    except MemoryError as error:
        raise UnreadablePhoto("too large for this machine's memory") from error
    except Exception as error:
        # Decoders raise almost anything on damaged data (struct.error, IndexError, ...); one
        # bad file must become one Failure and never stop the run.
        raise UnreadablePhoto(f"damaged: {_one_line(error)}") from error


def decode_image(image: Image.Image, size: int) -> Pixels:
    """Turn an opened picture into the network's pixels.

    Args:
        image: any mode; a lazily opened JPEG is down-scaled by its decoder. A file's EXIF
            orientation is applied.
        size: side of the square, in pixels.

    Returns:
        (size, size, 3), uint8, RGB: the whole picture, squashed.

    Raises:
        UnreadablePhoto: if it has too many pixels or none.
        OSError: or another of Pillow's errors, if a lazily opened file is damaged.
    """
    _check_pixel_count(image)
    # Halves, quarters or eighths inside the JPEG decoder, never below the target: several
    # times faster on camera photos. It does nothing to other formats.
    image.draft(None, (size, size))
    image.load()
    orientation = _orientation(image)
    rgb = _to_rgb(image)
    small = rgb.resize((size, size), Image.Resampling.BILINEAR, reducing_gap=REDUCING_GAP)
    # A square may be turned after shrinking, which is cheaper and the same.
    if orientation in TRANSPOSE_BY_ORIENTATION:
        small = small.transpose(TRANSPOSE_BY_ORIENTATION[orientation])
    return np.asarray(small)


def _open_regular_file(path: str) -> IO[bytes]:
    # Opened without blocking first: opening a named pipe would otherwise wait for ever.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags)
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode) and status.st_size > 0:
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    raise UnreadablePhoto("empty file" if stat.S_ISREG(status.st_mode) else "not a regular file")


def _decode_stream(file: IO[bytes], size: int) -> Pixels:
    formats = readable_formats()
    try:
        with Image.open(file, formats=formats) as image:
            return decode_image(image, size)
    except UnidentifiedImageError:
        raise UnreadablePhoto("not an image of a known format") from None
    except Image.DecompressionBombError:
        raise UnreadablePhoto(f"more than {MAX_PIXELS // 10**6} megapixels") from None


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


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    if image.mode in HIGH_DEPTH_MODES or image.mode.startswith("I;16"):
        image = _to_8_bit(image)
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def _to_8_bit(image: Image.Image) -> Image.Image:
    """Scale a one-channel picture of more than 8 bits to mode L instead of clipping it."""
    values = np.asarray(image).astype(np.float32)
    values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(values.min()), float(values.max())
    if image.mode == "F":
        # No agreed range: 0..1 is common, anything else is stretched from its own extremes.
        low, high = (0.0, 1.0) if low >= 0.0 and high <= 1.0 else (low, high)
    else:
        # Integers: 16 bits unless they need more (mode I holds 32).
        low, high = min(low, 0.0), max(high, 65535.0)
    scaled = (values - low) * (255.0 / max(high - low, 1e-12))
    return Image.fromarray(scaled.round().astype(np.uint8), mode="L")


def _reason(error: OSError) -> str:
    reasons = {
        errno.ENOENT: "file is gone",
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
