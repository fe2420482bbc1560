"""The statistics of an evaluation, each with its 95% interval. Pure functions of arrays."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = [
    "Estimate",
    "Share",
    "bootstrap",
    "calibration_bins",
    "calibration_error",
    "log_loss",
    "roc_auc",
    "wilson_interval",
]

#: Two-sided 95% point of the normal distribution.
Z_95 = 1.959964

#: Resamples of a bootstrap: enough for its 2.5% ends to be steady in the second digit.
RESAMPLES = 1000

#: Bins of the calibration error, each of as many photos.
BINS = 15

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Share:
    """``count`` of ``total``, with its 95% interval."""

    count: int
    total: int

    @property
    def value(self) -> float:
        """The share, 0..1; nan of nothing."""
        return self.count / self.total if self.total else math.nan

    def interval(self) -> tuple[float, float]:
        """Return the 95% Wilson interval, each end 0..1."""
        return wilson_interval(self.count, self.total)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure that is no share, with the ends of its 95% bootstrap interval."""

    value: float
    low: float
    high: float

    def interval(self) -> tuple[float, float]:
        """Return the 95% bootstrap interval."""
        return self.low, self.high


def bootstrap(
    statistic: Callable[[Floats, Flags], float],
    probabilities: Floats,
    outcomes: Flags,
    most: float = math.inf,
) -> Estimate:
    """Estimate a statistic of (N,) probabilities and outcomes.

    The interval is the percentile one, over photos drawn with replacement (Efron 1979), less
    what drawing adds to the statistic on average: a calibration error grows by it. The drawing
    is the same every time.

    Args:
        statistic: of probabilities and outcomes; never less than 0.
        probabilities: (N,), 0..1.
        outcomes: (N,).
        most: what the statistic cannot exceed.
    """
    value = statistic(probabilities, outcomes)
    if math.isnan(value):
        return Estimate(math.nan, math.nan, math.nan)
    rng = np.random.default_rng(0)
    count = len(outcomes)
    values = []
    for _ in range(RESAMPLES):
        drawn = rng.integers(count, size=count)
        values.append(statistic(probabilities[drawn], outcomes[drawn]))
    # A draw without one of the outcomes may leave a statistic undefined.
    low, high = np.nanquantile(values, (0.025, 0.975)) - (np.nanmean(values) - value)
    return Estimate(value, max(0.0, float(low)), min(most, float(high)))


def wilson_interval(count: int, total: int) -> tuple[float, float]:
    """Return the 95% score interval of a share (Wilson 1927, JASA 22), each end 0..1."""
    if total == 0:
        return 0.0, 1.0
    share = count / total
    denominator = 1 + Z_95**2 / total
    centre = (share + Z_95**2 / (2 * total)) / denominator
    half = Z_95 / denominator * math.sqrt(share * (1 - share) / total + Z_95**2 / (4 * total**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def log_loss(probabilities: Floats, outcomes: Flags, clip: float) -> float:
    """Return the mean negative log likelihood in nats of (N,) outcomes; nan where N is 0."""
    if len(outcomes) == 0:
        return math.nan
    clipped = np.clip(probabilities, max(clip, 1e-15), 1.0 - max(clip, 1e-15))
    return float(-np.log(np.where(outcomes, clipped, 1.0 - clipped)).mean())


def roc_auc(probabilities: Floats, outcomes: Flags) -> float:
    """Return the chance that a positive gets more than a negative, ties counting half.

    That is the area under the ROC curve (Hanley and McNeil 1982); nan unless there are both.
    """
    positives, negatives = probabilities[outcomes], np.sort(probabilities[~outcomes])
    if not len(positives) or not len(negatives):
        return math.nan
    less = np.searchsorted(negatives, positives, "left")
    no_more = np.searchsorted(negatives, positives, "right")
    return float((less + no_more).sum() / 2 / len(positives) / len(negatives))


def calibration_bins(probabilities: Floats, outcomes: Flags) -> npt.NDArray[np.float64]:
    """Sort (N,) probabilities into at most ``BINS`` bins of the same size.

    Returns:
        (B, 3): mean probability, share of outcomes that came true, and share of the photos.
    """
    if not len(outcomes):
        return np.zeros((0, 3))
    order = np.argsort(probabilities, kind="stable")
    starts = np.linspace(0, len(order), min(BINS, len(order)), endpoint=False).astype(np.int64)
    counts = np.diff(starts, append=len(order))
    said, came = (
        np.add.reduceat(values[order].astype(np.float64), starts) / counts
        for values in (probabilities, outcomes)
    )
    return np.stack([said, came, counts / len(order)], axis=1)


def calibration_error(probabilities: Floats, outcomes: Flags) -> float:
    """Return how far probabilities are from shares, on average over bins of the same size.

    This is the expected calibration error (Naeini et al. 2015, AAAI) with equal-mass bins;
    nan where N is 0. Chance alone makes it positive: by about 0.003 on two thousand photos.
    """
    if len(outcomes) == 0:
        return math.nan
    bins = calibration_bins(probabilities, outcomes)
    return float((np.abs(bins[:, 0] - bins[:, 1]) * bins[:, 2]).sum())
