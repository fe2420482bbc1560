"""Which kinds of TIFF are read, and how refusals name the others.

Pillow decodes some kinds to noise, a negative or a black picture, and rejects others without
naming them. The tables list the kinds that a second decoder shows in the same way.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from dogsort.errors import UnreadablePhoto

__all__ = ["TIFF_STARTS", "check_tiff", "mend_palette", "silent_libtiff"]

#: In either byte order, and with the 42 in the wrong byte order, as some writers have it.
TIFF_STARTS = (b"II*\0", b"MM\0*", b"II\0*", b"MM*\0", b"II+\0", b"MM\0+")

BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER, SAMPLES, PLANES = 258, 259, 262, 266, 277, 284
STRIP_OFFSETS, TILE_WIDTH, COLOR_MAP, INK_SET, EXTRA_SAMPLES = 273, 322, 320, 332, 338
SAMPLE_FORMAT = 339

INVERTED, GREY, RGB, PALETTE, CMYK, YCBCR, LAB = 0, 1, 2, 3, 5, 6, 8
NAMES = ("inverted grey", "grey", "RGB", "palette", "mask", "CMYK", "YCbCr", "", "Lab")
COLORS = {RGB: 3, CMYK: 4, YCBCR: 3, LAB: 3}  # all others have one

UNSIGNED, SIGNED, REAL = 1, 2, 3
NUMBERS = {SIGNED: "signed ", REAL: "floating-point "}

#: Kinds of extra samples: 1 and 2 are alpha, the others mean nothing.
NONE: set[tuple[int, ...]] = {()}
ONE = NONE | {(0,), (1,), (2,)}

#: (photometric, numbers, bits) -> the extra samples allowed.
READABLE = {
    **{(kind, UNSIGNED, bits): NONE for kind in (INVERTED, PALETTE) for bits in (1, 2, 4, 8)},
    **{(GREY, UNSIGNED, bits): NONE for bits in (1, 2, 4, 16)},
    **{(GREY, *numbers): NONE for numbers in ((SIGNED, 16), (SIGNED, 32), (REAL, 32))},
    **{(kind, UNSIGNED, 8): NONE for kind in (YCBCR, LAB)},
    (GREY, UNSIGNED, 8): ONE,
    (PALETTE, UNSIGNED, 8): {(), (0,), (2,)},
    (RGB, UNSIGNED, 8): ONE | {(999,), (0, 0), (1, 0), (2, 0), (0, 0, 0), (1, 0, 0), (2, 0, 0)},
    (RGB, UNSIGNED, 16): ONE,
    (CMYK, UNSIGNED, 8): {(), (0,), (0, 0)},
    (CMYK, UNSIGNED, 16): NONE,
}

RAW, FAX, OLD_JPEG, JPEG = 1, (2, 3, 4), 6, 7
#: The bare numbers are LZW, deflate (twice), PackBits, LZMA and Zstandard.
COMPRESSIONS = (RAW, *FAX, OLD_JPEG, JPEG, 5, 8, 32946, 32773, 34925, 50000)


def check_tiff(file: IO[bytes]) -> None:
    """Refuse a TIFF of a kind that Pillow cannot read, or reads wrongly.

    Args:
        file: at its beginning, before and after.

    Raises:
        UnreadablePhoto: with the name of the kind.
    """
    header = file.read(8)
    if header.startswith(b"MM\0+"):
        raise UnreadablePhoto("TIFF not supported: big-endian BigTIFF")
    tags: Any = ImageFileDirectory_v2(header + file.read(8) if header[2] == 43 else header)
    file.seek(tags.next)
    tags.load(file)
    file.seek(0)
    compression = tags.get(COMPRESSION, RAW)
    if not tags:
        return  # damaged, as Pillow will say
    photometric: Any = tags.get(PHOTOMETRIC, INVERTED if compression in FAX else None)
    if compression == OLD_JPEG:
        photometric = YCBCR
    depths, formats = tags.get(BITS, (1,)), tags.get(SAMPLE_FORMAT, (UNSIGNED,))
    samples, extra = tags.get(SAMPLES, len(depths)), tags.get(EXTRA_SAMPLES, ())
    if samples == 4 and photometric == RGB and not extra:
        extra = (2,)  # many writers omit it
    colors, bits, numbers = COLORS.get(photometric, 1), depths[0], formats[0]
    in_planes, reverse = tags.get(PLANES) == 2, tags.get(FILL_ORDER) == 2
    is_raw, big_endian = compression == RAW, header.startswith(b"MM")
    in_tiles = TILE_WIDTH in tags
    if (
        extra in READABLE.get((photometric, numbers, bits), ())
        and samples == colors + len(extra)
        and len({*depths[:samples]}) == len({*formats}) == 1
        and compression in COMPRESSIONS
        and (compression not in FAX or bits == 1)
        and (compression != JPEG or (bits == 8 and not extra))
        and not (in_planes and _planes_are_mixed_up(photometric, bits, extra, is_raw))
        and not (reverse and (bits > 4 or photometric == PALETTE))
        # Pillow swaps the bytes of these twice.
        and not (big_endian and numbers != UNSIGNED and not is_raw)
        and not (is_raw and in_tiles and STRIP_OFFSETS in tags)  # Pillow would read strips
        and not (photometric == CMYK and tags.get(INK_SET, 1) != 1)
        and not (photometric == YCBCR and is_raw)
    ):
        return
    known = photometric in range(len(NAMES))
    name = NAMES[photometric] if known else f"photometric interpretation {photometric}"
    depth = "/".join(map(str, dict.fromkeys(depths[:samples])))
    unusual = {
        f"{samples} samples": samples != colors,
        "in planes": in_planes,
        "in tiles": in_tiles,
        "bits in reverse": reverse,
        "big-endian": big_endian,
        f"compression {compression}": not is_raw,
    }
    name = f"{depth}-bit {NUMBERS.get(numbers, '')}{name}"
    kind = ", ".join((name, *filter(unusual.get, unusual)))
    raise UnreadablePhoto(f"TIFF not supported: {' '.join(kind.split())[:100]}")


def _planes_are_mixed_up(kind: int, bits: int, extra: tuple[int, ...], is_raw: bool) -> bool:
    if is_raw:
        rightly = ((GREY, ()), (RGB, ()), (RGB, (2,)), (CMYK, ()))
        return bits != 8 or (kind, extra) not in rightly
    return kind == LAB or (extra != () and (kind, extra) not in ((RGB, (1,)), (RGB, (2,))))


def mend_palette(image: Any) -> None:
    """Correct the palette of a loaded TIFF from an old scanner, which has colours of 0..255.

    The format specifies 0..65535, which Pillow divides by 256.
    """
    colors = image.tag_v2.get(COLOR_MAP, ())
    if image.mode in ("P", "PA") and colors and max(colors) < 256:
        image.putpalette(bytes(colors), "RGB;L")


_lock = threading.Lock()
_handlers: list[Any] = []  # libtiff's own handler, once for each current user


@contextmanager
def silent_libtiff() -> Iterator[None]:
    """Stop libtiff from writing errors to stderr in the block: Pillow raises them, too.

    In Pillow's wheels for Windows, libtiff cannot be reached and is not silenced.
    """
    try:
        set_handler = ctypes.CDLL(vars(Image)["core"].__file__).TIFFSetErrorHandler
    except (AttributeError, KeyError, OSError, TypeError):
        yield
        return
    set_handler.restype, set_handler.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    with _lock:
        _handlers.append(_handlers[0] if _handlers else set_handler(None))
    try:
        yield
    finally:
        with _lock:
            handler = _handlers.pop()
            if not _handlers:
                set_handler(handler)
