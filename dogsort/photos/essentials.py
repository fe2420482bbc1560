"""A photo stripped to the data that its pixels need: the second try for files that fail.

A flaw in metadata or a missing end marker must not cost a photo; missing rows must.
"""

from __future__ import annotations

import io
import zlib
from typing import IO

from PIL import Image

from dogsort.errors import UnreadablePhoto
from dogsort.photos.limits import check_size
from dogsort.photos.shrink import bands

__all__ = ["essentials"]

#: Larger files get no second try, which takes up to three times the file's size in memory.
MAX_BYTES = 100_000_000

PNG_START, PNG_END = b"\x89PNG\r\n\x1a\n", b"\0\0\0\0IEND\xaeB`\x82"
PNG_CHUNKS = (b"IHDR", b"PLTE", b"IDAT")
PNG_CHUNKS_IF_INTACT = (b"tRNS", b"eXIf")

JPEG_END = b"\xff\xd9"
#: Metadata segments that affect colours or orientation.
JPEG_SEGMENTS = (b"JFIF\0", b"Exif\0\0", b"Adobe")

#: Without the markers of tables (0xC4, 0xC8, 0xCC).
JPEG_FRAMES_NOT_READ = (*(0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB), *range(0xCD, 0xD0))

#: Bits that would fill in for missing pixels, in any restart interval. They begin with a one,
#: because libjpeg makes up zeros.
NOISE = b"".join(bytes((*range(0xA5, 0xFF), 0xFF, 0xD0 + n)) for n in range(8))


def essentials(file: IO[bytes], smallest: tuple[int, int] | None) -> io.BytesIO | None:
    """Return a JPEG or PNG with only the data that its pixels, colours and orientation need.

    Args:
        file: its position afterwards is undefined.
        smallest: the size down to which a JPEG may be decoded, as in ``Image.draft``.

    Returns:
        The file's new content; None for other formats, or if rows of pixels are missing.

    Raises:
        UnreadablePhoto: for kinds of JPEG that Pillow opens but cannot unpack.
        Exception: whatever Pillow raises for damaged files.
    """
    file.seek(0)
    start = file.read(8)
    if start == PNG_START:
        content = _png(file)
    elif start.startswith(b"\xff\xd8\xff"):
        content = _jpeg(file, smallest)
    else:
        return None
    return io.BytesIO(content) if content else None


def _png(file: IO[bytes]) -> bytes:
    kept, size = [PNG_START], 0
    while len(head := file.read(8)) == 8 and head[4:] != b"IEND" and size <= MAX_BYTES:
        length, kind = int.from_bytes(head[:4], "big"), head[4:]
        if kind not in PNG_CHUNKS + PNG_CHUNKS_IF_INTACT:
            file.seek(length + 4, io.SEEK_CUR)
            continue
        body, checksum = file.read(length), file.read(4)
        if kind in PNG_CHUNKS or zlib.crc32(kind + body) == int.from_bytes(checksum, "big"):
            # If the file is truncated, the length becomes that of the data present.
            kept += [len(body).to_bytes(4, "big"), kind, body, checksum.ljust(4, b"\0")]
            size += len(body)
    return b"".join((*kept, PNG_END)) if size <= MAX_BYTES else b""


def _jpeg(file: IO[bytes], smallest: tuple[int, int] | None) -> bytes:
    kept = [b"\xff\xd8"]
    file.seek(2)
    while len(head := file.read(4)) == 4 and head[0] == 0xFF:
        if head[1] == 0xFF:  # padding before a marker
            file.seek(-3, io.SEEK_CUR)
            continue
        body = file.read(int.from_bytes(head[2:], "big") - 2)
        is_metadata = 0xE0 <= head[1] <= 0xEF or head[1] == 0xFE
        if not is_metadata or (body.startswith(JPEG_SEGMENTS) and len(body) >= 12):
            kept += [head, body]
        if head[1] in JPEG_FRAMES_NOT_READ:
            raise UnreadablePhoto("JPEG not supported: lossless or arithmetic-coded")
        if head[1] == 0xDA:  # the pixels follow
            content = b"".join((*kept, file.read(MAX_BYTES)))
            return content + JPEG_END if _is_whole(content, smallest) else b""
    return b""


def _is_whole(jpeg: bytes, smallest: tuple[int, int] | None) -> bool:
    """Tell whether a JPEG is complete: then it looks the same whatever data follows it."""
    noise = b"\0" * jpeg.endswith(b"\xff") + NOISE  # or it would begin inside a marker
    first, second = (_checksums(jpeg + more + JPEG_END, smallest) for more in (b"", noise))
    return first == second


def _checksums(jpeg: bytes, smallest: tuple[int, int] | None) -> list[int]:
    image = Image.open(io.BytesIO(jpeg), formats=("JPEG",))
    check_size(image)
    image.draft(None, smallest)
    image.load()
    return [zlib.crc32(band.tobytes()) for band in bands(image, 1)]
