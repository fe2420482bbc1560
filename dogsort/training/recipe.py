"""The hyperparameters of a training run.

The augmentation is in ``augment``, and is the same for all runs.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

from dogsort.errors import DataError

__all__ = ["RANGES", "Recipe", "read_recipe"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train; stored in the manifest of the resulting weights.

    Sizes are in pixels, rates per optimizer step.
    """

    seed: int = 1
    input_size: int = 256  # the size in classification
    # Random crops show animals larger than whole photos do. Training on fewer pixels brings both
    # to the same scale (FixRes; Touvron et al. 2019, arXiv:1906.06423).
    crop_size: int = 192
    least_area: float = 0.3  # the smallest share of a photo that a crop keeps
    hidden: int = 256  # width of a new head; a head in the starting weights keeps its own
    dropout: float = 0.2
    epochs: int = 12
    epoch_photos: int = 0  # samples per epoch; 0 means the number of photos
    # How much more often a folder's photos are sampled than others; see ``sampling.shares_of``.
    group_weights: dict[str, float] = field(default_factory=dict)
    collage_share: float = 0.2  # of the samples; teaches doubt about photos with two animals
    batch_size: int = 32
    learning_rate: float = 2e-4  # of the last block; the head's is ``head_factor`` times higher
    head_factor: float = 5.0
    layer_decay: float = 0.94  # each block's learning rate, as a share of the next one's
    frozen_blocks: int = 5  # the first blocks (edges, textures) keep their ImageNet weights
    warmup: float = 0.05  # share of the steps in which the learning rate rises
    weight_decay: float = 0.02
    ema_decay: float = 0.999  # of the exponential moving average of weights
    distillation_weight: float = 1.0  # of the teacher's loss, relative to the labels' loss


#: The smallest and largest value of each.
RANGES: dict[str, tuple[float, float]] = {
    "seed": (0, 2**31 - 1),
    "input_size": (32, 1024),
    "crop_size": (32, 1024),
    "least_area": (0.01, 1),
    "hidden": (1, 65536),
    "dropout": (0, 0.99),
    "epochs": (0, 10_000),
    "epoch_photos": (0, 10_000_000),
    "group_weights": (0, 1000),
    "collage_share": (0, 1),
    "batch_size": (1, 65536),
    "learning_rate": (0, 1),
    "head_factor": (0, 1000),
    "layer_decay": (0, 1),
    "frozen_blocks": (0, 19),
    "warmup": (0, 1),
    "weight_decay": (0, 1),
    "ema_decay": (0, 0.999999),
    "distillation_weight": (0, 1000),
}


def read_recipe(path: str) -> Recipe:
    """Read a recipe from a JSON file: some of the values, or a manifest with all of them.

    Raises:
        DataError: if it cannot be read, a value is invalid or unknown, or a manifest lacks one.
    """
    try:
        with open(path, encoding="utf-8") as file:
            values: Any = json.load(file)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not a JSON file: {error}") from error
    of_manifest = isinstance(values, dict) and "recipe" in values
    if of_manifest:
        values = values["recipe"]
    if not isinstance(values, dict):
        raise DataError(f"{path}: not a recipe: it must be an object of names and values")
    # A manifest also stores results of the run beside the recipe.
    for name in sorted(values.keys() - RANGES.keys()) if not of_manifest else ():
        raise DataError(f"{path}: this version of dogsort knows no {name} in a recipe")
    for name in sorted(RANGES.keys() - values.keys()) if of_manifest else ():
        raise DataError(f"{path}: made by another version of dogsort: its recipe has no {name}")
    changes = {name: value for name, value in values.items() if name in RANGES}
    for name, value in changes.items():
        _check(path, name, value)
    return replace(Recipe(), **changes)


def _check(path: str, name: str, value: Any) -> None:
    default = getattr(Recipe(), name)
    numbers = value.values() if isinstance(value, dict) else [value]
    whole = isinstance(default, int)
    if isinstance(value, dict) != isinstance(default, dict) or not all(
        type(number) is int or (type(number) is float and not whole) for number in numbers
    ):
        raise DataError(f"{path}: {name}: {value!r} is not of type {type(default).__name__}")
    least, most = RANGES[name]
    for number in numbers:
        if not least <= number <= most:
            raise DataError(f"{path}: {name}: {number!r} is not between {least} and {most}")
