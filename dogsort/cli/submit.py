"""``dogsort submit DIR -o FILE``: a Kaggle submission."""

from __future__ import annotations

import click

from dogsort.cli.console import Console, console_options
from dogsort.cli.options import (
    FILE,
    FOLDER,
    SOME_FAILED,
    EngineOptions,
    cache_option,
    check_output,
    command,
    engine_options,
    open_cache,
)
from dogsort.photos.scan import check_paths
from dogsort.records import Failure, Photo
from dogsort.results.kaggle import (
    missing_ids,
    numbered_photos,
    submission_label,
    upload_command,
    write_submission,
)
from dogsort.results.tables import check_table_name
from dogsort.results.text import program_folder_lines

__all__ = ["submit"]


@command(
    "submit",
    "dogsort submit test1 -o submission.csv",
    "dogsort submit test1 -o submission.csv --hard",
    short_help="Write a file for Kaggle's Dogs vs. Cats.",
)
@click.argument("folder", type=FOLDER, metavar="DIR")
@click.option("-o", "--output", required=True, type=FILE, help="The CSV file to write.")
@click.option(
    "--hard", is_flag=True, help="Write 1 for dog and 0 for cat, for the 2013 competition."
)
@cache_option
@engine_options
@console_options
def submit(
    folder: str, output: str, hard: bool, no_cache: bool, engine: EngineOptions, console: Console
) -> int:
    """Write a submission for Kaggle's Dogs vs. Cats from the test photos in DIR.

    The file is for the Redux edition, or with --hard for the 2013 competition; the command to
    upload it is printed at the end. Rows are `id,label`, sorted by id; label is the probability of
    dog, clipped to a bound stored with the weights. A photo that cannot be read gets 0.5.
    """
    check_paths([folder])
    check_table_name(output, (".csv",))  # so not stdout
    check_output(output, (".csv",), console)
    ids, program_folders = numbered_photos(folder)
    console.say(*program_folder_lines(program_folders))
    if missing := missing_ids(ids.values()):
        last = max(ids.values())
        console.warn(f"{folder}: Kaggle needs every id; missing between 1 and {last}: {missing}")
    classifier = engine.open(console)
    clip = classifier.weights.clip
    labels: dict[int, float] = {}
    failed = 0
    with open_cache(no_cache, console) as cache:
        records = cache.predict(map(Photo, ids), classifier)
        try:
            for record in console.watch(records, len(ids)):
                labels[ids[record.path]] = submission_label(record, clip, hard)
                failed += isinstance(record, Failure)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"{output} was not written") from None
    console.warn(*write_submission(output, labels, hard))
    rows = "1 row" if len(labels) == 1 else f"{len(labels)} rows"
    console.say(f"{output}: {rows}; upload it to Kaggle with:")
    console.say(upload_command(output, hard))
    if failed:
        console.warn(f"{failed} could not be read and got 0.5")
        return SOME_FAILED
    return 0
