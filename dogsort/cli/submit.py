"""``dogsort submit DIR -o FILE``: a Kaggle submission."""

from __future__ import annotations

import click

from dogsort.cli.console import Console, console_options
from dogsort.cli.options import (
    FILE,
    FOLDER,
    HELP,
    SOME_FAILED,
    EngineOptions,
    cache_option,
    engine_options,
    examples,
    open_cache,
)
from dogsort.photos.scan import check_paths
from dogsort.records import Failure, Photo
from dogsort.results.kaggle import numbered_photos, submission_label, write_submission
from dogsort.results.output import check_writable
from dogsort.results.tables import check_table_name
from dogsort.results.text import program_folder_lines

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
@cache_option
@engine_options
@console_options
def submit(
    folder: str,
    output: str,
    hard: bool,
    no_cache: bool,
    engine: EngineOptions,
    console: Console,
) -> int:
    """Write a Kaggle submission for the test photos in DIR.

    Rows are `id,label`, sorted by id; label is the probability of dog, clipped to the bound
    kept with the weights. A photo that cannot be read gets 0.5.
    """
    check_paths([folder])
    check_table_name(output, (".csv",))
    ids, program_folders = numbered_photos(folder)
    for line in (*program_folder_lines(program_folders), *check_writable(output)):
        console.say(line)
    classifier = engine.open(console)
    clip = classifier.weights.clip
    labels: dict[int, float] = {}
    failed = 0
    with open_cache(no_cache, console) as cache:
        photos = map(Photo, ids)
        records = (
            classifier.predict_photos(photos)
            if cache is None
            else cache.predict(photos, classifier)
        )
        try:
            for record in console.watch(records, len(ids)):
                labels[ids[record.path]] = submission_label(record, clip, hard)
                failed += isinstance(record, Failure)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"{output} was not written") from None
    write_submission(output, labels, hard)
    console.say(f"{output}: {len(labels)} rows")
    if failed:
        console.warn(f"{failed} could not be read and got 0.5")
        return SOME_FAILED
    return 0
