"""A table that a person corrected is never overwritten, and dogsort can file by it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from conftest import files_below

from dogsort.records import Failure
from dogsort.results.csv_rows import write_rows
from dogsort.results.output import complete_file
from dogsort.results.tables import open_table

CHANGED = "has changed since dogsort wrote it, so it is not overwritten"
CHANGED_MEANWHILE = "was changed during this run, so the changed file is kept as"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache's folder, for this test alone."""
    monkeypatch.setenv("DOGSORT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


#: Commands that write t.csv, in a folder with photos/, test1/, labelled/ and filed/.
WRITERS = {
    "classify": ("photos",),
    "classify without the cache": ("photos", "--no-cache"),
    "classify and move": ("photos", "--move"),
    "plan": ("photos", "--move", "--dry-run"),
    "submit": ("submit", "test1"),
    "submit without the cache": ("submit", "test1", "--no-cache"),
    "plan by a table": ("file", "by.csv", "--move", "--to", "photos", "--dry-run"),
    "history": ("history", "filed"),
}


@pytest.fixture
def home(dogsort, place) -> Path:
    """A folder with what the writers need."""
    shutil.copytree("photos", "filed")
    assert dogsort("filed", "--move").returncode == 0
    Path("by.csv").write_text("path,label\nphotos/kitten.jpeg,cat\n")
    return place


@pytest.mark.parametrize("words", WRITERS.values(), ids=WRITERS)
def test_what_a_person_changed_is_never_overwritten(dogsort, home, words):
    table = home / "t.csv"
    command = (*words, "-o", table)
    assert dogsort(*command).returncode == 0
    if "--move" in words and "--dry-run" not in words:
        assert dogsort("undo", "photos").returncode == 0
    written = table.read_bytes()
    before = files_below(home / "photos")
    table.write_bytes(written + b"corrected\n")
    run = dogsort(*command)
    assert run.returncode == 1
    assert f"{table}: {CHANGED}" in run.stderr.decode()
    assert table.read_bytes() == written + b"corrected\n"
    # If the cache does not know the table, it is kept under another name.
    for name in ("t.old.csv", "t.old2.csv"):
        run = dogsort(*command, DOGSORT_CACHE=f"other {name}")
        assert run.returncode == 0, run.stderr.decode()
        assert f"the old file is kept as {home / name}" in run.stderr.decode()
        assert (home / name).read_bytes() == written + b"corrected\n"
        assert table.read_bytes() == written
        if "--move" in words and "--dry-run" not in words:
            assert dogsort("undo", "photos").returncode == 0
        table.write_bytes(written + b"corrected\n")
    assert files_below(home / "photos") == before
    assert not list(home.glob("*.partial"))


def test_a_table_in_the_album_says_nothing_of_its_partial_file(dogsort, album):
    (album / "film.partial").touch()
    run = dogsort(".", "-o", "t.csv", cwd=album)
    assert run.stderr.decode().startswith("not looked at: 1 .partial\n6 photos: ")


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_every_kind_of_table(dogsort, album, tmp_path, suffix):
    table = tmp_path / f"t.{suffix}"
    command = (album, "-o", table)
    silent = dogsort(*command)
    again = dogsort(*command)
    assert (again.returncode, again.stderr) == (0, silent.stderr)
    written = table.read_bytes()
    table.write_bytes(written + b" ")
    assert dogsort(*command).returncode == 1
    assert table.read_bytes() == written + b" "
    table.unlink()
    assert (dogsort(*command).stderr, table.read_bytes()) == (silent.stderr, written)
    assert {path.name for path in tmp_path.iterdir()} == {"album", "cache", f"t.{suffix}"}


def test_reports_are_kept_too(dogsort, home):
    command = ("eval", "labelled", "-o", "e.json")
    assert dogsort(*command).returncode == 0
    assert dogsort(*command).returncode == 0
    with open("e.json", "a") as file:
        file.write("\n")
    assert dogsort(*command).returncode == 1
    Path("o.json").write_text("mine")
    assert dogsort("eval", "labelled", "-o", "o.json").returncode == 0
    assert Path("o.old.json").read_text() == "mine"


def test_a_link_is_followed(dogsort, album, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    table = tmp_path / "elsewhere" / "real.csv"
    table.write_text("mine")
    (tmp_path / "t.csv").symlink_to("elsewhere/real.csv")
    run = dogsort(album, "-o", "t.csv", cwd=tmp_path)
    assert f"is kept as {tmp_path / 'elsewhere' / 'real.old.csv'}" in run.stderr.decode()
    assert (tmp_path / "elsewhere" / "real.old.csv").read_text() == "mine"
    assert (tmp_path / "t.csv").is_symlink()
    assert dogsort(album, "-o", table).stderr.decode().count("\n") == 1
    table.write_text("mine again")
    assert dogsort(album, "-o", tmp_path / "t.csv").returncode == 1


def test_what_is_corrected_while_the_run_goes_on(dogsort, album, tmp_path):
    for number in range(300):
        os.link(album / "kitten.jpeg", album / f"{number}.jpeg")
    table = tmp_path / "t.csv"
    command = [sys.executable, "-m", "dogsort", album, "-o", table, "--no-cache"]
    assert subprocess.run(command, check=False).returncode == 0
    written = table.read_bytes()
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 60
        partial = tmp_path / "t.csv.1.partial"
        while not (partial.exists() and partial.stat().st_size):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.01)
        table.write_bytes(b"corrected")
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 0
    said = (
        f"{table}: was changed during this run, so the changed file is kept as {tmp_path}/t.old.csv"
    )
    assert said in stderr.decode()
    assert (tmp_path / "t.old.csv").read_bytes() == b"corrected"
    assert table.read_bytes() == written


def test_a_short_table_that_is_corrected_meanwhile(tmp_path):
    target = str(tmp_path / "t.csv")

    def rows():
        yield ["first"]
        Path(target).write_text("corrected")

    assert write_rows(target, ["a"], [["first"]]) == []
    kept = str(tmp_path / "t.old.csv")
    assert write_rows(target, ["a"], rows()) == [f"{target}: {CHANGED_MEANWHILE} {kept}"]
    assert Path(kept).read_text() == "corrected"


def test_a_file_made_while_the_run_goes_on(tmp_path):
    target = tmp_path / "t.csv"
    with complete_file(str(target)) as file:
        Path(file.path).write_text("rows")
        target.write_text("mine")
    assert (tmp_path / "t.old.csv").read_text() == "mine"
    assert target.read_text() == "rows"


def interrupted(table: Path, rows: int = 1) -> Path:
    """Interrupt a run that writes a table; return the file that its rows stay in."""
    with pytest.raises(KeyboardInterrupt) as info, open_table(str(table)) as writer:
        for number in range(rows):
            writer.write(Failure(f"{number}.jpg", "empty file"))
        raise KeyboardInterrupt
    return Path(str(info.value.args[0]).removeprefix("the rows so far are in "))


def whole(table: Path) -> None:
    """Write a table to its end."""
    with open_table(str(table)) as writer:
        writer.write(Failure("0.jpg", "empty file"))


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_the_next_whole_table_replaces_the_rows_of_interrupted_runs(tmp_path, suffix):
    table, other = tmp_path / f"[t] é.{suffix}", tmp_path / f"o.{suffix}"
    kept = [interrupted(table), interrupted(table, 2), interrupted(other)]
    assert all(path.stat().st_size for path in kept)
    whole(table)
    assert [path.exists() for path in kept] == [False, False, True]


def test_partial_rows_that_may_be_needed_stay(tmp_path):
    table = tmp_path / "t.csv"
    names = [f"t.csv.{number}.partial" for number in range(1, 5)]
    corrected, killed, mine, living = (tmp_path / name for name in names)
    assert interrupted(table) == corrected
    corrected.write_text(corrected.read_text().replace("empty file", "a dog"))
    killed.write_text("rows of a run that was killed")
    mine.write_text("a person's")
    with open_table(str(table)) as writer:
        writer.write(Failure("0.jpg", "empty file"))
        whole(table)
        assert living.exists()
    assert not living.exists()
    assert all(path.exists() for path in (corrected, killed, mine))


def test_a_partial_file_is_not_taken_for_an_earlier_one_of_its_name(tmp_path):
    """A living run may have written the same rows so far as an interrupted one."""
    table = tmp_path / "t.csv"
    interrupted(table).unlink()
    with open_table(str(table)) as writer:
        writer.write(Failure("0.jpg", "empty file"))
        whole(table)
    assert table.read_text().count("\n") == 2


def test_a_plan_or_report_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError):
        write_rows(str(tmp_path / "plan.csv"), ["a"], ([1 / number] for number in (1, 0)))
    assert list(tmp_path.glob("plan*")) == []


def test_a_cache_that_cannot_be_used_costs_no_table(dogsort, album, tmp_path, cache):
    cache.touch()
    table = tmp_path / "t.csv"
    assert dogsort(album, "-o", table).returncode == 0
    table.write_text("corrected")
    run = dogsort(album, "-o", table)
    assert run.returncode == 0
    assert "t.csv: dogsort may not have written it" in run.stderr.decode()
    assert (tmp_path / "t.old.csv").read_text() == "corrected"


@pytest.mark.parametrize("command", [("photos",), ("submit", "test1")])
def test_empty_files_pipes_and_devices_may_be_written(dogsort, place, command):
    Path("t.csv").touch()
    run = dogsort(*command, "-o", "t.csv")
    assert run.returncode == 0
    assert "t.csv: dogsort may not" not in run.stderr.decode()
    assert not Path("t.old.csv").exists()
    rows = Path("t.csv").read_bytes()
    if os.path.exists("/dev/null"):
        Path("null.csv").symlink_to("/dev/null")
        assert dogsort(*command, "-o", "null.csv").returncode == 0
        assert Path("null.csv").is_symlink()
    if hasattr(os, "mkfifo"):
        os.mkfifo("pipe.csv")
        read: list[bytes] = []
        reader = threading.Thread(target=lambda: read.append(Path("pipe.csv").read_bytes()))
        reader.start()
        assert dogsort(*command, "-o", "pipe.csv").returncode == 0
        reader.join(60)
        assert read == [rows]
        assert Path("pipe.csv").is_fifo()


def correct(table: Path) -> None:
    """Call the kitten a dog."""
    text = table.read_text()
    assert "kitten.jpeg,cat" in text
    table.write_text(text.replace("kitten.jpeg,cat", "kitten.jpeg,dog"))


FILED = ["cat/chelsea.png", "dog/kitten.jpeg", "dog/running_dog.jpeg"]


def filed_in(folder: Path) -> list[str]:
    return sorted(path for path in files_below(folder) if "/" in path)


def test_a_corrected_table_is_filed_into_the_folder_that_was_classified(dogsort, place):
    assert dogsort("photos", "-o", "t.csv").returncode == 0
    correct(place / "t.csv")
    run = dogsort("file", "t.csv", "--move")
    assert run.returncode == 0, run.stderr.decode()
    assert filed_in(place / "photos") == FILED
    assert "dogsort undo photos" in run.stderr.decode()
    # The corrected table is still not overwritten.
    assert dogsort("photos", "-o", "t.csv").returncode == 1


def test_from_elsewhere(dogsort, place, tmp_path_factory):
    assert dogsort(place / "photos", "-o", place / "t.csv").returncode == 0
    correct(place / "t.csv")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    run = dogsort("file", place / "t.csv", "--move", cwd=elsewhere)
    assert run.returncode == 0, run.stderr.decode()
    assert filed_in(place / "photos") == FILED
    assert f"dogsort undo {place / 'photos'}" in run.stderr.decode()
    assert list(elsewhere.iterdir()) == []


def test_from_inside_the_folder(dogsort, place):
    photos = place / "photos"
    assert dogsort(".", "-o", "t.csv", cwd=photos).returncode == 0
    correct(photos / "t.csv")
    run = dogsort("file", "t.csv", "--move", cwd=photos)
    assert run.returncode == 0, run.stderr.decode()
    assert filed_in(photos) == FILED


def test_a_table_that_was_moved_needs_to_be_told(dogsort, place):
    assert dogsort("photos", "-o", "t.csv").returncode == 0
    correct(place / "t.csv")
    (place / "t.csv").rename("moved.csv")
    run = dogsort("file", "moved.csv", "--move")
    assert run.returncode == 2
    assert "--move needs --photos FOLDER" in run.stderr.decode()
    (place / "tables").mkdir()
    (place / "moved.csv").rename("tables/moved.csv")
    run = dogsort("file", "tables/moved.csv", "--move")
    assert run.returncode == 1
    assert "--photos" in run.stderr.decode()
    run = dogsort("file", "tables/moved.csv", "--move", "--photos", "photos")
    assert run.returncode == 0, run.stderr.decode()
    assert filed_in(place / "photos") == FILED
    assert dogsort("undo", "photos").returncode == 0
    (place / "tables" / "moved.csv").rename("moved.csv")
    assert dogsort("file", "moved.csv", "--copy", "--to", "sorted").returncode == 0
    assert filed_in(place / "sorted") == FILED


def test_a_table_of_several_folders_needs_to_be_told(dogsort, place):
    shutil.copytree("photos", "more")
    assert dogsort("photos", "more", "-o", "t.csv").returncode == 0
    run = dogsort("file", "t.csv", "--move")
    assert run.returncode == 2
    assert "--move needs --photos FOLDER" in run.stderr.decode()
    assert dogsort("file", "t.csv", "--copy", "--to", "sorted").returncode == 0
    assert len(filed_in(place / "sorted")) == 3  # the others are identical to these
