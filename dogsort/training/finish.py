"""A trained network and validation photos -> a calibrated weights folder."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from dogsort.network.architecture import DogsortNet
from dogsort.network.engines import probabilities_of
from dogsort.photos.decode import Pixels
from dogsort.records import Prediction
from dogsort.training.augment import collage
from dogsort.training.calibrate import Calibration, calibrate
from dogsort.training.export import export
from dogsort.training.figures import Share
from dogsort.training.pixels import PixelCache
from dogsort.training.report import figure_as_json, make_report
from dogsort.verdict import decide

__all__ = ["calibrate_and_export", "dog_and_cat_pairs", "logits_of"]

MOST_PAIRS = 500  # pictures of a dog beside a cat that calibration looks at


def calibrate_and_export(
    network: DogsortNet, validation: PixelCache, folder: Path, recipe: dict[str, Any], device: str
) -> None:
    """Choose scaling, bars and bound on validation photos, and write the weights folder."""
    logits = logits_of(network, validation.batches(), device)
    pairs = logits_of(network, dog_and_cat_pairs(validation, recipe["seed"]), device)
    is_dog, is_pet = (values > 0.5 for values in validation.targets())
    calibration = calibrate(logits, is_dog, is_pet, pairs)
    beside = [prediction.label for prediction in _predictions(pairs, calibration)]
    labelled = Share(sum(label in ("dog", "cat") for label in beside), len(beside))
    report = make_report(validation.photos, _predictions(logits, calibration), calibration.clip)
    figures = {
        "on": "the validation photos that calibration used",
        **report.as_json(),
        "pairs_labelled": figure_as_json(labelled),
    }
    export(network, folder, recipe["input_size"], calibration, figures, recipe)


def _predictions(logits: npt.NDArray[np.float32], calibration: Calibration) -> list[Prediction]:
    """Return what classification will say; paths stay empty."""
    rows = probabilities_of(logits, calibration.scaling)
    predictions = []
    for p_dog, p_pet in rows.tolist():
        label, confidence = decide(p_dog, p_pet, calibration.bar, calibration.species_bar)
        predictions.append(Prediction("", label, p_dog, p_pet, confidence))
    return predictions


@torch.inference_mode()
def logits_of(
    network: nn.Module, batches: Iterable[Pixels], device: str
) -> npt.NDArray[np.float32]:
    """Return (N, 2) logits of batches of (size, size, 3) pixels, N in all."""
    network.eval()
    parts = [network(torch.from_numpy(batch).to(device)).cpu() for batch in batches]
    result: npt.NDArray[np.float32] = torch.cat(parts).float().numpy()
    return result


def dog_and_cat_pairs(photos: PixelCache, seed: int) -> Iterator[Pixels]:
    """Put dogs beside cats, ``MOST_PAIRS`` at most: batches of (N, size, size, 3)."""
    rng = random.Random(seed)  # noqa: S311
    dog, pet = photos.targets()
    dogs, cats = (np.flatnonzero((pet > 0) & (dog == is_dog)).tolist() for is_dog in (1, 0))
    rng.shuffle(dogs)
    rng.shuffle(cats)
    pairs = iter(list(zip(dogs, cats, strict=False))[:MOST_PAIRS])
    while batch := list(islice(pairs, 64)):
        pictures = []
        for pair in batch:
            first, second = rng.sample(pair, 2)
            picture, _ = collage(photos.pixels(first), photos.pixels(second), rng)
            pictures.append(picture)
        yield np.stack(pictures)
