"""Fine-tuning: labelled photos -> a weights folder. Read it from top to bottom."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.nn.utils import convert_conv2d_weight_memory_format
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from dogsort.errors import DogsortError
from dogsort.evaluation.labelled import LabelledPhoto
from dogsort.network.architecture import DOG, PET
from dogsort.records import Failure
from dogsort.results.output import writing
from dogsort.training.checkpoint import (
    alone_in,
    identity_of,
    load_checkpoint,
    save_checkpoint,
    write_history,
)
from dogsort.training.dataset import DecodedPhotos, check_classes, check_room, decode_photos
from dogsort.training.distill import Student, Teacher, standardised, unexplained
from dogsort.training.finish import Comparison, check_calibration, finish, logits_of
from dogsort.training.memory import keep_freed_memory
from dogsort.training.recipe import Recipe
from dogsort.training.sampling import Sample, TrainingSamples
from dogsort.training.start import Start

__all__ = ["Event", "Progress", "loss_of", "train"]

T = TypeVar("T")

#: Space for checkpoint and weights, in addition to the decoded photos, in bytes.
ROOM_FOR_WEIGHTS = 200_000_000

#: The folder of decoded photos, deleted at the end, with a name that nobody else uses.
DECODED_NAME = ".dogsort-decoded"


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a stage."""

    stage: str
    done: int
    total: int


#: What training yields: its progress, photos that could not be read, the figures of each epoch, and
#: at the end a comparison of the new weights with the bundled ones.
Event: TypeAlias = "Progress | Failure | dict[str, Any] | Comparison"
#: A part of training: it yields events and returns its result.
Part: TypeAlias = Generator[Event, None, T]


def train(
    photos: list[LabelledPhoto],
    validation: list[LabelledPhoto],
    start: Start,
    teacher: Teacher | None,
    output: str,
    recipe: Recipe,
    device: str,
    workers: int,
) -> Iterator[Event]:
    """Fine-tune and write ``output``, or continue from its checkpoint.

    Args:
        photos: training photos of every class.
        validation: photos of every class to choose the best epoch, temperatures and thresholds.
        start: the network to start from; it is modified.
        teacher: a network whose outputs are learned, too.
        output: the weights folder to write.
        recipe: how to train.
        device: torch's name of the device.
        workers: processes that augment photos.

    Yields:
        Events; the ``Comparison`` comes last.

    Raises:
        DataError: if a class is missing, no photo can be read, the checkpoint is from another run,
            or there are too few validation photos to calibrate a new head.
        OutputError: if a file in the output folder cannot be written.
        DogsortError: if the system lacks something else, such as memory.
    """
    check_calibration(start, validation)
    keep_freed_memory()
    folder = Path(output)
    decoded = folder / DECODED_NAME
    names = [start.name] if teacher is None else [start.name, teacher.name]
    identity = identity_of(recipe, names, photos, validation)
    with alone_in(folder):
        saved = load_checkpoint(folder, identity)
        try:
            shutil.rmtree(decoded, ignore_errors=True)  # left by a killed run
            pixels = (len(photos) + len(validation)) * recipe.input_size**2 * 3
            with writing(str(decoded)):
                check_room(folder, ROOM_FOR_WEIGHTS + pixels)
                decoded.mkdir()
            training = yield from _decode("training", photos, recipe, decoded)
            held_out = yield from _decode("validation", validation, recipe, decoded)
            taught = yield from _ask(teacher, training)
            best = yield from _fit(
                *(training, taught, held_out, start, recipe, identity | saved),
                *(folder, device, workers),
            )
            start.network.load_state_dict(best["network"])
            made = asdict(recipe) | {"training_photos": len(training), "best_epoch": best["epoch"]}
            made |= {"starting_weights": start.name, "teacher": teacher.name if teacher else None}
            yield finish(start, held_out, folder, made, device)
        except OSError as error:  # other than writing: memory, processes, shared files
            named = f"{error.filename}: " if error.filename else ""
            raise DogsortError(f"training stopped: {named}{error.strerror or error}") from error
        finally:
            shutil.rmtree(decoded, ignore_errors=True)


def _decode(
    name: str, photos: list[LabelledPhoto], recipe: Recipe, folder: Path
) -> Part[DecodedPhotos]:
    """Decode photos; return those that could be read."""
    file = folder / f"{name}.npy"
    for done, result in enumerate(decode_photos(photos, recipe.input_size, file), start=1):
        if isinstance(result, DecodedPhotos):
            check_classes(f"readable {name}", result.photos, "the messages above say why")
            return result
        if isinstance(result, Failure):
            yield result
        yield Progress(f"decoding {name} photos", done, len(photos))
    raise AssertionError("decode_photos ends with all photos")


def _ask(teacher: Teacher | None, photos: DecodedPhotos) -> Part[Tensor]:
    """Return the teacher's outputs for the photos, (N, C), standardised; C is 0 without one."""
    if teacher is None:
        return torch.zeros(len(photos), 0)
    said: list[Tensor] = []
    for batch in photos.batches():
        said.append(teacher(batch))
        yield Progress("asking the teacher", sum(map(len, said)), len(photos))
    return standardised(torch.cat(said))


def _fit(
    training: DecodedPhotos,
    taught: Tensor,
    held_out: DecodedPhotos,
    start: Start,
    recipe: Recipe,
    run: dict[str, Any],
    folder: Path,
    device: str,
    workers: int,
) -> Part[dict[str, Any]]:
    """Train the rest of a run; return ``epoch`` (0: the start), ``loss``, ``network`` of its best.

    Args:
        training: N photos.
        taught: (N, C), the teacher's outputs for them.
        held_out: validation photos, to choose the best epoch.
        start: the network to start from.
        recipe: how to train.
        run: the identity of the run, and its state if it was interrupted.
        folder: the folder of checkpoint and history.
        device: torch's name of the device.
        workers: processes that augment photos.
    """
    network = convert_conv2d_weight_memory_format(start.network.to(device), torch.channels_last)
    student = Student(network, taught.shape[1]).to(device)
    ema = get_ema_multi_avg_fn(recipe.ema_decay)  # type: ignore[no-untyped-call]
    average = AveragedModel(network, multi_avg_fn=ema)
    optimizer = _optimizer(student, recipe)
    parts: dict[str, Any] = {"student": student, "average": average, "optimizer": optimizer}
    if "done" in run:
        for name, part in parts.items():
            part.load_state_dict(run[name])
    else:
        figures = _figures(average, held_out, device)
        run |= {"done": 0, "history": []}
        run["best"] = {"epoch": 0, "loss": figures["both_loss"], "network": _copy_of(average)}
    for epoch in range(run["done"] + 1, recipe.epochs + 1):
        began = time.monotonic()
        loader = _loader(training, taught, recipe, epoch, device, workers)
        losses = yield from _epoch(epoch, loader, student, average, optimizer, recipe, device)
        row = {"epoch": epoch} | losses | _figures(average, held_out, device)
        row["seconds"] = round(time.monotonic() - began, 1)
        run["history"].append(row)
        if row["both_loss"] < run["best"]["loss"]:
            run["best"] = {"epoch": epoch, "loss": row["both_loss"], "network": _copy_of(average)}
        run |= {"done": epoch} | {name: part.state_dict() for name, part in parts.items()}
        save_checkpoint(folder, run)
        write_history(folder, run["history"])
        yield row
    return dict(run["best"])


def _epoch(
    epoch: int,
    loader: DataLoader[Sample],
    student: Student,
    average: AveragedModel,
    optimizer: torch.optim.Optimizer,
    recipe: Recipe,
    device: str,
) -> Part[dict[str, float]]:
    """Take the steps of an epoch; return its mean losses, from the labels and the teacher."""
    student.train()
    torch.manual_seed(loader.generator.initial_seed())  # dropout; all without workers
    losses: list[tuple[float, float]] = []
    for step, (pixels, labels, lesson) in enumerate(loader):
        rate = _rate((epoch - 1 + step / len(loader)) / recipe.epochs, recipe.warmup)
        for group in optimizer.param_groups:
            group["lr"] = rate * group["highest_lr"]
        with torch.autocast(device.partition(":")[0], torch.bfloat16, _half_is_faster(device)):
            logits, said = student(pixels.to(device, non_blocking=True))
        label_loss = loss_of(logits.float(), labels.to(device, non_blocking=True))
        teacher_loss = torch.zeros(())
        if lesson.shape[1]:
            teacher_loss = unexplained(said.float(), lesson.to(device, non_blocking=True))
        losses.append((label_loss.item(), teacher_loss.item()))
        optimizer.zero_grad(set_to_none=True)
        (label_loss + recipe.distillation_weight * teacher_loss).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        average.update_parameters(student.network)
        yield Progress(f"epoch {epoch}", step + 1, len(loader))
    means = np.mean(losses, axis=0).round(5).tolist()
    return dict(zip(("loss", "teacher_loss"), means, strict=True))


def _optimizer(student: Student, recipe: Recipe) -> torch.optim.Optimizer:
    """Freeze the first blocks, and make AdamW for the rest."""
    network = student.network
    last = len(network.features) - 1
    groups = []
    for index, block in enumerate(network.features):
        block.requires_grad_(index >= recipe.frozen_blocks)
        if index >= recipe.frozen_blocks:
            # Early blocks are more general, and get lower rates.
            rate = recipe.learning_rate * recipe.layer_decay ** (last - index)
            groups.append({"params": list(block.parameters()), "highest_lr": rate})
    head = [*network.head.parameters(), student.weight, student.bias]
    groups.append({"params": head, "highest_lr": recipe.learning_rate * recipe.head_factor})
    return torch.optim.AdamW(groups, weight_decay=recipe.weight_decay, fused=True)


def _rate(done: float, warmup: float) -> float:
    """Return the learning rate as a share of the highest, after a share of all steps: 0..1."""
    if done < warmup:
        return done / warmup
    return 0.5 * (1 + math.cos(math.pi * (done - warmup) / (1 - warmup)))


def _loader(
    training: DecodedPhotos, taught: Tensor, recipe: Recipe, epoch: int, device: str, workers: int
) -> DataLoader[Sample]:
    return DataLoader(
        TrainingSamples(training, taught, recipe, epoch),
        batch_size=recipe.batch_size,
        num_workers=workers,
        pin_memory=device.startswith("cuda"),
        # For the workers' augmentation.
        generator=torch.Generator().manual_seed(recipe.seed * 100_000 + epoch),
    )


def _half_is_faster(device: str) -> bool:
    """Tell whether the device supports bfloat16, which cuts the time of a step to 0.6."""
    return device.startswith("cuda") or (device == "cpu" and torch.cpu._is_avx512_bf16_supported())


def loss_of(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the summed binary cross-entropy of both neurons; the first learns from pets only.

    Args:
        logits: (N, 2).
        labels: (N, 2), as in ``sampling.Sample``.
    """
    is_dog, is_pet = labels.unbind(1)
    dog_loss = binary_cross_entropy_with_logits(logits[:, DOG], is_dog, reduction="none")
    pet_loss = binary_cross_entropy_with_logits(logits[:, PET], is_pet)
    return (dog_loss * is_pet).sum() / is_pet.sum().clamp(min=1) + pet_loss


def _figures(average: AveragedModel, held_out: DecodedPhotos, device: str) -> dict[str, float]:
    """Return accuracy and loss of both neurons on validation photos, before calibration."""
    logits = logits_of(average, held_out.batches(), device)
    is_dog, is_pet = held_out.labels()
    dog_margin = np.where(is_dog, logits[:, DOG], -logits[:, DOG])[is_pet]
    pet_margin = np.where(is_pet, logits[:, PET], -logits[:, PET])
    figures: dict[str, float] = {}
    for name, margin in (("dog", dog_margin), ("pet", pet_margin)):
        figures[f"{name}_accuracy"] = round(float((margin > 0).mean()), 5)
        figures[f"{name}_loss"] = round(float(np.logaddexp(0, -margin).mean()), 5)
    return figures | {"both_loss": round(figures["dog_loss"] + figures["pet_loss"], 5)}


def _copy_of(average: AveragedModel) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in average.module.state_dict().items()}
