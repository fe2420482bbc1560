"""An album that somebody else made: its journal does no harm outside it."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from test_journal import change, journal_of, said_of
from trees import ACTIONS, contents, file_all, plant, stop, tree

from dogsort.errors import FilingError
from dogsort.filing import undo


class Stranger:
    """An album that somebody else made, whose journal names files outside it."""

    def __init__(self, place: Path) -> None:
        self.album, self.home = place / "album", place / "home"
        plant(self.album, {"a.jpg": b"bad", "trip/b.jpg": b"two"})
        plant(self.home, {"secret.jpg": b"secret", ".ssh/config": b"mine"})
        file_all(self.album, {"a.jpg": "dog"}, "move")
        change(self.album, "UPDATE runs SET token = ?", "0123456789abcdef" * 2)
        self.before = tree(self.home)

    def claim(self, source: Path | str, target: str = "dog/a.jpg") -> None:
        for column, path in (("place, name", source), ("folder, new_name", target)):
            folder, name = map(os.fsencode, os.path.split(path))
            change(self.album, "INSERT OR IGNORE INTO folders (path) VALUES (?)", folder)
            change(
                self.album,
                f"UPDATE steps SET ({column}) = (SELECT folder, ? FROM folders WHERE path = ?)",
                *(name, folder),
            )

    def check(self) -> None:
        assert tree(self.home) == self.before
        assert b"secret" not in contents(self.album)


@pytest.fixture
def stranger(tmp_path) -> Stranger:
    return Stranger(tmp_path)


def test_a_strangers_run_puts_nothing_outside(dogsort, stranger):
    stranger.claim(stranger.home / ".ssh" / "authorized_keys")
    said = said_of(stranger.album, dogsort, "undo", stranger.album)
    assert "this user did not begin it; undo would put" in said
    assert "authorized_keys" in said
    with pytest.raises(FilingError, match="this user did not begin it"):
        undo(str(stranger.album))
    stranger.check()


@pytest.mark.parametrize("action", ACTIONS)
def test_a_strangers_run_that_was_cut_off_takes_nothing_from_outside(dogsort, stranger, action):
    stranger.claim(stranger.home / "secret.jpg", "dog/mine.jpg")
    change(stranger.album, "UPDATE runs SET action = ?", action)
    change(stranger.album, "UPDATE steps SET size = 6, mtime = ?", str(10**18))
    stop(stranger.album)
    table = stranger.album.parent / "photos.csv"
    table.write_text(f"path,label\n{stranger.album / 'trip' / 'b.jpg'},cat\n")
    run = dogsort("file", table, f"--{action}", "--photos", stranger.album)
    assert run.returncode == 0, run.stderr.decode()
    assert b"was interrupted and is not recovered: it filed photos from outside" in run.stderr
    assert (stranger.album / "cat" / "b.jpg").exists()
    stranger.check()
    undone = dogsort("undo", stranger.album)
    assert undone.returncode == 0, undone.stderr.decode()
    assert not (stranger.album / "cat").exists()
    assert dogsort("undo", stranger.album).returncode == 1
    stranger.check()


@pytest.mark.parametrize("is_stopped", [False, True])
def test_a_strangers_run_gets_no_trust_from_ones_own(stranger, is_stopped):
    """This user files into it, also from outside, by the same action."""
    keys = stranger.home / ".ssh" / "authorized_keys"
    stranger.claim(keys)
    change(stranger.album, "UPDATE runs SET state = 'filing'")
    if is_stopped:
        stop(stranger.album)
    camera = stranger.album.parent / "camera"
    plant(camera, {"c.jpg": b"three", "d.jpg": b"four"})
    for name in ("c.jpg", "d.jpg"):
        assert [
            one.error for one in file_all(camera, {name: "dog"}, "move", to=stranger.album)
        ] == [None]
    for _ in "12":
        assert [one.error for one in undo(str(stranger.album))] == [None]
    assert sorted(tree(camera)) == ["c.jpg", "d.jpg"]
    with pytest.raises(FilingError, match="this user did not begin it"):
        undo(str(stranger.album))
    assert not keys.exists()
    stranger.check()


@pytest.mark.parametrize("state", ["done", "planned", "returning"])
def test_steps_of_no_run_get_no_trust_from_ones_own(stranger, state):
    """The steps have the number of the run that this user starts next."""
    keys = stranger.home / ".ssh" / "authorized_keys"
    stranger.claim(keys)
    change(stranger.album, "UPDATE steps SET state = ?", state)
    change(stranger.album, "DELETE FROM runs")
    camera = stranger.album.parent / "camera"
    plant(camera, {"c.jpg": b"three"})
    before = tree(camera)
    file_all(camera, {"c.jpg": "cat"}, "move", to=stranger.album)
    assert [one.error for one in undo(str(stranger.album))] == [None]
    assert tree(camera) == before
    stranger.check()


def test_a_copy_that_was_cut_off_gets_no_trust_from_ones_own(stranger):
    """This user copies into it from outside, while the stranger's copy is unfinished."""
    (stranger.album / "x.jpg").symlink_to(stranger.home / "secret.jpg")
    stranger.claim("x.jpg", "dog/mine.jpg")
    change(stranger.album, "UPDATE runs SET action = 'copy'")
    stop(stranger.album)
    camera = stranger.album.parent / "camera"
    plant(camera, {"c.jpg": b"three"})
    file_all(camera, {"c.jpg": "cat"}, "copy", to=stranger.album)
    assert [one.error for one in undo(str(stranger.album))] == [None]
    stranger.check()


def behind_the_indexes(album: Path, *change: object) -> None:
    """Change a journal, but not its indexes."""
    rows = "sqlite_schema WHERE type = 'index'"
    for statements in (
        (
            ("CREATE TEMP TABLE kept AS SELECT * FROM sqlite_schema",),
            (f"DELETE FROM {rows}",),
            ("UPDATE sqlite_schema SET sql = replace(sql, ' UNIQUE', '')",),
            ("ATTACH ? AS other", str(album / "kept.db")),
            ("CREATE TABLE other.kept AS SELECT * FROM temp.kept",),
        ),
        (change,),
        (
            ("ATTACH ? AS other", str(album / "kept.db")),
            ("DELETE FROM sqlite_schema",),
            ("INSERT INTO sqlite_schema SELECT * FROM other.kept",),
        ),
    ):
        with closing(sqlite3.connect(journal_of(album), isolation_level=None)) as journal:
            journal.execute("PRAGMA writable_schema = ON")
            for statement, *values in statements:
                journal.execute(statement, values)
    (album / "kept.db").unlink()


def test_an_index_that_hides_steps_gets_no_trust(stranger):
    keys = stranger.home / ".ssh" / "authorized_keys"
    change(stranger.album, "INSERT INTO folders VALUES (99, ?)", os.fsencode(keys.parent))
    change(stranger.album, "UPDATE steps SET name = ?", os.fsencode(keys.name))
    behind_the_indexes(stranger.album, "UPDATE steps SET place = 99")
    with pytest.raises(FilingError, match="this user did not begin it"):
        undo(str(stranger.album))
    assert not keys.exists()
    stranger.check()


def test_an_index_that_says_another_folder_puts_nothing_there(stranger):
    camera = stranger.album.parent / "camera"
    plant(camera, {"c.jpg": b"three"})
    before = tree(camera)
    change(stranger.album, "INSERT INTO folders VALUES (99, ?)", os.fsencode(camera))
    behind_the_indexes(
        stranger.album, "UPDATE folders SET path = ? WHERE folder = 99", os.fsencode(stranger.home)
    )
    with pytest.raises(FilingError, match="camera has the number of another folder"):
        file_all(camera, {"c.jpg": "cat"}, "move", to=stranger.album)
    assert tree(camera) == before
    stranger.check()


@pytest.mark.parametrize("source", [True, False])
@pytest.mark.parametrize("is_stopped", [False, True])
def test_a_link_in_a_strangers_album_leads_nothing_outside(stranger, source, is_stopped):
    (stranger.album / "x").symlink_to(stranger.home)
    names = ("x/new.jpg", "dog/a.jpg") if source else ("a.jpg", "x/secret.jpg")
    stranger.claim(*names)
    if is_stopped:
        stop(stranger.album)
    for trust in (False, True):
        (outcome,) = undo(str(stranger.album), trust)
        assert "leads elsewhere now" in str(outcome.error) or "cannot be reached" in str(
            outcome.error
        )
        stranger.check()
    assert (stranger.album / "dog" / "a.jpg").exists()


@pytest.mark.parametrize("action", ["copy", "hardlink", "link"])
@pytest.mark.parametrize("link", ["x.jpg", "x/secret.jpg"])
def test_a_link_in_a_strangers_album_gets_nothing_from_outside(dogsort, stranger, action, link):
    """An interrupted run would copy the link's target to where the stranger can read it."""
    place = stranger.album / Path(link).parts[0]
    place.symlink_to(stranger.home / "secret.jpg" if place.suffix else stranger.home)
    stranger.claim(link, "dog/mine.jpg")
    change(stranger.album, "UPDATE runs SET action = ?", action)
    stop(stranger.album)
    dogsort("undo", stranger.album)
    assert b"secret" not in contents(stranger.album)
    assert tree(stranger.home) == stranger.before


def test_a_strangers_journal_removes_no_folder_outside(stranger):
    (stranger.home / "empty").mkdir()
    (stranger.album / "x").symlink_to(stranger.home)
    change(stranger.album, "INSERT INTO folders VALUES (99, ?)", b"x/empty")
    change(stranger.album, "INSERT INTO made SELECT run, 99 FROM runs")
    assert [one.error for one in undo(str(stranger.album))] == [None]
    assert (stranger.home / "empty").is_dir()


def test_the_rest_of_a_write_that_names_other_files_deletes_none(dogsort, stranger):
    """SQLite deletes the file that a rollback journal names as its super-journal."""
    victim = stranger.home / "secret.jpg"
    place = journal_of(stranger.album)
    with closing(sqlite3.connect(place, isolation_level=None)) as journal:
        journal.execute("PRAGMA cache_size = 1")
        journal.execute("BEGIN IMMEDIATE")
        journal.execute("UPDATE runs SET token = 'x'")
        journal.execute("CREATE TABLE big (a)")
        journal.execute("INSERT INTO big VALUES (zeroblob(100000))")
        hot = Path(f"{place}-journal").read_bytes()
        now = place.read_bytes()
        journal.execute("ROLLBACK")
    name = os.fsencode(victim)
    magic = bytes.fromhex("d9d505f920a163d7")
    checksum = sum(byte - 256 if byte > 127 else byte for byte in name) % 2**32
    page = (len(now) // 4096 + 2**30 // 4096).to_bytes(4, "big")
    end = page + name + len(name).to_bytes(4, "big") + checksum.to_bytes(4, "big") + magic
    place.write_bytes(now)
    Path(f"{place}-journal").write_bytes(hot + end)
    for command in ("history", "undo"):
        dogsort(command, stranger.album)
    stranger.check()
