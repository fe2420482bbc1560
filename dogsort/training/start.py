"""Starting weights: the bundled ones, other dogsort weights, or features alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from dogsort.errors import DataError
from dogsort.network.architecture import DogsortNet
from dogsort.network.weights import (
    MANIFEST_NAME,
    SAFETENSORS_NAME,
    Weights,
    load_network,
    load_weights,
    sha256_of,
)
from dogsort.training.recipe import Recipe

__all__ = ["Start", "read_start"]


@dataclass(frozen=True, slots=True)
class Start:
    """A network to start from.

    Attributes:
        name: the file's name and SHA-256.
        network: the network, on the CPU; its head is new unless there are ``weights``.
        weights: the dogsort weights of the whole network, with head and calibration; None if it has
            a new head.
    """

    name: str
    network: DogsortNet
    weights: Weights | None


def read_start(location: str | None, recipe: Recipe) -> Start:
    """Read starting weights.

    Args:
        location: a folder of dogsort weights or a file in it; or a .safetensors file with only the
            features, as the scripts in ``examples`` write it. None for the bundled weights.
        recipe: the recipe of the run, which defines a new head.

    Raises:
        DataError: if a file does not hold the features of a MobileNetV2.
        WeightsError: if dogsort weights are damaged.
    """
    torch.manual_seed(recipe.seed)
    file = Path(location) if location else None
    if file and file.suffix == ".safetensors" and not (file.parent / MANIFEST_NAME).exists():
        return Start(_name(file), _with_new_head(file, recipe), None)
    weights = load_weights(location)
    network = load_network(weights)
    for module in network.head.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = recipe.dropout
    return Start(_name(weights.folder / SAFETENSORS_NAME), network, weights)


def _name(file: Path) -> str:
    return f"{file.name} (SHA-256 {sha256_of(file)})"


def _with_new_head(file: Path, recipe: Recipe) -> DogsortNet:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    network = DogsortNet(recipe.hidden, recipe.dropout)
    try:
        network.features.load_state_dict(load_file(file))
    except (OSError, SafetensorError) as error:
        raise DataError(f"{file}: damaged, or not a safetensors file: {error}") from error
    except RuntimeError as error:
        raise DataError(f"{file}: does not hold the features of a MobileNetV2 1.0") from error
    return network
