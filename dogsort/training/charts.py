"""Charts of an evaluation, as SVG."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dogsort.training.figures import calibration_bins, wilson_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["accuracy_chart", "reliability_chart"]

SIZE = (5.2, 4.2)  # inches, as matplotlib counts
TICKS = (0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999)


def reliability_chart(
    probabilities: npt.NDArray[np.float64], outcomes: npt.NDArray[np.bool_]
) -> bytes:
    """Draw what probabilities (N,) said against what (N,) outcomes came true.

    Both axes are log odds: nearly all probabilities are close to 0 or 1, and it is there that
    they are relied upon. A bar is a bin's 95% Wilson interval.
    """
    figure, axes = _chart()
    bins = calibration_bins(probabilities, outcomes)
    counts = bins[:, 2] * len(outcomes)
    axes.set_xscale("logit")
    axes.set_yscale("logit")
    least = 1 / (2 * max(1, len(outcomes)))  # a share of 0 or 1 has no place on this scale
    axes.plot([least, 1 - least], [least, 1 - least], color="grey", linewidth=1)
    for (said, came, _), count in zip(bins, counts, strict=True):
        low, high = wilson_interval(round(came * count), round(count))
        x = np.clip(said, least, 1 - least)
        ends = np.clip([low, high], least, 1 - least)
        axes.plot([x, x], ends, color="C0", alpha=0.4, linewidth=3)
        axes.plot([x], [np.clip(came, least, 1 - least)], "o", color="C0", markersize=4)
    shown = [tick for tick in TICKS if least <= tick <= 1 - least]
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(shown, [f"{tick:g}" for tick in shown])
        axis.set_ticks([], minor=True)
    axes.set(xlabel="probability said", ylabel="share that was so")
    return _svg(figure)


def accuracy_chart(confidence: npt.NDArray[np.float64], right: npt.NDArray[np.bool_]) -> bytes:
    """Draw the share of right answers among the surest photos against how many these are.

    Args:
        confidence: (N,), of the likeliest answer.
        right: (N,), whether that answer is right.
    """
    figure, axes = _chart()
    order = np.argsort(-confidence, kind="stable")
    answered = np.arange(1, len(order) + 1)
    accuracy = np.cumsum(right[order]) / answered
    axes.plot(100 * answered / max(1, len(order)), 100 * accuracy)
    axes.set(xlabel="photos answered, the surest first (%)", ylabel="of these right (%)")
    if len(accuracy):
        axes.set_ylim(max(0.0, 100 * accuracy.min() - 0.5), 100.1)
    return _svg(figure)


def _chart() -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.subplots()
    axes.grid(alpha=0.3)
    return figure, axes


def _svg(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()
