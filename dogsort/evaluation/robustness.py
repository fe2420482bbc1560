"""The same photos, packaged otherwise: what changes then is not due to the animal."""

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

#: What an enlarged copy may have: a large photo's is no larger than decoding and JPEG allow.
MOST_PIXELS = 100_000_000
LONGEST_SIDE = 65_500

BEST_QUALITY = 95  # of JPEG: nearly lossless, so that a change is only what its name says


def _jpeg(image: Image.Image, quality: int = BEST_QUALITY, orientation: int = 1) -> bytes:
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality, exif=exif)
    return file.getvalue()


def _scaled(image: Image.Image, scale: float) -> Image.Image:
    most = (MOST_PIXELS / prod(image.size)) ** 0.5
    scale = min(scale, max(1.0, most), LONGEST_SIDE / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.BICUBIC)


#: Each change: its name, and how it makes a JPEG file of an upright RGB picture.
CHANGES: dict[str, Callable[[Image.Image], bytes]] = {
    "squashed to 200 x 200, JPEG 75": lambda image: _jpeg(image.resize((200, 200)), 75),
    "compressed again, JPEG 40": lambda image: _jpeg(image, 40),
    # A radius in proportion, so that large photos are as blurred as small ones.
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
    """Classify changed copies of photos, lazily, by the way that every file goes.

    Yields:
        The change, the photo, and the record of its copy: for each of ``CHANGES``, each photo.
        The very rare photo that has no such copy (a strip too long for JPEG) gets a Failure.

    Raises:
        OutputError: if a copy cannot be written, such as for want of room.
    """
    with tempfile.TemporaryDirectory(prefix="dogsort-") as folder:
        copy = Path(folder, "copy.jpg")
        for (name, change), photo in product(CHANGES.items(), photos):
            with writing(str(copy)):
                copy.write_bytes(_changed(photo.path, change))
            # One by one, since making a copy takes far longer than classifying it.
            (record,) = classifier.predict(copy)
            yield name, photo, record


def _changed(path: str, change: Callable[[Image.Image], bytes]) -> bytes:
    """Return the changed copy; nothing if there can be none, which is not readable either."""
    try:
        return change(decode_whole(path))
    except (UnreadablePhoto, ValueError, OSError):  # gone since; or too long a strip for JPEG
        return b""
