"""A report as one self-contained HTML file: tables, charts, the worst photos."""

from __future__ import annotations

import base64
import io
from contextlib import suppress
from html import escape
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np

from dogsort.decision import decide
from dogsort.errors import UnreadablePhoto
from dogsort.evaluation.labelled import LabelledPhoto
from dogsort.evaluation.metrics import Flags, Floats, Share, as_arrays, calibration_bins
from dogsort.evaluation.report import LEGEND, Report
from dogsort.photos.decode import decode_within
from dogsort.pictures.thumbnails import jpeg_of
from dogsort.records import LABELS, Prediction, Thresholds
from dogsort.results.text import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["evaluation_page"]

THUMBNAIL = 320  # pixels of the longer side, twice what is shown, for sharp screens
CHARTS = (15.0, 4.5)  # inches; three charts side by side
TICKS = (0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999)  # probabilities, evenly spread in log odds

#: What the report adds to the theme of the page of ``dogsort review``.
STYLE = """
body { background: var(--ground); color: var(--text); font-variant-numeric: tabular-nums;
  max-width: 72rem; margin: 2rem auto; padding: 0 1.2rem }
h1, h2 { letter-spacing: -.01em; line-height: 1.25 }
p { max-width: 48rem; color: var(--quiet) }
.wide { overflow-x: auto }
table { border-collapse: collapse; margin: 1.5rem 0 }
td { padding: .3rem .9rem; border-bottom: 1px solid var(--line) }
td:first-child { padding-left: 0 }
td:not(:first-child) { text-align: right }
tr:first-child { font-weight: 600 }
.charts { box-sizing: border-box; width: 100%; padding: .8rem; border-radius: 10px;
  background: #fff }
.photos { display: grid; grid-template-columns: repeat(auto-fill, minmax(164px, 1fr)); gap: 1.2rem }
figure { margin: 0; min-width: 0 }
figure img { width: 100%; aspect-ratio: 1; object-fit: contain; border-radius: 10px;
  background: light-dark(#ece9e4, #211f1d) }
figcaption { font-size: 13px; overflow-wrap: anywhere; color: var(--quiet) }
.chip { margin-right: .3rem; padding: 1px 9px 2px; border-radius: 99px;
  background: var(--label); color: #171513 }
.dog { --label: var(--dog) } .cat { --label: var(--cat) }
.neither { --label: var(--neither) } .unsure { --label: var(--unsure) }
figcaption strong { display: block; margin: .4rem 0 .1rem; color: var(--text); font-weight: 500 }
"""


def evaluation_page(title: str, report: Report, worst: int) -> str:
    """Return a page with figures, charts, and the ``worst`` worst photos as thumbnails."""
    title = escape(printable(title))
    parts = [f"<h1>{title}</h1>", f"<p>{' '.join(LEGEND)}</p>", *map(_table, report.tables())]
    charts = _data("svg+xml", _charts(report))
    parts.append(f'<img class="charts" alt="three charts" src="{charts}">')
    if photos := report.worst(worst):
        figures = [_thumbnail(*one) for one in photos]
        parts += ["<h2>Worst photos</h2>", '<div class="photos">', *figures, "</div>"]
    theme = resources.files("dogsort.review").joinpath("static", "theme.css").read_text("utf-8")
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><style>{theme}{STYLE}</style>"
    )
    return "\n".join(['<!doctype html>\n<html lang="en">', head, *parts, "</html>\n"])


def _table(rows: list[list[str]]) -> str:
    cells = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows)
    lines = "\n".join(f"<tr>{row}</tr>" for row in cells)
    return f'<div class="wide"><table>\n{lines}\n</table></div>'


def _thumbnail(chance: float, photo: LabelledPhoto, said: Prediction) -> str:
    name, picture = escape(printable(photo.path)), b""
    with suppress(UnreadablePhoto):  # it was readable a moment ago
        picture = jpeg_of(decode_within(photo.path, THUMBNAIL))
    return (
        f'<figure><img alt="{name}" src="{_data("jpeg", picture)}"><figcaption>'
        f'<strong><span class="chip {said.label}">{said.label}</span> but {photo.truth}</strong>'
        f"{photo.truth} was given {chance:.2%}: {name}</figcaption></figure>"
    )


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
