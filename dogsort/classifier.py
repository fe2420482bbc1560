"""The pipeline from photos to predictions: dogsort's Python interface."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from dogsort.decision import predictions
from dogsort.errors import UsageError
from dogsort.network.cores import cores
from dogsort.network.engines import Engine, open_engine
from dogsort.network.weights import Weights, load_weights
from dogsort.photos.scan import Scan
from dogsort.records import Photo, Prediction, Record, Thresholds

if TYPE_CHECKING:
    from PIL import Image

    ImageLike: TypeAlias = Image.Image | npt.NDArray[np.uint8]

__all__ = ["Classifier"]

StrPath: TypeAlias = "str | os.PathLike[str]"


class Classifier:
    """Classifies photos as dog, cat or neither.

    Args:
        weights: a weights folder or a file in it; None for the bundled weights.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        min_confidence: lowest confidence that gets a label, 0..1; None for the two thresholds
            stored with the weights.
        batch_size: photos per batch; None for the device's default.
        workers: decoding threads; None for one per usable CPU core.

    Raises:
        WeightsError: if the weights are missing or damaged.
        DeviceError: if the device cannot be used.
        MissingExtra: if it is a GPU and torch is not installed.
        UsageError: if a number is out of range.

    Attributes:
        weights: the weights in use, with their manifest.
        engine: runs the network, on its device.
        thresholds: the thresholds of a label.
        batch_size: photos per batch.
        workers: decoding threads.
    """

    def __init__(
        self,
        weights: StrPath | None = None,
        device: str = "auto",
        *,
        min_confidence: float | None = None,
        batch_size: int | None = None,
        workers: int | None = None,
    ) -> None:
        for name, number in (("batch_size", batch_size), ("workers", workers)):
            if number is not None and number < 1:
                raise UsageError(f"{name} must be at least 1, not {number}")
        if min_confidence is not None and not 0.0 <= min_confidence <= 1.0:
            raise UsageError(f"min_confidence must be between 0 and 1, not {min_confidence}")
        self.weights: Weights = load_weights(weights)
        self.engine: Engine = open_engine(self.weights, device)
        if min_confidence is None:
            self.thresholds = self.weights.thresholds
        else:
            # An explicit threshold replaces both, even for a photo of a dog beside a cat.
            self.thresholds = Thresholds(min_confidence, species=0.0)
        self.batch_size = batch_size or self.engine.batch_size
        self.workers = workers or cores()

    def predict(self, paths: StrPath | Iterable[StrPath]) -> Iterator[Record]:
        """Classify files and folders, lazily and in scan order.

        Args:
            paths: one path or many, files or folders; folders are walked as ``photos.scan.Scan``
                describes. Use ``predict_photos`` with your own scan to know what it skipped.

        Yields:
            A Prediction for each photo, or a Failure for one that could not be read.
        """
        given = [paths] if isinstance(paths, str | os.PathLike) else paths
        return self.predict_photos(Scan(os.fspath(path) for path in given))

    def predict_photos(self, photos: Iterable[Photo | Record]) -> Iterator[Record]:
        """Classify photos, for example from a scan, lazily; records among them keep their place."""
        from dogsort.photos.stream import stream

        for items, pixels in stream(photos, self.weights.input_size, self.batch_size, self.workers):
            found = iter(
                self._predictions([one.path for one in items if isinstance(one, Photo)], pixels)
            )
            for item in items:
                yield next(found) if isinstance(item, Photo) else item

    def predict_images(self, images: Iterable[ImageLike]) -> Iterator[Prediction]:
        """Classify pictures in memory, lazily and in order.

        Args:
            images: PIL images of any mode, or uint8 arrays of shape (H, W, 3), RGB.

        Yields:
            A Prediction for each, with an empty ``path``.

        Raises:
            TypeError: for anything else.
            ValueError: for an array of another shape or dtype.
            UnreadablePhoto: for a picture without pixels, with too many, or from a damaged file.
        """
        from dogsort.photos.decode import decode_image

        remaining = iter(images)
        size = self.weights.input_size
        while pixels := [
            decode_image(_as_image(one), size) for one in islice(remaining, self.batch_size)
        ]:
            yield from self._predictions([""] * len(pixels), np.stack(pixels))

    def _predictions(self, paths: list[str], pixels: npt.NDArray[np.uint8]) -> list[Prediction]:
        if not paths:
            return []
        return predictions(paths, self.engine.probabilities(pixels), self.thresholds)


def _as_image(picture: Any) -> Image.Image:
    from PIL import Image

    if isinstance(picture, Image.Image):
        return picture
    if not isinstance(picture, np.ndarray):
        raise TypeError(f"expected a PIL image or a numpy array, not {type(picture).__name__}")
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise ValueError(
            f"expected a uint8 array of shape (H, W, 3), not {picture.dtype} {picture.shape}"
        )
    return Image.fromarray(picture)
