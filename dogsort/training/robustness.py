"""The same photos, packaged otherwise: what changes then is not due to the animal."""

from __future__ import annotations

import io
import math
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice

from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from dogsort.classifier import Classifier
from dogsort.photos.decode import decode_whole
from dogsort.records import Failure, Prediction
from dogsort.training.dataset import LabelledPhoto, Truth
from dogsort.training.evaluate import Evaluation, evaluate

__all__ = ["CHANGES", "changed_evaluations", "robustness_lines"]

#: Photos that lie on disk at a time: enlarged ones take some megabytes each.
CHUNK = 64

#: Nearly lossless, so that a change is only what its name says.
BEST_QUALITY = 95

EXIF_ORIENTATION = 0x0112


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
    track: Callable[[Iterable[Prediction], int, str], Iterable[Prediction]],
) -> dict[str, Evaluation]:
    """Evaluate changed copies of photos, by the way that every file goes.

    Args:
        photos: that can be read.
        classifier: to evaluate.
        track: passes predictions on, told how many they are and for which change.
    """
    truths: list[Truth] = [photo.truth for photo in photos]
    return {
        name: evaluate(
            truths,
            list(track(_predict(photos, classifier, change), len(photos), name)),
            classifier.weights.clip,
        )
        for name, change in CHANGES.items()
    }


def _predict(
    photos: Sequence[LabelledPhoto],
    classifier: Classifier,
    change: Callable[[Image.Image], bytes],
) -> Iterator[Prediction]:
    remaining = iter(photos)
    while chunk := list(islice(remaining, CHUNK)):
        with tempfile.TemporaryDirectory(prefix="dogsort-") as folder:
            names = []
            for number, photo in enumerate(chunk):
                names.append(os.path.join(folder, f"{number}.jpg"))
                with open(names[-1], "wb") as file:
                    file.write(change(decode_whole(photo.path)))
            for record in classifier.predict(names):
                assert not isinstance(record, Failure), record.error  # we have just written it
                yield record


def robustness_lines(original: Evaluation, changed: Mapping[str, Evaluation]) -> Iterator[str]:
    """Yield a table: a line per change, with the difference from the originals in points."""
    width = max(map(len, CHANGES)) + 2
    yield f"{'changed copies':<{width}}{'right':>17}{'pets labelled':>17}{'others labelled':>17}"
    for name, result in {"as they are": original, **changed}.items():
        cells = ""
        for figure in ("accuracy", "pets_labelled", "neither_labelled"):
            value, before = getattr(result, figure).value, getattr(original, figure).value
            text = f"{value:.2%} ({100 * (value - before):+.2f})" if not math.isnan(value) else "-"
            cells += f"{text:>17}"
        yield f"{name:<{width}}{cells}"
