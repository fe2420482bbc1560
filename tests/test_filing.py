"""Filing folders of photos: into a tree, with conflicts, by links, repeatedly."""

from __future__ import annotations

import csv
import os
import shutil

import pytest
from conftest import EXAMPLES, files_below
from trees import tree

DOG, CAT = EXAMPLES / "running_dog.jpeg", EXAMPLES / "kitten.jpeg"

PAST = {"move": "moved", "copy": "copied", "link": "linked", "hardlink": "linked"}


def test_sub_folders_are_kept_below_the_label(dogsort, album):
    (album / "2019" / "may").mkdir(parents=True)
    shutil.copy(DOG, album / "2019" / "may" / "rex.jpg")
    shutil.copy(DOG, album / "2019" / "rex.jpg")
    before = tree(album)
    run = dogsort(f"{album}/", "--move", "--keep-tree", "--neither-to", "rest")
    assert run.returncode == 0, run.stderr.decode()
    label_folders = f"{album}/cat and {album}/dog and {album}/rest"
    assert f"moved: 3 neither, 2 cat, 3 dog, into {label_folders}\n" in run.stderr.decode()
    assert sorted(files_below(album)) == [
        "cat/chelsea.png",
        "cat/kitten.jpeg",
        "dog/2019/may/rex.jpg",
        "dog/2019/rex.jpg",
        "dog/running_dog.jpeg",
        "rest/astronaut.png",
        "rest/coffee.png",
        "rest/rocket.jpg",
    ]
    again = dogsort(album, "--move", "--keep-tree")
    assert "moved: nothing" in again.stderr.decode()
    assert dogsort("undo", album).returncode == 0
    assert tree(album) == before


def test_names_that_are_taken(dogsort, album):
    (album / "dog").mkdir()
    (album / "dog" / "running_dog.jpeg").write_bytes(b"of somebody else")
    before = tree(album)
    run = dogsort(album, "--move")
    assert run.returncode == 3  # because what is in the way is no photo
    assert "name taken by another file, so filed under a new name: 1" in run.stderr.decode()
    assert (album / "dog" / "running_dog.jpeg").read_bytes() == b"of somebody else"
    assert (album / "dog" / "running_dog (2).jpeg").read_bytes() == DOG.read_bytes()
    assert dogsort("undo", album).returncode == 0
    assert tree(album) == before


def test_hard_links_are_the_photo_and_undone(dogsort, album):
    before = tree(album)
    assert dogsort(album, "--hardlink").returncode == 0
    assert (album / "cat" / "kitten.jpeg").samefile(album / "kitten.jpeg")
    assert dogsort("undo", album).returncode == 0
    assert tree(album) == before


def test_a_label_folder_that_is_a_link_out_is_refused(dogsort, album, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (album / "cat").symlink_to(tmp_path / "elsewhere")
    before = files_below(album)
    run = dogsort(album, "--move")
    assert run.returncode == 1
    assert "cat: a link that leads out of" in run.stderr.decode()
    assert files_below(album) == before
    # Also further down.
    (album / "cat").unlink()
    (album / "cat").mkdir()
    (album / "cat" / "2019").symlink_to(tmp_path / "elsewhere")
    (album / "2019").mkdir()
    shutil.copy(CAT, album / "2019" / "tom.jpg")
    run = dogsort(album, "--move", "--keep-tree")
    assert run.returncode == 3
    assert "2019 is a link that leads elsewhere" in run.stderr.decode()
    assert (album / "2019" / "tom.jpg").exists()
    assert not list((tmp_path / "elsewhere").iterdir())


def test_names_that_would_be_too_long_are_named(dogsort, album):
    name = "a" * 250 + ".jpeg"
    shutil.copy(DOG, album / name)
    (album / "dog").mkdir()
    (album / "dog" / name).write_bytes(b"other")
    run = dogsort(album, "--move", "--to", album)
    assert run.returncode == 3
    assert f"{name}: not filed: File name too long" in run.stderr.decode()
    assert (album / name).exists()
    assert (album / "dog" / "running_dog.jpeg").exists()


def test_paths_of_4000_bytes(dogsort, album):
    deep = album
    while len(os.fsencode(deep)) < 3790:
        deep = deep / ("d" * 200)
    deep = deep / ("d" * (4000 - len(os.fsencode(deep)) - len("/cat.jpeg") - 1))
    handle = os.open(album, os.O_RDONLY)
    for part in deep.relative_to(album).parts:
        os.mkdir(part, dir_fd=handle)
        below = os.open(part, os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = below
    os.close(handle)
    shutil.copy(CAT, deep / "cat.jpeg")
    assert len(os.fsencode(deep / "cat.jpeg")) == 4000
    before = tree(album)
    assert dogsort(album, "--move").returncode == 0
    assert (album / "cat" / "cat.jpeg").exists()
    assert dogsort("undo", album).returncode == 0
    assert tree(album) == before
    # With its tree, the path has 4,004 bytes; one folder further down, the system refuses it.
    assert dogsort(album, "--move", "--keep-tree").returncode == 0
    assert dogsort("undo", album).returncode == 0
    run = dogsort(album, "--copy", "--keep-tree", "--to", album / ("x" * 199))
    assert run.returncode == 3
    assert "cat.jpeg: not filed: " in run.stderr.decode()
    assert "File name too long" in run.stderr.decode()


@pytest.mark.parametrize("how", ["folder", "table"])
def test_folders_filed_into_are_passed_over_wherever_they_are(dogsort, album, how):
    table = album.parent / "p.csv"
    assert dogsort(album, "--move", "--to", album / "sorted").returncode == 0
    (album / "2019").mkdir()
    shutil.copy(DOG, album / "2019" / "rex.jpeg")
    assert dogsort(album, "-o", table).returncode == 0
    command = ("file", table) if how == "table" else (album,)
    planned = dogsort(*command, "--move", "--dry-run")
    assert planned.returncode == 0, planned.stderr.decode()
    (row,) = list(csv.DictReader(planned.stdout.decode().splitlines()))
    assert row["source"] == str(album / "2019" / "rex.jpeg")
    run = dogsort(*command, "--move")
    assert run.returncode == 0, run.stderr.decode()
    passed = f"{album / 'sorted'}: folders in it that earlier runs filed into are skipped"
    assert run.stderr.decode().count(passed) == 1
    assert (album / "sorted" / "dog" / "running_dog.jpeg").exists()
    assert (album / "dog" / "rex.jpeg").exists()
    # Wherever it goes, but not if the folder itself is named.
    run = dogsort(album, "--copy", "--to", album.parent / "all")
    assert f"{album}: folders in it that earlier runs" in run.stderr.decode()
    assert f"{album / 'sorted'}: folders in it that earlier runs" in run.stderr.decode()
    assert files_below(album.parent / "all") == {}
    named = (album / "sorted" / "dog", album / "dog")
    assert dogsort(*named, "--copy", "--to", album.parent / "all").returncode == 0
    assert sorted(files_below(album.parent / "all")) == ["dog/rex.jpeg", "dog/running_dog.jpeg"]


def test_a_folder_with_a_journal_that_cannot_be_read_is_left_alone(dogsort, album):
    assert dogsort(album / "kitten.jpeg", "--move", "--to", album / "sorted").returncode == 0
    assert dogsort(album, "-o", album.parent / "p.csv").returncode == 0
    journal = album / "sorted" / ".dogsort" / "journal.db"
    journal.write_text("not a journal\n" * 100)
    run = dogsort(album, "--move")
    assert run.returncode == 3
    assert (
        f"{album / 'sorted'}: {journal}: damaged: file is not a database; " in run.stderr.decode()
    )
    assert (album / "sorted" / "cat" / "kitten.jpeg").exists()
    assert (album / "dog" / "running_dog.jpeg").exists()
    assert dogsort("undo", album).returncode == 0
    before = tree(album)
    run = dogsort("file", album.parent / "p.csv", "--move")
    assert run.returncode == 1
    assert f"{journal}: damaged: file is not a database; " in run.stderr.decode()
    assert tree(album) == before


@pytest.mark.parametrize("action", ["--copy", "--hardlink"])
def test_a_linked_photo_is_filed_once(dogsort, album, action):
    (album / "trip").mkdir()
    (album / "trip" / "tom.jpeg").symlink_to("../chelsea.png")
    cats, to = album.parent / "to" / "cat", album.parent / "to"
    for sources in ([album / "trip"], [album / "trip", album / "chelsea.png"], [album]):
        run = dogsort(*sources, action, "--to", to)
        assert run.returncode == 0, run.stderr.decode()
    assert b"already there, or identical to another photo, so not filed again: 2" in run.stderr
    assert sorted(path.name for path in cats.iterdir()) == [
        "chelsea.png",
        "kitten.jpeg",
        "tom.jpeg",
    ]


def test_filed_photos_are_counted_and_rows_are_for_who_asks(dogsort, album):
    """Nothing on stdout, which a script may take for a table, except with -o -."""
    before = tree(album)
    run = dogsort("album", "--move", cwd=album.parent)
    assert (run.returncode, run.stdout) == (0, b"")
    assert run.stderr.decode().splitlines() == [
        "6 photos: 1 dog, 2 cat, 3 neither",
        "moved: 2 cat, 1 dog, into album/cat and album/dog",
        "to undo: dogsort undo album",
    ]
    undone = dogsort("undo", "album", cwd=album.parent)
    assert (undone.returncode, undone.stdout) == (0, b"")
    assert undone.stderr == b"Put back 3 files.\n"
    assert tree(album) == before
    run = dogsort("album", "--copy", "--quiet", "-o", "-", cwd=album.parent)
    assert (run.returncode, run.stderr) == (0, b"")
    rows = list(csv.DictReader(run.stdout.decode().splitlines()))
    assert {row["path"]: row["label"] for row in rows}["album/kitten.jpeg"] == "cat"
    assert len(rows) == 6
    assert b"Removed 3 copies." in dogsort("undo", "album", cwd=album.parent).stderr
    run = dogsort("album", "--move", "-o", "p.csv", cwd=album.parent)
    assert (run.returncode, run.stdout) == (0, b"")
    assert len((album.parent / "p.csv").read_text().splitlines()) == 7


@pytest.mark.parametrize("action", ["move", "copy", "link", "hardlink"])
def test_each_step_is_told_where_asked(dogsort, album, action):
    (album / "kitten.xmp").write_bytes(b"stars")
    lines = [
        f"{action} album/{name} -> to/{label}/{name}"
        for name, label in (
            ("chelsea.png", "cat"),
            ("kitten.jpeg", "cat"),
            ("kitten.xmp", "cat"),
            ("running_dog.jpeg", "dog"),
        )
    ]
    run = dogsort("album", f"--{action}", "--to", "to", "-v", cwd=album.parent)
    said = run.stderr.decode().splitlines()
    assert run.returncode == 0, said
    assert run.stdout == b""
    assert [line for line in said if line.startswith(f"{action} ")] == lines
    assert f"{PAST[action]}: 2 cat, 1 sidecar, 1 dog, into to/cat and to/dog" in said


def test_two_actions_into_one_folder_are_undone_one_by_one(dogsort, album, tmp_path):
    before, place = tree(album), tmp_path / "sorted"
    assert dogsort(album, "--copy", "--to", place).returncode == 0
    between = tree(place)
    (tmp_path / "late").mkdir()
    (tmp_path / "late" / "tom.jpeg").write_bytes(CAT.read_bytes() + b"another")
    late = tree(tmp_path / "late")
    assert dogsort(tmp_path / "late", "--move", "--to", place).returncode == 0
    assert (place / "cat" / "tom.jpeg").exists()
    assert not (tmp_path / "late" / "tom.jpeg").exists()
    assert dogsort("undo", place).stderr == b"Put back 1 file.\n"
    assert tree(place) == between
    assert tree(tmp_path / "late") == late
    assert dogsort("undo", place).stderr == b"Removed 3 copies.\n"
    assert tree(place) == {}
    assert tree(album) == before
    undone = dogsort("undo", place)
    assert undone.returncode == 1
    assert b"everything that was filed is already undone" in undone.stderr


def test_filing_again_by_another_action_files_nothing_twice(dogsort, album):
    assert dogsort(album, "--hardlink").returncode == 0
    before = tree(album)
    run = dogsort(album, "--move")
    assert run.returncode == 0, run.stderr.decode()
    assert b"already there, or identical to another photo, so not filed again: 3" in run.stderr
    assert b"moved: nothing" in run.stderr
    assert tree(album) == before
    assert b"Removed 3 links." in dogsort("undo", album).stderr
