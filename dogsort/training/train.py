"""Fine-tuning: labelled photos -> a weights folder. Read it from top to bottom."""

from __future__ import annotations

import csv
import math
import random
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Dataset

from dogsort.errors import DataError, OutputError
from dogsort.network.architecture import DOG, PET, DogsortNet
from dogsort.training.augment import augment, collage
from dogsort.training.calibrate import calibrate
from dogsort.training.dataset import LabelledPhoto, PixelCache
from dogsort.training.export import export

__all__ = ["Recipe", "Watcher", "hold_out", "train"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides the outcome, besides photos and starting weights.

    Sizes are in pixels, rates per optimizer step, epochs over the training photos.
    """

    seed: int = 1
    input_size: int = 224  # what classification sees
    # Random crops show animals larger than whole photos do; training on fewer pixels brings
    # both to one scale and saves half the time (FixRes; Touvron et al. 2019, arXiv:1906.06423).
    crop_size: int = 160
    hidden: int = 256
    dropout: float = 0.2
    head_epochs: int = 1  # the head alone, on frozen features
    epochs: int = 8  # the whole network
    frozen_blocks: int = 5  # the first ones, edges and textures, stay as ImageNet made them
    batch_size: int = 32
    head_rate: float = 1e-3
    rate: float = 2e-4  # of the features; the head's is five times that
    head_factor: float = 5.0
    warmup: float = 0.05  # share of the steps over which the rate rises
    weight_decay: float = 0.02
    average_decay: float = 0.998  # of the exponential moving average of weights
    collage_share: float = 0.08  # of the training photos
    neither_repeats: int = 2  # they are few, and telling them is the hard part


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
    features: Callable[[], dict[str, Tensor]],
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
        features: gives the state of ``DogsortNet.features`` to start from.
        output: the weights folder to make.
        recipe: how to train.
        device: torch's name of the device.
        workers: processes that augment photos.
        watcher: is told how it goes.

    Raises:
        DataError: if a class is missing or nothing can be read.
        OutputError: if the output folder cannot be written.
    """
    for name, group in (("training", photos), ("validation", validation)):
        _check_classes(name, group)
    folder = Path(output)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _check_disk(folder, len(photos) + len(validation), recipe.input_size)
        caches = folder / "cache"
        caches.mkdir(exist_ok=True)
        training_cache = _decode(photos, recipe, caches / "training.npy", watcher, "training")
        validation_cache = _decode(
            validation, recipe, caches / "validation.npy", watcher, "validation"
        )
        torch.manual_seed(recipe.seed)
        network = DogsortNet(recipe.hidden, recipe.dropout)
        network.features.load_state_dict(features())
        run = _Run(
            network, training_cache, validation_cache, folder, recipe, device, workers, watcher
        )
        run.all_epochs()
        run.finish()
        shutil.rmtree(caches)
        (folder / CHECKPOINT_NAME).unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written: {error.strerror or error}") from error


HELD_OUT = 10  # one photo in so many is kept for validation where none are given

CHECKPOINT_NAME = "checkpoint.pt"
HISTORY_NAME = "history.csv"


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
        watcher: Watcher,
    ) -> None:
        self.network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = AveragedModel(
            self.network,
            multi_avg_fn=get_ema_multi_avg_fn(recipe.average_decay),  # type: ignore[no-untyped-call]
        )
        self.training, self.validation = training, validation
        self.folder, self.recipe, self.device, self.workers = folder, recipe, device, workers
        self.watcher = watcher
        self.history: list[dict[str, Any]] = []

    def all_epochs(self) -> None:
        recipe = self.recipe
        done = self._resume()
        for epoch in range(done, recipe.head_epochs + recipe.epochs):
            head_only = epoch < recipe.head_epochs
            if epoch in (0, recipe.head_epochs) or epoch == done:
                optimizer, schedule = self._optimizer(head_only)
                if epoch == done and done not in (0, recipe.head_epochs):
                    optimizer.load_state_dict(self.saved["optimizer"])
                    schedule.load_state_dict(self.saved["schedule"])
            started = time.monotonic()
            loss = self._epoch(epoch, head_only, optimizer, schedule)
            row = {"epoch": epoch + 1, "phase": "head" if head_only else "whole", "loss": loss}
            row |= self._validate() | {"seconds": round(time.monotonic() - started, 1)}
            self.history.append(row)
            self.watcher.say("  ".join(f"{name} {value}" for name, value in row.items()))
            self._save(epoch + 1, optimizer, schedule)

    def _optimizer(
        self, head_only: bool
    ) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
        recipe, network = self.recipe, self.network
        for index, block in enumerate(network.features):
            block.requires_grad_(not head_only and index >= recipe.frozen_blocks)
        if head_only:
            groups = [{"params": network.head.parameters(), "lr": recipe.head_rate}]
            epochs = recipe.head_epochs
        else:
            tuned = [p for p in network.features.parameters() if p.requires_grad]
            groups = [
                {"params": tuned, "lr": recipe.rate},
                {"params": network.head.parameters(), "lr": recipe.rate * recipe.head_factor},
            ]
            epochs = recipe.epochs
        optimizer = torch.optim.AdamW(groups, weight_decay=recipe.weight_decay)
        steps = epochs * len(self._loader(0))
        rise = max(1, round(recipe.warmup * steps))

        def factor(step: int) -> float:
            if step < rise:
                return (step + 1) / rise
            return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))

        return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, factor)

    def _epoch(
        self,
        epoch: int,
        head_only: bool,
        optimizer: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.LRScheduler,
    ) -> float:
        self.network.train()
        # Batch-norm statistics stay ImageNet's: small batches of cropped photos would spoil
        # them for whole ones.
        for module in self.network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        torch.manual_seed(self.recipe.seed * 1000 + epoch)
        losses: list[float] = []
        loader = self._loader(epoch)
        for pixels, targets in self.watcher.track(loader, len(loader), f"epoch {epoch + 1}"):
            logits = self.network(pixels.to(self.device, non_blocking=True))
            loss = loss_of(logits, targets.to(self.device, non_blocking=True))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            self.average.update_parameters(self.network)
            losses.append(loss.item())
        if head_only:
            # The average begins with the whole network: the head's first steps are no part of it.
            self.average.module.load_state_dict(self.network.state_dict())
        return round(float(np.mean(losses)), 5)

    def _loader(self, epoch: int) -> DataLoader[tuple[Tensor, Tensor]]:
        dataset = _Augmented(self.training, self.recipe, epoch)
        return DataLoader(
            dataset,
            batch_size=self.recipe.batch_size,
            shuffle=True,
            generator=torch.Generator().manual_seed(self.recipe.seed * 1000 + epoch),
            num_workers=self.workers,
            pin_memory=self.device == "cuda",
            drop_last=len(dataset) > self.recipe.batch_size,
        )

    @torch.inference_mode()
    def _logits(self) -> npt.NDArray[np.float32]:
        self.average.eval()
        pixels = self.validation.pixels
        parts = [
            self.average(torch.from_numpy(pixels[start : start + 64].copy()).to(self.device)).cpu()
            for start in range(0, len(pixels), 64)
        ]
        result: npt.NDArray[np.float32] = torch.cat(parts).float().numpy()
        return result

    def _validate(self) -> dict[str, float]:
        logits = self._logits()
        is_dog, is_pet = (values > 0.5 for values in self.validation.targets())
        right = (logits[is_pet, DOG] > 0) == is_dog[is_pet]
        dog_margin = np.where(is_dog, logits[:, DOG], -logits[:, DOG])[is_pet]
        pet_margin = np.where(is_pet, logits[:, PET], -logits[:, PET])
        return {
            "dog_accuracy": round(float(right.mean()), 5),
            "dog_loss": round(float(np.logaddexp(0, -dog_margin).mean()), 5),
            "pet_accuracy": round(float((pet_margin > 0).mean()), 5),
            "pet_loss": round(float(np.logaddexp(0, -pet_margin).mean()), 5),
        }

    def finish(self) -> None:
        is_dog, is_pet = (values > 0.5 for values in self.validation.targets())
        calibration = calibrate(self._logits(), is_dog, is_pet)
        figures = {"validation": self.history[-1], "validation_photos": len(is_pet)}
        recipe = asdict(self.recipe) | {"training_photos": len(self.training.photos)}
        network = self.average.module
        assert isinstance(network, DogsortNet)
        export(network, self.folder, self.recipe.input_size, calibration, figures, recipe)

    def _save(
        self,
        done: int,
        optimizer: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.LRScheduler,
    ) -> None:
        state = {
            "recipe": asdict(self.recipe),
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

    def _resume(self) -> int:
        """Load the checkpoint, if there is one; return how many epochs are done."""
        path = self.folder / CHECKPOINT_NAME
        if not path.exists():
            return 0
        self.saved = torch.load(path, map_location=self.device, weights_only=True)
        if self.saved["recipe"] != asdict(self.recipe):
            raise DataError(
                f"{path}: begun with another recipe; use another output folder, or delete it"
            )
        self.network.load_state_dict(self.saved["network"])
        self.average.load_state_dict(self.saved["average"])
        self.history = self.saved["history"]
        done = int(self.saved["done"])
        self.watcher.say(f"going on after epoch {done}, from {path}")
        return done


class _Augmented(Dataset[tuple[Tensor, Tensor]]):
    """Training photos of one epoch, changed at random but the same for the same seed."""

    def __init__(self, cache: PixelCache, recipe: Recipe, epoch: int) -> None:
        self.cache, self.recipe, self.epoch = cache, recipe, epoch
        self.dog, self.pet = cache.targets()
        repeats = np.where(self.pet > 0, 1, recipe.neither_repeats)
        self.indices = np.repeat(np.arange(len(self.pet)), repeats)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, item: int) -> tuple[Tensor, Tensor]:
        """Return pixels (size, size, 3), uint8, and targets (3,): dog, pet, weight of dog."""
        rng = random.Random(f"{self.recipe.seed}/{self.epoch}/{item}")  # noqa: S311
        size = self.recipe.crop_size
        index = int(self.indices[item])
        pixels = augment(self.cache.pixels[index], size, rng)
        dogs, pets = [self.dog[index]], [self.pet[index]]
        if rng.random() < self.recipe.collage_share:
            other = int(self.indices[rng.randrange(len(self.indices))])
            pixels = collage(pixels, augment(self.cache.pixels[other], size, rng), rng)
            dogs.append(self.dog[other])
            pets.append(self.pet[other])
        pet = max(pets)
        # A dog beside a cat is half of each: the network shall not be sure of either.
        dog = float(np.average(dogs, weights=pets)) if pet else 0.0
        return torch.from_numpy(pixels), torch.tensor([dog, pet, pet])


def loss_of(logits: Tensor, targets: Tensor) -> Tensor:
    """Binary cross-entropy of both neurons; the first learns from pets only.

    Args:
        logits: (N, 2).
        targets: (N, 3): dog 0..1, pet 0 or 1, weight of the first neuron's loss.
    """
    dog, pet, weight = targets.unbind(1)
    dog_loss = binary_cross_entropy_with_logits(logits[:, DOG], dog, reduction="none")
    pet_loss = binary_cross_entropy_with_logits(logits[:, PET], pet)
    return (dog_loss * weight).sum() / weight.sum().clamp(min=1) + pet_loss


def _decode(
    photos: list[LabelledPhoto], recipe: Recipe, file: Path, watcher: Watcher, what: str
) -> PixelCache:
    counter = iter(watcher.track(photos, len(photos), f"decoding {what} photos"))
    cache = PixelCache(photos, recipe.input_size, str(file), lambda: void(next(counter, None)))
    next(counter, None)  # lets the counter end
    for failure in cache.failures:
        watcher.say(f"left out: {failure.path}: {failure.error}")
    _check_classes(f"readable {what}", cache.photos)
    return cache


def void(value: object) -> None:
    """Take a value and do nothing."""


def hold_out(photos: list[LabelledPhoto]) -> tuple[list[LabelledPhoto], list[LabelledPhoto]]:
    """Split into (training, validation): every tenth photo of each class is held out."""
    kept: list[LabelledPhoto] = []
    held_out: list[LabelledPhoto] = []
    seen: Counter[str] = Counter()
    for photo in photos:
        seen[photo.truth] += 1
        (held_out if seen[photo.truth] % HELD_OUT == 0 else kept).append(photo)
    return kept, held_out


def _check_classes(name: str, photos: list[LabelledPhoto]) -> None:
    missing = {"dog", "cat", "neither"} - {photo.truth for photo in photos}
    if missing:
        raise DataError(
            f"no {name} photos of: {', '.join(sorted(missing))}; "
            "each class needs a folder of its name with photos in it"
        )


def _check_disk(folder: Path, photos: int, size: int) -> None:
    need = photos * size * size * 3 + 300_000_000  # and room for checkpoint and weights
    free = shutil.disk_usage(folder).free
    if free < need:
        raise OutputError(
            f"{folder}: {need / 1e9:.1f} GB are needed there for decoded photos, "
            f"{free / 1e9:.1f} GB are free"
        )
