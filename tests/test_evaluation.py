"""How good it is: the statistics, the report, and the command that makes it."""

from __future__ import annotations

import json
import math
import re
import shutil

import numpy as np
import pytest
from conftest import EXAMPLES
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dogsort.records import LABELS, Failure, Prediction
from dogsort.training.dataset import LabelledPhoto, find_labelled
from dogsort.training.evaluate import evaluate, label_indices
from dogsort.training.figures import (
    Share,
    bootstrap,
    calibration_bins,
    calibration_error,
    log_loss,
    roc_auc,
    wilson_interval,
)
from dogsort.training.report import make_report
from dogsort.training.robustness import changed_evaluations
from dogsort.verdict import decide

SCORED = st.lists(st.tuples(st.integers(0, 10), st.booleans()), min_size=1, max_size=40)


def arrays(scored):
    values, outcomes = zip(*scored, strict=True)
    return np.array(values) / 10, np.array(outcomes, bool)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_many_labels_at_once_are_the_labels_one_by_one(p_dog, p_pet, bar, species_bar):
    (index,) = label_indices(np.array([p_dog]), np.array([p_pet]), bar, species_bar)
    assert LABELS[index] == decide(p_dog, p_pet, bar, species_bar)[0]


@given(SCORED)
def test_roc_auc_counts_pairs(scored):
    positives = [value for value, outcome in scored if outcome]
    negatives = [value for value, outcome in scored if not outcome]
    pairs = [(p > n) + (p == n) / 2 for p in positives for n in negatives]
    area = roc_auc(*arrays(scored))
    assert area == pytest.approx(np.mean(pairs)) if pairs else math.isnan(area)


@given(SCORED)
def test_calibration_bins_hold_every_photo_once(scored):
    probabilities, outcomes = arrays(scored)
    bins = calibration_bins(probabilities, outcomes)
    assert bins[:, 2].sum() == pytest.approx(1)
    assert (bins[:, 0] * bins[:, 2]).sum() == pytest.approx(probabilities.mean())
    assert (bins[:, 1] * bins[:, 2]).sum() == pytest.approx(outcomes.mean())
    assert (np.diff(bins[:, 0]) >= -1e-12).all()
    assert 0 <= calibration_error(probabilities, outcomes) <= 1


def test_calibration_error_is_the_distance_from_the_truth():
    probabilities = np.repeat([0.2, 0.6], 500)
    outcomes = np.tile([True] * 2 + [False] * 8, 50), np.tile([True] * 7 + [False] * 3, 50)
    error = calibration_error(probabilities, np.concatenate(outcomes))
    assert error == pytest.approx(0.05, abs=0.01)  # right for one half, off by 0.1 for the other


def test_intervals():
    assert wilson_interval(0, 0) == (0.0, 1.0)
    low, high = wilson_interval(90, 100)  # as in Wilson's formula worked by hand
    assert (round(low, 4), round(high, 4)) == (0.8256, 0.9448)
    rng = np.random.default_rng(1)
    probabilities = rng.random(2000)
    outcomes = rng.random(2000) < probabilities
    loss = bootstrap(lambda p, y: log_loss(p, y, 0.0), probabilities, outcomes)
    deviation = (loss.high - loss.low) / 4
    per_photo = -np.log(np.where(outcomes, probabilities, 1 - probabilities))
    assert deviation == pytest.approx(per_photo.std() / math.sqrt(2000), rel=0.1)
    assert loss.low < loss.value < loss.high
    error = bootstrap(calibration_error, probabilities, outcomes)
    assert error.low <= error.value <= error.high
    assert math.isnan(bootstrap(roc_auc, probabilities, outcomes | True).value)


def test_log_loss_of_a_certain_mistake_is_finite():
    assert log_loss(np.array([0.0]), np.array([True]), 0.0) < 40


PREDICTIONS = [
    ("dog", Prediction("a/dog/1", "dog", 0.9, 0.9, 0.81)),
    ("dog", Prediction("a/dog/2", "unsure", 0.4, 0.9, 0.54)),
    ("cat", Prediction("b/cat/1", "cat", 0.0, 0.9, 0.9)),
    ("neither", Prediction("b/neither/1", "dog", 0.9, 0.9, 0.8)),
    ("neither", Prediction("b/neither/2", "neither", 0.5, 0.1, 0.9)),
]


def test_evaluation():
    truths, predictions = zip(*PREDICTIONS, strict=True)
    result = evaluate(truths, predictions, clip=0.1)
    assert result.photos == 5
    assert result.accuracy == Share(2, 3)
    assert result.log_loss.value == pytest.approx(-(2 * np.log(0.9) + np.log(0.4)) / 3)
    assert result.roc_auc_dog.value == 1
    assert result.roc_auc_pet.value == pytest.approx(0.75)  # half of each pair with equal chances
    assert result.pets_labelled == Share(2, 3)
    assert result.labelled_wrongly == Share(1, 3)
    assert result.neither_labelled == Share(1, 2)
    assert result.precision == {"dog": Share(1, 2), "cat": Share(1, 1), "neither": Share(1, 1)}
    assert result.recall == {"dog": Share(1, 2), "cat": Share(1, 1), "neither": Share(1, 2)}
    assert result.confusion.tolist() == [[1, 0, 0, 1], [0, 1, 0, 0], [1, 0, 1, 0]]


def test_report_leaves_out_what_could_not_be_read_and_what_is_not_there():
    photos = [LabelledPhoto(p.path, truth, p.path[0]) for truth, p in PREDICTIONS]
    records = [p for _, p in PREDICTIONS]
    photos.insert(1, LabelledPhoto("a/dog/broken", "dog", "a"))
    records.insert(1, Failure("a/dog/broken", "damaged"))
    report = make_report(photos, records, clip=0.1)
    assert [photo.path for photo in report.photos] == [p.path for _, p in PREDICTIONS]
    assert list(report.folders) == ["a", "b"]
    figures = report.as_json()
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures
    assert figures["folders"]["a"]["neither_labelled"] is None
    assert figures["folders"]["b"]["accuracy"]["value"] == 1
    text = "\n".join(report.lines(worst=9))
    assert "nan" not in text
    # In the order of the chance that the truth was given, not of the confidence in the label.
    worst = [photo.path for photo in report.worst(9)]
    assert worst == ["b/neither/1", "a/dog/2"]


@pytest.fixture
def labelled(tmp_path):
    """Photos in two folders, one wrongly labelled, under names that mean something in HTML."""
    root = tmp_path / "labelled"
    for place, truth, name in (
        ("home", "cat", "chelsea.png"),
        ("home", "neither", "rocket.jpg"),
        ("kennel", "dog", "running_dog.jpeg"),
        ("kennel", "dog", "kitten.jpeg"),
    ):
        folder = root / place / truth
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(EXAMPLES / name, folder / f"<b>&{name}")
    return root


def test_eval_writes_report_and_figures(dogsort, labelled, tmp_path):
    files = {"-o": tmp_path / "figures.json", "--report": tmp_path / "report.html"}
    run = dogsort("eval", labelled, *(part for pair in files.items() for part in pair))
    assert run.returncode == 0, run.stderr.decode()
    figures = json.loads(files["-o"].read_text())
    assert figures["accuracy"]["count"] == 2
    assert figures["accuracy"]["low"] < figures["accuracy"]["value"] < figures["accuracy"]["high"]
    assert figures["folders"]["kennel"]["accuracy"]["value"] == 0.5
    text = run.stdout.decode()
    assert "home: 2 photos" in text
    assert "4 photos, 3 of them dogs or cats" in text

    page = files["--report"].read_text()
    sources = re.findall(r'(?:src|href)="([^"]{5})', page)
    assert set(sources) == {"data:"}
    assert len(sources) >= 4  # three charts and the photo that is wrong
    assert "<b>" not in page
    assert "&lt;b&gt;&amp;kitten.jpeg" in page
    assert "66.67%" in page

    run = dogsort("eval", labelled, "-o", "-")
    assert json.loads(run.stdout) == figures
    assert "accuracy, dog against cat" in run.stderr.decode()


def test_eval_on_changed_copies(dogsort, labelled):
    run = dogsort("eval", labelled / "home", "--robustness", "-o", "-")
    assert run.returncode == 0, run.stderr.decode()
    changed = json.loads(run.stdout)["changed"]
    assert len(changed) == 10
    assert changed["turned, upright by EXIF"]["accuracy"]["value"] == 1
    assert changed["greyscale"]["neither_labelled"]["value"] == 0
    assert "12 megapixels" in run.stderr.decode()


@pytest.mark.parametrize(
    ("option", "name", "message"),
    [
        ("-o", "figures.csv", "the name must end in .json"),
        ("--report", "report.pdf", "the name must end in .html"),
        ("--report", "-", "the name must end in .html"),
        ("--report", "nowhere/report.html", "does not exist"),
    ],
)
def test_eval_refuses_targets_before_any_work(dogsort, tmp_path, labelled, option, name, message):
    run = dogsort("eval", labelled, option, name, cwd=tmp_path)
    assert run.returncode in (1, 2)
    assert message in run.stderr.decode()
    assert not run.stdout


def test_photos_of_one_kind_only(dogsort, labelled, tmp_path):
    """No pets, or nothing but one species: what cannot be told is left out."""
    for folder, missing in ((labelled / "home" / "neither", "accuracy"), (labelled / "kennel", "")):
        page = tmp_path / "page.html"
        run = dogsort("eval", folder, "-o", "-", "--report", page, "--worst", 0)
        assert run.returncode == 0, run.stderr.decode()
        figures = json.loads(run.stdout)
        assert figures["roc_auc_dog"] is None
        assert (figures["accuracy"] is None) == bool(missing)
        assert "nan" not in run.stderr.decode()
        assert page.read_text().count("<img") == 3


def test_folders_of_the_same_name_stay_apart(dogsort, labelled):
    run = dogsort("eval", labelled / "home" / "cat", labelled / "kennel" / "dog", "-o", "-")
    assert run.returncode == 0, run.stderr.decode()
    assert set(json.loads(run.stdout)["folders"]) == {"home", "kennel"}


def test_changed_copies_of_a_long_strip(classifier, tmp_path):
    (tmp_path / "dog").mkdir()
    Image.new("RGB", (4000, 2), "white").save(tmp_path / "dog" / "strip.png")
    shutil.copy(EXAMPLES / "running_dog.jpeg", tmp_path / "dog")
    photos = find_labelled([str(tmp_path)])
    changed = changed_evaluations(photos, classifier, lambda pairs, total, what: pairs)
    assert changed["greyscale"].photos == 2
    assert all(1 <= result.photos <= 2 for result in changed.values())
