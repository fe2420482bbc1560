"""What a run needs to go on after it was stopped, and the history it leaves behind."""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from dogsort.errors import DataError, OutputError
from dogsort.training.dataset import LabelledPhoto
from dogsort.training.recipe import Recipe

__all__ = ["identity_of", "load_checkpoint", "save_checkpoint", "write_history"]

CHECKPOINT_NAME = "checkpoint.pt"
VERSION = 3  # of what a checkpoint holds, and of how training goes on from it
HISTORY_NAME = "history.csv"
PLOT_NAME = "history.png"
VALIDATION = "validation photos"


def save_checkpoint(folder: Path, identity: dict[str, Any], state: dict[str, Any]) -> None:
    """Write a checkpoint, whole or not at all.

    Random state needs no place in it: every epoch begins with seeds of its own.

    Raises:
        OutputError: if it cannot be written.
    """
    path = folder / CHECKPOINT_NAME
    partial = path.with_suffix(".partial")
    try:
        torch.save(identity | state, partial)
        partial.replace(path)
    except (OSError, RuntimeError) as error:  # the latter is torch's of a full disk
        partial.unlink(missing_ok=True)
        reason = error.strerror or error if isinstance(error, OSError) else "is the disk full?"
        raise OutputError(f"{path}: cannot be written: {reason}") from error


def identity_of(
    recipe: Recipe,
    networks: list[str],
    photos: Iterable[LabelledPhoto],
    validation: Iterable[LabelledPhoto],
) -> dict[str, Any]:
    """Return what makes a run another one: recipe, starting weights, teacher, labelled photos."""
    return {
        "version of dogsort": VERSION,
        "recipe": asdict(recipe),
        "starting weights or teacher": networks,
        "photos": _digest(photos),
        VALIDATION: _digest(validation),
    }


def _digest(photos: Iterable[LabelledPhoto]) -> str:
    names = (f"{os.path.basename(photo.path)}\0{photo.truth}\n" for photo in photos)
    return hashlib.sha256("".join(names).encode("utf-8", "surrogatepass")).hexdigest()


def load_checkpoint(folder: Path, identity: dict[str, Any], all_epochs: int) -> dict[str, Any]:
    """Load the checkpoint's state, into main memory; empty if there is none.

    Args:
        folder: that it is kept in.
        identity: of the run. After all epochs it may have other validation photos: the best epoch
            is chosen, and what is left is to calibrate.
        all_epochs: how many there are.

    Raises:
        DataError: if it is from another run, damaged or unreadable.
    """
    path = folder / CHECKPOINT_NAME
    if not path.exists():
        return {}
    try:
        saved: dict[str, Any] = dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # torch's and pickle's share no base class
        raise DataError(f"{path}: damaged or unreadable; delete it to begin again") from error
    for name, now in identity.items():
        may_differ = name == VALIDATION and saved["done"] == all_epochs
        if saved.get(name) != now and not may_differ:
            raise DataError(
                f"{path}: begun with other {name}; use another output folder, or delete it"
            )
    return saved


def write_history(folder: Path, history: list[dict[str, Any]]) -> None:
    """Write the figures of every epoch as CSV, and as a plot."""
    with (folder / HISTORY_NAME).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(history[0]))
        writer.writeheader()
        writer.writerows(history)
    _plot(folder / PLOT_NAME, history)


def _plot(file: Path, history: list[dict[str, Any]]) -> None:
    from matplotlib.figure import Figure

    epochs = [row["epoch"] for row in history]
    figure = Figure(figsize=(9, 4), layout="constrained")
    losses, errors = figure.subplots(1, 2)
    losses.plot(epochs, [row["loss"] for row in history], "k:", label="training, both neurons")
    for neuron, what in (("dog", "dog against cat"), ("pet", "pet or not")):
        losses.plot(epochs, [row[f"{neuron}_loss"] for row in history], label=what)
        # Nothing wrong has no place on this scale.
        wrong = [max(0.01, 100 * (1 - row[f"{neuron}_accuracy"])) for row in history]
        errors.plot(epochs, wrong, label=what)
    losses.set(xlabel="epoch", ylabel="loss (nats)", yscale="log")
    errors.set(xlabel="epoch", ylabel="wrong on validation photos (%)", yscale="log")
    for axes in (losses, errors):
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3, which="both")
        axes.legend()
    figure.savefig(file, dpi=110)
