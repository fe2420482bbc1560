"""Altered copies of photos: if their labels change, that is not due to the animal."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from math import prod
from pathlib import Path

from PIL import Image, ImageOps
from PIL.ImageEnhance import Brightness
from PIL.ImageFilter import GaussianBlur

from dogsort.classifier import Classifier
from dogsort.errors import UnreadablePhoto
from dogsort.evaluation.labelled import LabelledPhoto
from dogsort.photos.decode import EXIF_ORIENTATION, decode_whole
from dogsort.records import Record
from dogsort.results.output import writing

__all__ = ["CHANGES", "predict_changed"]

MOST_PIXELS = 100_000_000  # of an enlarged copy, so that it fits in memory
BEST_QUALITY = 95  # nearly lossless JPEG, so that only the named change matters


def _jpeg(image: Image.Image, quality: int = BEST_QUALITY, orientation: int = 1) -> bytes:
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality, exif=exif)
    return file.getvalue()


def _scaled(image: Image.Image, scale: float) -> Image.Image:
    return ImageOps.scale(image, min(scale, max(1.0, (MOST_PIXELS / prod(image.size)) ** 0.5)))


#: Each change: its name, and how it turns an upright RGB picture into a JPEG file.
CHANGES: dict[str, Callable[[Image.Image], bytes]] = {
    "squashed to 200 x 200, JPEG 75": lambda image: _jpeg(image.resize((200, 200)), 75),
    "compressed again, JPEG 40": lambda image: _jpeg(image, 40),
    # A proportional radius, so that large photos are as blurred as small ones.
    "blurred": lambda image: _jpeg(image.filter(GaussianBlur(max(1, min(image.size) / 160)))),
    "white border of a tenth": lambda image: _jpeg(
        ImageOps.expand(image, (image.width // 10, image.height // 10), "white")
    ),
    "enlarged twice": lambda image: _jpeg(_scaled(image, 2)),
    "greyscale": lambda image: _jpeg(ImageOps.grayscale(image)),
    "short side 64": lambda image: _jpeg(_scaled(image, 64 / min(image.size))),
    "dark, a third of the light": lambda image: _jpeg(Brightness(image).enhance(1 / 3)),
    "turned, upright by EXIF": lambda image: _jpeg(image.rotate(90, expand=True), orientation=6),
    "12 megapixels": lambda image: _jpeg(_scaled(image, (12e6 / prod(image.size)) ** 0.5)),
}


def predict_changed(
    photos: Sequence[LabelledPhoto], classifier: Classifier
) -> Iterator[tuple[str, LabelledPhoto, Record]]:
    """Classify altered copies of photos lazily, as files like any other.

    Yields:
        For each of ``CHANGES`` and each photo: the change, the photo, and the record of its copy.
        It is a Failure for the very rare photo that cannot be copied (too long for JPEG).

    Raises:
        OutputError: if a copy cannot be written, for example on a full disk.
    """
    with tempfile.TemporaryDirectory(prefix="dogsort-") as folder:
        copy = Path(folder, "copy.jpg")
        for (name, change), photo in product(CHANGES.items(), photos):
            try:
                changed = change(decode_whole(photo.path))
            except (UnreadablePhoto, ValueError, OSError):  # gone by now, or too long for JPEG
                changed = b""  # becomes a Failure
            with writing(str(copy)):
                copy.write_bytes(changed)
            # One at a time, because making a copy takes far longer than classifying it.
            (record,) = classifier.predict(copy)
            yield name, photo, record
