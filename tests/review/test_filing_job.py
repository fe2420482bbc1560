"""Filing from the page: like the command, in the background, from where photos are now."""

from __future__ import annotations

import csv
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import files_below
from trees import edit, plant, stop, tree

from dogsort.errors import FilingError, UsageError
from dogsort.filing.job import Busy, Filer
from dogsort.filing.journal import FILE_NAME, FOLDER_NAME, reading
from dogsort.results.reading import Row

PHOTOS = {
    "rex.jpg": b"one",
    "rex.jpg.xmp": b"sidecar of one",
    "trip/rex.jpg": b"two",
    "trip/tom.jpg": b"three",
    "trip/odd.jpg": b"four",
    "tree.jpg": b"five",
}
LABELS = {
    "rex.jpg": "dog",
    "trip/rex.jpg": "dog",
    "trip/tom.jpg": "cat",
    "trip/odd.jpg": "unsure",
    "tree.jpg": "neither",
}


class Page:
    """What the server knows about an album: its rows, and what files them."""

    def __init__(self, folder: Path, labels: dict[str, str] = LABELS) -> None:
        self.folder = folder
        self.rows = [Row(str(folder / name), label, "here") for name, label in labels.items()]
        self.filer = Filer(str(folder), [str(folder)])
        self.filer.locate(row.path for row in self.rows)

    def correct(self, name: str, label: str) -> None:
        path = str(self.folder / name)
        self.rows = [replace(row, label=label) if row.path == path else row for row in self.rows]

    def plan(self, action="move", neither=False, unsure=False):
        return self.filer.plan(self.rows, action, neither, unsure)

    def file(self, action="move", neither=False, unsure=False):
        self.filer.file(self.rows, action, neither, unsure)
        return self.finished()

    def undo(self):
        self.filer.undo(self.rows)
        return self.finished()

    def finished(self):
        while not self.filer.job["finished"]:
            time.sleep(0.001)
        self.filer.close()
        return self.filer.job

    def places(self) -> dict[str, str]:
        """Where photos are now, by relative path."""
        return {
            os.path.relpath(row.path, self.folder): os.path.relpath(
                self.filer.place(row.path), self.folder
            )
            for row in self.rows
        }


@pytest.fixture
def page(tmp_path):
    plant(tmp_path / "album", PHOTOS)
    return Page(tmp_path / "album")


def test_the_plan_is_that_of_the_command(page, dogsort, tmp_path):
    plant(page.folder, {"dog/rex.jpg": b"another"})
    table = tmp_path / "table.csv"
    with table.open("w", newline="") as file:
        csv.writer(file).writerows(
            [("path", "label"), *((row.path, row.label) for row in page.rows)]
        )
    run = dogsort(
        *("file", table, "--photos", page.folder, "--move", "--dry-run", "--unsure-to", "unsure")
    )
    assert run.returncode == 0, run.stderr
    expected = list(csv.DictReader(run.stdout.decode().splitlines()))
    before = tree(page.folder)
    plan = page.plan(unsure=True)
    assert tree(page.folder) == before
    assert [(str(source), str(target)) for source, target in plan.pop("steps")] == [
        (row["source"], row["target"]) for row in expected
    ]
    assert plan == {
        "folder": str(page.folder),
        "counts": {"dog": 2, "cat": 1, "unsure": 1},
        "sidecars": 1,
        "conflicts": 2,
        "in_place": 0,
        "already": 0,
        "stays": 1,
        "failed": 0,
        "failures": [],
        "bytes": sum(int(row["bytes"]) for row in expected),
        "undoable": None,
    }


@pytest.mark.parametrize("action", ["move", "copy", "link", "hardlink"])
def test_filing_and_its_undo(page, action):
    before = tree(page.folder)
    job = page.file(action, neither=True)
    assert job["message"] == ""
    assert job["counts"] == {"dog": 2, "cat": 1, "neither": 1, "sidecar": 1}
    assert job["total"] == job["done"] == 5
    found, places = files_below(page.folder), page.places()
    assert {name: found[place] for name, place in places.items()} == {
        name: PHOTOS[name] for name in LABELS
    }
    if action == "move":
        assert {name: place.split(os.sep)[0] for name, place in places.items()} == {
            "rex.jpg": "dog",
            "trip/rex.jpg": "dog",
            "trip/tom.jpg": "cat",
            "trip/odd.jpg": "trip",
            "tree.jpg": "neither",
        }
        assert sorted(page.filer.take_moved()) == sorted(page.filer.filed)
    else:
        assert all(name == place for name, place in places.items())
    assert page.filer.take_moved() == []
    job = page.undo()
    assert (job["kind"], job["action"], job["message"]) == ("undo", action, "")
    assert job["total"] == job["done"] == 5
    assert tree(page.folder) == before
    assert page.filer.filed == {}
    assert page.undo()["message"] == "there is nothing to undo"


def test_a_moved_photo_is_corrected_and_filed_from_where_it_is(page, dogsort):
    before = tree(page.folder)
    page.file()
    after = tree(page.folder)
    # The server was started again in between.
    page = Page(page.folder)
    assert page.places()["rex.jpg"].startswith("dog/rex")
    page.correct("rex.jpg", "cat")
    page.correct("trip/tom.jpg", "neither")
    plan = page.plan()
    assert plan["counts"] == {"cat": 1}
    assert (plan["sidecars"], plan["in_place"], plan["failed"], plan["stays"]) == (1, 1, 1, 2)
    job = page.file()
    assert (job["counts"], job["failed"]) == ({"cat": 1, "sidecar": 1}, plan["failures"])
    found = files_below(page.folder)
    assert found[page.places()["rex.jpg"]] == PHOTOS["rex.jpg"]
    assert page.places()["rex.jpg"].startswith("cat/")
    assert found[page.places()["rex.jpg"] + ".xmp"] == PHOTOS["rex.jpg.xmp"]
    assert page.plan()["counts"] == {}
    assert Page(page.folder).places() == page.places()
    assert page.undo()["counts"] == {"cat": 1, "sidecar": 1}
    assert tree(page.folder) == after
    assert dogsort("undo", page.folder).returncode == 0
    assert tree(page.folder) == before
    page.filer.locate(row.path for row in page.rows)
    assert page.filer.filed == {}


def test_photos_that_have_gone_or_changed_are_named(dogsort, album, tmp_path):
    dogsort(album, "-o", tmp_path / "table.csv")  # so that the cache knows them
    page = Page(album, {"kitten.jpeg": "cat", "chelsea.png": "cat", "rocket.jpg": "neither"})
    (album / "kitten.jpeg").unlink()
    edit(album / "chelsea.png", b"edited")
    plan = page.plan()
    assert plan["failures"] == [
        (str(album / "kitten.jpeg"), "gone since it was classified"),
        (str(album / "chelsea.png"), "changed since it was classified"),
    ]
    assert (plan["failed"], plan["stays"], plan["counts"]) == (2, 1, {})
    job = page.file()
    assert (job["total"], job["done"], job["failures"]) == (2, 2, 2)
    assert job["failed"] == plan["failures"]


def test_nothing_is_filed_where_it_cannot_be(page, tmp_path):
    with pytest.raises(UsageError, match="dogsort file with --to FOLDER"):
        Filer(None, []).plan(page.rows, "move", False, False)
    with pytest.raises(UsageError, match="unknown action 'delete'"):
        page.plan("delete")
    plant(page.folder, {"neither/own.jpg": b"own"})
    with pytest.raises(UsageError, match="neither has photos of yours"):
        page.plan(neither=True)
    (page.folder / "dog").write_bytes(b"")
    for ask in (page.plan, page.file):
        with pytest.raises(FilingError, match="not a folder, so nothing can be filed"):
            ask()
    assert page.filer.job is None


def test_an_interrupted_run_is_continued(page):
    before = tree(page.folder)
    page.file()
    stop(page.folder)
    assert page.file()["message"] == ""
    page.undo()
    assert tree(page.folder) == before


def test_what_can_be_undone_is_known_after_a_restart_too(page):
    number = page.file()["number"]
    undoable = page.filer.job["undoable"]
    assert (undoable["action"], undoable["counts"]) == ("move", {"dog": 2, "cat": 1, "sidecar": 1})
    assert undoable["command"] == f"dogsort undo {page.folder}"
    page.correct("rex.jpg", "cat")
    assert page.file()["undoable"]["counts"] == {"cat": 1, "sidecar": 1}
    assert page.filer.job["number"] == number + 1
    assert page.undo()["undoable"] == undoable
    page = Page(page.folder)
    assert page.plan()["undoable"] == undoable
    assert page.undo()["undoable"] is None
    assert page.plan()["undoable"] is None


def test_a_damaged_journal_is_a_message(page):
    page.file()
    (page.folder / FOLDER_NAME / FILE_NAME).write_bytes(b"damaged" * 1000)
    with pytest.raises(FilingError, match="damaged"):
        page.plan()
    for job in (page.file(), page.undo()):
        assert "damaged" in job["message"]


def test_a_link_out_of_the_folder_is_not_followed(page, tmp_path):
    page.file()
    os.rename(page.folder / "cat", tmp_path / "private")
    (page.folder / "cat").symlink_to(tmp_path / "private")
    page.filer.locate(row.path for row in page.rows)
    assert page.places()["trip/tom.jpg"] == "trip/tom.jpg"
    assert page.places()["rex.jpg"] == os.path.join("dog", "rex.jpg")


def test_a_photo_put_back_is_followed_only_inside_the_folder(page, tmp_path):
    page.file()
    moved = page.places()
    page.undo()
    late = Page(page.folder, {moved["trip/tom.jpg"]: "cat", moved["rex.jpg"]: "dog"})
    assert late.places()[moved["trip/tom.jpg"]] == os.path.join("trip", "tom.jpg")
    os.rename(page.folder / "trip", tmp_path / "private")
    (page.folder / "trip").symlink_to(tmp_path / "private")
    late.filer.locate(row.path for row in late.rows)
    assert late.places() == {
        moved["trip/tom.jpg"]: moved["trip/tom.jpg"],
        moved["rex.jpg"]: "rex.jpg",
    }
    # Into another folder, and back out of it.
    other = Filer(str(tmp_path / "other"), [str(page.folder)])
    page.filer = other
    page.file()
    target = page.filer.filed[page.rows[0].path]
    page.undo()
    other.locate([target])
    assert other.place(target) == target


def test_a_photo_is_one_row_and_undone_runs_take_no_more_room_each_time(page):
    for _ in range(4):
        page.file()
        moved = page.places()["rex.jpg"]
        page.undo()
    with reading(str(page.folder)) as journal:
        # The last run's, and what it left of the one before.
        assert sum(len(journal.steps(run)) for run in journal.runs()) <= 7
    both = Page(page.folder, {"rex.jpg": "cat", moved: "dog"})
    assert both.places() == {"rex.jpg": "rex.jpg", moved: moved}
    both.correct(moved, "cat")
    assert both.plan()["counts"] == {"cat": 1}


def test_stopping_keeps_what_is_done_and_photos_are_found_all_along(quick_path):
    # More than a batch of 4,096.
    names = [f"{number}.jpg" for number in range(6000)]
    plant(quick_path, dict.fromkeys(names, b"photo"))
    page = Page(quick_path, dict.fromkeys(names, "dog"))
    page.filer.file(page.rows, "move", False, False)
    with pytest.raises(Busy):
        page.filer.undo(page.rows)
    while not page.filer.job["total"]:
        time.sleep(0.001)
    page.filer.stop()
    job = page.finished()
    assert len(list(quick_path.rglob("*.jpg"))) == 6000
    moved = len(page.filer.filed)
    assert (moved, job["message"][:7]) in ((0, "stopped"), (4096, "stopped"), (6000, ""))
    assert job["done"] == moved
    assert len(page.filer.take_moved()) == moved
    assert page.plan()["counts"].total() == 6000 - moved
    page.filer.file(page.rows, "move", False, False)
    while not page.filer.job["finished"]:
        for row in page.rows[::500]:
            # It may be moved between the two checks.
            assert any(os.path.lexists(page.filer.place(row.path)) for _ in range(3))
    assert page.finished()["counts"].total() == 6000 - moved
    assert len(page.filer.take_moved()) == 6000 - moved
    # The two are one run.
    assert page.undo()["counts"] == {"dog": 6000}
    assert sorted(path.name for path in quick_path.glob("*.jpg")) == sorted(names)


@pytest.mark.slow
def test_a_messy_folder_is_sorted_by_its_truth(data, tmp_path):
    folder = tmp_path / "photos"
    shutil.copytree(data / "photos", folder)
    with open(data / "photos_truth.csv", newline="", encoding="utf-8") as file:
        truth = {row["path"]: row["truth"] for row in csv.DictReader(file)}
    labels = {
        path: None if label == "error" else "unsure" if label == "both" else label
        for path, label in truth.items()
        if label != "ignored"
    }
    before = tree(folder)
    page = Page(folder, labels)
    plan = page.plan(neither=True, unsure=True)
    job = page.file(neither=True, unsure=True)
    assert (job["message"], job["failures"]) == ("", 0)
    expected = {name: sum(label == name for label in labels.values()) for name in plan["counts"]}
    assert plan["already"] > 0  # the same photo under two names stays
    assert plan["counts"].total() + plan["already"] == sum(expected.values())
    for name, place in page.places().items():
        if labels[name] is not None and place != name:
            assert place.split(os.sep)[0] == labels[name]
    page.undo()
    assert tree(folder) == before
