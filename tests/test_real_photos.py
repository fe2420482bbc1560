"""The messy real folder, Kaggle's test photos and the validation photos (DOGSORT_DATA)."""

from __future__ import annotations

import csv
import shutil
from collections import Counter

import pytest
from conftest import files_below

from dogsort import Failure
from dogsort.results.text import printable


@pytest.fixture(scope="module")
def truth(data):
    with open(data / "photos_truth.csv", encoding="utf-8", newline="") as file:
        return {row["path"]: row["truth"] for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def records(data, classifier):
    root = data / "photos"
    return {r.path[len(str(root)) + 1 :]: r for r in classifier.predict(root)}


def test_every_file_gets_its_due(records, truth):
    assert set(records) == {path for path, what in truth.items() if what != "ignored"}
    failed = {path for path, record in records.items() if isinstance(record, Failure)}
    assert failed == {path for path, what in truth.items() if what == "error"}


def test_dogs_and_cats_are_found(records, truth):
    pets = {path: what for path, what in truth.items() if what in ("dog", "cat")}
    labelled = [path for path, what in pets.items() if records[path].label == what]
    unsure = [path for path in pets if records[path].label == "unsure"]
    assert len(pets) == 59
    assert len(labelled) >= 50
    assert len(labelled) + len(unsure) >= 55


def test_others_are_left_alone(records, truth):
    others = [path for path, what in truth.items() if what == "neither"]
    called = [path for path in others if records[path].label in ("dog", "cat")]
    assert len(called) <= 2, called
    assert records["formats/cat_and_dog.jpg"].label not in ("dog", "cat")


def test_orientation_and_copies_agree(records):
    duplicates = [records[f"dup/{letter}/photo.jpg"] for letter in "ab"]
    assert duplicates[0].p_dog == duplicates[1].p_dog


def test_moving_the_folder_loses_nothing(dogsort, data, tmp_path):
    album = shutil.copytree(data / "photos", tmp_path / "photos", symlinks=True)
    for path in [album, *album.rglob("*")]:
        path.chmod(0o755)
    before = files_below(album)
    table = tmp_path / "plan.csv"
    dry = dogsort(album, "--move", "--dry-run", "-o", table)
    assert dry.returncode == 3
    assert files_below(album) == before
    with table.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        rows = list(csv.DictReader(file))
    real = dogsort(album, "--move", "--verbose")
    assert real.returncode == 3
    steps = [line for line in real.stderr.decode().splitlines() if line.startswith("move ")]
    plan = [f"move {printable(row['source'])} -> {printable(row['target'])}" for row in rows]
    assert plan == steps
    after = files_below(album)
    assert Counter(after.values()) == Counter(before.values())
    filed = [path for path in after if path.startswith(("dog/", "cat/"))]
    assert len(filed) == len(steps) == len(set(after) - set(before))


def test_submission_of_kaggles_photos(dogsort, data, tmp_path):
    run = dogsort("submit", data / "test1", "-o", tmp_path / "submission.csv")
    assert run.returncode == 0
    with open(tmp_path / "submission.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["id"]) for row in rows] == list(range(1, 251))
    assert all(0 < float(row["label"]) < 1 for row in rows)
