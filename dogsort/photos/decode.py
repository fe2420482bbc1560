"""One file -> upright RGB pixels at the network's size: the only such path in dogsort.

Training, evaluation and classification all read photos through here, so that they
cannot disagree about what a photo looks like.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from dogsort.errors import UnreadablePhoto
from dogsort.photos.avif import clean_aperture
from dogsort.photos.essentials import essentials
from dogsort.photos.files import open_regular_file
from dogsort.photos.limits import MAX_PIXELS, check_canvas, check_size
from dogsort.photos.shrink import fit, whole, within
from dogsort.photos.tiff import TIFF_STARTS, check_tiff, mend_palette, silent_libtiff

__all__ = [
    "EXIF_ORIENTATION",
    "FORMATS",
    "Pixels",
    "decode_file",
    "decode_image",
    "decode_whole",
    "decode_within",
    "decoder_version",
    "opened_file",
    "orientation_of",
    "readable_formats",
    "unpacked_file",
]

Pixels = npt.NDArray[np.uint8]  # (H, W, 3), RGB, 0..255

#: Pillow's names of the formats to try, whatever the file is called. The list is closed because
#: Pillow knows others that run external programs (EPS) or nest (PSD, PDF).
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "AVIF", "HEIF")

#: Errors that a second try cannot change.
FINAL = (UnreadablePhoto, Image.DecompressionBombError, MemoryError)

#: Pillow's messages about intact files: kinds that it does not implement, and BMP whose run
#: lengths leave pixels out or whose palette is too long.
SAID_OF_INTACT_FILES = (
    "nsupported",
    "not been built in",
    "not enough image data",
    "invalid palette size",
)

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


#: Increased whenever a file decodes to different pixels, so that cached predictions expire.
DECODER_VERSION = 1


def decoder_version() -> str:
    """Return a version that changes whenever files may decode to different pixels."""
    import PIL
    import pillow_heif

    libraries = f"Pillow {PIL.__version__}, pillow-heif {pillow_heif.__version__}"
    return f"decoder {DECODER_VERSION}, {libraries}"


@cache
def readable_formats() -> tuple[str, ...]:
    """Return the names of the formats that this machine can read, with HEIF if possible."""
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
        The whole picture, upright, (size, size, 3), uint8, RGB; see ``shrink.fit``.

    Raises:
        UnreadablePhoto: with the reason in a few words.
    """
    with unpacked_file(path, size) as image:
        return _upright_pixels(image, size)


@contextmanager
def unpacked_file(path: str, size: int) -> Iterator[Image.Image]:
    """Do the first half of ``decode_file``: yield the picture as its decoder returns it.

    Raises:
        UnreadablePhoto: with the reason in a few words; also for errors in the block.
    """
    with _reasons(), open_regular_file(path) as file:
        yield _loaded(file, (size, size))


def decode_image(image: Image.Image, size: int) -> Pixels:
    """Turn a picture in memory into the network's pixels.

    Args:
        image: any mode; EXIF orientation is applied if it has one.
        size: side of the square, in pixels.

    Returns:
        The whole picture, (size, size, 3), uint8, RGB; see ``shrink.fit``.

    Raises:
        UnreadablePhoto: if it has no pixels or too many, or was opened from a damaged file.
    """
    with _reasons():
        check_size(image)
        return _upright_pixels(image, size)


def decode_whole(path: str) -> Image.Image:
    """Read one photo from disk at its own size: upright, RGB.

    Raises:
        UnreadablePhoto: with the reason in a few words.
    """
    with _reasons(), open_regular_file(path) as file:
        image = _loaded(file, None)
        return _turn(whole(image), orientation_of(image))


def decode_within(path: str, side: int, enough: int | None = None) -> Image.Image:
    """Read one photo from disk for people to look at: upright, RGB, not stretched or enlarged.

    Args:
        path: the file; its content decides the format, not its name.
        side: the longer side, at most, in pixels.
        enough: a JPEG may be shrunk to this shorter side while it is decoded, which is faster and
            takes less memory; ``side`` by default, so that none becomes too small.

    Raises:
        UnreadablePhoto: with the reason in a few words.
    """
    enough = enough or side
    with _reasons(), open_regular_file(path) as file:
        image = _loaded(file, (enough, enough))
        return _turn(within(image, side), orientation_of(image))


@contextmanager
def opened_file(path: str) -> Iterator[Image.Image]:
    """Yield a picture whose header was read and checked, but not its pixels.

    Raises:
        UnreadablePhoto: with the reason in a few words; also for errors in the block.
    """
    with _reasons(), open_regular_file(path) as file:
        yield _opened(file)


def _upright_pixels(image: Image.Image, size: int) -> Pixels:
    image.load()
    orientation = orientation_of(image)
    # Turning the square after shrinking gives the same result, and is cheaper.
    return np.asarray(_turn(fit(image, size), orientation))


def _turn(image: Image.Image, orientation: int) -> Image.Image:
    if orientation in TRANSPOSE_BY_ORIENTATION:
        return image.transpose(TRANSPOSE_BY_ORIENTATION[orientation])
    return image


def _loaded(file: IO[bytes], smallest: tuple[int, int] | None) -> Image.Image:
    """Unpack a picture; if that fails, try again with only the data that its pixels need."""
    try:
        return _load(file, smallest)
    except FINAL:
        raise
    except Exception as error:
        failure = error.with_traceback(None)  # the traceback would keep the unpacked pixels
    try:
        if (needed := essentials(file, smallest)) is not None:
            return _load(needed, smallest)
    except FINAL:
        raise
    except Exception as error:
        failure = error
    _raise_if_not_opened(file)
    raise failure


def _opened(file: IO[bytes]) -> Image.Image:
    head = file.read(30)
    file.seek(0)
    check_canvas(head)
    if head.startswith(TIFF_STARTS):
        check_tiff(file)
    image: Image.Image = Image.open(file, formats=readable_formats())
    check_size(image)
    return image


def _load(file: IO[bytes], smallest: tuple[int, int] | None) -> Image.Image:
    image = _opened(file)
    if image.format == "TIFF":
        image.info.pop("xmp", None)  # or Pillow rotates the picture by its orientation
        with silent_libtiff():
            image.load()
        mend_palette(image)
        return image
    # Decode JPEG at a half, a quarter or an eighth, never below the size asked for: several times
    # faster on camera photos. Other formats ignore it.
    image.draft(None, smallest)
    image.load()
    if image.format == "AVIF" and (shown := clean_aperture(file, *image.size)):
        image = image.crop(shown)
    return image


def _raise_if_not_opened(file: IO[bytes]) -> None:
    """If the decoder for a file's first bytes cannot open it, raise that decoder's reason."""
    file.seek(0)
    head = file.read(16)
    for name in readable_formats():
        factory, accepts = Image.OPEN[name]
        if name != "DIB" and accepts and accepts(head):  # DIB has no signature
            file.seek(0)
            try:
                factory(file, "")
            except Exception as error:
                said = f"refused by the {name} decoder: {_one_line(error)}"
                raise UnreadablePhoto(said) from error


@contextmanager
def _reasons() -> Iterator[None]:
    """Turn any error of a damaged picture into UnreadablePhoto with a reason."""
    try:
        yield
    except UnreadablePhoto:
        raise
    except UnidentifiedImageError:
        raise UnreadablePhoto("not an image in a known format") from None
    except Image.DecompressionBombError:
        raise UnreadablePhoto(f"more than {MAX_PIXELS // 10**6} megapixels") from None
    except OSError as error:
        raise UnreadablePhoto(_reason(error)) from error
    except MemoryError as error:
        raise UnreadablePhoto("too large for this machine's memory") from error
    except Exception as error:
        # Decoders raise almost anything on damaged data (struct.error, IndexError, ...). One bad
        # file must become one Failure and never stop the run.
        text = _one_line(error)
        intact = any(words in text for words in SAID_OF_INTACT_FILES)
        raise UnreadablePhoto(f"{'not supported' if intact else 'damaged'}: {text}") from error


def orientation_of(image: Image.Image) -> int:
    """Return how to turn a picture upright: 1 to 8 as in EXIF; 1 for not at all."""
    # If the EXIF block is damaged, the photo loses its orientation but is still read. (The
    # decoders of HEIF and AVIF rotate pictures themselves, and report orientation 1.)
    try:
        exif = image.getexif()
        if "xmp" in image.info or "XML:com.adobe.xmp" in image.info:
            # Pillow falls back on XMP, which no other decoder does.
            exif = Image.Exif()
            exif.load(image.info.get("exif", b""))
        value: Any = exif.get(EXIF_ORIENTATION, 1)
    except Exception:
        return 1
    return value if isinstance(value, int) else 1


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
