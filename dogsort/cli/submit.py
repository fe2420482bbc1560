"""``dogsort submit DIR -o FILE``: a Kaggle submission."""

from __future__ import annotations

import click

from dogsort.cli.options import (
    FILE,
    FOLDER,
    HELP,
    SOME_FAILED,
    Talk,
    engine_options,
    examples,
    open_classifier,
    talk_options,
)
from dogsort.photos.scan import check_paths
from dogsort.records import Failure
from dogsort.results.kaggle import numbered_photos, submission_label, write_submission
from dogsort.results.output import check_writable
from dogsort.results.tables import check_table_name

__all__ = ["submit"]


@click.command(
    "submit",
    context_settings=HELP,
    epilog=examples(
        "dogsort submit test1 -o submission.csv", "dogsort submit test1 -o submission.csv --hard"
    ),
)
@click.argument("folder", type=FOLDER, metavar="DIR")
@click.option("-o", "--output", required=True, type=FILE, help="The CSV to write.")
@click.option(
    "--hard", is_flag=True, help="Write 1 for dog and 0 for cat, as the 2013 competition wants."
)
@engine_options
@talk_options
def submit(
    folder: str,
    output: str,
    hard: bool,
    weights: str | None,
    device: str,
    batch_size: int | None,
    workers: int | None,
    quiet: bool,
    verbose: bool,
    no_progress: bool,
) -> int:
    """Write a Kaggle submission for the test photos in DIR.

    Rows are `id,label`, sorted by id; label is the probability of dog, clipped to the bound
    kept with the weights. A photo that cannot be read gets 0.5.
    """
    check_paths([folder])
    check_table_name(output, (".csv",))
    talk = Talk(quiet, verbose, no_progress)
    ids = numbered_photos(folder, talk.program_folder)
    check_writable(output)
    classifier = open_classifier(
        talk, device, weights=weights, batch_size=batch_size, workers=workers
    )
    clip = classifier.weights.clip
    labels: dict[int, float] = {}
    failed = 0
    try:
        for record in talk.watch(classifier.predict(ids), len(ids)):
            labels[ids[record.path]] = submission_label(record, clip, hard)
            failed += isinstance(record, Failure)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"{output} was not written") from None
    write_submission(output, labels, hard)
    talk.say(f"{output}: {len(labels)} rows")
    if failed:
        talk.warn(f"{failed} could not be read and got 0.5")
        return SOME_FAILED
    return 0
