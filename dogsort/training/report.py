"""An evaluation of labelled photos, as lines of text and as figures in JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dogsort.records import LABELS, Prediction, Record
from dogsort.results.summary import printable
from dogsort.training.dataset import TRUTHS, LabelledPhoto, Truth
from dogsort.training.evaluate import Evaluation, evaluate
from dogsort.training.figures import Estimate, Share
from dogsort.verdict import ANSWERS, joint_probabilities

__all__ = [
    "FIGURES",
    "FOLDER_FIGURES",
    "HERE",
    "Report",
    "WorstPhoto",
    "figure_as_json",
    "figure_lines",
    "figure_text",
    "make_report",
]

#: The figures of an evaluation, in the order of the report, in words.
FIGURES = {
    "accuracy": "accuracy, dog against cat",
    "log_loss": "log loss, dog against cat",
    "roc_auc_dog": "ROC AUC, dog against cat",
    "roc_auc_pet": "ROC AUC, pet or not",
    "calibration_dog": "calibration error, dog against cat",
    "calibration_pet": "calibration error, pet or not",
    "pets_labelled": "dogs and cats labelled dog or cat",
    "neither_labelled": "others labelled dog or cat",
    "labelled_wrongly": "of labels dog and cat, wrong",
}

WIDTH = max(map(len, FIGURES.values())) + 2

HERE = "directly in it"  # what photos in no folder of their own are listed under

#: Figures that tell something of a single folder.
FOLDER_FIGURES = ("accuracy", "log_loss", "pets_labelled", "neither_labelled")


@dataclass(frozen=True, slots=True)
class WorstPhoto:
    """A photo to whose truth the network gave little chance, 0..1."""

    path: str
    truth: Truth
    label: str
    chance: float


@dataclass(slots=True)
class Report:
    """Labelled photos, what was predicted of them, and what that says.

    Attributes:
        photos: those that could be read, N.
        predictions: N, in the same order.
        result: the figures of all of them.
        folders: the figures of each folder; empty if all are in the same.
        changed: the figures on changed copies, by the change; empty if not asked for.
    """

    photos: list[LabelledPhoto]
    predictions: list[Prediction]
    result: Evaluation
    folders: dict[str, Evaluation]
    changed: dict[str, Evaluation] = field(default_factory=dict)

    @property
    def truths(self) -> list[Truth]:
        """The labels of the photos, N."""
        return [photo.truth for photo in self.photos]

    def lines(self, worst: int) -> Iterator[str]:
        """Yield the report as text, with the ``worst`` worst photos."""
        result = self.result
        pets = result.accuracy.total
        yield f"{result.photos} photos, {pets} of them dogs or cats (in brackets: 95% intervals)"
        yield ""
        yield from (f"{what:<{WIDTH}}{text}" for what, text in figure_lines(result))
        yield ""
        yield "is \\ labelled" + "".join(f"{name:>9}" for name in LABELS)
        for truth, counts in zip(TRUTHS, result.confusion, strict=True):
            yield f"{truth:<13}" + "".join(f"{count:>9}" for count in counts)
        for group, part in self.folders.items():
            yield ""
            yield f"{printable(group) or HERE}: {part.photos} photos"
            for name in FOLDER_FIGURES:
                if not math.isnan(getattr(part, name).value):
                    yield f"  {FIGURES[name]:<{WIDTH - 2}}{figure_text(getattr(part, name))}"
        if self.changed:
            yield ""
            yield from _changed_lines(result, self.changed)
        for number, photo in enumerate(self.worst(worst)):
            if number == 0:
                yield ""
                yield "worst: chance given to the truth, the truth, label, photo"
            yield f"{photo.chance:9.6f}  {photo.truth:<8}{photo.label:<8}{printable(photo.path)}"

    def as_json(self) -> dict[str, Any]:
        """Return the figures as JSON takes them; a figure of nothing is null."""
        result = self.result
        return {
            "photos": result.photos,
            **_all_as_json(result, FIGURES),
            "precision": {name: figure_as_json(result.precision[name]) for name in TRUTHS},
            "recall": {name: figure_as_json(result.recall[name]) for name in TRUTHS},
            "confusion": {
                name: dict(zip(LABELS, counts, strict=True))
                for name, counts in zip(TRUTHS, result.confusion.tolist(), strict=True)
            },
            "folders": {
                printable(group): {"photos": part.photos, **_all_as_json(part, FOLDER_FIGURES)}
                for group, part in self.folders.items()
            },
        } | (
            {"changed": {name: _all_as_json(part, FOLDER_FIGURES) for name, part in changed}}
            if (changed := self.changed.items())
            else {}
        )

    def worst(self, count: int) -> list[WorstPhoto]:
        """Return the photos, ``count`` at most, that the network was surest and wrong about."""
        p_dog = np.array([prediction.p_dog for prediction in self.predictions])
        p_pet = np.array([prediction.p_pet for prediction in self.predictions])
        joint = joint_probabilities(p_dog, p_pet)
        wrong = [
            WorstPhoto(record.path, truth, record.label, float(chances[ANSWERS.index(truth)]))
            for chances, truth, record in zip(joint, self.truths, self.predictions, strict=True)
            if ANSWERS[int(chances.argmax())] != truth
        ]
        return sorted(wrong, key=lambda photo: (photo.chance, photo.path))[:count]


def make_report(photos: Sequence[LabelledPhoto], records: Sequence[Record], clip: float) -> Report:
    """Join labels and predictions; photos that could not be read count for nothing.

    Args:
        photos: N.
        records: N, in the same order.
        clip: bound that p_dog is clipped to for the log loss, 0..0.5.
    """
    pairs = [
        (photo, record)
        for photo, record in zip(photos, records, strict=True)
        if isinstance(record, Prediction)
    ]

    def evaluate_pairs(group: str | None = None) -> Evaluation:
        members = [pair for pair in pairs if group is None or pair[0].group == group]
        truths, predictions = [photo.truth for photo, _ in members], [p for _, p in members]
        return evaluate(truths, predictions, clip, brief=group is not None)

    groups = sorted({photo.group for photo, _ in pairs})
    return Report(
        photos=[photo for photo, _ in pairs],
        predictions=[prediction for _, prediction in pairs],
        result=evaluate_pairs(),
        folders={group: evaluate_pairs(group) for group in groups} if len(groups) > 1 else {},
    )


def _changed_lines(original: Evaluation, changed: Mapping[str, Evaluation]) -> Iterator[str]:
    """Yield a line per change, with the difference from the originals in points."""
    width = max(map(len, changed)) + 2
    yield f"{'changed copies':<{width}}{'right':>17}{'pets labelled':>17}{'others labelled':>17}"
    for name, result in {"as they are": original, **changed}.items():
        cells = ""
        for figure in ("accuracy", "pets_labelled", "neither_labelled"):
            value, before = getattr(result, figure).value, getattr(original, figure).value
            text = "-" if math.isnan(value) else f"{value:.2%} ({100 * (value - before):+.2f})"
            cells += f"{text:>17}"
        yield f"{name:<{width}}{cells}"


def figure_lines(result: Evaluation) -> Iterator[tuple[str, str]]:
    """Yield each figure that there is: what it is, and its value with the interval."""
    figures = {what: getattr(result, name) for name, what in FIGURES.items()}
    for truth in TRUTHS:
        figures[f"precision of {truth}"] = result.precision[truth]
        figures[f"recall of {truth}"] = result.recall[truth]
    for what, figure in figures.items():
        if not math.isnan(figure.value):
            yield what, figure_text(figure)


def figure_text(figure: Share | Estimate) -> str:
    """Return such as ``98.70% (98.01-99.15), 1971 of 1997`` or ``0.0386 (0.0312-0.0467)``."""
    low, high = figure.interval()
    if isinstance(figure, Estimate):
        return f"{figure.value:7.4f} ({low:.4f}-{high:.4f})"
    shown = f"{figure.value:7.2%} ({low * 100:.2f}-{high * 100:.2f})"
    return f"{shown}, {figure.count} of {figure.total}"


def _all_as_json(result: Evaluation, names: Iterable[str]) -> dict[str, Any]:
    return {name: figure_as_json(getattr(result, name)) for name in names}


def figure_as_json(figure: Share | Estimate) -> dict[str, float] | None:
    """Return value, interval and, of a share, its two counts; None for a figure of nothing."""
    if math.isnan(figure.value):
        return None
    low, high = figure.interval()
    values = {"value": round(figure.value, 5), "low": round(low, 5), "high": round(high, 5)}
    if isinstance(figure, Share):
        values |= {"count": figure.count, "total": figure.total}
    return values
