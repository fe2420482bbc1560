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
from dogsort.photos.shrink import fit, whole
from dogsort.photos.tiff import TIFF_STARTS, check_tiff, mend_palette, silent_libtiff

__all__ = [
    "EXIF_ORIENTATION",
    "FORMATS",
    "Pixels",
    "decode_file",
    "decode_image",
    "decode_whole",
    "decoder_version",
    "readable_formats",
    "unpacked_file",
]

Pixels = npt.NDArray[np.uint8]  # (H, W, 3), RGB, 0..255

#: Pillow's names of the formats that are tried, whatever the file is called. The list is
#: closed because Pillow knows others that start outside programs (EPS) or nest (PSD, PDF).
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "AVIF", "HEIF")

#: What no second try changes.
FINAL = (UnreadablePhoto, Image.DecompressionBombError, MemoryError)

#: Said of kinds that are not implemented; of BMP whose run lengths leave pixels out, or whose
#: palette is longer than need be.
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


#: Counted up whenever a file becomes other pixels than before, so that no old prediction stands.
DECODER_VERSION = 1


def decoder_version() -> str:
    """Return what tells whether a file still becomes the same pixels."""
    import PIL
    import pillow_heif

    libraries = f"Pillow {PIL.__version__}, pillow-heif {pillow_heif.__version__}"
    return f"decoder {DECODER_VERSION}, {libraries}"


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
        The whole picture, upright, in (size, size, 3), uint8, RGB: see ``shrink.fit``.

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
    with _reasons(), open_regular_file(path) as file:
        yield _loaded(file, (size, size))


def decode_image(image: Image.Image, size: int) -> Pixels:
    """Turn a picture in memory into the network's pixels.

    Args:
        image: any mode; EXIF orientation is applied if it has one.
        size: side of the square, in pixels.

    Returns:
        (size, size, 3), uint8, RGB: the whole picture, see ``shrink.fit``.

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
        return _turn(whole(image), _orientation(image))


def _upright_pixels(image: Image.Image, size: int) -> Pixels:
    image.load()
    orientation = _orientation(image)
    # A square may be turned after shrinking, which is cheaper and the same.
    return np.asarray(_turn(fit(image, size), orientation))


def _turn(image: Image.Image, orientation: int) -> Image.Image:
    if orientation in TRANSPOSE_BY_ORIENTATION:
        return image.transpose(TRANSPOSE_BY_ORIENTATION[orientation])
    return image


def _loaded(file: IO[bytes], smallest: tuple[int, int] | None) -> Image.Image:
    """Unpack a picture; one that fails is tried again with nothing but what its pixels need."""
    try:
        return _load(file, smallest)
    except FINAL:
        raise
    except Exception as error:
        failure = error.with_traceback(None)  # which would keep what was unpacked
    try:
        if (needed := essentials(file, smallest)) is not None:
            return _load(needed, smallest)
    except FINAL:
        raise
    except Exception as error:
        failure = error
    _raise_if_not_opened(file)
    raise failure


def _load(file: IO[bytes], smallest: tuple[int, int] | None) -> Image.Image:
    head = file.read(30)
    file.seek(0)
    check_canvas(head)
    if head.startswith(TIFF_STARTS):
        check_tiff(file)
    image: Image.Image = Image.open(file, formats=readable_formats())
    check_size(image)
    if image.format == "TIFF":
        image.info.pop("xmp", None)  # or Pillow turns the picture by what it says
        with silent_libtiff():
            image.load()
        mend_palette(image)
        return image
    # Halves, quarters or eighths inside the JPEG decoder, never below what is asked for:
    # several times faster on camera photos. It does nothing to other formats.
    image.draft(None, smallest)
    image.load()
    if image.format == "AVIF" and (shown := clean_aperture(file, *image.size)):
        image = image.crop(shown)
    return image


def _raise_if_not_opened(file: IO[bytes]) -> None:
    """Raise what the decoder says that a file's first bytes belong to, if it does not open it."""
    file.seek(0)
    head = file.read(16)
    for name in readable_formats():
        factory, accepts = Image.OPEN[name]
        if name != "DIB" and accepts and accepts(head):  # DIB's first bytes are any number
            file.seek(0)
            try:
                factory(file, "")
            except Exception as error:
                said = f"refused by the {name} decoder: {_one_line(error)}"
                raise UnreadablePhoto(said) from error


@contextmanager
def _reasons() -> Iterator[None]:
    """Turn whatever a damaged picture raises into UnreadablePhoto with a reason."""
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
        # Decoders raise almost anything on damaged data (struct.error, IndexError, ...); one
        # bad file must become one Failure and never stop the run.
        text = _one_line(error)
        intact = any(words in text for words in SAID_OF_INTACT_FILES)
        raise UnreadablePhoto(f"{'not supported' if intact else 'damaged'}: {text}") from error


def _orientation(image: Image.Image) -> int:
    # A damaged EXIF block costs the photo its orientation, not its reading. (HEIF and AVIF
    # are turned by their decoders, which then report orientation 1 or translate to it.)
    try:
        exif = image.getexif()
        if "xmp" in image.info or "XML:com.adobe.xmp" in image.info:
            # Pillow falls back on what XMP says, and no other decoder does.
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
