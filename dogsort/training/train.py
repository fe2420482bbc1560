"""Fine-tuning: labelled photos -> a weights folder. Read it from top to bottom."""

from __future__ import annotations

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
from dogsort.records import Failure
from dogsort.training.checkpoint import (
    identity_of,
    load_checkpoint,
    save_checkpoint,
    write_history,
)
from dogsort.training.cross_validation import features_of, frozen, out_of_fold, standardised
from dogsort.training.dataset import TRUTHS, LabelledPhoto, check_classes
from dogsort.training.finish import calibrate_and_export, logits_of
from dogsort.training.lessons import (
    Basis,
    Lessons,
    find_basis,
    lesson_loss,
    size_of_lessons,
    take_lessons,
)
from dogsort.training.memory import keep_freed_memory
from dogsort.training.optimizer import make_optimizer
from dogsort.training.pixels import PixelCache, check_room, decode_all
from dogsort.training.processes import Processes, join_processes
from dogsort.training.recipe import Phase, Recipe
from dogsort.training.samples import Sample, Samples, loss_of
from dogsort.training.start import Start
from dogsort.training.suspects import suspects_among, write_suspects
from dogsort.training.teacher import Pupil, Teacher

__all__ = ["Watcher", "train"]

T = TypeVar("T")
Steps: TypeAlias = tuple[nn.Module, torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]

SUSPECTS_NAME = "suspects.csv"

#: Room that checkpoint and weights take besides the decoded photos, in bytes.
ROOM_FOR_WEIGHTS = 200_000_000

#: The folder of what is made of the photos, deleted in the end: a name that nobody else gives
#: a folder.
CACHE_NAME = ".dogsort-decoded"
LESSONS_NAME = "lessons.npy"


class Watcher:
    """What training tells while it runs; this one keeps silent."""

    def say(self, text: str) -> None:
        """Take a line of text."""

    def warn(self, text: str) -> None:
        """Take a line about something that did not go as asked."""

    def track(self, items: Iterable[T], total: int, what: str) -> Iterable[T]:
        """Pass items on, counting them."""
        return items


def train(
    photos: list[LabelledPhoto],
    validation: list[LabelledPhoto],
    start: Start,
    teacher: Teacher | None,
    output: str,
    recipe: Recipe,
    device: str,
    workers: int,
    watcher: Watcher,
) -> list[Failure]:
    """Fine-tune and write ``output``; goes on from its checkpoint if there is one.

    A run that had finished is only calibrated and exported once more.

    Args:
        photos: to train on; every class must be there.
        validation: to choose scaling, bars and clipping bound on; likewise.
        start: the weights to start from.
        teacher: what it sees in the photos is learned, too.
        output: the weights folder to make.
        recipe: how to train.
        device: torch's name of the device.
        workers: processes that augment photos.
        watcher: is told how it goes.

    Returns:
        The photos that could not be read, and were left out.

    Raises:
        DataError: if a class is missing or nothing can be read, or a checkpoint is of another run.
        DeviceError: if there are fewer devices than processes.
        OutputError: if the output folder cannot be written.
    """
    check_classes("training", photos)
    check_classes("validation", validation)
    keep_freed_memory()
    folder = Path(output)
    caches = folder / CACHE_NAME
    names = [start.name] if teacher is None else [start.name, teacher.name]
    identity = identity_of(recipe, names, photos)
    with join_processes(device) as processes:
        saved = load_checkpoint(folder, identity)

        def decode() -> list[PixelCache]:
            shutil.rmtree(caches, ignore_errors=True)  # of a run that was killed
            caches.mkdir(parents=True, exist_ok=True)
            check_room(folder, room_for(len(photos), len(validation), teacher, recipe))
            return [
                _decode(group, recipe.input_size, caches / f"{name}.npy", name, watcher)
                for name, group in (("training", photos), ("validation", validation))
            ]

        made: list[PixelCache | Lessons] = []
        try:
            training, held_out = processes.share(decode)
            made += [training, held_out]
            run = _Run(training, held_out, start, teacher, folder, recipe, processes, workers)
            run.go_on(identity, saved)
            run.look_at_photos(watcher)
            if run.lessons is not None:
                made.append(run.lessons)
            run.all_epochs(watcher)
            if processes.rank == 0:
                run.finish()
            processes.wait()
            return [*training.failures, *held_out.failures]
        except OSError as error:
            reason = error.strerror or error
            raise OutputError(f"{folder}: cannot be written: {reason}") from error
        finally:
            for file in made:
                file.close()
            if processes.rank == 0:
                shutil.rmtree(caches, ignore_errors=True)


def room_for(photos: int, validation: int, teacher: Teacher | None, recipe: Recipe) -> int:
    """Return how many bytes a run takes on the disk."""
    room = ROOM_FOR_WEIGHTS + (photos + validation) * recipe.input_size**2 * 3
    if teacher is not None:
        room += size_of_lessons(photos, teacher, recipe.teacher_components, recipe.input_size)
    return room


class _Run:
    """One training run: the network, its average, and where they stand."""

    def __init__(
        self,
        training: PixelCache,
        validation: PixelCache,
        start: Start,
        teacher: Teacher | None,
        folder: Path,
        recipe: Recipe,
        processes: Processes,
        workers: int,
    ) -> None:
        torch.manual_seed(recipe.seed)
        network = DogsortNet(recipe.hidden, recipe.dropout)
        network.features.load_state_dict(start.features)
        self.device = processes.device
        self.network = network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = AveragedModel(self.network)
        self.training, self.validation = training, validation
        self.folder, self.recipe, self.start, self.teacher = folder, recipe, start, teacher
        self.processes, self.workers = processes, workers
        self.lessons: Lessons | None = None
        self.history: list[dict[str, Any]] = []
        self.best: dict[str, Any] = {"loss": float("inf")}

    def go_on(self, identity: dict[str, Any], saved: dict[str, Any]) -> None:
        """Take up a run where its checkpoint left it, if there is one."""
        self.identity, self.saved = identity, saved
        if saved:
            self.network.load_state_dict(saved["network"])
            self.average.load_state_dict(saved["average"])
            self.history, self.best = saved["history"], saved["best"]

    def look_at_photos(self, watcher: Watcher) -> None:
        """Ask the teacher what it sees; leave out photos whose label is probably wrong."""
        self.judged, self.basis, self.mean_square = self.processes.share(
            lambda: self._look(watcher)
        )
        photos = self.training.photos
        if len(self.judged) != len(photos):
            raise DataError(f"{self.folder}: begun with other photos; use another output folder")
        suspects = suspects_among(photos, self.judged.numpy())
        if self.processes.rank == 0:
            root = os.path.commonpath(
                [os.path.dirname(os.path.abspath(photo.path)) for photo in photos]
            )
            write_suspects(suspects, root, self.folder / SUSPECTS_NAME)
        watcher.say(f"{len(suspects)} photos with doubtful labels left out: see {SUSPECTS_NAME}")
        left_out = {suspect.index for suspect in suspects}
        kept = [index for index in range(len(photos)) if index not in left_out]
        self.suspects = len(left_out)
        self.training = self.training.without(left_out)
        check_classes("training, less those with doubtful labels,", self.training.photos)
        if self._has_lessons:
            self.lessons = Lessons(self._lessons_file, kept)
        self.pupil = Pupil(self.network, self.lessons.components if self.lessons else 0)
        self.pupil.to(self.device)
        if self.saved and self.lessons is not None:
            self.pupil.telling.load_state_dict(self.saved["telling"])

    def _look(self, watcher: Watcher) -> tuple[Tensor, Basis | None, float]:
        """Return what photos say of each other's labels, and how the teacher's maps were written.

        The basis of a stopped run is kept: what is told so far is told by it.
        """
        photos, recipe = self.training, self.recipe
        basis = Basis(*self.saved["basis"]) if self.saved.get("basis") else None
        features, mean_square = None, 1.0
        if self.teacher is not None and self._has_lessons:
            basis = basis or find_basis(
                photos, self.teacher, recipe.teacher_components, recipe.seed
            )
            features = take_lessons(
                photos,
                self.teacher,
                basis,
                self._lessons_file,
                lambda batches: watcher.track(batches, photos.batch_count, "asking the teacher"),
            )
            mean_square = float(basis.components(features).square().mean())
        if self.saved:
            return self.saved["judged"], basis, mean_square
        if features is None:
            batches = watcher.track(photos.batches(), photos.batch_count, "judging labels")
            features = features_of(batches, frozen(self.network, self.device))
        truth = torch.tensor([TRUTHS.index(photo.truth) for photo in photos.photos])
        return out_of_fold(standardised(features), truth, recipe.seed), basis, mean_square

    @property
    def _has_lessons(self) -> bool:
        """Whether there is a teacher, and this run is not one that had finished."""
        return self.teacher is not None and self.saved.get("done") != self.recipe.all_epochs

    @property
    def _lessons_file(self) -> Path:
        return self.folder / CACHE_NAME / LESSONS_NAME

    def all_epochs(self, watcher: Watcher) -> None:
        """Train phase after phase, saving a checkpoint after every epoch."""
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
            self._save(epoch + 1, steps)

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
            logits, told = network(pixels.to(self.device, non_blocking=True))
            loss = loss_of(logits, targets.to(self.device, non_blocking=True))
            losses["loss"].append(loss.item())
            if self.lessons is not None:
                lesson, seen = (part.to(self.device) for part in self.lessons.at(photos, places))
                untold = lesson_loss(told, lesson, seen, self.mean_square)
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
        samples = Samples(self.training, recipe, epoch)
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

    def _save(self, done: int, steps: Steps) -> None:
        state = {
            "done": done,
            "judged": self.judged,
            "basis": None if self.basis is None else list(self.basis),
            "telling": self.pupil.telling.state_dict(),
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": steps[1].state_dict(),
            "schedule": steps[2].state_dict(),
            "history": self.history,
            "best": self.best,
        }
        save_checkpoint(self.folder, self.identity, state)
        write_history(self.folder, self.history)

    def finish(self) -> None:
        """Calibrate the best epoch's averaged network and write the weights folder."""
        network = self.average.module
        assert isinstance(network, DogsortNet)
        if "network" in self.best:  # without, no epoch was trained
            network.load_state_dict(self.best["network"])
        recipe = asdict(self.recipe) | {
            "training_photos": len(self.training),
            "suspects": self.suspects,
            "best_epoch": self.best.get("epoch"),
            "starting_weights": self.start.name,
            "teacher": self.teacher.name if self.teacher else None,
        }
        if self.history:
            write_history(self.folder, self.history)
        calibrate_and_export(network, self.validation, self.folder, recipe, self.device)


def _decode(
    photos: list[LabelledPhoto], size: int, file: Path, name: str, watcher: Watcher
) -> PixelCache:
    cache = decode_all(
        photos,
        size,
        str(file),
        lambda decoded: watcher.track(decoded, len(photos), f"decoding {name} photos"),
    )
    for failure in cache.failures:
        watcher.warn(f"left out: {failure.path}: {failure.error}")
    check_classes(f"readable {name}", cache.photos)
    return cache
