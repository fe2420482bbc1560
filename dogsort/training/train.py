"""Fine-tuning: labelled photos -> a weights folder. Read it from top to bottom."""

from __future__ import annotations

import csv
import hashlib
import math
import os
import shutil
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from dogsort.errors import DataError, OutputError
from dogsort.network.architecture import DOG, PET, DogsortNet
from dogsort.training.dataset import LabelledPhoto, PixelCache, check_classes
from dogsort.training.finish import calibrate_and_export, logits_of
from dogsort.training.recipe import Recipe
from dogsort.training.samples import Samples, loss_of

__all__ = ["Watcher", "train"]

T = TypeVar("T")
Steps: TypeAlias = tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]

CHECKPOINT_NAME = "checkpoint.pt"
HISTORY_NAME = "history.csv"

#: Room that checkpoint and weights take besides the decoded photos, in bytes.
ROOM_FOR_WEIGHTS = 200_000_000


class Watcher:
    """What training tells while it runs; this one keeps silent."""

    def say(self, text: str) -> None:
        """Take a line of text."""

    def track(self, items: Iterable[T], total: int, what: str) -> Iterable[T]:
        """Pass items on, counting them."""
        return items


def train(
    photos: list[LabelledPhoto],
    validation: list[LabelledPhoto],
    features: dict[str, Tensor],
    output: str,
    recipe: Recipe,
    device: str,
    workers: int,
    watcher: Watcher,
) -> None:
    """Fine-tune and write ``output``; goes on from its checkpoint if there is one.

    Args:
        photos: to train on; every class must be there.
        validation: to choose temperatures, bar and clipping bound on; likewise.
        features: the state of ``DogsortNet.features`` to start from.
        output: the weights folder to make.
        recipe: how to train.
        device: torch's name of the device.
        workers: processes that augment photos.
        watcher: is told how it goes.

    Raises:
        DataError: if a class is missing or nothing can be read.
        OutputError: if the output folder cannot be written.
    """
    check_classes("training", photos)
    check_classes("validation", validation)
    folder = Path(output)
    caches = folder / "cache"
    try:
        caches.mkdir(parents=True, exist_ok=True)
        _check_disk(folder, len(photos) + len(validation), recipe.input_size)
        training_cache, validation_cache = (
            _decode(group, recipe.input_size, caches / f"{name}.npy", name, watcher)
            for name, group in (("training", photos), ("validation", validation))
        )
        torch.manual_seed(recipe.seed)
        network = DogsortNet(recipe.hidden, recipe.dropout)
        network.features.load_state_dict(features)
        run = _Run(network, training_cache, validation_cache, folder, recipe, device, workers)
        run.all_epochs(watcher)
        run.finish()
        (folder / CHECKPOINT_NAME).unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(caches, ignore_errors=True)


class _Run:
    """One training run: the network, its average, and where they stand."""

    def __init__(
        self,
        network: DogsortNet,
        training: PixelCache,
        validation: PixelCache,
        folder: Path,
        recipe: Recipe,
        device: str,
        workers: int,
    ) -> None:
        self.network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = AveragedModel(
            self.network,
            multi_avg_fn=get_ema_multi_avg_fn(recipe.average_decay),  # type: ignore[no-untyped-call]
        )
        self.training, self.validation = training, validation
        self.folder, self.recipe, self.device, self.workers = folder, recipe, device, workers
        self.history: list[dict[str, Any]] = []

    def all_epochs(self, watcher: Watcher) -> None:
        """Train the head, then the whole network, saving a checkpoint after every epoch."""
        recipe = self.recipe
        saved = self._resume()
        done = saved.get("done", 0)
        if done:
            watcher.say(f"going on after epoch {done}")
        for epoch in range(done, recipe.head_epochs + recipe.epochs):
            head_only = epoch < recipe.head_epochs
            first_of_phase = epoch in (0, recipe.head_epochs)
            if first_of_phase or epoch == done:
                optimizer, schedule = self._optimizer(head_only)
            if epoch == done and not first_of_phase:
                optimizer.load_state_dict(saved["optimizer"])
                schedule.load_state_dict(saved["schedule"])
            started = time.monotonic()
            loss = self._epoch(epoch, head_only, (optimizer, schedule), watcher)
            row = {"epoch": epoch + 1, "phase": "head" if head_only else "whole", "loss": loss}
            row |= self._validate() | {"seconds": round(time.monotonic() - started, 1)}
            self.history.append(row)
            watcher.say("  ".join(f"{name} {value}" for name, value in row.items()))
            self._save(epoch + 1, (optimizer, schedule))

    def _optimizer(self, head_only: bool) -> Steps:
        """Choose what is trained, and make AdamW with warm-up and cosine decay for it."""
        recipe, network = self.recipe, self.network
        for index, block in enumerate(network.features):
            block.requires_grad_(not head_only and index >= recipe.frozen_blocks)
        if head_only:
            groups = [{"params": network.head.parameters(), "lr": recipe.head_rate}]
        else:
            tuned = [p for p in network.features.parameters() if p.requires_grad]
            groups = [
                {"params": tuned, "lr": recipe.rate},
                {"params": network.head.parameters(), "lr": recipe.rate * recipe.head_factor},
            ]
        optimizer = torch.optim.AdamW(groups, weight_decay=recipe.weight_decay)
        epochs = recipe.head_epochs if head_only else recipe.epochs
        steps = epochs * len(self._loader(0))
        rise = max(1, round(recipe.warmup * steps))

        def factor(step: int) -> float:
            if step < rise:
                return (step + 1) / rise
            return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))

        return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, factor)

    def _epoch(self, epoch: int, head_only: bool, steps: Steps, watcher: Watcher) -> float:
        """Train for one epoch; return its mean loss."""
        optimizer, schedule = steps
        self.network.train()
        # Batch-norm statistics stay ImageNet's: small batches of cropped photos would spoil
        # them for whole ones.
        for module in self.network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        torch.manual_seed(self.recipe.seed * 1000 + epoch)
        losses: list[float] = []
        loader = self._loader(epoch)
        for pixels, targets in watcher.track(loader, len(loader), f"epoch {epoch + 1}"):
            logits = self.network(pixels.to(self.device, non_blocking=True))
            loss = loss_of(logits, targets.to(self.device, non_blocking=True))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            self.average.update_parameters(self.network)
            losses.append(loss.item())
        if head_only:
            # The average begins with the whole network; the head's first steps are no part of it.
            self.average.module.load_state_dict(self.network.state_dict())
        return round(float(np.mean(losses)), 5)

    def _loader(self, epoch: int) -> DataLoader[tuple[Tensor, Tensor]]:
        samples = Samples(self.training, self.recipe, epoch)
        return DataLoader(
            samples,
            batch_size=self.recipe.batch_size,
            shuffle=True,
            generator=torch.Generator().manual_seed(self.recipe.seed * 1000 + epoch),
            num_workers=self.workers,
            pin_memory=self.device == "cuda",
            drop_last=len(samples) > self.recipe.batch_size,
        )

    def _validate(self) -> dict[str, float]:
        """Return figures before calibration."""
        logits = logits_of(self.average, self.validation.pixels, self.device)
        is_dog, is_pet = (values > 0.5 for values in self.validation.targets())
        dog_margin = np.where(is_dog, logits[:, DOG], -logits[:, DOG])[is_pet]
        pet_margin = np.where(is_pet, logits[:, PET], -logits[:, PET])
        figures: dict[str, float] = {}
        for name, margin in (("dog", dog_margin), ("pet", pet_margin)):
            figures[f"{name}_accuracy"] = round(float((margin > 0).mean()), 5)
            figures[f"{name}_loss"] = round(float(np.logaddexp(0, -margin).mean()), 5)
        return figures

    def finish(self) -> None:
        """Calibrate the averaged network and write the weights folder."""
        network = self.average.module
        assert isinstance(network, DogsortNet)
        recipe = asdict(self.recipe) | {"training_photos": len(self.training.photos)}
        calibrate_and_export(network, self.validation, self.folder, recipe, self.device)

    def _save(self, done: int, steps: Steps) -> None:
        optimizer, schedule = steps
        state = {
            "recipe": asdict(self.recipe),
            "photos": self._photos_digest(),
            "done": done,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": optimizer.state_dict(),
            "schedule": schedule.state_dict(),
            "history": self.history,
        }
        path = self.folder / CHECKPOINT_NAME
        partial = path.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(path)
        with (self.folder / HISTORY_NAME).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(self.history[0]))
            writer.writeheader()
            writer.writerows(self.history)

    def _resume(self) -> dict[str, Any]:
        """Load the checkpoint and return it; empty if there is none."""
        path = self.folder / CHECKPOINT_NAME
        if not path.exists():
            return {}
        saved: dict[str, Any] = torch.load(path, map_location=self.device, weights_only=True)
        for name, now in (("recipe", asdict(self.recipe)), ("photos", self._photos_digest())):
            if saved[name] != now:
                raise DataError(
                    f"{path}: begun with other {name}; use another output folder, or delete it"
                )
        self.network.load_state_dict(saved["network"])
        self.average.load_state_dict(saved["average"])
        self.history = saved["history"]
        return saved

    def _photos_digest(self) -> str:
        """Return what tells one set of training photos from another: names and labels."""
        names = (
            f"{os.path.basename(photo.path)}\0{photo.truth}\n" for photo in self.training.photos
        )
        text = "".join(names).encode("utf-8", "surrogateescape")
        return hashlib.sha256(text).hexdigest()


def _decode(
    photos: list[LabelledPhoto], size: int, file: Path, name: str, watcher: Watcher
) -> PixelCache:
    cache = PixelCache(
        photos,
        size,
        str(file),
        lambda decoded: watcher.track(decoded, len(photos), f"decoding {name} photos"),
    )
    for failure in cache.failures:
        watcher.say(f"left out: {failure.path}: {failure.error}")
    check_classes(f"readable {name}", cache.photos)
    return cache


def _check_disk(folder: Path, photos: int, size: int) -> None:
    need = photos * size * size * 3 + ROOM_FOR_WEIGHTS
    free = shutil.disk_usage(folder).free
    if free < need:
        raise OutputError(
            f"{folder}: {need / 1e9:.1f} GB are needed there for decoded photos, "
            f"{free / 1e9:.1f} GB are free"
        )
