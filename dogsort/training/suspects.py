"""Training photos whose label is probably wrong, found by cross-validation.

Each photo is judged by a linear classifier on the frozen starting features that was fitted to
other photos; where it all but rules the label out, the photo is a suspect. (Confident learning
in its plainest form; Northcutt et al. 2021, arXiv:1911.00068.)
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from dogsort.network.architecture import DogsortNet
from dogsort.training.dataset import TRUTHS, LabelledPhoto, Truth
from dogsort.training.pixels import PixelCache

__all__ = ["Suspect", "find_suspects", "out_of_fold", "write_suspects"]

FOLDS = 5

#: A label that gets less than this probability makes its photo a suspect. On our own photos,
#: looked at one by one, half of those below it are mislabelled or show no animal. A higher bound
#: takes out hard photos with right labels faster than wrong labels, and training needs those.
LEAST_PROBABILITY = 0.001

#: Weight decay of the linear classifiers, per photo: with more features than a fold has
#: photos of a class, they need some.
DECAY = 1e-2

STEPS = 100  # of L-BFGS; it has settled by then


@dataclass(frozen=True, slots=True)
class Suspect:
    """A photo whose label is doubted.

    Attributes:
        index: its place among the training photos.
        photo: the photo and its label.
        probability: what the label gets from photos other than this one, 0..1.
        likelier: the label that gets the most.
    """

    index: int
    photo: LabelledPhoto
    probability: float
    likelier: Truth


def find_suspects(
    photos: PixelCache,
    network: DogsortNet,
    device: str,
    seed: int,
    track: Callable[[Iterable[npt.NDArray[np.uint8]]], Iterable[npt.NDArray[np.uint8]]],
) -> list[Suspect]:
    """Return the suspects among training photos, the most suspect first.

    Args:
        photos: to judge.
        network: its features are used as they are, its head is not.
        device: where to compute them.
        seed: decides the folds.
        track: passes batches of pixels on.
    """
    features = _features(network, device, track(photos.batches()))
    truth = torch.tensor([TRUTHS.index(photo.truth) for photo in photos.photos])
    probabilities = out_of_fold(features, truth, seed)
    given = probabilities.gather(1, truth[:, None])[:, 0]
    order = [int(i) for i in given.argsort() if given[i] < LEAST_PROBABILITY]
    return [
        Suspect(
            i,
            photos.photos[i],
            float(given[i]),
            TRUTHS[int(probabilities[i].argmax())],
        )
        for i in order
    ]


def write_suspects(suspects: Iterable[Suspect], root: str, file: Path) -> None:
    """Write them as CSV, their paths from the folder ``root`` on."""
    with file.open("w", newline="", encoding="utf-8", errors="surrogateescape") as out:
        writer = csv.writer(out)
        writer.writerow(("path", "label", "probability", "likelier"))
        for suspect in suspects:
            path = os.path.relpath(suspect.photo.path, root)
            chance = f"{suspect.probability:.6f}"
            writer.writerow((path, suspect.photo.truth, chance, suspect.likelier))


@torch.inference_mode()
def _features(network: DogsortNet, device: str, batches: Iterable[npt.NDArray[np.uint8]]) -> Tensor:
    """Return (N, 1280) features, each of mean 0 and deviation 1."""
    network.eval()
    parts = [network.pooled(torch.from_numpy(batch).to(device)).cpu() for batch in batches]
    features = torch.cat(parts)
    return (features - features.mean(0)) / features.std(0).clamp(min=1e-6)


def out_of_fold(features: Tensor, truth: Tensor, seed: int) -> Tensor:
    """Return (N, 3) probabilities, each row from a classifier that did not see it."""
    order = torch.randperm(len(truth), generator=torch.Generator().manual_seed(seed))
    result = torch.zeros(len(truth), len(TRUTHS))
    for fold in range(FOLDS):
        judged = torch.zeros(len(truth), dtype=torch.bool)
        judged[order[fold::FOLDS]] = True
        classifier = _fit(features[~judged], truth[~judged])
        with torch.inference_mode():
            result[judged] = classifier(features[judged]).softmax(1)
    return result


def _fit(features: Tensor, truth: Tensor) -> nn.Linear:
    """Fit multinomial logistic regression."""
    classifier = nn.Linear(features.shape[1], len(TRUTHS))
    nn.init.zeros_(classifier.weight)
    nn.init.zeros_(classifier.bias)
    optimizer = torch.optim.LBFGS(
        classifier.parameters(), max_iter=STEPS, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = nn.functional.cross_entropy(classifier(features), truth)
        value = value + DECAY * classifier.weight.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    return classifier
