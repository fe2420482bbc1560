"""``dogsort train DATA -o FOLDER``: fine-tune the network on labelled photos."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TypeVar

import click

from dogsort.cli.options import HELP, SOME_FAILED, Talk, talk_options
from dogsort.photos.scan import check_paths
from dogsort.records import DEVICES
from dogsort.results.summary import printable

__all__ = ["train"]

T = TypeVar("T")


@click.command("train", context_settings=HELP)
@click.argument("data", metavar="DATA")
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="FOLDER",
    help="The weights folder to make; a stopped run in it goes on.",
)
@click.option(
    "--val",
    "validation",
    metavar="FOLDER",
    help="Labelled photos to calibrate on [default: every tenth of DATA, held out].",
)
@click.option(
    "--start",
    metavar="FILE",
    help="Starting weights: a Keras MobileNetV2 .h5, or dogsort's [default: torchvision's].",
)
@click.option(
    "--teacher",
    metavar="FILE",
    help="An ONNX network, pixels to maps; what it sees in the photos is learned, too.",
)
@click.option(
    "--epochs",
    type=click.IntRange(min=0),
    metavar="N",
    help="Epochs of the whole network; one of the head alone comes before.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0, max=2**31 - 1),
    metavar="N",
    help="Another outcome of the same recipe.",
)
@click.option(
    "--recipe",
    "recipe_file",
    metavar="FILE",
    help="Other values for the recipe, as JSON; or the manifest.json of weights, to train alike.",
)
@click.option(
    "--device",
    type=click.Choice(DEVICES),
    default="auto",
    show_default=True,
    help="Where to train.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=0),
    default=1,
    show_default=True,
    metavar="N",
    help="Processes that augment photos.",
)
@talk_options
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
    quiet: bool,
    verbose: bool,
    no_progress: bool,
) -> int:
    """Fine-tune the network on the labelled photos in DATA.

    Labels are read off folders named dog, cat and neither, at any depth, or off Kaggle's names.
    """
    given = (data, validation, start, teacher, recipe_file)
    check_paths(path for path in given if path is not None)
    from dogsort.training.export import check_exporter

    check_exporter()
    from dogsort.network.engines import torch_device
    from dogsort.training.dataset import (
        check_apart,
        check_classes,
        count_shared,
        find_labelled,
        hold_out,
    )
    from dogsort.training.processes import leads
    from dogsort.training.recipe import Recipe, read_recipe
    from dogsort.training.start import read_start
    from dogsort.training.teacher import Teacher
    from dogsort.training.train import train as fine_tune
    from dogsort.training.watcher import Watcher

    class Shown(Watcher):
        """Training, as seen on stderr."""

        def say(self, text: str) -> None:
            talk.say(printable(text))

        def warn(self, text: str) -> None:
            if leads():
                talk.warn(printable(text))

        def track(self, items: Iterable[T], total: int, what: str) -> Iterable[T]:
            return talk.count(items, total, what)

    # Of several processes that torchrun started, one talks.
    talk = Talk(quiet or not leads(), verbose, no_progress)
    shown = Shown()
    check_apart(output, [data] if validation is None else [data, validation])
    photos = find_labelled([data])
    if validation is None:
        photos, held_out = hold_out(photos)
    else:
        check_classes("training", photos)
        held_out = find_labelled([validation])
        check_classes("validation", held_out)
        if shared := count_shared(photos, held_out):
            shown.warn(f"{shared} photos of {validation} are trained on, too: figures will flatter")
    changes = {"epochs": epochs, "seed": seed}
    recipe = replace(
        Recipe() if recipe_file is None else read_recipe(recipe_file),
        **{name: value for name, value in changes.items() if value is not None},
    )
    try:
        failures = fine_tune(
            photos,
            held_out,
            read_start(start),
            None if teacher is None else Teacher(teacher),
            output,
            recipe,
            torch_device(device),
            workers,
            shown,
        )
    except KeyboardInterrupt:
        kept = f"the same command goes on after the last whole epoch that {output} keeps"
        raise KeyboardInterrupt(kept) from None
    talk.say(f"weights are in {output}: dogsort --weights {output} ...")
    if failures:
        talk.say(f"{len(failures)} photos could not be read and were left out")
        return SOME_FAILED
    return 0
