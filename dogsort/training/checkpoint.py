"""The checkpoint from which an interrupted run continues, and the history of a run."""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from dogsort.errors import DataError, OutputError
from dogsort.evaluation.labelled import LabelledPhoto
from dogsort.results.output import writing
from dogsort.training.recipe import Recipe

__all__ = ["alone_in", "identity_of", "load_checkpoint", "save_checkpoint", "write_history"]

CHECKPOINT_NAME = "checkpoint.pt"
VERSION = 4  # of a checkpoint's content, and of how training continues from it
HISTORY_NAME = "history.csv"
LOCK_NAME = ".dogsort-training"


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Create the output folder and lock it.

    Raises:
        OutputError: if it cannot be created, or another run uses it.
    """
    lock = FileLock(folder / LOCK_NAME, timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise OutputError(
            f"{folder}: another run is training into it; wait until it has finished, or use "
            "another output folder"
        ) from None
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written: {error.strerror}") from error
    try:
        yield
    finally:
        with suppress(OSError):  # on Windows, the lock deletes it later
            (folder / LOCK_NAME).unlink()
        lock.release()


def identity_of(
    recipe: Recipe,
    networks: list[str],
    photos: Iterable[LabelledPhoto],
    validation: Iterable[LabelledPhoto],
) -> dict[str, Any]:
    """Return what identifies a run: recipe, starting weights, teacher, labelled photos."""
    return {
        "version of dogsort": VERSION,
        "recipe": asdict(recipe),
        "starting weights or teacher": networks,
        "photos": _digest(photos),
        "validation photos": _digest(validation),
    }


def _digest(photos: Iterable[LabelledPhoto]) -> str:
    # Not the whole path, because the folder of photos may have been moved meanwhile.
    names = (f"{photo.group}/{os.path.basename(photo.path)}\0{photo.truth}\n" for photo in photos)
    return hashlib.sha256("".join(names).encode("utf-8", "surrogatepass")).hexdigest()


def load_checkpoint(folder: Path, identity: dict[str, Any]) -> dict[str, Any]:
    """Load a checkpoint into main memory; empty if there is none.

    Args:
        folder: the output folder.
        identity: the identity of the run.

    Raises:
        DataError: if it is from another run, damaged or unreadable.
    """
    path = folder / CHECKPOINT_NAME
    if not path.exists():
        return {}
    try:
        saved: dict[str, Any] = dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # torch's and pickle's errors have no common base class
        raise DataError(f"{path}: damaged or unreadable; delete it to start again") from error
    for name, now in identity.items():
        if saved.get(name) != now:
            raise DataError(
                f"{path}: started with different {name}; use another output folder, or delete it"
            )
    return saved


def save_checkpoint(folder: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint, completely or not at all.

    It needs no random state, because every epoch starts with its own seed.

    Raises:
        OutputError: if it cannot be written.
    """
    path = folder / CHECKPOINT_NAME
    partial = path.with_suffix(".partial")
    try:
        torch.save(state, partial)
        partial.replace(path)
    except (OSError, RuntimeError) as error:  # torch raises RuntimeError on a full disk
        partial.unlink(missing_ok=True)
        reason = error.strerror or error if isinstance(error, OSError) else "is the disk full?"
        raise OutputError(f"{path}: cannot be written: {reason}") from error


def write_history(folder: Path, history: list[dict[str, Any]]) -> None:
    """Write the figures of every epoch as CSV; raises OutputError."""
    path = folder / HISTORY_NAME
    with writing(str(path)), path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(history[0]))
        writer.writeheader()
        writer.writerows(history)
