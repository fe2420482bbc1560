"""The same photos, packaged otherwise: what changes then is not due to the animal."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeAlias

from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from dogsort.classifier import Classifier
from dogsort.errors import UnreadablePhoto
from dogsort.photos.decode import EXIF_ORIENTATION, decode_whole
from dogsort.records import Prediction, Record
from dogsort.results.output import writing
from dogsort.training.dataset import LabelledPhoto
from dogsort.training.evaluate import Evaluation, evaluate

__all__ = ["CHANGES", "changed_evaluations"]

Pair: TypeAlias = "tuple[LabelledPhoto, Record]"

#: Copies that lie on disk at a time: enlarged ones take some megabytes each.
CHUNK = 16

#: What an enlarged copy may have: a large photo's is no larger than decoding and JPEG allow.
MOST_PIXELS = 100_000_000
LONGEST_SIDE = 65_500

#: Nearly lossless, so that a change is only what its name says.
BEST_QUALITY = 95


def _jpeg(image: Image.Image, quality: int = BEST_QUALITY, orientation: int = 1) -> bytes:
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality, exif=exif)
    return file.getvalue()


def _to_area(image: Image.Image, pixels: int) -> Image.Image:
    scale = (pixels / (image.width * image.height)) ** 0.5
    return _scaled(image, scale)


def _scaled(image: Image.Image, scale: float) -> Image.Image:
    most = (MOST_PIXELS / (image.width * image.height)) ** 0.5
    scale = min(scale, max(1.0, most), LONGEST_SIDE / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.BICUBIC)


def _bordered(image: Image.Image) -> Image.Image:
    return ImageOps.expand(image, (image.width // 10, image.height // 10), "white")


#: Each change: its name, and how it makes a JPEG file of an upright RGB picture.
CHANGES: dict[str, Callable[[Image.Image], bytes]] = {
    "squashed to 200 x 200, JPEG 75": lambda image: _jpeg(image.resize((200, 200)), 75),
    "compressed again, JPEG 40": lambda image: _jpeg(image, 40),
    # A radius in proportion, so that large photos are as blurred as small ones.
    "blurred": lambda image: _jpeg(
        image.filter(ImageFilter.GaussianBlur(max(1.0, min(image.size) / 160)))
    ),
    "white border of a tenth": lambda image: _jpeg(_bordered(image)),
    "enlarged twice": lambda image: _jpeg(_scaled(image, 2)),
    "greyscale": lambda image: _jpeg(ImageOps.grayscale(image)),
    "short side 64": lambda image: _jpeg(_scaled(image, 64 / min(image.size))),
    "dark, a third of the light": lambda image: _jpeg(
        ImageEnhance.Brightness(image).enhance(1 / 3)
    ),
    "turned, upright by EXIF": lambda image: _jpeg(
        image.transpose(Image.Transpose.ROTATE_90), orientation=6
    ),
    "12 megapixels": lambda image: _jpeg(_to_area(image, 12_000_000)),
}


def changed_evaluations(
    photos: Sequence[LabelledPhoto],
    classifier: Classifier,
    track: Callable[[Iterable[Pair], int, str], Iterable[Pair]],
) -> dict[str, Evaluation]:
    """Evaluate changed copies of photos, by the way that every file goes.

    The very rare photo that has no such copy (a strip too long for JPEG) is left out.

    Args:
        photos: that can be read.
        classifier: to evaluate.
        track: passes photos and predictions on, told how many they are and for which change.
    """
    result = {}
    for name, change in CHANGES.items():
        pairs = track(_predict(photos, classifier, change), len(photos), name)
        read = [(photo.truth, record) for photo, record in pairs if isinstance(record, Prediction)]
        truths, predictions = [truth for truth, _ in read], [record for _, record in read]
        result[name] = evaluate(truths, predictions, classifier.weights.clip, brief=True)
    return result


def _copy(path: str, change: Callable[[Image.Image], bytes]) -> bytes:
    """Return the changed copy; nothing if there can be none, which is not readable either."""
    try:
        return change(decode_whole(path))
    except (UnreadablePhoto, ValueError, OSError):  # gone since; or too long a strip for JPEG
        return b""


def _predict(
    photos: Sequence[LabelledPhoto],
    classifier: Classifier,
    change: Callable[[Image.Image], bytes],
) -> Iterator[tuple[LabelledPhoto, Record]]:
    remaining = iter(photos)
    while chunk := list(islice(remaining, CHUNK)):
        with tempfile.TemporaryDirectory(prefix="dogsort-") as folder:
            names = []
            for number, photo in enumerate(chunk):
                names.append(os.path.join(folder, f"{number}.jpg"))
                with writing(names[-1]), open(names[-1], "wb") as file:
                    file.write(_copy(photo.path, change))
            yield from zip(chunk, classifier.predict(names), strict=True)
