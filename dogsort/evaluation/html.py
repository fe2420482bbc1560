"""A report as one self-contained HTML file: tables, charts, the worst photos."""

from __future__ import annotations

import base64
import io
from contextlib import suppress
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from dogsort.decision import decide
from dogsort.errors import UnreadablePhoto
from dogsort.evaluation.labelled import LabelledPhoto
from dogsort.evaluation.metrics import Flags, Floats, Share, as_arrays, calibration_bins
from dogsort.evaluation.report import LEGEND, Report
from dogsort.photos.decode import decode_file
from dogsort.records import LABELS, Prediction, Thresholds
from dogsort.results.text import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["evaluation_page"]

THUMBNAIL = 160  # pixels; a square with the whole photo, as the network sees it
CHARTS = (15.0, 4.5)  # inches; three charts side by side
TICKS = (0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999)  # probabilities, evenly spread in log odds

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; margin: 1.5rem 0 }
td { padding: .2rem .8rem; border-bottom: 1px solid #ddd; font-variant-numeric: tabular-nums }
td:not(:first-child) { text-align: right }
tr:first-child { font-weight: bold }
img { max-width: 100% }
figure { display: inline-block; width: 168px; margin: .5rem; vertical-align: top }
figcaption { font-size: 12px; overflow-wrap: anywhere }
"""


def evaluation_page(title: str, report: Report, worst: int) -> str:
    """Return a page with figures, charts, and the ``worst`` worst photos as thumbnails."""
    title = escape(printable(title))
    parts = [f"<h1>{title}</h1>", f"<p>{' '.join(LEGEND)}</p>", *map(_table, report.tables())]
    parts.append(f'<img alt="three charts" src="{_data("svg+xml", _charts(report))}">')
    if photos := report.worst(worst):
        parts += ["<h2>Worst photos</h2>", *(_thumbnail(*one) for one in photos)]
    head = f'<meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
    return "\n".join(['<!doctype html>\n<html lang="en">', head, *parts, "</html>\n"])


def _table(rows: list[list[str]]) -> str:
    cells = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows)
    return "<table>\n" + "\n".join(f"<tr>{row}</tr>" for row in cells) + "\n</table>"


def _thumbnail(chance: float, photo: LabelledPhoto, said: Prediction) -> str:
    name, file = escape(printable(photo.path)), io.BytesIO()
    with suppress(UnreadablePhoto):  # it was readable a moment ago
        Image.fromarray(decode_file(photo.path, THUMBNAIL)).save(file, "JPEG", quality=85)
    image = f'<img alt="{name}" src="{_data("jpeg", file.getvalue())}">'
    caption = f"is {photo.truth} (given {chance:.2%}), labelled {said.label}: {name}"
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"


def _charts(report: Report) -> bytes:
    """Draw the reliability of probabilities and the accuracy of labels, as SVG."""
    from matplotlib.figure import Figure

    truth, _, p_dog, p_pet = as_arrays(report.pairs)
    is_pet = truth != "neither"
    answer, confidence = decide(p_dog, p_pet, Thresholds(0.0, 0.0))
    figure = Figure(figsize=CHARTS, layout="constrained")
    apart, pet, right = figure.subplots(1, 3)
    _draw_reliability(apart, "dog vs. cat", p_dog[is_pet], truth[is_pet] == "dog")
    _draw_reliability(pet, "pet or not", p_pet, is_pet)
    _draw_accuracy(right, "dog, cat or neither", confidence, np.array(LABELS)[answer] == truth)
    file = io.BytesIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()


def _draw_reliability(axes: Axes, title: str, probabilities: Floats, outcomes: Flags) -> None:
    """Draw predicted probabilities (N,) against observed shares, with 95% Wilson intervals.

    Both axes are log odds, because nearly all probabilities are close to 0 or 1.
    """
    least = 1 / (2 * max(1, len(outcomes)))  # this scale cannot show a share of 0 or 1
    axes.plot([least, 1 - least], [least, 1 - least], color="grey", linewidth=1)
    for said, came, photos in calibration_bins(probabilities, outcomes):
        share = Share(int(came), int(photos))
        x, y, *ends = np.clip((said, share.value, *share.interval), least, 1 - least)
        axes.plot([x, x], ends, color="C0", alpha=0.4, linewidth=3)
        axes.plot([x], [y], "o", color="C0", markersize=4)
    axes.set(xscale="logit", yscale="logit", title=title)
    axes.set(xlabel="predicted probability", ylabel="observed share")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(TICKS, list(map(str, TICKS)))
        axis.set_ticks([], minor=True)


def _draw_accuracy(axes: Axes, title: str, confidence: Floats, right: Flags) -> None:
    """Draw the accuracy of the (N,) most confident labels against their number."""
    answered = np.arange(1, len(right) + 1)
    accuracy = 100 * np.cumsum(right[np.argsort(-confidence, kind="stable")]) / answered
    axes.plot(100 * answered / max(1, len(right)), accuracy)
    axes.set(xlabel="photos labelled, most confident first (%)", ylabel="of these right (%)")
    axes.set(title=title, ylim=(max(0.0, accuracy.min(initial=100) - 0.5), 100.1))


def _data(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
