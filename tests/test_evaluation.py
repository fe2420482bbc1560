"""``dogsort eval``: the statistics, the report, and the command."""

from __future__ import annotations

import json
import math
import re
import shutil
from itertools import product

import numpy as np
import pytest
from conftest import EXAMPLES
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dogsort.decision import decide
from dogsort.evaluation.labelled import LabelledPhoto, find_labelled
from dogsort.evaluation.metrics import (
    Evaluation,
    Share,
    bootstrap,
    calibration_bins,
    calibration_error,
    evaluate_groups,
    log_loss,
    roc_auc,
)
from dogsort.evaluation.report import make_report
from dogsort.evaluation.robustness import CHANGES, predict_changed
from dogsort.records import Failure, Prediction, Thresholds

SCORED = st.lists(st.tuples(st.integers(0, 10), st.booleans()), min_size=1, max_size=40)


def arrays(scored):
    values, outcomes = zip(*scored, strict=True)
    return np.array(values) / 10, np.array(outcomes, bool)


CHANCES = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=5)


@given(CHANCES, st.builds(Thresholds, st.floats(0, 1), st.floats(0, 1)))
def test_decisions_at_once_are_the_decisions_one_by_one(chances, thresholds):
    p_dog, p_pet = np.array(chances).reshape(-1, 2).T
    labels, confidences = decide(p_dog, p_pet, thresholds)
    for index, label in enumerate(labels):
        one = slice(index, index + 1)
        alone = decide(p_dog[one], p_pet[one], thresholds)
        assert alone == (label, confidences[index])


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
    said, came, photos = calibration_bins(probabilities, outcomes).T
    assert photos.sum() == len(scored)
    assert (said * photos).sum() == pytest.approx(probabilities.sum())
    assert came.sum() == outcomes.sum()
    assert (np.diff(said) >= -1e-12).all()
    assert 0 <= calibration_error(probabilities, outcomes) <= 1


def test_calibration_error_is_the_distance_from_the_truth():
    probabilities = np.repeat([0.2, 0.6], 500)
    outcomes = np.tile([True] * 2 + [False] * 8, 50), np.tile([True] * 7 + [False] * 3, 50)
    error = calibration_error(probabilities, np.concatenate(outcomes))
    assert error == pytest.approx(0.05, abs=0.01)  # correct for one half, off by 0.1 for the other


def test_intervals():
    assert Share(0, 0).interval == (0.0, 1.0)
    low, high = Share(90, 100).interval  # Wilson's formula, by hand
    assert (round(low, 4), round(high, 4)) == (0.8256, 0.9448)
    rng = np.random.default_rng(1)
    probabilities = rng.random(2000)
    outcomes = rng.random(2000) < probabilities
    loss = bootstrap(lambda p, y: log_loss(p, y, 0.0), probabilities, outcomes)
    low, high = loss.interval
    deviation = (high - low) / 4
    per_photo = -np.log(np.where(outcomes, probabilities, 1 - probabilities))
    assert deviation == pytest.approx(per_photo.std() / math.sqrt(2000), rel=0.1)
    assert low < loss.value < high
    error = bootstrap(calibration_error, probabilities, outcomes)
    assert error.interval[0] <= error.value <= error.interval[1]
    assert math.isnan(bootstrap(roc_auc, probabilities, outcomes | True).value)


def test_log_loss_of_a_certain_mistake_is_finite():
    assert log_loss(np.array([0.0]), np.array([True]), 0.0) < 40


PAIRS = [
    (LabelledPhoto("a/dog/1", "dog", "a"), Prediction("a/dog/1", "dog", 0.9, 0.9, 0.81)),
    (LabelledPhoto("a/dog/2", "dog", "a"), Prediction("a/dog/2", "unsure", 0.4, 0.9, 0.54)),
    (LabelledPhoto("b/cat/1", "cat", "b"), Prediction("b/cat/1", "cat", 0.0, 0.9, 0.9)),
    (LabelledPhoto("b/cat/2", "cat", "b"), Prediction("b/cat/2", "neither", 0.4, 0.1, 0.9)),
    (LabelledPhoto("c/neither/1", "neither", "c"), Prediction("c/neither/1", "dog", 0.9, 0.9, 0.8)),
    (LabelledPhoto("c/neither/2", "neither", "c"), Prediction("c/neither/2", "neither", 1, 0, 1)),
]


def test_evaluation():
    result = Evaluation(PAIRS, clip=0.1)
    assert result.photos == 6
    assert result.accuracy == Share(3, 4)
    losses = -np.log([0.9, 0.4, 0.9, 0.6])
    assert result.log_loss.value == pytest.approx(losses.mean())
    assert result.roc_auc_dog.value == pytest.approx(0.875)  # a pair with equal chances counts half
    assert result.roc_auc_pet.value == pytest.approx((3 * 0.5 + 0 + 4) / 8)
    assert result.pets_labelled == Share(2, 4)
    assert result.labelled_wrongly == Share(1, 3)
    assert result.neither_labelled == Share(1, 2)
    assert result.right == Share(3, 6)
    assert result.wrong == Share(1, 6)
    assert result.missed == Share(1, 6)
    assert result.unsure == Share(1, 6)
    assert result.precision == {"dog": Share(1, 2), "cat": Share(1, 1), "neither": Share(1, 2)}
    assert result.recall == {"dog": Share(1, 2), "cat": Share(1, 2), "neither": Share(1, 2)}
    counts = [list(row.values()) for row in result.confusion.values()]
    assert counts == [[1, 0, 0, 1], [0, 1, 1, 0], [1, 0, 1, 0]]


def test_a_dog_called_cat_is_wrong_and_nothing_is_left_over():
    dog = LabelledPhoto("1", "dog")
    result = Evaluation([(dog, Prediction("1", "cat", 0.1, 0.9, 0.81))], clip=0.1, brief=True)
    assert result.wrong == Share(1, 1)
    for part in (result, Evaluation([], clip=0.1), Evaluation(PAIRS, clip=0.1, brief=True)):
        outcomes = (part.right, part.wrong, part.missed, part.unsure)
        assert sum(share.count for share in outcomes) == part.photos


def test_groups_are_evaluated_by_themselves_without_failures():
    records = [(photo.group, photo, said) for photo, said in PAIRS]
    records.insert(1, ("broken", PAIRS[0][0], Failure("a/dog/1", "damaged")))
    groups = evaluate_groups(iter(records), clip=0.1)
    assert {name: part.photos for name, part in groups.items()} == {"a": 2, "b": 2, "c": 2}
    assert groups["c"].wrong == Share(1, 2)


def report_of(pairs):
    return make_report(*zip(*pairs, strict=True), clip=0.1)


def test_report_leaves_out_what_could_not_be_read_and_tells_nothing_of_nothing():
    broken = (LabelledPhoto("a/dog/broken", "dog", "a"), Failure("a/dog/broken", "damaged"))
    report = report_of([PAIRS[0], broken, *PAIRS[1:]])
    assert report.pairs == PAIRS
    assert list(report.folders) == ["a", "b", "c"]
    figures = report.as_json()
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures
    names = {"photos", "accuracy", "log_loss", "right", "wrong", "missed", "unsure"}
    assert set(figures["folders"]["a"]) == names
    assert figures["folders"]["c"]["accuracy"] is None
    assert figures["folders"]["b"]["accuracy"]["value"] == 1
    assert figures["folders"]["b"]["missed"]["count"] == 1
    assert names <= set(figures)
    assert not any("nan" in cell for table in report.tables() for row in table for cell in row)
    # Sorted by the probability of the truth, not by the confidence in the label.
    worst = [photo.path for _, photo, _ in report.worst(9)]
    assert worst == ["b/cat/2", "c/neither/1", "a/dog/2"]


def folders_of(report):
    """Return the table of folders, header first."""
    return list(report.tables())[2]


def test_folders_are_rows_of_one_table():
    rows = folders_of(report_of(PAIRS))
    assert rows[0] == ["folder", "photos", "told apart", "right", "wrong", "missed", "unsure"]
    assert [row[:2] for row in rows[1:]] == [["a", "2"], ["b", "2"], ["c", "2"], ["all", "6"]]
    half, none = "50.00% (9.45-90.55)", "0.00% (0.00-65.76)"
    assert rows[1][2:] == [half, half, none, "0.00%", "50.00%"]
    assert rows[2][2:] == ["100.00% (34.24-100.00)", half, none, "50.00%", "0.00%"]
    assert rows[3][2:] == ["-", half, half, "0.00%", "0.00%"]
    assert rows[4][2:4] == ["75.00% (30.06-95.44)", "50.00% (18.76-81.24)"]


def test_one_folder_is_no_row_beside_all():
    report = report_of(PAIRS[:2])
    assert [row[0] for row in folders_of(report)] == ["folder", "all"]
    assert report.as_json()["folders"] == {}


@pytest.fixture
def labelled(tmp_path):
    """Photos in two folders, one wrongly labelled, with names that have a meaning in HTML."""
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
    assert re.search(r"^home +2 +100\.00% ", text, re.MULTILINE)
    assert re.search(r"^kennel +2 +50\.00% ", text, re.MULTILINE)
    assert re.search(r"^all +4 +66\.67% .*[0-9]%$", text, re.MULTILINE)

    page = files["--report"].read_text()
    sources = re.findall(r'(?:src|href)="([^"]{5})', page)
    assert set(sources) == {"data:"}
    assert len(sources) == 2  # the charts, and the photo that is wrong
    assert re.search("<td>kennel</td><td>2</td><td>50.00% ", page)
    assert re.search("<td>all</td><td>4</td><td>66.67% ", page)
    assert "<b>" not in page
    assert re.search('<span class="chip (dog|cat|neither|unsure)">', page)
    assert "--ground: " in page  # the theme of dogsort review
    assert "&lt;b&gt;&amp;kitten.jpeg" in page
    assert "66.67%" in page

    run = dogsort("eval", labelled, "-o", "-")
    assert json.loads(run.stdout) == figures
    assert "accuracy, dog vs. cat" in run.stderr.decode()


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
    """Without pets, or with one species only, a figure that is undefined is null."""
    for folder, missing in ((labelled / "home" / "neither", "accuracy"), (labelled / "kennel", "")):
        page = tmp_path / "page.html"
        run = dogsort("eval", folder, "-o", "-", "--report", page, "--worst", 0)
        assert run.returncode == 0, run.stderr.decode()
        figures = json.loads(run.stdout)
        assert figures["roc_auc_dog"] is None
        assert (figures["accuracy"] is None) == bool(missing)
        assert "nan" not in run.stderr.decode()
        assert page.read_text().count("<img") == 1


def test_folders_of_the_same_name_stay_apart(dogsort, labelled):
    run = dogsort("eval", labelled / "home" / "cat", labelled / "kennel" / "dog", "-o", "-")
    assert run.returncode == 0, run.stderr.decode()
    assert set(json.loads(run.stdout)["folders"]) == {"home", "kennel"}


def test_changed_copies_of_a_long_strip(classifier, tmp_path):
    (tmp_path / "dog").mkdir()
    Image.new("RGB", (4000, 2), "white").save(tmp_path / "dog" / "strip.png")
    shutil.copy(EXAMPLES / "running_dog.jpeg", tmp_path / "dog")
    photos, _ = find_labelled([str(tmp_path)])
    records = list(predict_changed(photos, classifier))
    assert [(name, photo) for name, photo, _ in records] == list(product(CHANGES, photos))
    changed = evaluate_groups(records, clip=0.01)
    assert changed["greyscale"].photos == 2
    assert all(1 <= result.photos <= 2 for result in changed.values())


def test_changed_copies_come_one_by_one(classifier, tmp_path):
    shutil.copy(EXAMPLES / "running_dog.jpeg", tmp_path / "dog.1.jpeg")
    photos, _ = find_labelled([str(tmp_path)])
    # Endless: the first record comes before the other copies are made.
    name, photo, record = next(predict_changed(photos * 10**6, classifier))
    assert (name, photo.truth, record.label) == (next(iter(CHANGES)), "dog", "dog")
