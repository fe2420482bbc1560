"""What a photo's header says, without reading its pixels: size, format, when it was taken."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import datetime
from typing import Any, NamedTuple

from PIL import Image

from dogsort.errors import UnreadablePhoto
from dogsort.photos.avif import clean_aperture
from dogsort.photos.decode import opened_file, orientation_of
from dogsort.photos.limits import bytes_needed

__all__ = ["Facts", "date_of", "read_facts"]

EXIF_BLOCK, DATE_TIME, DATE_TIME_ORIGINAL = 0x8769, 0x0132, 0x9003

#: Orientations that swap width and height.
ON_ITS_SIDE = range(5, 9)


class Facts(NamedTuple):
    """Facts about one photo.

    Attributes:
        width, height: in pixels, when it is upright.
        format: Pillow's name for the format.
        bytes: the size of the file.
        taken: when it was taken, from EXIF, in the camera's local time; None if unknown.
        memory: roughly how many bytes of memory it takes to unpack.
    """

    width: int
    height: int
    format: str
    bytes: int
    taken: datetime | None
    memory: float


def read_facts(path: str) -> Facts:
    """Read the facts about a photo, whose pixels may still turn out to be damaged.

    Raises:
        UnreadablePhoto: with the reason in a few words.
    """
    with opened_file(path) as image:
        width, height = image.size
        file: Any = image
        if image.format == "AVIF" and (shown := clean_aperture(file.fp, width, height)):
            width, height = shown[2] - shown[0], shown[3] - shown[1]
        # Pillow gives the size of a TIFF when it is upright.
        if image.format != "TIFF" and orientation_of(image) in ON_ITS_SIDE:
            width, height = height, width
        size = os.stat(path).st_size
        return Facts(width, height, image.format or "", size, _taken(image), bytes_needed(image))


def date_of(path: str) -> float | None:
    """Return when a photo was taken or else last changed, in seconds since 1970; None if gone."""
    date: float | None = None
    with suppress(OSError):
        date = os.stat(path).st_mtime
    with suppress(OSError, OverflowError, ValueError, UnreadablePhoto):
        if taken := read_facts(path).taken:
            date = taken.timestamp()
    return date


def _taken(image: Image.Image) -> datetime | None:
    if image.format == "PNG" and "exif" not in image.info:
        return None  # Pillow would unpack all pixels to look for EXIF data after them
    with suppress(Exception):  # from damaged EXIF data, which may raise almost anything
        exif = image.getexif()
        block = exif.get_ifd(EXIF_BLOCK)
        said = block.get(DATE_TIME_ORIGINAL) or exif.get(DATE_TIME)
        return datetime.strptime(str(said)[:19], "%Y:%m:%d %H:%M:%S")
    return None
