"""Fine-tuning: labelled photos -> a weights folder. Read it from top to bottom."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from dogsort.errors import OutputError
from dogsort.network.architecture import DogsortNet
from dogsort.records import Failure
from dogsort.training.checkpoint import (
    identity_of,
    load_checkpoint,
    save_checkpoint,
    write_history,
)
from dogsort.training.cross_validation import frozen
from dogsort.training.dataset import LabelledPhoto, check_classes
from dogsort.training.finish import calibrate_and_export
from dogsort.training.lessons import Lessons, size_of_lessons
from dogsort.training.looking import look_at_photos
from dogsort.training.memory import keep_freed_memory
from dogsort.training.pixels import PixelCache, check_room, decode_all
from dogsort.training.processes import Processes, join_processes
from dogsort.training.recipe import Recipe
from dogsort.training.run import Run
from dogsort.training.start import Start
from dogsort.training.teacher import Teacher
from dogsort.training.watcher import Watcher

__all__ = ["train"]

#: Room that checkpoint and weights take besides the decoded photos, in bytes.
ROOM_FOR_WEIGHTS = 200_000_000

#: The folder of what is made of the photos, deleted in the end: a name that nobody else gives
#: a folder.
CACHE_NAME = ".dogsort-decoded"
LOCK_NAME = ".dogsort-training"


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
    keep_freed_memory()
    folder = Path(output)
    caches = folder / CACHE_NAME
    names = [start.name] if teacher is None else [start.name, teacher.name]
    identity = identity_of(recipe, names, photos, validation)
    with join_processes(device) as processes, _alone_in(folder, processes):
        saved = load_checkpoint(folder, identity, recipe.all_epochs)

        def decode() -> list[PixelCache]:
            shutil.rmtree(caches, ignore_errors=True)  # of a run that was killed
            caches.mkdir(parents=True, exist_ok=True)
            check_room(folder, _room_for(len(photos), len(validation), teacher, recipe))
            return [
                _decode(group, recipe.input_size, caches / f"{name}.npy", name, watcher)
                for name, group in (("training", photos), ("validation", validation))
            ]

        made: list[PixelCache | Lessons] = []
        try:
            training, held_out = processes.share(decode)
            made += [training, held_out]
            network = _network(start, recipe, processes.device)
            looked = look_at_photos(
                training,
                frozen(network, processes.device),
                None if saved.get("done") == recipe.all_epochs else teacher,
                recipe,
                saved,
                folder,
                caches,
                processes,
                watcher,
            )
            if looked.lessons is not None:
                made.append(looked.lessons)
            run = Run(network, looked, held_out, recipe, saved, processes, workers)

            def save(state: dict[str, Any]) -> None:
                basis = None if looked.basis is None else list(looked.basis)
                seen = {"judged": looked.judged, "basis": basis}
                save_checkpoint(folder, identity, seen | state)
                write_history(folder, run.history)

            run.all_epochs(save, watcher)
            if processes.rank == 0:
                if run.history:
                    write_history(folder, run.history)
                followed = asdict(recipe) | {
                    "training_photos": len(looked.photos),
                    "suspects": looked.suspects,
                    "best_epoch": run.best.get("epoch"),
                    "starting_weights": start.name,
                    "teacher": teacher.name if teacher else None,
                }
                best = run.best_network()
                calibrate_and_export(best, held_out, folder, followed, processes.device)
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


@contextmanager
def _alone_in(folder: Path, processes: Processes) -> Iterator[None]:
    """Keep another run out of the output folder."""
    lock = FileLock(folder / LOCK_NAME, timeout=0)

    def acquire() -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout:
            raise OutputError(
                f"{folder}: another run trains into it; wait until it is done, or use another "
                "output folder"
            ) from None
        except OSError as error:
            raise OutputError(f"{folder}: cannot be written: {error.strerror}") from error

    processes.share(acquire)
    try:
        yield
    finally:
        if processes.rank == 0:
            with suppress(OSError):  # Windows lets nobody delete it now, and the lock does it later
                (folder / LOCK_NAME).unlink()
        lock.release()


def _network(start: Start, recipe: Recipe, device: str) -> DogsortNet:
    """Return the network with the features to start from, and a new head."""
    torch.manual_seed(recipe.seed)
    network = DogsortNet(recipe.hidden, recipe.dropout)
    network.features.load_state_dict(start.features)
    return network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def _room_for(photos: int, validation: int, teacher: Teacher | None, recipe: Recipe) -> int:
    """Return how many bytes a run takes on the disk."""
    room = ROOM_FOR_WEIGHTS + (photos + validation) * recipe.input_size**2 * 3
    if teacher is not None:
        room += size_of_lessons(photos, teacher, recipe.teacher_components, recipe.input_size)
    return room


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
    check_classes(f"readable {name}", cache.photos, "what is wrong with each is said above")
    return cache
