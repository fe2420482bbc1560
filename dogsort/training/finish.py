"""A trained network and validation photos -> a calibrated weights folder."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from dogsort.network.architecture import DogsortNet
from dogsort.photos.decode import Pixels
from dogsort.training.augment import collage
from dogsort.training.calibrate import calibrate
from dogsort.training.dataset import PixelCache
from dogsort.training.export import export
from dogsort.training.report import manifest_figures

__all__ = ["calibrate_and_export", "dog_and_cat_pairs", "logits_of"]

MOST_PAIRS = 500  # pictures of a dog beside a cat that calibration looks at


def calibrate_and_export(
    network: DogsortNet, validation: PixelCache, folder: Path, recipe: dict[str, Any], device: str
) -> None:
    """Choose temperatures, bar and bound on validation photos, and write the weights folder."""
    logits = logits_of(network, validation.pixels, device)
    pairs = logits_of(network, dog_and_cat_pairs(validation, recipe["seed"]), device)
    is_dog, is_pet = (values > 0.5 for values in validation.targets())
    calibration = calibrate(logits, is_dog, is_pet, pairs)
    figures = manifest_figures(logits, validation.photos, calibration)
    export(network, folder, validation.pixels.shape[1], calibration, figures, recipe)


@torch.inference_mode()
def logits_of(network: nn.Module, pixels: Pixels, device: str) -> npt.NDArray[np.float32]:
    """Return (N, 2) logits of (N, size, size, 3) pixels."""
    network.eval()
    parts = [
        network(torch.from_numpy(pixels[start : start + 64].copy()).to(device)).cpu()
        for start in range(0, len(pixels), 64)
    ]
    result: npt.NDArray[np.float32] = torch.cat(parts).float().numpy()
    return result


def dog_and_cat_pairs(photos: PixelCache, seed: int) -> Pixels:
    """Put dogs beside cats: (M, size, size, 3), M at most ``MOST_PAIRS``."""
    rng = random.Random(seed)  # noqa: S311
    dog, pet = photos.targets()
    dogs, cats = (list(np.flatnonzero((pet > 0) & (dog == is_dog))) for is_dog in (1, 0))
    rng.shuffle(dogs)
    rng.shuffle(cats)
    pairs = list(zip(dogs, cats, strict=False))[:MOST_PAIRS]
    pictures = []
    for pair in pairs:
        first, second = rng.sample(pair, 2)
        pictures.append(collage(photos.pixels[first], photos.pixels[second], rng))
    return np.stack(pictures)
