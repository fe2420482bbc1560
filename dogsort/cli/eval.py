"""``dogsort eval DIR``: how good the network is on labelled photos."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

import dogsort
from dogsort.cli.console import Console, console_options
from dogsort.cli.options import (
    FILE,
    FOLDER,
    SOME_FAILED,
    EngineOptions,
    check_output,
    command,
    engine_options,
    min_confidence_option,
    number,
)
from dogsort.extras import check_extra
from dogsort.photos.scan import check_paths
from dogsort.records import Photo
from dogsort.results.output import write_text
from dogsort.results.tables import check_table_name
from dogsort.results.text import printable, program_folder_lines

if TYPE_CHECKING:
    from dogsort.evaluation.report import Report

__all__ = ["evaluate"]


@command(
    "eval",
    "dogsort eval labelled",
    "dogsort eval labelled -o figures.json --report report.html",
    short_help="Measure accuracy on labelled photos.",
)
@click.argument("folders", nargs=-1, required=True, type=FOLDER, metavar="DIR...")
@click.option(
    "--worst",
    type=number(0),
    default=10,
    show_default=True,
    help="How many of the worst photos to list.",
)
@min_confidence_option
@click.option(
    "--robustness", is_flag=True, help="Also evaluate altered copies: blurred, dark ... (slow)."
)
@click.option("-o", "--output", type=FILE, help="Write the figures as JSON; - is stdout.")
@click.option("--report", type=FILE, help="Write a page with charts and photos to an .html file.")
@engine_options
@console_options
def evaluate(
    folders: tuple[str, ...],
    worst: int,
    min_confidence: float | None,
    robustness: bool,
    output: str | None,
    report: str | None,
    engine: EngineOptions,
    console: Console,
) -> int:
    """Compare predictions with labels: folders dog, cat and neither, or names like cat.1.jpg.

    -o writes a JSON object with these keys: photos; accuracy, log_loss, roc_auc_dog and
    calibration_dog (dog vs. cat); roc_auc_pet and calibration_pet (pet or not); pets_labelled,
    neither_labelled and labelled_wrongly; right, wrong, missed and unsure (of all photos);
    precision and recall (for dog, cat and neither); confusion (numbers of photos by truth and
    label); folders, and with --robustness changed (some of these figures for each). A figure has
    value, low and high (the ends of its 95% interval); a share also has count and total. A figure
    without any photos is null.
    """
    check_paths(folders)
    check_output(output, (".json",), console)
    if report is not None:
        check_table_name(report, (".html",))  # so not stdout
        check_output(report, (".html",), console)
        check_extra("report", "--report")
    from dogsort.evaluation.labelled import find_labelled
    from dogsort.evaluation.metrics import evaluate_groups
    from dogsort.evaluation.report import make_report
    from dogsort.evaluation.robustness import CHANGES, predict_changed

    photos, program_folders = find_labelled(folders)
    console.say(*program_folder_lines(program_folders))
    classifier = engine.open(console, min_confidence)
    looked_at = classifier.predict_photos(Photo(photo.path) for photo in photos)
    records = list(console.watch(looked_at, len(photos)))
    made = make_report(photos, records, classifier.weights.clip)
    if robustness:
        read = [photo for photo, _ in made.pairs]
        copies = predict_changed(read, classifier)
        counted = console.watch(copies, len(CHANGES) * len(read), "changed copies")
        made.changed = evaluate_groups(counted, classifier.weights.clip)
    try:  # write first, because the reader of stdout may be gone
        if output is not None:
            console.warn(*write_text(output, json.dumps(made.as_json(), indent=2) + "\n"))
        if report is not None:
            from dogsort.evaluation.html import evaluation_page

            title = f"dogsort {dogsort.__version__} on {', '.join(folders)}"
            console.warn(*write_text(report, evaluation_page(title, made, worst)))
    finally:
        _show(made, worst, console, err=output == "-")
    failed = len(records) - len(made.pairs)
    if failed:
        console.warn(f"unreadable, so not counted: {failed}")
    return SOME_FAILED if failed else 0


def _show(report: Report, worst: int, console: Console, err: bool) -> None:
    """Print a report and its ``worst`` worst photos; with ``err``, on stderr."""
    from dogsort.evaluation.report import LEGEND

    tell = console.say if err else console.data
    tell(*LEGEND)
    for table in report.tables():
        tell("")
        console.table(table, err=err)
    head = ("p(truth)", "truth", "label", "worst photos")
    rows = [
        (f"{chance:.6f}", photo.truth, said.label, printable(photo.path))
        for chance, photo, said in report.worst(worst)
    ]
    if rows:
        tell("")
        console.table([head, *rows], figures=False, err=err)
