"""``dogsort eval DIR``: how good the network is on labelled photos."""

from __future__ import annotations

import json

import click

import dogsort
from dogsort.cli.console import Console, console_options
from dogsort.cli.options import (
    FILE,
    FOLDER,
    HELP,
    SOME_FAILED,
    EngineOptions,
    engine_options,
    examples,
    min_confidence_option,
)
from dogsort.extras import check_extra
from dogsort.photos.scan import check_paths
from dogsort.results.output import check_writable, write_text
from dogsort.results.tables import check_table_name
from dogsort.results.text import program_folder_lines

__all__ = ["evaluate"]


@click.command(
    "eval",
    context_settings=HELP,
    epilog=examples(
        "dogsort eval labelled", "dogsort eval labelled -o figures.json --report report.html"
    ),
    short_help="Measure on labelled photos.",
)
@click.argument("folders", nargs=-1, required=True, type=FOLDER, metavar="DIR...")
@click.option(
    "--worst",
    type=click.IntRange(min=0),
    default=10,
    show_default=True,
    metavar="N",
    help="How many of the worst photos to name.",
)
@min_confidence_option
@click.option(
    "--robustness",
    is_flag=True,
    help="Also evaluate changed copies: squashed, blurred, dark ... (takes many times as long).",
)
@click.option(
    "-o",
    "--output",
    type=FILE,
    help="Write the figures as JSON; - is stdout, and the report goes to stderr.",
)
@click.option(
    "--report",
    type=FILE,
    help="Write a page with charts and the worst photos: one .html file.",
)
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
    """Compare predictions with labels: folders dog, cat, neither, or names as cat.1.jpg."""
    check_paths(folders)
    for target, suffix in ((output, ".json"), (report, ".html")):
        if target is not None and (target, suffix) != ("-", ".json"):
            check_table_name(target, (suffix,))
            for line in check_writable(target):
                console.say(line)
    if report is not None:
        check_extra("report", "--report")
    from dogsort.evaluation.labelled import find_labelled
    from dogsort.evaluation.metrics import evaluate_groups
    from dogsort.evaluation.report import make_report
    from dogsort.evaluation.robustness import CHANGES, predict_changed

    photos, program_folders = find_labelled(folders)
    for line in program_folder_lines(program_folders):
        console.say(line)
    classifier = engine.open(console, min_confidence)
    paths = [photo.path for photo in photos]
    records = list(console.watch(classifier.predict(paths), len(paths)))
    made = make_report(photos, records, classifier.weights.clip)
    if robustness:
        read = [photo for photo, _ in made.pairs]
        copies = predict_changed(read, classifier)
        counted = console.count(copies, len(CHANGES) * len(read), "changed copies")
        made.changed = evaluate_groups(counted, classifier.weights.clip)
    tell = console.say if output == "-" else console.data
    for line in made.lines(worst):
        tell(line)
    if output is not None:
        write_text(output, json.dumps(made.as_json(), indent=2) + "\n")
    if report is not None:
        from dogsort.evaluation.html import evaluation_page

        title = f"dogsort {dogsort.__version__} on {', '.join(folders)}"
        write_text(report, evaluation_page(title, made, worst))
    failed = len(records) - len(made.pairs)
    if failed:
        console.warn(f"{failed} could not be read and count for nothing")
    return SOME_FAILED if failed else 0
