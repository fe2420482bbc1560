"""Journals: they return what was written, and dogsort trusts only what it could have written."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trees import ACTIONS, LABELS, PHOTOS, QUICK, contents, file_all, plant, stop, tree

from dogsort.cli.main import COMMANDS
from dogsort.errors import DogsortError, FilingError
from dogsort.filing import undo
from dogsort.filing.journal import FILE_NAME, FOLDER_NAME, Journal, Step
from dogsort.records import LABELS as ALL_LABELS


def journal_of(folder: Path) -> Path:
    return folder / FOLDER_NAME / FILE_NAME


def change(folder: Path, statement: str, *values: object) -> None:
    """Change a journal like an attacker."""
    with closing(sqlite3.connect(journal_of(folder))) as journal, journal:
        journal.execute(statement, values)


def said_of(folder: Path, dogsort: Callable[..., Any], *command: object) -> str:
    """Return the one line with which a command refuses a journal."""
    run = dogsort(*command)
    lines = run.stderr.decode().splitlines()
    assert run.returncode == 1, lines
    assert len(lines) == 1, lines
    assert "this should not happen" not in lines[0]
    assert str(folder) in lines[0]
    return lines[0]


NAME = st.binary(min_size=1, max_size=20).filter(
    lambda name: not {0, 0x2F} & set(name) and name not in (b".", b"..") and name[:1] != b"."
)
TIME = st.one_of(
    st.integers(-(2**40), 2**64),  # 1969 to 2554
    st.sampled_from([0, -1, 10**9 * -(2**31), 2**63 - 1, 2**63, 10**19, 10**9 * 2**34]),
)
STEP = st.builds(
    Step,
    number=st.just(0),
    place=st.lists(NAME, max_size=2),
    name=NAME.map(os.fsdecode),
    folder=st.lists(NAME, min_size=1, max_size=2),
    new_name=NAME.map(os.fsdecode),
    label=st.sampled_from(ALL_LABELS),
    sidecar=st.booleans(),
    size=st.one_of(st.sampled_from([0, 2**63 - 1]), st.integers(0, 2**50)),
    mtime=TIME,
    mode=st.integers(0, 0o7777),
    state=st.just("planned"),
)


@given(steps=st.lists(STEP, min_size=1, max_size=5), action=st.sampled_from(ACTIONS))
def test_what_is_written_comes_back(steps, action):
    with tempfile.TemporaryDirectory(dir=QUICK) as folder:
        (Path(folder) / FOLDER_NAME).mkdir()
        root = os.path.realpath(folder)
        steps = [
            step._replace(
                place=os.path.join(root, *map(os.fsdecode, step.place)),
                folder=os.path.join(root, *map(os.fsdecode, step.folder)),
            )
            for step in steps
        ]
        folders = [step.folder for step in steps]
        with closing(Journal(folder, create=True)) as journal:
            run = journal.begin(action)
            numbered = journal.plan(run, steps, folders[:1])
        with closing(Journal(folder)) as journal:
            assert journal.runs() == [run]
            assert journal.steps(run, "planned") == numbered[::-1]
            assert [step._replace(number=0) for step in numbered] == steps
            assert journal.folders() == sorted(set(folders))
            assert journal.new_folders(run) == folders[:1]
            journal.mark(run, numbered[:1])
            assert journal.steps(run, "planned") == numbered[:0:-1]


ODD_NAMES = (b"caf\xe9 \n=1.jpg", b"\xff\xfe.jpg", b"a\nb.jpg", b" .jpg", b"-rf.jpg", b"a,b'\".jpg")


@pytest.mark.parametrize("action", ACTIONS)
def test_names_that_are_no_utf8_come_back(quick_path, action):
    names = list(map(os.fsdecode, ODD_NAMES))
    try:
        plant(quick_path, {name: os.fsencode(name) for name in names})
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    (quick_path / names[0]).write_bytes(b"")
    before = tree(quick_path)
    file_all(quick_path, dict.fromkeys(names, "cat"), action)
    stop(quick_path)
    assert all((quick_path / "cat" / name).exists() for name in names)
    assert [one.error for one in undo(str(quick_path))] == [None] * len(names)
    assert tree(quick_path) == before


BIG = 2**62


@pytest.mark.parametrize(
    ("statement", "value"),
    [
        *(
            (f"UPDATE folders SET path = ? WHERE folder = (SELECT {which} FROM steps)", path)
            for which in ("place", "folder")
            for path in (
                *(b"..", b"x/..", b"x/../..", b".", b"x//x", b"x/", b"a\0b", b".dogsort"),
                *(b"x/.DogSort/y", b"/etc/../etc", b"//etc/../x", "", "x", "/etc", None, 1, 1.5),
            )
        ),
        *(("UPDATE folders SET path = ? WHERE path = x'646f67'", path) for path in (b"/etc", b"/")),
        *(
            (f"UPDATE steps SET {which} = ?", name)
            for which in ("name", "new_name")
            for name in (
                *(b"../a.jpg", b"/etc/a.jpg", b"x/a.jpg", b"a\0.jpg", b"", b".", b"..", b"/"),
                *(b".dogsort", "a.jpg", None, 1, 1.5),
            )
        ),
        *(("UPDATE steps SET place = ?", number) for number in (7, -1, None, "x", b"", 2**62)),
        *(("UPDATE steps SET folder = ?", number) for number in (7, -1, None, "x", b"", 2**62)),
        *(("UPDATE steps SET label = ?", label) for label in ("horse", "../x", None, b"dog", 1)),
        *(("UPDATE steps SET size = ?", size) for size in ("x", b"x", None, 0.5)),
        *(("UPDATE steps SET mtime = ?", time) for time in ("x", b"1", None, "1.5", "9" * 40)),
        *(("UPDATE steps SET mtime = ?", "9" * 5000),),
        *(("UPDATE steps SET mode = ?", mode) for mode in ("x", b"x", None, 0.5)),
        *(("UPDATE runs SET action = ?", action) for action in ("shred", None, b"move", 1)),
        *(("UPDATE runs SET state = ?", state) for state in ("gone", None, b"filed")),
        *(("UPDATE runs SET started = ?", time) for time in ("\x1b]0;", "now", None, 5, b"x")),
        *(("UPDATE runs SET token = ?", token) for token in (None, b"x")),
    ],
)
def test_journals_that_dogsort_does_not_write_are_refused(quick_path, statement, value):
    album = quick_path / "album"
    plant(album, {"a.jpg": b"one"})
    file_all(album, {"a.jpg": "dog"}, "move")
    change(album, statement, value)
    before = tree(album)
    for state in ("done", "planned", "returning"):  # also if it looks interrupted
        change(album, "UPDATE steps SET state = ?", state)
        with pytest.raises(FilingError, match=rf"{re.escape(str(journal_of(album)))}: damaged: "):
            undo(str(album), trust=True)
        assert tree(album) == before


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE runs SET run = 4611686018427387904",
        "UPDATE runs SET run = 9223372036854775807",
        "UPDATE steps SET step = 4611686018427387904",
        "UPDATE steps SET step = 9223372036854775807",
        "UPDATE steps SET step = -9223372036854775808",
        "UPDATE steps SET run = 'x'",
        "UPDATE steps SET state = 'gone'",
        "UPDATE steps SET state = NULL",
        "UPDATE steps SET size = 9223372036854775807",
        "UPDATE steps SET mode = -1",
        "UPDATE steps SET sidecar = 'x'",
        "UPDATE folders SET path = CAST('../..' AS BLOB) WHERE folder = 2",
        "UPDATE folders SET path = CAST('/tmp' AS BLOB) WHERE folder = 2",
        "UPDATE folders SET path = 7 WHERE folder = 2",
        "UPDATE made SET folder = 7",
        "UPDATE made SET folder = 'x'",
        "INSERT INTO runs SELECT run + 1, token, started, action, state FROM runs",
        "INSERT INTO runs SELECT 0, token, started, action, state FROM runs",
        "INSERT INTO runs SELECT -5, token, started, action, 'filing' FROM runs",
        "INSERT INTO steps SELECT step + 1, run, place, name, folder, new_name, label, sidecar,"
        " size, mtime, mode, state FROM steps",
        "DELETE FROM runs",
        "DELETE FROM steps",
    ],
)
@pytest.mark.parametrize("is_stopped", [False, True])
def test_odd_journals_do_no_harm(quick_path, statement, is_stopped):
    """Every command that fails does so with one clear line, and nothing is lost."""
    album = quick_path / "album"
    plant(album, {"a.jpg": b"one", "b.jpg": b"two"})
    plant(quick_path, {"photos.csv": f"path,label\n{album / 'b.jpg'},dog\n".encode()})
    file_all(album, {"a.jpg": "dog"}, "move")
    if is_stopped:
        stop(album)
    change(album, statement)
    file = ("file", quick_path / "photos.csv", "--move", "--photos", album, "--to", album)
    for name, *arguments in (("undo", album), file, ("history", album), ("undo", album)):
        with suppress(DogsortError):  # anything else is a bug
            COMMANDS[name].main([*map(str, arguments)], standalone_mode=False)
        assert contents(album) == [b"one", b"two"]


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER a AFTER UPDATE ON steps BEGIN DELETE FROM steps; END",
        "CREATE VIEW a AS SELECT * FROM steps",
        "CREATE TABLE a (b)",
        "CREATE INDEX a ON steps (folder)",
        "DROP INDEX steps_by_source",
        "ALTER TABLE steps ADD COLUMN a",
        "DROP TABLE folders",
        "PRAGMA user_version = 4",
        "PRAGMA user_version = -1",
    ],
)
def test_journals_of_another_form_are_refused(dogsort, tmp_path, statement):
    plant(tmp_path, {"a.jpg": b"one"})
    file_all(tmp_path, {"a.jpg": "dog"}, "move")
    change(tmp_path, statement)
    before = tree(tmp_path)
    for command in ("undo", "history"):
        said = said_of(tmp_path, dogsort, command, tmp_path)
        assert (
            "journal.db: damaged: it was made by another version of dogsort; to continue without it"
            in said
        )
    assert tree(tmp_path) == before


def test_nothing_is_filed_by_a_journal_that_could_not_be_read_again(tmp_path):
    """A journal that claims to be new, but holds what dogsort never writes."""
    plant(tmp_path, {"a.jpg": b"one", f"{FOLDER_NAME}/{FILE_NAME}": b""})
    change(tmp_path, "CREATE TABLE other (a)")
    with pytest.raises(FilingError, match="made by another version of dogsort"):
        file_all(tmp_path, {"a.jpg": "dog"}, "move")
    assert contents(tmp_path) == [b"one"]
    assert not (tmp_path / "dog").exists()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE steps SET step = 4611686018427387903",
        "UPDATE steps SET step = 9223372036854775807",
        "UPDATE runs SET run = 4611686018427387903",
    ],
)
def test_nothing_is_filed_under_numbers_that_undo_would_not_find(tmp_path, statement):
    plant(tmp_path, {"a.jpg": b"one", "b.jpg": b"two"})
    file_all(tmp_path, {"a.jpg": "dog"}, "copy")
    change(tmp_path, statement)
    before = tree(tmp_path)
    with pytest.raises(FilingError, match="its numbers are used up"):
        file_all(tmp_path, {"b.jpg": "dog"}, "move")
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    "spoil",
    [
        lambda whole: b"",
        lambda whole: b"path,label\n",
        lambda whole: whole[:100],
        lambda whole: whole[:4096],
        lambda whole: whole[:4096] + bytes(len(whole) - 4096),
        lambda whole: whole[:-5000] + b"\xff" * 5000,
        lambda whole: b"\0" * len(whole),
    ],
)
def test_a_damaged_journal_is_named(dogsort, tmp_path, spoil):
    plant(tmp_path, PHOTOS)
    file_all(tmp_path, LABELS, "move")
    journal = journal_of(tmp_path)
    journal.write_bytes(spoil(journal.read_bytes()))
    before = tree(tmp_path)
    assert "damaged" in (said := said_of(tmp_path, dogsort, "undo", tmp_path)) or (
        "nothing was filed into it" in said
    )
    assert tree(tmp_path) == before
    journal.rename(tmp_path / "elsewhere")  # as the message says
    assert len(file_all(tmp_path, {"dog/a (2).jpg": "cat"}, "move")) == 1


def test_nothing_is_written_through_links(dogsort, tmp_path):
    plant(tmp_path, {"precious": b"one", "elsewhere/journal.db": b"", "photos/a.jpg": b"photo"})
    for name in ("journal.db", "lock", "journal.db-journal", "journal.db-wal", "journal.db-shm"):
        album = tmp_path / f"with {name}"
        (album / FOLDER_NAME).mkdir(parents=True)
        (album / FOLDER_NAME / name).symlink_to(tmp_path / "precious")
        with pytest.raises(FilingError, match=r"journal\.db|lock: a link"):
            file_all(tmp_path / "photos", {"a.jpg": "dog"}, "copy", to=album)
            raise FilingError("journal.db")  # success will do, too
        assert (tmp_path / "precious").read_bytes() == b"one"
    album = tmp_path / "other"
    album.mkdir()
    (album / FOLDER_NAME).symlink_to(tmp_path / "elsewhere")
    for command in ("undo", "history"):
        assert "a link that dogsort did not make" in said_of(album, dogsort, command, album)
    with pytest.raises(FilingError, match="a link that dogsort did not make"):
        file_all(tmp_path / "photos", {"a.jpg": "dog"}, "copy", to=album)
    assert (tmp_path / "elsewhere" / "journal.db").read_bytes() == b""
    assert os.listdir(tmp_path / "elsewhere") == ["journal.db"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes")
@pytest.mark.parametrize("name", ["journal.db", "lock", "journal.db-journal", "journal.db-wal"])
def test_pipes_are_not_waited_for(dogsort_process, tmp_path, name):
    plant(tmp_path, {"a.jpg": b"one"})
    file_all(tmp_path, {"a.jpg": "dog"}, "move")
    (tmp_path / FOLDER_NAME / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / FOLDER_NAME / name)
    for command in ("history", "undo"):
        said = dogsort_process(command, tmp_path, timeout=20).stderr
        assert b"this should not happen" not in said
    assert contents(tmp_path) == [b"one"]


def test_a_full_disk_leaves_the_journal_as_it_was(tmp_path):
    resource = pytest.importorskip("resource")
    labels = {f"{number:03}{'x' * 200}.jpg": "dog" for number in range(300)}
    plant(tmp_path, {name: name.encode() for name in labels})
    file_all(tmp_path, dict(list(labels.items())[:1]), "move")
    before = tree(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (journal_of(tmp_path).stat().st_size + 5000, hard))
    try:
        with pytest.raises(FilingError, match=r"journal\.db: cannot be read or written: "):
            file_all(tmp_path, labels, "move")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert tree(tmp_path) == before
    left = dict.fromkeys(list(labels)[1:], "dog")
    assert {one.error for one in file_all(tmp_path, left, "move")} == {None}
    assert len(undo(str(tmp_path))) == 299


@settings(max_examples=50)
@given(data=st.data())
def test_any_change_of_bytes_is_an_error_or_none(data):
    """A few bytes of the journal are changed, which may only lead to an error."""
    with tempfile.TemporaryDirectory(dir=QUICK) as place:
        album = Path(place, "album")
        shutil.copytree(_filed(), album)
        path = journal_of(album)
        whole = bytearray(path.read_bytes())
        for _ in range(data.draw(st.integers(1, 8))):
            whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
        path.write_bytes(whole)
        with suppress(FilingError):
            undo(str(album))
        assert contents(album) == [b"four", b"one", b"three", b"two"]


def _filed(cache: dict[str, Path] = {}) -> Path:  # noqa: B006
    """An album that was filed into, made once."""
    if not cache:
        cache["album"] = Path(tempfile.mkdtemp(), "album")
        plant(cache["album"], PHOTOS)
        file_all(cache["album"], LABELS, "move")
    return cache["album"]
