"""The epochs of training: steps, the average of weights, validation, the best epoch."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from dogsort.network.architecture import DOG, PET, DogsortNet
from dogsort.training.finish import logits_of
from dogsort.training.lessons import lesson_loss
from dogsort.training.looking import Looked
from dogsort.training.optimizer import make_optimizer
from dogsort.training.pixels import PixelCache
from dogsort.training.processes import Processes
from dogsort.training.recipe import Phase, Recipe
from dogsort.training.samples import Sample, Samples, loss_of
from dogsort.training.teacher import Pupil
from dogsort.training.watcher import Watcher

__all__ = ["Run"]

Steps: TypeAlias = tuple[nn.Module, torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]


class Run:
    """One training run: the network, its average, and where they stand.

    Args:
        network: to train, on its device.
        looked: the training photos.
        validation: to tell the best epoch by.
        recipe: how to train.
        saved: the state of a stopped run, empty if there is none.
        processes: that train it.
        workers: processes that augment photos.
    """

    def __init__(
        self,
        network: DogsortNet,
        looked: Looked,
        validation: PixelCache,
        recipe: Recipe,
        saved: dict[str, Any],
        processes: Processes,
        workers: int,
    ) -> None:
        self.network, self.average = network, AveragedModel(network)
        self.photos, self.lessons = looked.photos, looked.lessons
        self.validation, self.recipe, self.saved = validation, recipe, saved
        self.processes, self.device, self.workers = processes, processes.device, workers
        # Half the time a step, where the processor has instructions for it.
        self.half = self.device.startswith("cuda") or torch.cpu._is_avx512_bf16_supported()
        self.pupil = Pupil(network, self.lessons.components if self.lessons else 0)
        self.pupil.to(self.device)
        self.history: list[dict[str, Any]] = []
        self.best: dict[str, Any] = {"loss": float("inf")}
        if saved:
            network.load_state_dict(saved["network"])
            self.average.load_state_dict(saved["average"])
            self.history, self.best = saved["history"], saved["best"]
        if saved and self.lessons is not None:
            self.pupil.telling.load_state_dict(saved["telling"])

    def all_epochs(self, save: Callable[[dict[str, Any]], None], watcher: Watcher) -> None:
        """Train phase after phase; ``save`` is given the state after every epoch."""
        recipe = self.recipe
        done = self.saved.get("done", 0)
        if done:
            watcher.say(f"going on after epoch {done}")
        for epoch in range(done, recipe.all_epochs):
            phase = recipe.phase(epoch)
            first_of_phase = epoch == 0 or recipe.phase(epoch - 1) != phase
            if first_of_phase or epoch == done:
                steps = self._phase(phase)
            if epoch == done and not first_of_phase:
                steps[1].load_state_dict(self.saved["optimizer"])
                steps[2].load_state_dict(self.saved["schedule"])
            started = time.monotonic()
            losses = self._epoch(epoch, steps, watcher)
            if self.processes.rank > 0:
                continue
            row: dict[str, Any] = {"epoch": epoch + 1, "phase": phase}
            row |= {"crop": recipe.crop_size(epoch)} | losses | self._validate()
            row |= {"seconds": round(time.monotonic() - started, 1)}
            self.history.append(row)
            self._keep_if_best(row)
            watcher.say("  ".join(f"{name} {value}" for name, value in row.items()))
            save(self._state(epoch + 1, steps))

    def _phase(self, phase: Phase) -> Steps:
        """Choose what is trained, and how."""
        steps = self.recipe.phase_epochs(phase) * len(self._loader(0))
        optimizer, schedule = make_optimizer(self.pupil, self.recipe, phase, steps)
        # Over a fifth of a short phase at most, or the average would still be what was before.
        decay = min(self.recipe.average_decay, max(0.0, 1 - 5 / max(1, steps)))
        self.average.multi_avg_fn = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
        # After it, so that the processes exchange no gradients of what is frozen.
        return self.processes.wrap(self.pupil), optimizer, schedule

    def _epoch(self, epoch: int, steps: Steps, watcher: Watcher) -> dict[str, float]:
        """Train for one epoch; return the mean losses of labels and of the teacher's lessons."""
        network, optimizer, schedule = steps
        network.train()
        torch.manual_seed(self._seed(epoch) + self.processes.rank)
        losses: dict[str, list[float]] = {"loss": [], "teacher_loss": []}
        loader = self._loader(epoch)
        for batch in watcher.track(loader, len(loader), f"epoch {epoch + 1}"):
            pixels, targets, photos, places = batch
            with torch.autocast(self.device.partition(":")[0], torch.bfloat16, self.half):
                logits, told = (
                    part.float() for part in network(pixels.to(self.device, non_blocking=True))
                )
            loss = loss_of(logits, targets.to(self.device, non_blocking=True))
            losses["loss"].append(loss.item())
            if self.lessons is not None:
                lesson, seen = (part.to(self.device) for part in self.lessons.at(photos, places))
                untold = lesson_loss(told, lesson, seen, self.lessons.mean_square)
                losses["teacher_loss"].append(untold.item())
                loss = loss + self.recipe.teacher_weight * untold
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            self.average.update_parameters(self.network)
        if self.recipe.phase(epoch) == "head":
            # The average begins with the whole network; the head's first steps are no part of it.
            self.average.module.load_state_dict(self.network.state_dict())
        return {
            name: round(self.processes.mean(float(np.mean(values))), 5)
            for name, values in losses.items()
            if values
        }

    def _loader(self, epoch: int) -> DataLoader[Sample]:
        """Load this process's share of every batch of an epoch."""
        recipe, processes = self.recipe, self.processes
        samples = Samples(self.photos, recipe, epoch)
        size = max(1, recipe.batch_size // processes.count)
        generator = torch.Generator().manual_seed(self._seed(epoch))
        order = torch.randperm(len(samples), generator=generator).tolist()
        # Whole batches; of a single small one, whatever the processes can share evenly.
        whole = size * processes.count if len(order) > recipe.batch_size else processes.count
        order = order[: len(order) // whole * whole]
        return DataLoader(
            samples,
            batch_size=size,
            sampler=order[processes.rank :: processes.count],
            num_workers=self.workers,
            pin_memory=self.device.startswith("cuda"),
        )

    def _seed(self, epoch: int) -> int:
        return self.recipe.seed * 100_000 + epoch * 100

    def _validate(self) -> dict[str, float]:
        """Return figures before calibration."""
        logits = logits_of(self.average, self.validation.batches(), self.device)
        is_dog, is_pet = (values > 0.5 for values in self.validation.targets())
        dog_margin = np.where(is_dog, logits[:, DOG], -logits[:, DOG])[is_pet]
        pet_margin = np.where(is_pet, logits[:, PET], -logits[:, PET])
        figures: dict[str, float] = {}
        for name, margin in (("dog", dog_margin), ("pet", pet_margin)):
            figures[f"{name}_accuracy"] = round(float((margin > 0).mean()), 5)
            figures[f"{name}_loss"] = round(float(np.logaddexp(0, -margin).mean()), 5)
        return figures

    def _keep_if_best(self, row: dict[str, Any]) -> None:
        """Keep the averaged network if no epoch before had less loss on validation photos."""
        loss = row["dog_loss"] + row["pet_loss"]
        if loss < self.best["loss"]:
            network = {name: value.clone() for name, value in self._averaged().items()}
            self.best = {"loss": loss, "epoch": row["epoch"], "network": network}

    def _averaged(self) -> dict[str, Tensor]:
        state: dict[str, Tensor] = self.average.module.state_dict()
        return state

    def _state(self, done: int, steps: Steps) -> dict[str, Any]:
        return {
            "done": done,
            "telling": self.pupil.telling.state_dict(),
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": steps[1].state_dict(),
            "schedule": steps[2].state_dict(),
            "history": self.history,
            "best": self.best,
        }

    def best_network(self) -> DogsortNet:
        """Return the best epoch's averaged network."""
        network = self.average.module
        assert isinstance(network, DogsortNet)
        if "network" in self.best:  # without, no epoch was trained
            network.load_state_dict(self.best["network"])
        return network
