"""The album: corrections, undo, saving, and other programs that write the same table."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from dogsort.errors import DataError, OutputError, UsageError
from dogsort.filing.bounds import Bounds
from dogsort.filing.job import Filer
from dogsort.records import Failure, Prediction
from dogsort.results.reading import read_table
from dogsort.results.stored import StoredTable
from dogsort.review.album import Album, OldGeneration

ROWS = {"a.jpg": "dog", "b.jpg": "cat", "c.jpg": "unsure", "d.jpg": ""}


def write(path: Path, rows: dict[str, str]) -> None:
    replace(path, "path,label\n" + "".join(f"{name},{label}\n" for name, label in rows.items()))


def replace(path: Path, text: str) -> None:
    """Replace a file as careful programs do."""
    path.with_name("new").write_text(text)
    path.with_name("new").replace(path)


def labels(path: Path) -> dict[str, tuple[str | None, str | None]]:
    return {row.path: (row.label, row.network_label) for row in read_table(str(path))}


@pytest.fixture
def table(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "t.csv", ROWS)
    return tmp_path / "t.csv"


@pytest.fixture
def album(table) -> Album:
    return open_album(table)


def open_album(table: Path) -> Album:
    return Album(StoredTable(str(table)), Bounds(["."], is_table=True), Filer(None, ["."]))


def test_a_label_is_on_disk_with_what_the_network_said(album, table):
    assert album.label(album.generation, [0, 3], "cat") == 1
    assert labels(table) == {
        "a.jpg": ("cat", "dog"),
        "b.jpg": ("cat", None),
        "c.jpg": ("unsure", None),
        "d.jpg": ("cat", "failed"),
    }
    album.label(album.generation, [0], "neither")
    assert labels(table)["a.jpg"] == ("neither", "dog")


def test_confirming_says_that_a_person_looked(album, table):
    album.label(album.generation, [0, 1, 2, 3], None)
    assert labels(table) == {
        "a.jpg": ("dog", "dog"),
        "b.jpg": ("cat", "cat"),
        "c.jpg": ("unsure", "unsure"),
        "d.jpg": (None, None),  # there is nothing to confirm
    }
    album.label(album.generation, [0], "cat")
    album.label(album.generation, [2], "dog")
    assert album.table.looked_at() == (3, 2)


def test_undo_goes_back_to_the_start(album, table):
    before = labels(table)
    states = []
    for rows, label in (([0, 1], "cat"), ([2], None), ([1, 2, 3], "dog"), ([0], "neither")):
        states.append(labels(table))
        album.label(album.generation, rows, label)
    for state in reversed(states[1:]):
        album.undo(album.generation)
        assert labels(table) == state
    assert album.undo(album.generation)[1] == [0, 1]
    assert labels(table) == before
    assert album.undo(album.generation)[1] == []


def test_what_changes_nothing_is_no_step_of_undo(album, table):
    album.label(album.generation, [0], "cat")
    version = album.version
    album.label(album.generation, [0], "cat")
    album.label(album.generation, [0], None)
    album.label(album.generation, [], "dog")
    assert album.version == version
    assert album.undo(album.generation)[1] == [0]


def test_what_changed_since(album):
    generation = album.generation
    first = album.label(generation, [1], "dog")
    album.label(generation, [0, 1], "neither")
    assert [row[:4] for row in album.changes(first)["rows"]] == [
        [0, "a.jpg", 2, 0],
        [1, "b.jpg", 2, 1],
    ]
    assert [row[0] for row in album.changes(0)["rows"]] == [1, 0]
    assert album.changes(album.version)["rows"] == []


@pytest.mark.parametrize("rows", [[4], [-1], [0, 99]])
def test_rows_outside_change_nothing(album, table, rows):
    with pytest.raises(UsageError):
        album.label(album.generation, rows, "dog")
    assert (album.version, labels(table)["a.jpg"]) == (0, ("dog", None))


def test_two_who_correct_do_not_overwrite_each_other(table):
    """Many threads and one file, as with two pages on one server."""
    write(table, {f"{number}.jpg": "dog" for number in range(200)})
    album = open_album(table)

    def correct(first: int) -> None:
        for row in range(first, 200, 8):
            version = album.label(album.generation, [row], "cat")
            assert labels(table)[f"{row}.jpg"] == ("cat", "dog")
            assert version <= album.version

    threads = [threading.Thread(target=correct, args=(first,)) for first in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(labels(table).values()) == {("cat", "dog")}


def test_another_program_changes_the_table_meanwhile(album, table):
    old = album.generation
    album.label(old, [0], "cat")
    write(table, {"new.jpg": "dog", **ROWS, "b.jpg": "neither"})
    album.notice()
    assert album.generation != old
    assert album.table.paths == ["new.jpg", *ROWS]
    with pytest.raises(OldGeneration):
        album.label(old, [1], "dog")
    assert album.undo(album.generation)[1] == []  # the other program's labels are not ours to undo
    assert labels(table)["b.jpg"] == ("neither", None)


def test_a_correction_is_applied_to_what_another_program_has_written(album, table):
    write(table, {"new.jpg": "dog", **ROWS, "b.jpg": "neither"})
    album.label(album.generation, [2], "cat")  # c.jpg, before the change is noticed
    assert labels(table) == {
        "new.jpg": ("dog", None),
        "a.jpg": ("dog", None),
        "b.jpg": ("neither", None),
        "c.jpg": ("cat", "unsure"),
        "d.jpg": (None, None),
    }


def test_rows_not_yet_saved_survive_another_program(album, table):
    album.put(Prediction("e.jpg", "dog", 0.9, 0.9, 0.81))
    album.put(Failure("f.jpg", "damaged"))
    write(table, {**ROWS, "f.jpg": "cat"})
    album.save()
    assert list(labels(table)) == ["a.jpg", "b.jpg", "c.jpg", "d.jpg", "f.jpg", "e.jpg"]
    assert labels(table)["f.jpg"] == ("cat", None)


def test_a_table_that_was_only_touched_has_not_changed(album, table):
    os.utime(table, (1, 1))
    album.notice()
    album.label(album.generation, [0], "cat")
    assert labels(table)["a.jpg"] == ("cat", "dog")
    album.undo(album.generation)
    assert labels(table)["a.jpg"] == ("dog", None)


def test_a_deleted_table_is_written_again(album, table):
    table.unlink()
    album.notice()
    album.label(album.generation, [0], "cat")
    assert labels(table)["a.jpg"] == ("cat", "dog")


@pytest.mark.parametrize("text", ["nothing that dogsort knows", "path,label\n../x.jpg,dog\n"])
def test_what_another_program_breaks_is_not_overwritten(album, table, text):
    replace(table, text)
    for _ in range(2):
        album.notice()
        assert album.trouble
        with pytest.raises(DataError):
            album.label(album.generation, [0], "cat")
        assert table.read_text() == text
    write(table, ROWS)
    album.save()
    assert labels(table)["a.jpg"] == ("cat", "dog")
    assert album.trouble == ""
    replace(table, text)
    album.notice()
    write(table, ROWS)
    album.notice()
    assert album.trouble == ""


def test_a_table_that_another_program_is_writing_is_waited_for(album, table):
    """Pandas and spreadsheets write in place, and half a table is of no use."""
    text = table.read_text()
    with open(table, "w") as file:
        file.write("path,label\nnew.jpg,dog\n")
        file.flush()
        album.notice()
        assert album.table.paths == list(ROWS)
        saving = threading.Thread(target=album.label, args=(album.generation, [0], "cat"))
        saving.start()
        for line in text.splitlines(keepends=True)[1:]:
            time.sleep(0.4)
            file.write(line)
            file.flush()
            assert table.read_text().startswith("path,label\nnew.jpg,dog\n")
    saving.join()
    assert labels(table) == {
        "new.jpg": ("dog", None),
        "a.jpg": ("cat", "dog"),
        "b.jpg": ("cat", None),
        "c.jpg": ("unsure", None),
        "d.jpg": (None, None),
    }


@pytest.mark.slow
def test_two_servers_that_know_nothing_of_each_other_lose_nothing(table):
    """Two users or two machines, where the lock in the cache folder does not help."""
    write(table, {f"{number}.jpg": "dog" for number in range(60)})
    albums = [open_album(table) for _ in range(3)]

    def correct(first: int) -> None:
        for row in range(first, 60, 3):
            album = albums[first]
            while True:
                place = album.table.places[f"{row}.jpg"]
                try:
                    album.label(album.generation, [place], "cat")
                    break
                except OldGeneration:
                    continue
            assert labels(table)[f"{row}.jpg"] == ("cat", "dog")

    threads = [threading.Thread(target=correct, args=(first,)) for first in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(labels(table).values()) == {("cat", "dog")}


def test_nothing_is_saved_without_need(album, table):
    before = table.stat()
    album.touch(["a.jpg", "gone.jpg"])
    album.label(album.generation, [], "dog")
    album.undo(album.generation)
    album.save()
    after = table.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_links_modes_and_partial_files(album, table, tmp_path):
    table.chmod(0o640)
    table.rename(tmp_path / "real.csv")
    table.symlink_to("real.csv")
    (tmp_path / "real.csv.0.partial").write_text("what a killed server has left")
    album = open_album(table)
    album.label(album.generation, [0], "cat")
    assert table.is_symlink()
    assert labels(tmp_path / "real.csv")["a.jpg"] == ("cat", "dog")
    assert (tmp_path / "real.csv").stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in tmp_path.iterdir()) == ["real.csv", "t.csv"]


def test_a_save_that_fails_is_tried_again(album, table, tmp_path):
    (tmp_path / "t.csv.0.partial").mkdir()  # in the way
    with pytest.raises(OutputError, match=r"t\.csv: cannot be written"):
        album.label(album.generation, [0], "cat")
    assert labels(table)["a.jpg"] == ("dog", None)
    assert album.trouble
    (tmp_path / "t.csv.0.partial").rmdir()
    album.label(album.generation, [0], "cat")  # as the page does
    assert labels(table)["a.jpg"] == ("cat", "dog")
    assert album.trouble == ""
    album.label(album.generation, [1], "dog")
    (tmp_path / "t.csv.0.partial").mkdir()
    with pytest.raises(OutputError):
        album.undo(album.generation)
    (tmp_path / "t.csv.0.partial").rmdir()
    assert album.undo(album.generation)[1] == [1]  # once, however often it is tried
    assert labels(table)["b.jpg"] == ("cat", None)
    assert album.undo(album.generation)[1] == [0]
