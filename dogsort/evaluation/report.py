"""An evaluation of labelled photos, as text tables and as JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from dogsort.decision import ANSWERS, joint_probabilities
from dogsort.evaluation.labelled import TRUTHS, LabelledPhoto
from dogsort.evaluation.metrics import Evaluation, Figure, Pair, Share, as_arrays, evaluate_groups
from dogsort.records import LABELS, Prediction, Record
from dogsort.results.text import printable

__all__ = ["LEGEND", "Report", "figure_as_json", "make_report"]

#: The names of the figures of all photos, in the order of the report.
FIGURES = {
    "accuracy": "accuracy, dog vs. cat",
    "log_loss": "log loss, dog vs. cat",
    "roc_auc_dog": "ROC AUC, dog vs. cat",
    "roc_auc_pet": "ROC AUC, pet or not",
    "calibration_dog": "calibration error, dog vs. cat",
    "calibration_pet": "calibration error, pet or not",
    "pets_labelled": "dogs and cats labelled dog or cat",
    "neither_labelled": "others labelled dog or cat",
    "labelled_wrongly": "dog and cat labels that are wrong",
}
OUTCOMES = ("right", "wrong", "missed", "unsure")  # each photo is one of these
PACKAGING = ("accuracy", "pets_labelled", "neither_labelled")  # the figures of altered copies

LEGEND = (
    "Told apart: dogs and cats that were not taken for each other. Of all photos: right, wrong",
    "(labelled dog or cat, but not that), missed (a dog or cat labelled neither), or unsure.",
    "In brackets: 95% intervals.",
)

HERE = "directly in it"  # the row of photos that are in no subfolder


@dataclass(slots=True)
class Report:
    """Labelled photos, their predictions, and the resulting figures."""

    pairs: list[Pair]  # the photos that could be read
    result: Evaluation  # for all of them
    folders: dict[str, Evaluation]  # for each folder; empty if there is only one
    changed: dict[str, Evaluation] = field(default_factory=dict)  # for altered copies, by change

    def tables(self) -> Iterator[list[list[str]]]:
        """Yield tables, each with its header first: figures, confusion, folders, changes."""
        result = self.result
        figures = {what: getattr(result, name) for name, what in FIGURES.items()}
        for truth in TRUTHS:
            figures[f"precision of {truth}"] = result.precision[truth]
            figures[f"recall of {truth}"] = result.recall[truth]
        yield [["figure", "value", "photos"], *([n, _text(f), _of(f)] for n, f in figures.items())]
        counts = ([one, *map(str, row.values())] for one, row in result.confusion.items())
        yield [["is \\ labelled", *LABELS], *counts]
        table = [["folder", "photos", "told apart", *OUTCOMES]]
        for name, part in [*self.folders.items(), ("all", result)]:
            sure = map(_text, (part.accuracy, part.right, part.wrong))
            rest = (_text(part.missed, interval=False), _text(part.unsure, interval=False))
            table.append([printable(name) or HERE, str(part.photos), *sure, *rest])
        yield table
        if self.changed:
            table = [["changed copies", "told apart", "pets labelled", "others labelled"]]
            for name, part in {"as they are": result, **self.changed}.items():
                shares = ((getattr(part, one), getattr(result, one)) for one in PACKAGING)
                table.append([name, *(_change(share, before) for share, before in shares)])
            yield table

    def worst(self, count: int) -> list[tuple[float, LabelledPhoto, Prediction]]:
        """Return the ``count`` most confident mistakes: p(truth) in 0..1, photo, prediction."""
        joint = joint_probabilities(*as_arrays(self.pairs)[2:]).tolist()
        wrong = [
            (chance, photo, said)
            for chances, (photo, said) in zip(joint, self.pairs, strict=True)
            if (chance := chances[ANSWERS.index(photo.truth)]) < max(chances)
        ]
        return sorted(wrong, key=lambda row: (row[0], row[1].path))[:count]

    def as_json(self) -> dict[str, Any]:
        """Return the figures for JSON; an undefined figure is null.

        ``dogsort eval --help`` names the keys; each figure is as ``figure_as_json`` returns it.
        """
        of_folder = ("accuracy", "log_loss", *OUTCOMES)
        changed = {n: _as_json(part, (*PACKAGING, "log_loss")) for n, part in self.changed.items()}
        return {
            **_as_json(self.result, (*FIGURES, *OUTCOMES)),
            "precision": {name: figure_as_json(f) for name, f in self.result.precision.items()},
            "recall": {name: figure_as_json(f) for name, f in self.result.recall.items()},
            "confusion": self.result.confusion,
            "folders": {printable(n): _as_json(p, of_folder) for n, p in self.folders.items()},
        } | ({"changed": changed} if changed else {})


def make_report(photos: Sequence[LabelledPhoto], records: Sequence[Record], clip: float) -> Report:
    """Report on N photos and their N records, without Failures; ``clip`` is for the log loss."""
    pairs = zip(photos, records, strict=True)
    read = [(photo, said) for photo, said in pairs if isinstance(said, Prediction)]
    folders = evaluate_groups(((photo.group, photo, said) for photo, said in read), clip)
    several = dict(sorted(folders.items())) if len(folders) > 1 else {}
    return Report(read, Evaluation(read, clip), several)


def figure_as_json(figure: Figure) -> dict[str, float] | None:
    """Return value, interval and for a share its two counts; None if undefined."""
    if math.isnan(figure.value):
        return None
    low, high = figure.interval
    counts = {"count": figure.count, "total": figure.total} if isinstance(figure, Share) else {}
    return {"value": round(figure.value, 5), "low": round(low, 5), "high": round(high, 5), **counts}


def _as_json(part: Evaluation, names: Iterable[str]) -> dict[str, Any]:
    return {"photos": part.photos, **{n: figure_as_json(getattr(part, n)) for n in names}}


def _text(figure: Figure, interval: bool = True) -> str:
    """Return a text such as ``98.70% (98.01-99.15)`` or ``0.0386``; - if undefined."""
    if math.isnan(figure.value):
        return "-"
    scale, digits, unit = (100, 2, "%") if isinstance(figure, Share) else (1, 4, "")
    value, *ends = (f"{scale * number:.{digits}f}" for number in (figure.value, *figure.interval))
    return f"{value}{unit} ({'-'.join(ends)})" if interval else f"{value}{unit}"


def _of(figure: Figure) -> str:
    return f"{figure.count} of {figure.total}" if isinstance(figure, Share) else ""


def _change(share: Share, before: Share) -> str:
    """Return a text such as ``97.10% (-1.60)``, with the difference in points."""
    points = 100 * (share.value - before.value)
    return f"{_text(share, interval=False)} ({points:+.2f})" if share.total else "-"
