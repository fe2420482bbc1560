"""Which kinds of TIFF are read, and what the others are called when they are refused.

Pillow makes noise, a negative or a black picture of some, and says of others only that it does
not know them. The tables hold what a second decoder shows in the same way.
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

__all__ = ["check_tiff", "mend_palette", "silent_libtiff"]

BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER, SAMPLES, PLANES = 258, 259, 262, 266, 277, 284
COLOR_MAP, INK_SET, EXTRA_SAMPLES, SAMPLE_FORMAT, SUBSAMPLING = 320, 332, 338, 339, 530

INVERTED, GREY, RGB, PALETTE, CMYK, YCBCR, LAB = 0, 1, 2, 3, 5, 6, 8
NAMES = {
    INVERTED: "inverted grey",
    GREY: "grey",
    RGB: "RGB",
    PALETTE: "palette",
    CMYK: "CMYK",
    YCBCR: "YCbCr",
    LAB: "Lab",
    32803: "camera sensor",
}

UNSIGNED, SIGNED, REAL = 1, 2, 3

#: What samples beside the colours are said to be: 1 and 2 are alpha, the others nothing.
NONE: set[tuple[int, ...]] = {()}
ONE = NONE | {(0,), (1,), (2,)}

#: (photometric, sample format, bits) -> which samples there may be beside the colours.
READABLE = {
    **{(kind, UNSIGNED, bits): NONE for kind in (INVERTED, PALETTE) for bits in (1, 2, 4, 8)},
    **{(GREY, UNSIGNED, bits): NONE for bits in (1, 2, 4, 16)},
    (GREY, SIGNED, 16): NONE,
    (GREY, SIGNED, 32): NONE,
    (GREY, REAL, 32): NONE,
    (GREY, UNSIGNED, 8): ONE,
    (RGB, UNSIGNED, 8): ONE | {(999,), (0, 0), (1, 0), (2, 0), (0, 0, 0), (1, 0, 0), (2, 0, 0)},
    (RGB, UNSIGNED, 16): ONE,
    (CMYK, UNSIGNED, 8): {(), (0,), (0, 0)},
    (CMYK, UNSIGNED, 16): NONE,
    (YCBCR, UNSIGNED, 8): NONE,
    (LAB, UNSIGNED, 8): NONE,
}

RAW, FAX, OLD_JPEG, JPEG = 1, (2, 3, 4), 6, 7
#: Besides: LZW, deflate (which has two numbers), PackBits, LZMA and Zstandard.
COMPRESSIONS = (RAW, *FAX, OLD_JPEG, JPEG, 5, 8, 32946, 32773, 34925, 50000)


def check_tiff(file: IO[bytes]) -> None:
    """Refuse a TIFF of a kind that Pillow does not read, or reads wrongly.

    Args:
        file: at its beginning, where it is left.

    Raises:
        UnreadablePhoto: with the name of the kind.
    """
    header = file.read(8)
    tags: Any = ImageFileDirectory_v2(header + file.read(8) if header[2] == 43 else header)
    file.seek(tags.next)
    tags.load(file)
    file.seek(0)
    if not tags:
        return  # damaged, which Pillow will say
    compression = tags.get(COMPRESSION, RAW)
    photometric = YCBCR if compression == OLD_JPEG else tags.get(PHOTOMETRIC)
    if photometric is None and compression in FAX:
        photometric = INVERTED
    bits = tags.get(BITS, (1,))
    samples = tags.get(SAMPLES, len(bits))
    extra = tags.get(EXTRA_SAMPLES, ())
    if samples == 4 and photometric == RGB and not extra:
        extra = (2,)  # which many writers forget to say
    numbers = set(tags.get(SAMPLE_FORMAT, (UNSIGNED,)))
    kind = (photometric, min(numbers), bits[0])
    colors = {RGB: 3, CMYK: 4, YCBCR: 3, LAB: 3}.get(photometric, 1)
    in_planes = samples > 1 and tags.get(PLANES) == 2
    unusual = (
        len(numbers) > 1
        or len({*bits[:samples]}) > 1
        or samples != colors + len(extra)
        or extra not in READABLE.get(kind, ())
        or compression not in COMPRESSIONS
        or (compression in FAX and kind[2] != 1)
        or (compression == JPEG and (kind[2] != 8 or extra))
        or (in_planes and not _planes_are_read(kind, extra, compression))
        # Pillow swaps the bytes of these once too often.
        or (kind[1] != UNSIGNED and compression != RAW and header[:2] == b"MM")
        or (tags.get(FILL_ORDER) == 2 and (samples > 1 or bits[0] > 8 - (compression == RAW)))
        or (photometric == CMYK and tags.get(INK_SET, 1) != 1)
        or (photometric == YCBCR and compression == RAW and tags.get(SUBSAMPLING) != (1, 1))
    )
    if unusual:
        depth = "/".join(map(str, dict.fromkeys(bits[:samples])))
        name = f"{depth}-bit {NAMES.get(photometric, f'photometric {photometric}')}"
        name += f", {samples} samples" * (samples != colors) + ", in planes" * in_planes
        name += f", compression {compression}" * (compression not in COMPRESSIONS)
        raise UnreadablePhoto(f"a kind of TIFF that is not read: {name}")


def _planes_are_read(kind: tuple[int, int, int], extra: tuple[int, ...], compression: int) -> bool:
    if kind[0] not in (RGB, CMYK) or compression == JPEG:
        return False
    return extra in {(), (2,)} and (kind[2] == 8 or compression != RAW)


def mend_palette(image: Any) -> None:
    """Take a loaded TIFF's colours for what they are: 0..255, in files of old scanners.

    The format's are 0..65535, which Pillow divides by 256.
    """
    colors = image.tag_v2.get(COLOR_MAP, ())
    if image.mode in ("P", "PA") and colors and max(colors) < 256:
        image.putpalette(bytes(colors), "RGB;L")


_silence = threading.Lock()
_silences: list[Any] = []  # libtiff's own way of telling errors, once for each who wants silence


@contextmanager
def silent_libtiff() -> Iterator[None]:
    """Let libtiff write nothing to stderr for a while; its errors are raised by Pillow, too.

    Where it cannot be reached, in Pillow's Windows wheels, it is not silenced.
    """
    try:
        core: Any = vars(Image)["core"]
        setter = ctypes.CDLL(core.__file__).TIFFSetErrorHandler
    except (AttributeError, KeyError, OSError, TypeError):
        yield
        return
    setter.restype, setter.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    with _silence:
        _silences.append(_silences[0] if _silences else setter(None))
    try:
        yield
    finally:
        with _silence:
            handler = _silences.pop()
            if not _silences:
                setter(handler)
