"""An evaluation as lines of text, and as figures for the manifest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from dogsort.network.engines import probabilities_of
from dogsort.records import LABELS, Prediction
from dogsort.results.summary import printable
from dogsort.training.calibrate import Calibration
from dogsort.training.dataset import LabelledPhoto, Truth
from dogsort.training.evaluate import TRUTHS, Evaluation, Share, evaluate
from dogsort.verdict import ANSWERS, decide, joint_probabilities

__all__ = ["evaluation_report", "manifest_figures", "worst_photos"]


def evaluation_report(result: Evaluation) -> Iterator[str]:
    """Yield the figures, each with its 95% interval, and the confusion matrix."""
    pets = result.accuracy.total
    yield f"{pets + result.neither_labelled.total} photos, {pets} of them dogs or cats"
    if pets:
        yield f"accuracy, dog against cat       {share_text(result.accuracy)}"
        yield f"log loss, dog against cat        {result.log_loss:.4f}"
        yield f"dogs and cats labelled so       {share_text(result.pets_labelled)}"
    if result.neither_labelled.total:
        yield f"others labelled dog or cat      {share_text(result.neither_labelled)}"
    if result.labelled_wrongly.total:
        yield f"of labels dog and cat, wrong    {share_text(result.labelled_wrongly)}"
    yield ""
    yield "is \\ labelled" + "".join(f"{name:>9}" for name in LABELS)
    for name, counts in zip(TRUTHS, result.confusion, strict=True):
        yield f"{name:<13}" + "".join(f"{count:>9}" for count in counts)


def share_text(share: Share) -> str:
    """Return such as ``98.70% (98.01-99.15), 1971 of 1997``."""
    low, high = share.interval()
    return f"{share.value:7.2%} ({low * 100:.2f}-{high * 100:.2f}), {share.count} of {share.total}"


def worst_photos(
    truths: Sequence[Truth], predictions: Sequence[Prediction], count: int
) -> Iterator[str]:
    """Yield a line for each of the photos to whose truth the network gave the least chance."""
    p_dog = np.array([prediction.p_dog for prediction in predictions])
    p_pet = np.array([prediction.p_pet for prediction in predictions])
    joint = joint_probabilities(p_dog, p_pet)
    scored = sorted(
        (float(chances[ANSWERS.index(truth)]), prediction.path, truth, prediction.label)
        for chances, truth, prediction in zip(joint, truths, predictions, strict=True)
    )
    wrong = [row for row in scored[:count] if row[0] < 0.5]
    if wrong:
        yield ""
        yield "worst: chance given to the truth, the truth, label, photo"
    for chance, path, truth, label in wrong:
        yield f"{chance:9.6f}  {truth:<8}{label:<8}{printable(path)}"


def manifest_figures(
    logits: npt.NDArray[np.float32], photos: Sequence[LabelledPhoto], calibration: Calibration
) -> dict[str, float | int | str]:
    """Return the figures that go with the weights, on the photos they were calibrated on.

    Args:
        logits: (N, 2), raw.
        photos: N, in the same order.
        calibration: what was chosen on them.
    """
    predictions = []
    rows = probabilities_of(logits, calibration.temperature_dog, calibration.temperature_pet)
    for photo, (p_dog, p_pet) in zip(photos, rows, strict=True):
        label, confidence = decide(
            float(p_dog), float(p_pet), calibration.bar, calibration.species_bar
        )
        predictions.append(Prediction(photo.path, label, float(p_dog), float(p_pet), confidence))
    result = evaluate([photo.truth for photo in photos], predictions, calibration.clip)
    return {
        "on": "the validation photos that calibration used",
        "photos": len(photos),
        "accuracy": round(result.accuracy.value, 5),
        "log_loss": round(result.log_loss, 5),
        "pets_labelled": round(result.pets_labelled.value, 5),
        "labelled_wrongly": round(result.labelled_wrongly.value, 5),
        "neither_labelled": round(result.neither_labelled.value, 5),
    }
