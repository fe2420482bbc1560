"""``dogsort train DATA -o FOLDER``: fine-tune the network on labelled photos."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from itertools import chain, groupby
from typing import TYPE_CHECKING, Any, cast

import click

from dogsort.cli.console import Console, console_options_with
from dogsort.cli.options import FILE, FOLDER, SOME_FAILED, command, number
from dogsort.extras import check_extra
from dogsort.photos.scan import check_paths
from dogsort.records import DEVICES, Failure
from dogsort.results.text import program_folder_lines, quoted
from dogsort.training.recipe import Recipe

if TYPE_CHECKING:
    from dogsort.training.train import Event, Progress

__all__ = ["train"]

USUAL = Recipe()


@command(
    "train",
    "dogsort train labelled -o my-weights",
    "dogsort train labelled -o my-weights --val more --epochs 3",
    short_help="Fine-tune the network on labelled photos.",
)
@click.argument("data", type=FOLDER, metavar="DATA")
@click.option(
    "-o", "--output", required=True, type=FOLDER, help="Weights folder to create, or to continue."
)
@click.option(
    "--val", "validation", type=FOLDER, help="Calibrate on these photos [default: a tenth of DATA]."
)
@click.option("--start", type=FILE, help="Weights to start from [default: the bundled ones].")
@click.option("--teacher", type=FILE, help="Also learn from this ONNX network.")
@click.option(
    "--epochs",
    type=number(0),
    help="Number of epochs; 0 only calibrates the starting weights "
    f"[default: {USUAL.epochs}, or from --recipe].",
)
@click.option(
    "--seed",
    type=number(0, 2**31 - 1),
    help=f"Random seed [default: {USUAL.seed}, or from --recipe].",
)
@click.option(
    "--recipe",
    "recipe_file",
    type=FILE,
    help="Hyperparameters: JSON, or the manifest.json of weights.",
)
@click.option(
    "--device",
    type=click.Choice(DEVICES),
    default="auto",
    show_default=True,
    help="Where to train.",
)
@click.option(
    "--workers", type=number(0), default=1, show_default=True, help="Processes that augment photos."
)
@console_options_with("Also show the device and all values of the recipe.")
def train(
    data: str,
    output: str,
    validation: str | None,
    start: str | None,
    teacher: str | None,
    epochs: int | None,
    seed: int | None,
    recipe_file: str | None,
    device: str,
    workers: int,
    console: Console,
) -> int:
    """Fine-tune the network on the labelled photos in DATA.

    Labels come from folders named dog, cat and neither, at any depth, or from Kaggle's file names.
    --start takes dogsort's weights, or the features of a MobileNetV2 as .safetensors. --teacher
    takes an ONNX network that turns pixels into class logits.
    """
    given = (data, validation, start, teacher, recipe_file)
    check_paths(path for path in given if path is not None)
    check_extra("train", "training")
    from dogsort.network.engines import torch_device
    from dogsort.training.dataset import check_apart, count_shared, find_photos
    from dogsort.training.distill import Teacher
    from dogsort.training.recipe import read_recipe
    from dogsort.training.start import read_start
    from dogsort.training.train import train as fine_tune

    check_apart(output, [data] if validation is None else [data, validation])
    photos, held_out, program_folders = find_photos(data, validation)
    if shared := count_shared(photos, held_out):
        console.warn(
            f"{shared} photos of {validation} are trained on, too: figures will be too good"
        )
    console.say(*program_folder_lines(program_folders))
    changes: dict[str, Any] = {"epochs": epochs, "seed": seed}
    recipe = replace(
        Recipe() if recipe_file is None else read_recipe(recipe_file),
        **{name: value for name, value in changes.items() if value is not None},
    )
    place = torch_device(device)
    console.detail(
        f"training on {place}", *(f"{n}: {value}" for n, value in asdict(recipe).items())
    )
    begun = read_start(start, recipe)
    taught_by = None if teacher is None else Teacher(teacher)
    try:
        events = fine_tune(photos, held_out, begun, taught_by, output, recipe, place, workers)
        failed = _show(console, events)
    except KeyboardInterrupt:
        kept = f"run the same command to continue after the last complete epoch in {output}"
        raise KeyboardInterrupt(kept) from None
    console.say(f"weights are in {output}: dogsort --weights {quoted(output)} ...")
    if failed:
        console.say(f"{failed} photos could not be read and were left out")
        return SOME_FAILED
    return 0


def _show(console: Console, events: Iterator[Event]) -> int:
    """Show the progress of training; return how many photos could not be read."""
    from dogsort.training.finish import Comparison

    failed = 0
    # Progress events of one stage come in a row, and share a bar.
    for stage, row in groupby(events, lambda event: getattr(event, "stage", None)):
        if stage is not None:
            _draw(console, stage, cast("Iterator[Progress]", row))
            continue
        for event in row:
            if isinstance(event, Failure):
                failed += 1
                console.warn(f"left out: {event.path}: {event.error}")
            elif isinstance(event, Comparison):
                console.say(*event.lines())
            elif isinstance(event, dict):
                console.say("  ".join(f"{name} {value}" for name, value in event.items()))
    return failed


def _draw(console: Console, stage: str, row: Iterator[Progress]) -> None:
    """Draw the bar of a stage."""
    first = next(row)
    done = 0
    with console.bar("step", first.total, stage) as advance:
        for event in chain([first], row):
            advance(event.done - done)
            done = event.done
