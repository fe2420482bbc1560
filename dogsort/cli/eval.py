"""``dogsort eval DIR``: how good the network is on labelled photos."""

from __future__ import annotations

import click

from dogsort.cli.options import (
    HELP,
    SOME_FAILED,
    Talk,
    engine_options,
    open_classifier,
    talk_options,
)
from dogsort.photos.scan import check_paths

__all__ = ["evaluate"]


@click.command("eval", context_settings=HELP, short_help="Measure on labelled photos.")
@click.argument("folders", nargs=-1, required=True, metavar="DIR...")
@click.option(
    "--worst",
    type=click.IntRange(min=0),
    default=10,
    show_default=True,
    metavar="N",
    help="How many of the worst photos to name.",
)
@click.option(
    "--min-confidence",
    type=click.FloatRange(0, 1),
    metavar="P",
    help="Least confidence that earns a label [default: kept with the weights].",
)
@engine_options
@talk_options
def evaluate(
    folders: tuple[str, ...],
    worst: int,
    min_confidence: float | None,
    weights: str | None,
    device: str,
    batch_size: int | None,
    workers: int | None,
    quiet: bool,
    verbose: bool,
    no_progress: bool,
) -> int:
    """Compare predictions with labels: folders dog, cat, neither, or names as cat.1.jpg."""
    check_paths(folders)
    from dogsort.records import Prediction
    from dogsort.training.dataset import find_labelled
    from dogsort.training.evaluate import evaluate as evaluate_records
    from dogsort.training.report import evaluation_report, worst_photos

    talk = Talk(quiet, verbose, no_progress)
    labelled = find_labelled(folders)
    classifier = open_classifier(
        talk,
        device,
        weights=weights,
        min_confidence=min_confidence,
        batch_size=batch_size,
        workers=workers,
    )
    truth = {photo.path: photo.truth for photo in labelled}
    records = list(talk.watch(classifier.predict(truth), len(truth)))
    predictions = [record for record in records if isinstance(record, Prediction)]
    truths = [truth[prediction.path] for prediction in predictions]
    result = evaluate_records(truths, predictions, classifier.weights.clip)
    for line in evaluation_report(result):
        talk.data(line)
    for line in worst_photos(truths, predictions, worst):
        talk.data(line)
    failed = len(records) - len(predictions)
    if failed:
        talk.warn(f"{failed} could not be read and count for nothing")
    return SOME_FAILED if failed else 0
