"""What the other training photos say of each one: probabilities by cross-validation.

A linear classifier on frozen features is fitted to four fifths of the photos and judges the
last fifth, so that no photo is judged by its own label. (Out-of-sample probabilities, as in
confident learning; Northcutt et al. 2021, arXiv:1911.00068.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

import torch
from torch import Tensor, nn

from dogsort.network.architecture import DogsortNet
from dogsort.photos.decode import Pixels
from dogsort.training.dataset import TRUTHS

__all__ = ["Features", "features_of", "frozen", "out_of_fold", "standardised"]

#: Pixels (N, size, size, 3), uint8 -> what a network sees in them, (N, channels).
Features: TypeAlias = Callable[[Pixels], Tensor]

FOLDS = 5

#: Weight decay of the linear classifiers, per photo: with more features than a fold has
#: photos of a class, they need some.
DECAY = 1e-2

STEPS = 100  # of L-BFGS; it has settled by then


def frozen(network: DogsortNet, device: str) -> Features:
    """Return the features of a network as it is now."""

    @torch.inference_mode()
    def features(pixels: Pixels) -> Tensor:
        network.eval()
        return network.pooled(torch.from_numpy(pixels).to(device)).cpu()

    return features


def features_of(batches: Iterable[Pixels], network: Features) -> Tensor:
    """Return what a network sees in all batches: (N, channels)."""
    return torch.cat([network(batch) for batch in batches])


def standardised(features: Tensor) -> Tensor:
    """Return (N, channels) features so that each channel is of mean 0 and deviation 1."""
    return (features - features.mean(0)) / features.std(0).clamp(min=1e-6)


def out_of_fold(features: Tensor, truth: Tensor, seed: int) -> Tensor:
    """Judge each photo by a classifier that did not see it.

    Args:
        features: (N, channels), of mean 0 and deviation 1.
        truth: (N,), indices into ``TRUTHS``.
        seed: decides the folds.

    Returns:
        (N, 3) probabilities of ``TRUTHS``.
    """
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
