"""``dogsort undo`` and ``dogsort history``: their arguments and messages."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from trees import LABELS, PHOTOS, file_all, plant, stop, tree

from dogsort.errors import FilingError
from dogsort.filing import undo
from dogsort.filing.execute import at_work
from dogsort.filing.journal import FOLDER_NAME


def test_two_at_once(dogsort, tmp_path):
    plant(tmp_path, PHOTOS)
    with at_work(str(tmp_path)):
        with pytest.raises(FilingError, match="another dogsort is at work in it"):
            file_all(tmp_path, LABELS, "move")
    assert [one.error for one in file_all(tmp_path, LABELS, "move")] == [None] * 3
    with at_work(str(tmp_path)):
        run = dogsort("undo", tmp_path)
        with pytest.raises(FilingError, match="another dogsort is at work in it"):
            undo(str(tmp_path))
    assert run.returncode == 1
    assert b"another dogsort is at work in it" in run.stderr
    assert len(undo(str(tmp_path))) == 3


def test_an_older_run_is_undone_by_its_number(dogsort, tmp_path):
    album, home = tmp_path / "album", tmp_path / "home"
    plant(album, {"c.jpg": b"three"})
    plant(home, {"a.jpg": b"one", "b.jpg": b"two"})
    file_all(album, {"c.jpg": "cat"}, "move")
    file_all(home, {"a.jpg": "dog", "b.jpg": "cat"}, "move", to=album)
    (home / "a.jpg").write_bytes(b"another one")
    for said in (
        b"Put back 1 file. 1 could not be put back.",
        b"Put back 0 files. 1 could not be put back.",
    ):
        run = dogsort("undo", album)
        assert run.returncode == 3
        assert b"its old name is taken" in run.stderr
        assert said in run.stderr
    assert not (album / "c.jpg").exists()
    assert dogsort("undo", album, "--run", "7").returncode == 2
    assert dogsort("undo", album, "--run", "1").returncode == 0
    assert (album / "c.jpg").exists()


def test_runs_undone_out_of_turn_leave_no_folder(dogsort, tmp_path):
    plant(tmp_path, {"a.jpg": b"one", "b.jpg": b"two"})
    before = tree(tmp_path)
    for name in ("a.jpg", "b.jpg"):
        file_all(tmp_path, {name: "dog"}, "move")
    for run in ("1", "2"):
        assert dogsort("undo", tmp_path, "--run", run).returncode == 0
    assert tree(tmp_path) == before


def states(dogsort, folder: Path, *arguments: object) -> list[tuple[str, str]]:
    """Return the names and states of a run's files, as ``history`` writes them to a pipe."""
    run = dogsort("history", folder, *arguments)
    assert run.returncode == 0, run.stderr.decode()
    head, *rows = run.stdout.decode().splitlines()
    assert head == "source,target,label,state"
    return [(os.path.basename(row.split(",")[0]), row.split(",")[-1]) for row in rows]


def test_the_command(dogsort, album):
    before = tree(album)
    assert dogsort(album, "--move", "--quiet").returncode == 0
    assert (album / "dog" / "running_dog.jpeg").exists()
    again = dogsort(album, "--move", "-o", "-")
    assert again.returncode == 0
    assert again.stderr.decode().count("earlier runs filed into are skipped") == 1
    assert again.stdout.count(b"\n") == 4  # the header, and the three that are neither
    filed = [("chelsea.png", "done"), ("kitten.jpeg", "done"), ("running_dog.jpeg", "done")]
    assert states(dogsort, album) == filed
    would = dogsort("undo", album, "--dry-run")
    assert would.returncode == 0
    assert b"Would put back 3 files" in would.stderr
    assert (album / "dog" / "running_dog.jpeg").exists()
    undone = dogsort("undo", album)
    assert undone.returncode == 0, undone.stderr.decode()
    assert undone.stderr == b"Put back 3 files.\n"
    assert tree(album) == before
    assert states(dogsort, album) == [(name, "undone") for name, _ in filed]
    again = dogsort("undo", album)
    assert again.returncode == 1
    assert "everything that was filed is already undone" in again.stderr.decode()


def test_what_can_never_be_put_back_keeps_nobody_from_the_run_before(dogsort, tmp_path):
    album, home = tmp_path / "album", tmp_path / "home"
    plant(album, PHOTOS)
    plant(home, {"c.jpg": b"five"})
    file_all(home, {"c.jpg": "cat"}, "move", to=album)
    file_all(album, LABELS, "move")
    assert dogsort("undo", album).returncode == 0
    home.rename(tmp_path / "away")
    assert dogsort("undo", album).returncode == 3
    assert states(dogsort, album, "--run", "1") == [("c.jpg", "done")]
    (tmp_path / "away").rename(home)
    (album / "cat" / "c.jpg").unlink()
    gone = dogsort("undo", album)
    assert gone.returncode == 3
    assert "it is no longer there" in gone.stderr.decode()
    # It may be on a missing disk; once that is back, the same command continues.
    assert states(dogsort, album, "--run", "1") == [("c.jpg", "done")]
    plant(album, {"cat/c.jpg": b"five"})
    assert dogsort("undo", album).returncode == 0
    assert "already undone" in dogsort("undo", album).stderr.decode()


@pytest.mark.parametrize("filed", [["a.jpg"], ["a.jpg", "b.jpg"]])
def test_a_photo_that_a_later_run_filed_again_is_put_back_after_that(dogsort, tmp_path, filed):
    plant(tmp_path, {"a.jpg": b"one", "b.jpg": b"two"})
    before = tree(tmp_path)
    file_all(tmp_path, dict.fromkeys(filed, "dog"), "move")
    file_all(tmp_path, {"dog/a.jpg": "cat"}, "move")
    assert dogsort("undo", tmp_path, "--run", "1").returncode == 3
    assert dogsort("undo", tmp_path).returncode == 0
    assert dogsort("undo", tmp_path).returncode == 0
    assert tree(tmp_path) == before


@pytest.mark.parametrize("through", ["command", "python"])
def test_whom_one_trusts_is_finished_first(dogsort, tmp_path, monkeypatch, through):
    """An interrupted run, in an album that is now mounted elsewhere."""
    plant(tmp_path / "camera", PHOTOS)
    before = tree(tmp_path / "camera")
    file_all(tmp_path / "camera", LABELS, "move", to=tmp_path / "sorted")
    stop(tmp_path / "sorted")
    (tmp_path / "sorted").rename(tmp_path / "mounted")
    if through == "command":
        assert dogsort("undo", tmp_path / "mounted", "--yes").returncode == 0
    else:
        assert len(undo(str(tmp_path / "mounted"), trust=True)) == 3
    assert tree(tmp_path / "camera") == before


def test_where_nothing_was_filed_nothing_is_made(dogsort, tmp_path):
    for command in ("undo", "history"):
        nothing = dogsort(command, cwd=tmp_path)
        assert nothing.returncode == 1
        assert "nothing was filed into it" in nothing.stderr.decode()
    assert not (tmp_path / FOLDER_NAME).exists()


def test_runs_that_this_user_did_not_begin_put_nothing_outside_unasked(dogsort, tmp_path):
    """A journal may come with an album that somebody else made."""
    plant(tmp_path / "camera", PHOTOS)
    before = tree(tmp_path / "camera")
    file_all(tmp_path / "camera", LABELS, "move", to=tmp_path / "sorted")
    filed = tree(tmp_path / "sorted")
    stranger = str(tmp_path / "state")
    asked = dogsort("undo", tmp_path / "sorted", XDG_STATE_HOME=stranger)
    assert asked.returncode == 1
    assert b"this user did not begin it; undo would put" in asked.stderr
    assert b"undo it with --yes" in asked.stderr
    assert tree(tmp_path / "sorted") == filed
    undone = dogsort("undo", tmp_path / "sorted", "--yes", XDG_STATE_HOME=stranger)
    assert undone.returncode == 0, undone.stderr.decode()
    assert tree(tmp_path / "camera") == before


def test_the_python_interface_is_told_whom_to_trust(tmp_path, monkeypatch):
    plant(tmp_path / "camera", PHOTOS)
    before = tree(tmp_path / "camera")
    file_all(tmp_path / "camera", LABELS, "move", to=tmp_path / "sorted")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with pytest.raises(FilingError, match="this user did not begin it"):
        undo(str(tmp_path / "sorted"))
    assert len(undo(str(tmp_path / "sorted"), trust=True)) == 3
    assert tree(tmp_path / "camera") == before
