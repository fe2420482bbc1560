"""An evaluation as one HTML file that needs nothing beside it."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape

import numpy as np
from PIL import Image

from dogsort.errors import UnreadablePhoto
from dogsort.photos.decode import decode_file
from dogsort.records import LABELS
from dogsort.results.summary import printable
from dogsort.training.charts import accuracy_chart, reliability_chart
from dogsort.training.dataset import TRUTHS
from dogsort.training.evaluate import NEITHER, Evaluation
from dogsort.training.report import (
    FIGURES,
    FOLDER_FIGURES,
    HERE,
    Report,
    WorstPhoto,
    figure_lines,
    figure_text,
)
from dogsort.verdict import joint_probabilities

__all__ = ["evaluation_page"]

THUMBNAIL = 160  # pixels; as the network sees the photo: the whole of it, in a square

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; margin: 1rem 0 }
td, th { padding: .2rem .8rem; border-bottom: 1px solid #ddd; text-align: left }
td.n { text-align: right; font-variant-numeric: tabular-nums }
figure { display: inline-block; width: 168px; margin: .5rem; vertical-align: top }
figure.chart { width: auto }
figcaption { font-size: 12px; overflow-wrap: anywhere }
"""


def evaluation_page(title: str, report: Report, worst: int) -> str:
    """Return the page: figures, charts, confusion, and the worst photos as thumbnails.

    Args:
        title: what was evaluated on what.
        report: the evaluation.
        worst: how many photos to show.
    """
    result = report.result
    rows = zip(TRUTHS, result.confusion.tolist(), strict=True)
    parts = [
        f"<h1>{escape(printable(title))}</h1>",
        f"<p>{result.photos} photos, {result.accuracy.total} of them dogs or cats. "
        "In brackets: 95% intervals.</p>",
        _table(["", ""], figure_lines(result)),
        "<h2>Charts</h2>",
        *_charts(report),
        "<h2>What is what, and what it was labelled</h2>",
        _table(["is \\ labelled", *LABELS], ([name, *map(str, counts)] for name, counts in rows)),
    ]
    if report.folders:
        parts += ["<h2>Folder by folder</h2>", _evaluations("folder", report.folders)]
    if report.changed:
        changed = {"as they are": result, **report.changed}
        parts += ["<h2>Changed copies</h2>", _evaluations("change", changed)]
    if photos := report.worst(worst):
        parts += ["<h2>Surest and wrong</h2>", *map(_thumbnail, photos)]
    body = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(printable(title))}</title><style>{STYLE}</style></head>\n"
        f"<body>\n{body}\n</body></html>\n"
    )


def _charts(report: Report) -> list[str]:
    truth = np.array([TRUTHS.index(name) for name in report.truths], np.int64)
    p_dog = np.array([prediction.p_dog for prediction in report.predictions])
    p_pet = np.array([prediction.p_pet for prediction in report.predictions])
    is_pet = truth != NEITHER
    is_dog = truth[is_pet] == TRUTHS.index("dog")
    joint = joint_probabilities(p_dog, p_pet)
    charts = {
        "dog against cat": reliability_chart(p_dog[is_pet], is_dog),
        "pet or not": reliability_chart(p_pet, is_pet),
        "dog, cat or neither": accuracy_chart(joint.max(axis=1), joint.argmax(axis=1) == truth),
    }
    return [
        f'<figure class="chart"><img alt="chart: {name}" src="{_data("svg+xml", svg)}">'
        f"<figcaption>{name}</figcaption></figure>"
        for name, svg in charts.items()
    ]


def _evaluations(what: str, parts: Mapping[str, Evaluation]) -> str:
    rows = []
    for name, part in parts.items():
        figures = [getattr(part, figure) for figure in FOLDER_FIGURES]
        # A figure of nothing is left out.
        cells = ["" if math.isnan(figure.value) else figure_text(figure) for figure in figures]
        rows.append([printable(name) or HERE, str(part.photos), *cells])
    return _table([what, "photos", *(FIGURES[name] for name in FOLDER_FIGURES)], rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["<table>"]
    if any(head):
        lines.append("<tr>" + "".join(f"<th>{escape(cell)}</th>" for cell in head) + "</tr>")
    for first, *others in rows:
        cells = "".join(f'<td class="n">{escape(cell)}</td>' for cell in others)
        lines.append(f"<tr><td>{escape(first)}</td>{cells}</tr>")
    return "\n".join([*lines, "</table>"])


def _thumbnail(photo: WorstPhoto) -> str:
    name = escape(printable(photo.path))
    file = io.BytesIO()
    try:
        Image.fromarray(decode_file(photo.path, THUMBNAIL)).save(file, "JPEG", quality=85)
        image = f'<img alt="{name}" src="{_data("jpeg", file.getvalue())}">'
    except UnreadablePhoto as error:  # it was readable a moment ago
        image = f"<p>{escape(printable(str(error)))}</p>"
    return (
        f"<figure>{image}<figcaption>is {photo.truth} (given {photo.chance:.2%}), "
        f"labelled {photo.label}: {name}</figcaption></figure>"
    )


def _data(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
