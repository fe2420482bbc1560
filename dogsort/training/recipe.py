"""What is chosen for a training run, besides photos and starting weights.

What is the same for all runs, as the random changes of photos, stands where it is done.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from dogsort.errors import DataError

__all__ = ["CELL", "Phase", "Recipe", "read_recipe"]

CELL = 32  # the network's last maps have a cell for a square of so many pixels

#: The head alone on frozen features; the whole network.
Phase: TypeAlias = Literal["head", "whole"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train; kept in the manifest of the weights it made.

    Sizes are in pixels, rates per optimizer step, epochs over the training photos.
    """

    seed: int = 1
    input_size: int = 224  # what classification sees
    # Random crops show animals larger than whole photos do; training on fewer pixels brings
    # both to one scale (FixRes; Touvron et al. 2019, arXiv:1906.06423). Early epochs are cheaper
    # on smaller crops; the last ones, which count, get larger ones (progressive resizing;
    # Tan and Le 2021, arXiv:2104.00298).
    first_crop: int = 128
    last_crop: int = 192
    hidden: int = 256
    dropout: float = 0.2
    head_epochs: int = 1  # the head alone, on frozen features
    epochs: int = 12  # the whole network
    frozen_blocks: int = 5  # the first ones, edges and textures, stay as ImageNet made them
    batch_size: int = 32
    head_rate: float = 1e-3
    rate: float = 2e-4  # of the last block; the head's is higher by the factor
    head_factor: float = 5.0
    layer_decay: float = 0.94  # each block's rate is this share of the next one's
    warmup: float = 0.05  # share of the steps over which the rate rises
    weight_decay: float = 0.02
    average_decay: float = 0.998  # of the exponential moving average of weights
    # Where there is a teacher, the network also learns to tell what it sees in each place of a
    # photo (feature distillation; Romero et al. 2015, arXiv:1412.6550): this many principal
    # components of its features; their loss has this weight beside that of the labels.
    teacher_components: int = 256
    teacher_weight: float = 1.0
    collage_share: float = 0.2  # of the training photos; teaches not to be sure of two at once
    epoch_photos: int = 25_000  # drawn for an epoch, see ``samples.shares_of``
    # How many times as often as others a folder's photos are drawn.
    group_weights: dict[str, float] = field(default_factory=dict)

    @property
    def all_epochs(self) -> int:
        """How many epochs there are in both phases: head, whole."""
        return self.head_epochs + self.epochs

    def phase(self, epoch: int) -> Phase:
        """Return what is trained in an epoch, counted from 0."""
        return "head" if epoch < self.head_epochs else "whole"

    def phase_epochs(self, phase: Phase) -> int:
        """Return how many epochs a phase has."""
        return {"head": self.head_epochs, "whole": self.epochs}[phase]

    def crop_size(self, epoch: int) -> int:
        """Return the side of training crops in an epoch, counted from 0.

        It rises evenly, in whole cells.
        """
        last = self.all_epochs - 1
        share = epoch / last if last > 0 else 1.0
        size = self.first_crop + (self.last_crop - self.first_crop) * share
        return max(CELL, round(size / CELL) * CELL)


#: What each value may be: least and most.
RANGES: dict[str, tuple[float, float]] = {
    "seed": (0, 2**31 - 1),
    "input_size": (32, 1024),
    "first_crop": (32, 1024),
    "last_crop": (32, 1024),
    "hidden": (1, 65536),
    "dropout": (0, 0.99),
    "head_epochs": (0, 10_000),
    "epochs": (0, 10_000),
    "frozen_blocks": (0, 19),
    "batch_size": (1, 65536),
    "head_rate": (0, 1),
    "rate": (0, 1),
    "head_factor": (0, 1000),
    "layer_decay": (0, 1),
    "warmup": (0, 1),
    "weight_decay": (0, 1),
    "average_decay": (0, 0.999999),
    "teacher_components": (1, 65536),
    "teacher_weight": (0, 1000),
    "collage_share": (0, 1),
    "epoch_photos": (1, 10_000_000),
    "group_weights": (0, 1000),
}

#: What a manifest says beside the recipe's values: what it was followed with.
OUTCOMES = {"training_photos", "suspects", "best_epoch", "starting_weights", "teacher"}


def read_recipe(path: str) -> Recipe:
    """Read a recipe from a JSON file: some of its values, or a manifest that has them all.

    Raises:
        DataError: if it cannot be read, lacks values that a manifest must have, or holds others.
    """
    try:
        with open(path, encoding="utf-8") as file:
            values: Any = json.load(file)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not a JSON file: {error}") from error
    whole = isinstance(values, dict) and "recipe" in values
    if whole:
        values = values["recipe"]
    if not isinstance(values, dict):
        raise DataError(f"{path}: no recipe: an object of names and values is needed")
    changes = {name: value for name, value in values.items() if name not in OUTCOMES}
    for name in sorted(changes.keys() - RANGES.keys()):
        raise DataError(f"{path}: unknown in a recipe of this dogsort: {name}")
    for name in sorted(RANGES.keys() - changes.keys()) if whole else ():
        raise DataError(f"{path}: made by another dogsort: its recipe has no {name}")
    for name, value in changes.items():
        kind = type(getattr(Recipe(), name))
        if type(value) is not kind and not (kind is float and type(value) is int):
            raise DataError(f"{path}: {name}: {value!r} is no {kind.__name__}")
        least, most = RANGES[name]
        for number in value.values() if isinstance(value, dict) else [value]:
            if not isinstance(number, int | float) or not least <= number <= most:
                raise DataError(f"{path}: {name}: {number!r} is not within {least} and {most}")
    return replace(Recipe(), **changes)
