"""``dogsort history``, and ``dogsort undo --dry-run``."""

from __future__ import annotations

import csv
import os
import shutil
from pathlib import Path

import pytest
from conftest import EXAMPLES
from runner import run_on_terminal
from trees import LABELS, PHOTOS, file_all, plant, stop, tree

from dogsort.filing import undo
from dogsort.filing.journal import FOLDER_NAME


def table(text: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(text.decode("utf-8", "surrogateescape").splitlines()))


@pytest.fixture
def filed(tmp_path: Path) -> Path:
    """A folder with two runs: a move within it, and a copy from elsewhere."""
    folder = tmp_path / "album"
    plant(folder, PHOTOS)
    file_all(folder, LABELS, "move")
    plant(tmp_path / "late", {"tom.jpg": b"five"})
    file_all(tmp_path / "late", {"tom.jpg": "cat"}, "copy", to=folder)
    return folder


def on_terminal(*arguments: object) -> list[str]:
    """Run dogsort on a terminal; return its lines."""
    run = run_on_terminal(*arguments)
    assert run.returncode == 0, run.stderr
    return run.stdout.decode().splitlines()


def test_a_pipe_gets_the_table_of_the_last_run(dogsort, filed):
    run = dogsort("history", filed)
    assert (run.returncode, run.stderr) == (0, b"")
    assert run.stdout.decode().splitlines() == [
        "source,target,label,state",
        f"{filed.parent / 'late/tom.jpg'},{filed / 'cat/tom.jpg'},cat,done",
    ]
    assert len(undo(str(filed))) == 1
    (row,) = table(dogsort("history", filed).stdout)
    assert row["state"] == "undone"


def test_any_run_is_told_by_its_number(dogsort, filed):
    expected = [
        ("a.jpg", "dog/a (2).jpg", "dog"),
        ("trip/a.jpg", "dog/a (3).jpg", "dog"),
        ("trip/b.jpg", "cat/b.jpg", "cat"),
    ]
    rows = table(dogsort("history", "--run", 1, cwd=filed).stdout)
    assert rows == [
        {
            "source": str(filed / source),
            "target": str(filed / target),
            "label": label,
            "state": "done",
        }
        for source, target, label in expected
    ]
    for row in rows:
        assert os.path.exists(row["target"])
    wrong = dogsort("history", filed, "--run", 3)
    assert wrong.returncode == 2
    assert wrong.stderr == b"dogsort: --run 3: no such run; the runs are 1, 2\n"


def test_a_history_is_written_to_a_file(dogsort, filed, tmp_path):
    run = dogsort("history", filed, "-o", tmp_path / "h.csv", "--run", 1)
    assert (run.returncode, run.stdout, run.stderr) == (0, b"", b"")
    assert (tmp_path / "h.csv").read_bytes() == dogsort("history", filed, "--run", 1).stdout
    assert dogsort("history", filed, "-o", "-").stdout == dogsort("history", filed).stdout
    for name, code in (("h.jsonl", 2), ("nowhere/h.csv", 1)):
        wrong = dogsort("history", filed, "-o", tmp_path / name)
        assert wrong.returncode == code
        assert not (tmp_path / name).exists()


def test_a_terminal_gets_a_line_for_each_run(filed):
    first, second = (line.split("  ") for line in on_terminal("history", filed))
    assert (first[0], *first[2:]) == ("1", "move", "1 cat, 2 dog", "filed")
    assert (second[0], *second[2:]) == ("2", "copy", "1 cat", "filed")
    assert on_terminal("history", filed, "--run", "2") == [
        f"{filed.parent / 'late/tom.jpg'} -> {filed / 'cat/tom.jpg'}  done"
    ]
    stop(filed)
    assert on_terminal("history", filed)[1].endswith("unfinished: stopped, or still running")
    undo(str(filed))
    (filed / "cat" / "b.jpg").unlink()
    assert len(undo(str(filed))) == 3
    states = [line.split("  ")[-1] for line in on_terminal("history", filed)]
    assert states == ["undone, except 1 changed or gone since", "undone"]


def test_a_run_that_could_not_be_undone_whole_says_so(dogsort, filed):
    undo(str(filed))
    (filed / "a.jpg").write_bytes(b"in the way")
    assert [one.error is None for one in undo(str(filed))].count(False) == 1
    assert on_terminal("history", filed)[0].endswith("  partly undone")
    rows = table(dogsort("history", filed, "--run", 1).stdout)
    assert [row["state"] for row in rows] == ["done", "undone", "undone"]


def test_names_that_are_no_utf8_come_byte_for_byte(dogsort, tmp_path):
    name = os.fsdecode(b"caf\xe9,\n.jpg")
    plant(tmp_path, {name: b"one"})
    file_all(tmp_path, {name: "dog"}, "move")
    run = dogsort("history", tmp_path)
    assert run.returncode == 0, run.stderr.decode()
    text = run.stdout.decode("utf-8", "surrogateescape")
    (row,) = list(csv.DictReader(iter(text.splitlines(keepends=True))))
    assert row["target"] == str(tmp_path / "dog" / name)


def test_sidecars_are_in_the_table_too(dogsort, album):
    (album / "kitten.xmp").write_bytes(b"stars")
    assert dogsort(album, "--move").returncode == 0
    targets = [row["target"] for row in table(dogsort("history", album).stdout)]
    assert str(album / "cat" / "kitten.xmp") in targets
    assert len(targets) == 4
    assert on_terminal("history", album)[0].split("  ")[3] == "2 cat, 1 dog"


def test_looking_changes_nothing_and_waits_for_nobody(dogsort, filed):
    """History and the dry run of undo change nothing, and work during a run."""
    from dogsort.filing.execute import at_work

    before = tree(filed)
    journal = (filed / FOLDER_NAME / "journal.db").read_bytes()
    with at_work(str(filed)):
        assert dogsort("history", filed).returncode == 0
        run = dogsort("undo", filed, "--dry-run", "--verbose")
    said = run.stderr.decode()
    assert (run.returncode, run.stdout) == (0, b"")
    assert f"{filed / 'cat/tom.jpg'} -> {filed.parent / 'late/tom.jpg'}\n" in said
    assert "Would remove 1 copy of the run of " in said
    assert tree(filed) == before
    assert (filed / FOLDER_NAME / "journal.db").read_bytes() == journal
    older = dogsort("undo", filed, "--dry-run", "--run", 1)
    assert b"Would put back 3 files of the run of " in older.stderr
    assert tree(filed) == before
    assert dogsort("undo", filed).stderr == b"Removed 1 copy.\n"
    assert dogsort("undo", filed).stderr == b"Put back 3 files.\n"
    nothing = dogsort("undo", filed, "--dry-run")
    assert nothing.returncode == 1
    assert b"everything that was filed is already undone" in nothing.stderr


def test_a_dry_undo_of_a_killed_run_leaves_it_killed(dogsort, filed):
    stop(filed)
    before = tree(filed)
    run = dogsort("undo", filed, "--dry-run")
    assert run.returncode == 0, run.stderr.decode()
    assert b"Would remove 1 copy" in run.stderr
    assert tree(filed) == before
    (row,) = table(dogsort("history", filed).stdout)
    assert row["state"] == "planned"


def test_an_album_goes_on_a_stick_with_its_history(dogsort, album):
    assert dogsort(album, "--move").returncode == 0
    other = shutil.copytree(album, album.parent / "stick")
    rows = table(dogsort("history", other).stdout)
    assert {row["source"] for row in rows} == {
        str(other / photo.name)
        for photo in EXAMPLES.iterdir()
        if photo.stem in ("chelsea", "kitten", "running_dog")
    }
    assert dogsort("undo", other).stderr == b"Put back 3 files.\n"


def test_what_is_no_journal_is_said(dogsort, tmp_path):
    (tmp_path / "file").touch()
    for command in ("undo", "history"):
        for name, code, said in (
            ("nowhere", 2, b"nowhere: no such file or folder"),
            ("file", 1, b"file: not a folder; name the folder that was filed into"),
            (".", 1, b".: nothing was filed into it"),
        ):
            run = dogsort(command, name, cwd=tmp_path)
            assert run.returncode == code
            assert said in run.stderr
    (tmp_path / FOLDER_NAME).mkdir()
    (tmp_path / FOLDER_NAME / "journal.db").write_bytes(b"not a journal\n" * 100)
    for command in ("undo", "history"):
        run = dogsort(command, cwd=tmp_path)
        assert run.returncode == 1
        assert b"damaged: file is not a database; to continue without it" in run.stderr
