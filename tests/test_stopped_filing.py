"""Commands that are stopped and repeated: by Ctrl-C, SIGTERM, SIGHUP or a kill."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing, nullcontext, suppress
from pathlib import Path

import pytest
from conftest import EXAMPLES, files_below
from disks import disk
from trees import contents, plant, stop, tree

DOG, CAT = EXAMPLES / "running_dog.jpeg", EXAMPLES / "kitten.jpeg"

#: More than a batch holds below, so that a stop leaves some files done, some started, some not.
MANY = 5_000

HANGUP = getattr(signal, "SIGHUP", signal.SIGTERM)  # Windows has none

#: Sends itself signals before some of its steps, to stop at any moment.
STRUCK = """
import json, os, sys
from dogsort.cli.main import main
from dogsort.filing import execute

moments, take, taken = json.loads(sys.argv[1]), execute.take, 0
execute.BATCH_FILES = 4096

def struck(*arguments):
    global taken
    taken += 1
    if str(taken) in moments:
        os.kill(os.getpid(), moments[str(taken)])
    return take(*arguments)

execute.take = struck
main(sys.argv[2:])
"""


def run_struck(moments: dict[int, int], *arguments: object) -> subprocess.CompletedProcess[bytes]:
    """Run dogsort, with signals before some of its steps, counted from 1."""
    return subprocess.run(
        [sys.executable, "-c", STRUCK, json.dumps(moments), *map(str, arguments)],
        capture_output=True,
        check=False,
        timeout=120,
        # A background job of a shell ignores Ctrl-C, and so would this.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def many(folder: Path) -> list[object]:
    """Make many photos and their table; return the command that files them."""
    plant(folder, {f"{number:05}.jpg": b"%d" % number for number in range(MANY)})
    labels = ("cat", "dog")
    rows = "".join(f"{folder}/{number:05}.jpg,{labels[number % 2]}\n" for number in range(MANY))
    table = folder.parent / "p.csv"
    table.write_text("path,label\n" + rows)
    return ["file", table, "--move", "--photos", folder, "--to", folder]


def states(dogsort, folder: Path) -> list[str]:
    """Return the states of the files of the last run, as history writes them to a pipe."""
    run = dogsort("history", folder)
    assert run.returncode == 0, run.stderr.decode()
    return [line.rpartition(",")[2] for line in run.stdout.decode().splitlines()[1:]]


needs_signals = pytest.mark.skipif(os.name == "nt", reason="signals")


@needs_signals
@pytest.mark.parametrize(
    "moments",
    [
        {1: signal.SIGINT},
        {500: signal.SIGTERM},
        # Again while the started steps are finished.
        {2001: signal.SIGINT, 2500: signal.SIGINT},
        {4500: signal.SIGTERM, 4700: signal.SIGINT},
        {500: HANGUP, 501: HANGUP, 502: HANGUP},
    ],
    ids=["at once", "SIGTERM", "twice", "twice, later", "closed terminal"],
)
def test_stopped_while_filing_and_while_undoing(dogsort, quick_path, moments):
    """Whenever it stops, it says what to do, nothing is lost, and nothing is half done."""
    album = quick_path / "album"
    filing = many(album)
    before = tree(album)

    def stopped(*command: object) -> str:
        run = run_struck(moments, *command)
        assert run.returncode == 130, run.stderr.decode()
        assert b"Traceback" not in run.stderr
        told = len(moments) > 1 and HANGUP not in moments.values()
        assert (b"finishing the current step" in run.stderr) == told
        assert contents(album) == sorted(b"%d" % number for number in range(MANY))
        return run.stderr.decode()

    said = stopped(*filing)
    kept = "files moved so far stay; run the same command to continue, or to undo: dogsort undo"
    assert f"interrupted; {kept} {album}\n" in said
    assert 0 < len(states(dogsort, album)) == len(files_below(album / "dog")) * 2 < MANY + 1
    assert set(states(dogsort, album)) == {"done"}
    undone = dogsort("undo", album)
    assert undone.returncode == 0, undone.stderr.decode()
    assert tree(album) == before
    assert dogsort(*filing).returncode == 0
    said = stopped("undo", album)
    assert (
        "interrupted; files put back so far stay there; run the same command to continue\n" in said
    )
    assert "undone" in states(dogsort, album)
    assert dogsort("undo", album).returncode == 0
    assert tree(album) == before


@needs_signals
def test_what_was_stopped_goes_on_by_the_same_command(dogsort, quick_path):
    album = quick_path / "album"
    filing = many(album)
    before = tree(album)
    assert run_struck({4000: signal.SIGINT}, *filing).returncode == 130
    run = dogsort(*filing)
    assert run.returncode == 0, run.stderr.decode()
    moved = files_below(album)
    assert all("/" in name for name in moved)
    assert len(moved) == MANY
    assert dogsort("undo", album).returncode == 0
    assert tree(album) == before


@needs_signals
def test_a_killed_run_is_gone_on_with(dogsort, quick_path):
    """Also if it is killed again; then one undo puts back everything."""
    album = quick_path / "album"
    filing = many(album)
    before = tree(album)
    for moment in (4500, 2, 300):
        assert run_struck({moment: signal.SIGKILL}, *filing).returncode == -signal.SIGKILL
        assert contents(album) == sorted(b"%d" % number for number in range(MANY))
    run = dogsort(*filing)
    said = run.stderr.decode()
    assert run.returncode == 0, said
    assert "was interrupted; now finished: " in said
    assert "moved by an earlier run: " in said
    assert states(dogsort, album) == ["done"] * MANY
    undone = dogsort("undo", album)
    assert f"Put back {MANY} files." in undone.stderr.decode()
    assert tree(album) == before
    assert b"is already undone" in dogsort("undo", album).stderr


@needs_signals
def test_a_killed_undo_goes_on(dogsort, quick_path):
    album = quick_path / "album"
    filing = many(album)
    before = tree(album)
    assert dogsort(*filing).returncode == 0
    for moment in (4500, 2):
        assert run_struck({moment: signal.SIGKILL}, "undo", album).returncode == -signal.SIGKILL
        assert contents(album) == sorted(b"%d" % number for number in range(MANY))
    assert dogsort("undo", album).returncode == 0
    assert tree(album) == before
    # The next run finishes the started steps, and undo puts them back.
    assert dogsort(*filing).returncode == 0
    assert run_struck({4500: signal.SIGKILL}, "undo", album).returncode == -signal.SIGKILL
    assert dogsort(*filing).returncode == 0
    assert sorted(files_below(album / "dog")) == [f"{n:05}.jpg" for n in range(1, MANY, 2)]
    while tree(album) != before:
        assert dogsort("undo", album).returncode == 0


@pytest.mark.parametrize("how", ["photos", "folder", "table"])
def test_a_run_that_was_killed_at_its_end_leaves_nothing_to_do(dogsort, album, how):
    """Photos that were named, and are gone because they were moved, are no mistake."""
    before = tree(album)
    table = album.parent / "p.csv"
    assert dogsort(album, "-o", table).returncode == 0
    photos = [album / name for name in ("kitten.jpeg", "chelsea.png", "running_dog.jpeg")]
    filing = {
        "photos": (*photos, "--move", "--to", album),
        "folder": (album, "--move"),
        "table": ("file", table, "--move"),
    }[how]
    assert dogsort(*filing).returncode == 0
    after = tree(album)
    stop(album)
    planned = dogsort(*filing, "--dry-run")
    assert planned.returncode == 0, planned.stderr.decode()
    assert b"would be moved: nothing" in planned.stderr
    run = dogsort(*filing)
    said = run.stderr.decode()
    assert run.returncode == 0, said
    assert "was interrupted; now finished: " in said
    assert "moved: nothing" in said
    if how == "photos":
        for photo in photos:
            assert f"{photo}: moved by an earlier run\n" in said
    elif how == "table":
        assert "moved by an earlier run: 3\n" in said
    assert tree(album) == after
    assert dogsort("undo", album).returncode == 0
    assert tree(album) == before


def test_a_path_that_nobody_moved_is_missing(dogsort, album):
    assert dogsort(album / "kitten.jpeg", "--move", "--to", album).returncode == 0
    run = dogsort(album / "kitten.jpeg", album / "nowhere.jpeg", "--move", "--to", album)
    assert run.returncode == 2
    assert f"{album / 'nowhere.jpeg'}: no such file or folder" in run.stderr.decode()
    assert dogsort("undo", album).returncode == 0
    run = dogsort(album / "kitten.jpeg", album / "nowhere.jpeg", "--move", "--to", album)
    assert run.returncode == 2


def test_a_photo_that_was_killed_before_its_move_goes_with_the_next_run(dogsort, album):
    """With photos that came since, as one run."""
    before = tree(album)
    assert dogsort(album, "--move").returncode == 0
    stop(album)
    (album / "cat" / "kitten.jpeg").rename(album / "kitten.jpeg")
    shutil.copy(DOG, album / "late.jpeg")
    run = dogsort(album, "--move")
    assert run.returncode == 0, run.stderr.decode()
    assert sorted(name for name in files_below(album) if "/" in name) == [
        "cat/chelsea.png",
        "cat/kitten.jpeg",
        "dog/late.jpeg",
        "dog/running_dog.jpeg",
    ]
    assert dogsort("undo", album).stderr.decode().count("Put back 4 files.") == 1
    (album / "late.jpeg").unlink()
    assert tree(album) == before


def test_another_action_is_a_run_of_its_own(dogsort, album, tmp_path):
    """A killed copy is finished before photos are moved, and is undone after the move."""
    before, place = tree(album), tmp_path / "sorted"
    assert dogsort(album, "--copy", "--to", place).returncode == 0
    between = tree(place)
    stop(place)
    (place / "cat" / "kitten.jpeg").unlink()
    (tmp_path / "late").mkdir()
    shutil.copy(DOG, tmp_path / "late" / "late.jpeg")
    run = dogsort(tmp_path / "late", "--move", "--to", place)
    assert run.returncode == 0, run.stderr.decode()
    assert b"moved: 1 dog" in run.stderr
    assert dogsort("undo", place).stderr == b"Put back 1 file.\n"
    assert tree(place) == between
    assert dogsort("undo", place).stderr == b"Removed 3 copies.\n"
    assert (tree(place), tree(album)) == ({}, before)


def test_undo_takes_back_a_killed_run_and_no_other(dogsort, album):
    place = album / "sorted"
    assert dogsort(album, "--copy", "--to", place).returncode == 0
    between = tree(place)
    assert dogsort(album, "--link", "--to", place).returncode == 0
    assert tree(place) != between
    stop(place)
    assert dogsort("undo", place).returncode == 0
    assert tree(place) == between


def test_what_was_edited_after_a_kill_stays_as_it_is(dogsort, album):
    assert dogsort(album, "--move").returncode == 0
    stop(album)
    (album / "dog" / "running_dog.jpeg").write_bytes(b"edited")
    run = dogsort(album, "--move")
    assert run.returncode == 0, run.stderr.decode()
    assert (album / "dog" / "running_dog.jpeg").read_bytes() == b"edited"
    run = dogsort("undo", album)
    assert run.returncode == 3
    photo = album / "dog" / "running_dog.jpeg"
    assert f"{photo}: not put back: it has changed since it was filed" in run.stderr.decode()
    assert b"Put back 2 files. 1 could not be put back." in run.stderr
    assert photo.read_bytes() == b"edited"


@pytest.mark.parametrize("state", ["planned", "done"])
def test_the_killed_run_of_a_stranger_is_left_alone(dogsort, album, tmp_path, state):
    """A journal may come with somebody else's album, and must not write elsewhere unasked."""
    home, other = tmp_path / "sorted", tmp_path / "other"
    assert dogsort(album, "--move", "--to", home).returncode == 0
    stop(home)
    if state == "done":
        with closing(sqlite3.connect(home / ".dogsort" / "journal.db")) as journal, journal:
            journal.execute("UPDATE steps SET state = 'done'")
    before = tree(album)
    other.mkdir()
    shutil.copy(CAT, other / "another.jpeg")
    stranger = {"XDG_STATE_HOME": str(tmp_path / "state")}
    run = dogsort(other, "--move", "--to", home, **stranger)
    assert run.returncode == 0, run.stderr.decode()
    left = b"was interrupted and is not recovered: it filed photos from outside this folder, and"
    assert (left in run.stderr) == (state == "planned")
    assert (home / "cat" / "another.jpeg").exists()
    # Only this user's files go back, however often undo runs.
    for _ in "12":
        dogsort("undo", home, **stranger)
        assert tree(album) == before
    assert (other / "another.jpeg").exists()


def test_a_card_that_is_not_there_keeps_nobody_from_filing(dogsort, album, tmp_path):
    before = tree(album)
    (tmp_path / "card").mkdir()
    shutil.copy(CAT, tmp_path / "card" / "tom.jpeg")
    home = tmp_path / "sorted"
    assert dogsort(tmp_path / "card", "--move", "--to", home).returncode == 0
    (home / "cat" / "tom.jpeg").rename(tmp_path / "card" / "tom.jpeg")
    stop(home)  # as if it had been killed before the move
    (tmp_path / "card").rename(tmp_path / "pulled")
    run = dogsort(album, "--move", "--to", home)
    assert run.returncode == 0, run.stderr.decode()
    assert f"{tmp_path / 'card' / 'tom.jpeg'}: {tmp_path / 'card'}: No such" in run.stderr.decode()
    run = dogsort("undo", home)
    assert run.returncode == 3
    assert b"cat/tom.jpeg: not put back: cannot be reached, so it is unknown" in run.stderr
    assert tree(album) == before
    (tmp_path / "pulled").rename(tmp_path / "card")
    run = dogsort("undo", home)
    assert run.returncode == 0, run.stderr.decode()
    assert (tmp_path / "card" / "tom.jpeg").read_bytes() == CAT.read_bytes()


@pytest.mark.slow
@needs_signals
@pytest.mark.parametrize("kind", ["here", "exfat"])
def test_killed_at_random_moments_on_real_photos(dogsort, data, tmp_path, kind):
    """Move and undo, both killed: the tree is restored, with all bytes and times.

    By undo, or by one undo after the next run, which files the rest.
    """
    with disk(kind, 400_000_000) if kind != "here" else nullcontext(tmp_path) as place:
        check_that_photos_come_back(dogsort, data / "photos", place, tmp_path)


def check_that_photos_come_back(dogsort, photos, place, tmp_path):
    rng = random.Random(5)
    album = place / "photos"
    # A card takes no links, and not all names.
    with suppress(shutil.Error):
        shutil.copytree(photos, album, symlinks=True, copy_function=shutil.copyfile)
    assert len(files_below(album)) > 70
    table = tmp_path / "p.csv"
    assert dogsort(album, "-o", table).returncode == 3
    before = tree(album)
    filing = ("file", table, "--move", "--photos", album, "--to", album)
    dogsort(*filing)
    count = len(states(dogsort, album))
    assert dogsort("undo", album).returncode == 0
    assert tree(album) == before
    for _ in range(10):
        run = run_struck({rng.randint(1, count): signal.SIGKILL}, *filing)
        assert run.returncode == -signal.SIGKILL
        if rng.random() < 0.5:
            assert dogsort(*filing).returncode in (0, 3)
            assert set(states(dogsort, album)) == {"done"}
        run_struck({rng.randint(1, count): signal.SIGKILL}, "undo", album)
        while dogsort("undo", album).returncode == 0:
            pass
        assert tree(album) == before
