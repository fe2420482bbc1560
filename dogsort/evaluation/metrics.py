"""Statistics of predictions, each with its 95% interval: pure functions of arrays."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from dogsort.evaluation.labelled import TRUTHS, LabelledPhoto
from dogsort.records import LABELS, Prediction, Record

__all__ = ["Estimate", "Evaluation", "Share", "evaluate_groups", "log_loss", "roc_auc"]

Z_95 = 1.959964  # two-sided 95% point of the normal distribution
RESAMPLES = 1000  # of a bootstrap: enough for two stable digits at its 2.5% ends
BINS = 15  # of the calibration error: the usual number, comparable with other work

#: A labelled photo and its prediction.
Pair: TypeAlias = "tuple[LabelledPhoto, Prediction]"

Floats: TypeAlias = npt.NDArray[np.float64]
Flags: TypeAlias = npt.NDArray[np.bool_]
Statistic: TypeAlias = Callable[[Floats, Flags], float]


@dataclass(frozen=True, slots=True)
class Share:
    """``count`` of ``total``, with its 95% interval."""

    count: int
    total: int

    @property
    def value(self) -> float:
        """The share, 0..1; nan if ``total`` is 0."""
        return self.count / self.total if self.total else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """The ends of the 95% score interval (Wilson 1927, JASA 22), each 0..1."""
        if self.total == 0:
            return 0.0, 1.0
        z2 = Z_95**2 / self.total
        centre = self.value + z2 / 2
        half = math.sqrt(z2 * (self.value * (1 - self.value) + z2 / 4))
        return max(0.0, (centre - half) / (1 + z2)), min(1.0, (centre + half) / (1 + z2))


class Estimate(NamedTuple):
    """A figure that is not a share (nan if undefined), with its 95% bootstrap interval."""

    value: float = math.nan
    interval: tuple[float, float] = (math.nan, math.nan)


Figure: TypeAlias = Share | Estimate


def as_arrays(pairs: Sequence[Pair]) -> tuple[Any, Any, Floats, Floats]:
    """Return truth, label, p_dog and p_pet of N photos, each (N,)."""
    words = np.array([(photo.truth, said.label) for photo, said in pairs], str).reshape(-1, 2)
    numbers = np.array([(said.p_dog, said.p_pet) for _, said in pairs], float).reshape(-1, 2)
    return words[:, 0], words[:, 1], numbers[:, 0], numbers[:, 1]


class Evaluation:
    """The figures of predictions on N labelled photos; "pets" are the dogs and cats among them.

    Args:
        pairs: N photos with their predictions.
        clip: the bound to which p_dog is clipped for the log loss, 0..0.5.
        brief: omit ROC AUC and calibration error, which take a second each to bootstrap.
    """

    def __init__(self, pairs: Sequence[Pair], clip: float, brief: bool = False) -> None:
        truth, label, p_dog, p_pet = as_arrays(pairs)
        everything, is_pet = np.full(len(pairs), True), truth != "neither"
        right, filed = label == truth, np.isin(label, ("dog", "cat"))
        pets = p_dog[is_pet], truth[is_pet] == "dog"

        def share(flags: Flags, of: Flags = everything) -> Share:
            return Share(int((flags & of).sum()), int(of.sum()))

        def costly(statistic: Statistic, probabilities: Floats, outcomes: Flags) -> Estimate:
            return Estimate() if brief else bootstrap(statistic, probabilities, outcomes, most=1.0)

        self.photos = len(pairs)
        # Dog vs. cat, on pets.
        self.accuracy = share((p_dog > 0.5) == (truth == "dog"), is_pet)
        self.log_loss = bootstrap(lambda p, y: log_loss(p, y, clip), *pets)
        self.roc_auc_dog = costly(roc_auc, *pets)
        self.calibration_dog = costly(calibration_error, *pets)
        # Pet or not, on all photos.
        self.roc_auc_pet = costly(roc_auc, p_pet, is_pet)
        self.calibration_pet = costly(calibration_error, p_pet, is_pet)
        # Photos labelled dog or cat.
        self.pets_labelled = share(filed, is_pet)
        self.neither_labelled = share(filed, ~is_pet)
        self.labelled_wrongly = share(~right, filed)
        # All photos: each is one of these.
        self.right = share(right)
        self.wrong = share(filed & ~right)
        self.missed = share(is_pet & (label == "neither"))
        self.unsure = share(label == "unsure")
        # By label, by truth, and by both.
        self.precision = {name: share(right, label == name) for name in TRUTHS}
        self.recall = {name: share(right, truth == name) for name in TRUTHS}
        self.confusion = {
            one: {name: share(label == name, truth == one).count for name in LABELS}
            for one in TRUTHS
        }


def evaluate_groups(
    records: Iterable[tuple[str, LabelledPhoto, Record]], clip: float
) -> dict[str, Evaluation]:
    """Evaluate each group briefly, from (group, photo, record); Failures are left out."""
    groups: defaultdict[str, list[Pair]] = defaultdict(list)
    for group, photo, record in records:
        if isinstance(record, Prediction):
            groups[group].append((photo, record))
    return {group: Evaluation(pairs, clip, brief=True) for group, pairs in groups.items()}


def bootstrap(
    statistic: Statistic, probabilities: Floats, outcomes: Flags, most: float = math.inf
) -> Estimate:
    """Estimate a statistic, 0..``most``, of (N,) probabilities and outcomes.

    It is the percentile interval over photos drawn with replacement (Efron 1979), minus the mean
    change that drawing makes to the statistic: it increases a calibration error, for example. The
    draws are the same every time.
    """
    value = statistic(probabilities, outcomes) if len(outcomes) else math.nan
    if math.isnan(value):
        return Estimate()
    rng = np.random.default_rng(0)
    draws = (rng.integers(len(outcomes), size=len(outcomes)) for _ in range(RESAMPLES))
    values = [statistic(probabilities[drawn], outcomes[drawn]) for drawn in draws]
    # A draw without one of the outcomes may leave a statistic undefined.
    low, high = np.nanquantile(values, (0.025, 0.975)) - (np.nanmean(values) - value)
    return Estimate(value, (max(0.0, float(low)), min(most, float(high))))


def log_loss(probabilities: Floats, outcomes: Flags, clip: float) -> float:
    """Return the mean negative log likelihood of (N,) outcomes in nats, N > 0."""
    bound = max(clip, 1e-15)  # a certain mistake stays finite
    clipped = np.clip(probabilities, bound, 1.0 - bound)
    return float(-np.log(np.where(outcomes, clipped, 1.0 - clipped)).mean())


def roc_auc(probabilities: Floats, outcomes: Flags) -> float:
    """Return the area under the ROC curve (Hanley and McNeil 1982); nan unless there are both.

    It is the chance that a positive scores higher than a negative, where ties count half.
    """
    positives, negatives = probabilities[outcomes], np.sort(probabilities[~outcomes])
    if not len(positives) or not len(negatives):
        return math.nan
    less, no_more = (np.searchsorted(negatives, positives, side) for side in ("left", "right"))
    return float((less + no_more).sum() / 2 / len(positives) / len(negatives))


def calibration_bins(probabilities: Floats, outcomes: Flags) -> Floats:
    """Sort (N,) probabilities into at most ``BINS`` bins of equal size.

    Returns:
        (B, 3): mean probability, number of outcomes that came true, and number of photos.
    """
    order = np.argsort(probabilities, kind="stable")
    starts = np.linspace(0, len(order), min(BINS, len(order)), endpoint=False).astype(np.int64)
    photos = np.diff(starts, append=len(order))
    said = np.add.reduceat(probabilities[order], starts) / photos
    came = np.add.reduceat(outcomes[order].astype(np.float64), starts)
    return np.stack([said, came, photos], axis=1)


def calibration_error(probabilities: Floats, outcomes: Flags) -> float:
    """Return the expected calibration error (Naeini et al. 2015, AAAI), in equal-mass bins.

    Chance alone makes it positive, by about 0.003 on two thousand photos.
    """
    said, came, photos = calibration_bins(probabilities, outcomes).T
    return float(np.abs(said * photos - came).sum() / photos.sum())
