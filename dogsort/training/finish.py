"""A trained network -> a calibrated weights folder, compared with the bundled weights."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from dogsort.classifier import Classifier
from dogsort.decision import ANSWERS, joint_probabilities, predictions
from dogsort.errors import DataError
from dogsort.evaluation.labelled import LabelledPhoto
from dogsort.evaluation.metrics import Z_95, Evaluation, Share
from dogsort.evaluation.report import FIGURES, Report, figure_as_json, make_report
from dogsort.network.engines import probabilities_of
from dogsort.photos.decode import Pixels
from dogsort.records import Prediction, Thresholds
from dogsort.training.augment import collage
from dogsort.training.calibrate import (
    LEAST_NEITHER,
    LEAST_OF_EACH_PET,
    MOST_LABELLED_WRONGLY,
    MOST_NEITHER_LABELLED,
    Calibration,
    calibrate,
    calibration_of,
    enough,
)
from dogsort.training.dataset import DecodedPhotos
from dogsort.training.export import export
from dogsort.training.sampling import shares_of
from dogsort.training.start import Start

__all__ = ["Comparison", "check_calibration", "dog_and_cat_pairs", "finish", "logits_of"]

MOST_PAIRS = 500  # most pictures of a dog beside a cat that calibration uses


@dataclass(frozen=True, slots=True)
class Comparison:
    """A comparison of new weights with the bundled ones, on the same validation photos.

    Attributes:
        new, bundled: the figures of both.
        gain: how much lower the log loss of the true labels is with the new weights, in nats per
            photo, with the ends of its 95% interval.
        calibration: the calibration of the new weights.
        calibrated: whether it was chosen on these photos; if there are too few, it was kept.
    """

    new: Evaluation
    bundled: Evaluation
    gain: tuple[float, float, float]
    calibration: Calibration
    calibrated: bool

    def lines(self) -> Iterator[str]:
        """Yield the comparison as text."""
        width = max(map(len, FIGURES.values())) + 2
        yield f"on the {self.new.photos} validation photos:"
        yield f"{'':<{width}}{'new':>10}{'bundled':>10}"
        for name, what in FIGURES.items():
            figures = [getattr(of, name) for of in (self.new, self.bundled)]
            texts = (f"{f.value:.{'2%' if isinstance(f, Share) else '4f'}}" for f in figures)
            yield f"{what:<{width}}" + "".join(f"{text:>10}" for text in texts)
        mean, low, high = self.gain
        interval = f"{mean:+.4f} nats per photo (95%: {low:+.4f} to {high:+.4f})"
        if low > 0 and self.calibrated:
            yield f"the new weights are better than the bundled ones: {interval}"
        elif high < 0:
            yield f"the new weights are WORSE than the bundled ones; keep those: {interval}"
        else:
            yield f"no significant difference from the bundled weights: {interval}"
        if not self.calibrated:
            yield (
                f"too few validation photos to calibrate on ({LEAST_OF_EACH_PET} dogs, "
                f"{LEAST_OF_EACH_PET} cats and {LEAST_NEITHER} others are needed): temperatures "
                "and thresholds stay those of the starting weights"
            )
        elif not self.calibration.kept:
            yield (
                f"no thresholds keep wrong labels to {MOST_NEITHER_LABELLED:.0%} of the others and "
                f"{MOST_LABELLED_WRONGLY:.1%} of labelled pets: the highest are used, and few "
                "photos will get a label"
            )


def check_calibration(start: Start, validation: Sequence[LabelledPhoto]) -> None:
    """Raise DataError if there are too few validation photos to calibrate a new head."""
    truths = np.array([photo.truth for photo in validation])
    if start.weights is None and not enough(truths == "dog", truths != "neither"):
        raise DataError(
            f"{len(validation)} validation photos are too few to calibrate on "
            f"({LEAST_OF_EACH_PET} dogs, {LEAST_OF_EACH_PET} cats and {LEAST_NEITHER} others are "
            "needed); give more with --val, or start from dogsort weights and keep their "
            "calibration"
        )


def finish(
    start: Start, held_out: DecodedPhotos, folder: Path, recipe: dict[str, Any], device: str
) -> Comparison:
    """Calibrate, write the weights folder, and compare with the bundled weights.

    Args:
        start: the start of the training, with its network trained and on the device. Its
            calibration is kept if there are too few photos.
        held_out: validation photos.
        folder: the folder to write.
        recipe: the recipe and results, for the manifest.
        device: torch's name of the device.

    Raises:
        DataError: if there are too few validation photos and there is no calibration to keep.
        OutputError: if the folder cannot be written.
    """
    bundled = list(Classifier(device=device).predict(photo.path for photo in held_out.photos))
    logits = logits_of(start.network, held_out.batches(), device)
    pairs = logits_of(start.network, dog_and_cat_pairs(held_out, recipe["seed"]), device)
    is_dog, is_pet = held_out.labels()
    calibrated = enough(is_dog, is_pet)
    if calibrated:
        shares = shares_of(held_out.photos, {})
        calibration = calibrate(logits, is_dog, is_pet, shares, pairs)
    else:
        check_calibration(start, held_out.photos)
        assert start.weights is not None
        calibration = calibration_of(start.weights)
    report = make_report(held_out.photos, _predictions(logits, calibration), calibration.clip)
    beside = [made.label for made in _predictions(pairs, calibration)]
    labelled = Share(sum(label in ("dog", "cat") for label in beside), len(beside))
    figures = {
        "on": "the validation photos that calibration used",
        **report.as_json(),
        "pairs_labelled": figure_as_json(labelled),
    }
    export(start.network, folder, recipe["input_size"], calibration, figures, recipe)
    before = make_report(held_out.photos, bundled, calibration.clip)
    return Comparison(report.result, before.result, _gain(report, before), calibration, calibrated)


def _gain(new: Report, bundled: Report) -> tuple[float, float, float]:
    """Return the mean gain per photo, in nats, and the ends of its 95% interval."""
    gains = np.log(_chances(new)) - np.log(_chances(bundled))
    mean = float(gains.mean())
    half = Z_95 * float(gains.std()) / math.sqrt(len(gains))
    return mean, mean - half, mean + half


def _chances(report: Report) -> npt.NDArray[np.float64]:
    """Return the probability of each photo's true label, at least 0.001, (N,)."""
    said = np.array([(said.p_dog, said.p_pet) for _, said in report.pairs])
    truths = [ANSWERS.index(photo.truth) for photo, _ in report.pairs]
    joint = joint_probabilities(said[:, 0], said[:, 1])
    return joint[np.arange(len(truths)), truths].clip(1e-3)


def _predictions(logits: npt.NDArray[np.float32], calibration: Calibration) -> list[Prediction]:
    """Return the predictions of classification, with empty paths."""
    thresholds = Thresholds(calibration.threshold, calibration.species_threshold)
    probabilities = probabilities_of(logits, calibration.scaling)
    return predictions([""] * len(probabilities), probabilities, thresholds)


@torch.inference_mode()
def logits_of(
    network: nn.Module, batches: Iterable[Pixels], device: str
) -> npt.NDArray[np.float32]:
    """Return logits (N, 2) for batches of (size, size, 3) pixels, N in total."""
    network.eval()
    parts = [network(torch.from_numpy(batch).to(device)).cpu() for batch in batches]
    result: npt.NDArray[np.float32] = torch.cat(parts).float().numpy()
    return result


def dog_and_cat_pairs(photos: DecodedPhotos, seed: int) -> Iterator[Pixels]:
    """Yield collages of a dog and a cat, ``MOST_PAIRS`` at most, in batches of one."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    is_dog, is_pet = photos.labels()
    dogs, cats = (
        rng.permutation(np.flatnonzero(is_dog)),
        rng.permutation(np.flatnonzero(is_pet & ~is_dog)),
    )
    for pair in list(zip(dogs, cats, strict=False))[:MOST_PAIRS]:
        first, second = (
            torch.from_numpy(np.array(photos.pixels[index])).permute(2, 0, 1)
            for index in rng.permutation(pair)
        )
        picture, _ = collage(first, second)
        yield picture.permute(1, 2, 0).numpy()[None]
