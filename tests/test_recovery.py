"""The next command finishes an interrupted run or undo, and nothing is lost."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from functools import partial
from itertools import count
from pathlib import Path
from types import FrameType

import pytest
from runner import run_in_process
from trees import ACTIONS, LABELS, PHOTOS, contents, edit, file_all, plant, stop, tree

from dogsort.errors import FilingError
from dogsort.filing import execute, fileops, undo
from dogsort.filing.journal import FILE_NAME, FOLDER_NAME

FORKS = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")


def errors_of(folder: Path) -> list[str | None]:
    """Undo, and return the outcome of each file."""
    return [one.error for one in undo(str(folder))]


def said_by_undo(folder: Path) -> str:
    """Return the output of undo, which first finishes the interrupted run."""
    return run_in_process("undo", folder).stderr.decode()


@pytest.mark.parametrize("action", ACTIONS)
def test_a_run_that_was_killed_is_gone_on_with(tmp_path, action):
    plant(tmp_path, PHOTOS)
    before = tree(tmp_path)
    file_all(tmp_path, {"a.jpg": "dog", "trip/b.jpg": "cat"}, action)
    stop(tmp_path)
    file_all(tmp_path, {"trip/a.jpg": "dog"}, action)
    assert errors_of(tmp_path) == [None] * 3
    assert tree(tmp_path) == before
    assert undo(str(tmp_path)) == []


def test_a_run_of_another_action_is_another_run(tmp_path):
    plant(tmp_path, PHOTOS)
    before = tree(tmp_path)
    file_all(tmp_path, {"a.jpg": "dog"}, "move")
    between = tree(tmp_path)
    stop(tmp_path)
    file_all(tmp_path, {"trip/a.jpg": "dog"}, "copy")
    assert errors_of(tmp_path) == [None]
    assert tree(tmp_path) == between
    assert errors_of(tmp_path) == [None]
    assert tree(tmp_path) == before


@pytest.mark.parametrize("action", ACTIONS)
def test_an_undo_that_was_killed_is_gone_on_with(tmp_path, action):
    plant(tmp_path, PHOTOS)
    before = tree(tmp_path)
    file_all(tmp_path, LABELS, action)
    with closing(sqlite3.connect(tmp_path / FOLDER_NAME / FILE_NAME)) as journal, journal:
        journal.execute("UPDATE runs SET state = 'undoing'")
        journal.execute("UPDATE steps SET state = 'returning' WHERE step > 1")
    assert errors_of(tmp_path) == [None]  # the others were finished first
    assert tree(tmp_path) == before


def test_what_was_filed_and_edited_before_the_next_command_looks_is_named(tmp_path):
    plant(tmp_path, {"a.jpg": b"one", "b.jpg": b"two"})
    file_all(tmp_path, {"a.jpg": "dog", "b.jpg": "dog"}, "move")
    stop(tmp_path)
    edit(tmp_path / "dog" / "a.jpg", b"edited")
    assert errors_of(tmp_path) == [None, "it has changed since it was filed"]
    assert contents(tmp_path) == [b"edited", b"two"]


def test_nothing_is_moved_from_behind_a_link_that_took_a_folders_place(tmp_path):
    plant(tmp_path, {"album/a.jpg": b"one", "pictures/a.jpg": b"one"})
    os.utime(tmp_path / "pictures" / "a.jpg", ns=(10**18, 10**18))
    file_all(tmp_path / "album", {"a.jpg": "dog"}, "copy")
    shutil.rmtree(tmp_path / "album" / "dog")
    (tmp_path / "album" / "dog").symlink_to("../pictures")
    with closing(sqlite3.connect(tmp_path / "album" / FOLDER_NAME / FILE_NAME)) as journal, journal:
        journal.execute("UPDATE runs SET action = 'move'")
    stop(tmp_path / "album")
    before = tree(tmp_path / "album"), tree(tmp_path / "pictures")
    said = said_by_undo(tmp_path / "album")
    assert "dog leads elsewhere now" in said
    assert "cannot be reached, so it is unknown whether it was filed" in said
    assert (tree(tmp_path / "album"), tree(tmp_path / "pictures")) == before


def test_what_was_copied_by_hand_after_a_kill_is_settled(tmp_path):
    plant(tmp_path, {"a.jpg": b"one", "b.jpg": b"two"})
    file_all(tmp_path, {"a.jpg": "dog"}, "move")
    (tmp_path / "dog" / "a.jpg").rename(tmp_path / "a.jpg")
    stop(tmp_path)  # as if it had been killed before the move
    shutil.copy2(tmp_path / "a.jpg", tmp_path / "dog" / "a.jpg")
    assert errors_of(tmp_path) == [None]
    assert contents(tmp_path) == [b"one", b"two"]
    assert (tmp_path / "a.jpg").exists()


def test_what_was_deleted_after_a_kill_is_named(tmp_path):
    plant(tmp_path, {"a.jpg": b"one"})
    file_all(tmp_path, {"a.jpg": "dog"}, "move")
    (tmp_path / "dog" / "a.jpg").unlink()
    stop(tmp_path)
    assert f"{tmp_path / 'a.jpg'}: No such file or directory" in said_by_undo(tmp_path)


@pytest.mark.parametrize("action", ["copy", "hardlink", "link"])
def test_what_others_put_there_after_a_kill_is_named_and_stays(tmp_path, action):
    """It may have been filed and edited, or never filed."""
    plant(tmp_path, {"a.jpg": b"one"})
    file_all(tmp_path, {"a.jpg": "dog"}, action)
    other = tmp_path / "dog" / "a.jpg"
    other.unlink()
    other.write_bytes(b"of somebody else")
    (tmp_path / "dog" / ".dogsort.partial").write_bytes(b"not whole")
    stop(tmp_path)
    assert "a.jpg: its new name was taken in the meantime" in said_by_undo(tmp_path)
    assert undo(str(tmp_path)) == []
    assert contents(tmp_path) == [b"of somebody else", b"one"]
    assert not (tmp_path / "dog" / ".dogsort.partial").exists()


@pytest.mark.parametrize("content", [b"new", b"another"])
def test_a_photo_whose_old_name_is_taken_anew_is_not_forgotten(tmp_path, content):
    """Of the same size or not: a camera restarted its numbering."""
    plant(tmp_path, {"a.jpg": b"one"})
    file_all(tmp_path, {"a.jpg": "dog"}, "move")
    stop(tmp_path)
    edit(tmp_path / "a.jpg", content)
    assert errors_of(tmp_path) == [f"its old name is taken: {tmp_path / 'a.jpg'}"]
    (tmp_path / "a.jpg").unlink()
    assert errors_of(tmp_path) == [None]
    assert contents(tmp_path) == [b"one"]


def test_what_lies_on_a_card_that_is_not_there_is_filed_when_it_is(tmp_path):
    plant(tmp_path / "card", {"a.jpg": b"one"})
    before = tree(tmp_path / "card")
    file_all(tmp_path / "card", {"a.jpg": "dog"}, "move", to=tmp_path / "sorted")
    (tmp_path / "sorted" / "dog" / "a.jpg").rename(tmp_path / "card" / "a.jpg")
    stop(tmp_path / "sorted")  # as if it had been killed before the move
    (tmp_path / "card").rename(tmp_path / "pulled")
    assert errors_of(tmp_path / "sorted") == [
        "cannot be reached, so it is unknown whether it was filed"
    ]
    (tmp_path / "pulled").rename(tmp_path / "card")
    assert errors_of(tmp_path / "sorted") == [None]
    assert tree(tmp_path / "card") == before


@pytest.mark.parametrize("action", ["move", "copy"])
def test_what_belongs_to_a_photo_waits_with_it(tmp_path, action):
    plant(tmp_path / "card", {"a.jpg": b"one", "a.xmp": b"about one"})
    before = tree(tmp_path / "card")
    file_all(tmp_path / "card", {"a.jpg": "dog"}, action, to=tmp_path / "sorted")
    stop(tmp_path / "sorted")
    (tmp_path / "card").rename(tmp_path / "pulled")
    assert len(errors_of(tmp_path / "sorted")) == 2
    (tmp_path / "pulled").rename(tmp_path / "card")
    assert errors_of(tmp_path / "sorted") == [None] * 2
    assert tree(tmp_path / "card") == before
    assert tree(tmp_path / "sorted") == {}


@pytest.mark.parametrize("action", ["move", "copy"])
def test_what_belongs_to_a_photo_that_went_and_is_gone_comes_back(tmp_path, action):
    plant(tmp_path, {"a.jpg": b"one", "a.xmp": b"about one"})
    file_all(tmp_path, {"a.jpg": "dog"}, action)
    stop(tmp_path)
    (tmp_path / "dog" / "a.jpg").unlink()
    (tmp_path / "a.jpg").unlink(missing_ok=True)
    assert errors_of(tmp_path) == [None]
    assert set(tree(tmp_path)) == {"a.xmp"}


@pytest.mark.parametrize("action", ["move", "copy"])
def test_an_empty_file_that_kept_a_name_goes(tmp_path, action):
    """A kill leaves this if there are neither hard links nor a safe rename."""
    plant(tmp_path, {"a.jpg": b"one"})
    before = tree(tmp_path)
    file_all(tmp_path, {"a.jpg": "dog"}, action)
    if action == "move":
        (tmp_path / "dog" / "a.jpg").rename(tmp_path / "a.jpg")
    (tmp_path / "dog" / "a.jpg").write_bytes(b"")
    stop(tmp_path)
    assert errors_of(tmp_path) == [None]
    assert tree(tmp_path) == before


def test_a_half_moved_photo_that_cannot_go_ends_the_command(tmp_path, monkeypatch):
    plant(tmp_path, {"a.jpg": b"one"})
    before = tree(tmp_path)
    file_all(tmp_path, {"a.jpg": "dog"}, "move")
    os.link(tmp_path / "dog" / "a.jpg", tmp_path / "a.jpg")
    stop(tmp_path)

    def refuse(path: object, **_: object) -> None:
        raise PermissionError(1, "Operation not permitted", path)

    with monkeypatch.context() as patched:
        patched.setattr(os, "unlink", refuse)
        with pytest.raises(FilingError, match="Operation not permitted"):
            undo(str(tmp_path))
    assert set(contents(tmp_path)) == {b"one"}
    assert errors_of(tmp_path) == [None]
    assert tree(tmp_path) == before


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read anything")
def test_what_cannot_be_read_after_a_kill_keeps_nobody_from_filing(tmp_path):
    plant(tmp_path, {"a.jpg": b"one"})
    file_all(tmp_path, {"a.jpg": "dog"}, "copy")
    stop(tmp_path)
    (tmp_path / "dog" / "a.jpg").chmod(0)
    assert "Permission denied" in said_by_undo(tmp_path)


def test_all_folders_around_new_ones_are_put_on_disk(tmp_path, monkeypatch):
    """Otherwise a power cut would lose them, with the photos moved into them."""
    plant(tmp_path, {"a.jpg": b"one"})
    synced, sync = set(), fileops.Folder.sync

    def record(folder: fileops.Folder) -> None:
        synced.add(folder.path)
        sync(folder)

    monkeypatch.setattr(fileops.Folder, "sync", record)
    to = tmp_path / "new" / "deep" / "sorted"
    assert [one.error for one in file_all(tmp_path, {"a.jpg": "dog"}, "move", to=to)] == [None]
    around = {to / "dog", to, *to.parents[: len(to.parts) - len(tmp_path.parts)]}
    assert set(map(str, around)) <= synced


@pytest.mark.parametrize("what", ["file", "undo"])
def test_a_folder_that_cannot_be_put_on_disk_ends_the_command(tmp_path, monkeypatch, what):
    plant(tmp_path, PHOTOS)
    before = tree(tmp_path)
    if what == "undo":
        file_all(tmp_path, LABELS, "move")

    def fail(_: fileops.Folder) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(fileops.Folder, "sync", fail)
        (tmp_path / FOLDER_NAME).mkdir(exist_ok=True)
        with pytest.raises(FilingError, match="cannot be put on disk: Input/output error"):
            undo(str(tmp_path)) if what == "undo" else file_all(tmp_path, LABELS, "move")
    assert contents(tmp_path) == sorted(PHOTOS.values())
    assert errors_of(tmp_path) == ([None] * 3 if what == "file" else [])
    assert tree(tmp_path) == before


def test_interrupted_between_the_two_names(tmp_path, monkeypatch):
    """Without a rename that refuses to replace, a photo has two names for a moment."""
    plant(tmp_path, {"a.jpg": b"one", "b.jpg": b"two"})
    before, link = tree(tmp_path), os.link
    monkeypatch.setattr(fileops, "_system_rename", lambda: fileops._no_rename)

    def interrupted(*arguments, **options):
        link(*arguments, **options)
        monkeypatch.setattr(os, "link", link)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "link", interrupted)
    with pytest.raises(KeyboardInterrupt):
        file_all(tmp_path, {"a.jpg": "dog", "b.jpg": "dog"}, "move")
    assert contents(tmp_path) == [b"one", b"two"]
    assert set(tree(tmp_path)) == {"dog", "dog/a.jpg", "dog/b.jpg"}  # started, so finished
    monkeypatch.setattr(os, "link", interrupted)
    with pytest.raises(KeyboardInterrupt):
        undo(str(tmp_path))
    assert contents(tmp_path) == [b"one", b"two"]
    undo(str(tmp_path))
    assert tree(tmp_path) == before


def interrupted(what: Callable[[], object], line: int) -> bool:
    """Press Ctrl-C before this line of filing, counted as executed; tell if it got there.

    It runs in a separate process, which then ends.
    """
    left, place = line, os.path.dirname(execute.__file__)

    def trace(frame: FrameType, event: str, _: object) -> object:
        nonlocal left
        if not frame.f_code.co_filename.startswith(place):
            return None
        left -= event == "line"
        if left == 0:
            raise KeyboardInterrupt
        return trace

    child = os.fork()
    if child == 0:
        sys.settrace(trace)
        try:
            what()
        except KeyboardInterrupt:
            pass
        except BaseException:
            os._exit(2)
        os._exit(1 if left <= 0 else 0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, 1)
    return code == 1


@FORKS
@pytest.mark.parametrize("what", ["file", "undo"])
@pytest.mark.parametrize("every", [23, pytest.param(1, marks=pytest.mark.slow)])
def test_interrupted_before_any_line(quick_path, what, every):
    for line in count(1, every):
        folder = quick_path / str(line)
        plant(folder, PHOTOS)
        before = tree(folder)
        if what == "file":
            was_interrupted = interrupted(partial(file_all, folder, LABELS, "move"), line)
        else:
            file_all(folder, LABELS, "move")
            was_interrupted = interrupted(partial(undo, str(folder)), line)
        assert set(contents(folder)) == set(PHOTOS.values())
        assert [error for error in errors_of(folder) if error is not None] == [], line
        assert tree(folder) == before, line
        shutil.rmtree(folder)
        if not was_interrupted:
            break
    assert line > 100


#: What may happen just before a file operation, other than a kill: the system refuses, or somebody
#: deletes a photo or takes the new names.
FAULTS = ("ENOSPC", "EACCES", "EROFS", "EIO", "gone", "taken")

HOW = (
    *ACTIONS,
    "move across file systems",
    "move without hard links",
    "move without renameat2",
)


def strikes(place: Path, how: str, *arguments: object) -> int:
    """Strike in many copies of a small folder; return the number of faults."""
    run = subprocess.run(
        [sys.executable, "faults.py", *map(str, place), how, *map(str, arguments)],
        cwd=Path(__file__).parent,
        capture_output=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr.decode()
    return int(run.stdout)


@pytest.fixture
def places(request, tmp_path, quick_path) -> tuple[Path, Path]:
    """The folder of the copies, and the folder that they are filed into."""
    across = "across" in request.node.callspec.params["how"]
    if across and tmp_path.stat().st_dev == quick_path.stat().st_dev:
        pytest.skip("there is one file system only")
    return (tmp_path if across else quick_path), quick_path


@FORKS
@pytest.mark.parametrize(
    ("fault", "after"),
    [
        ("kill", "turns"),
        *(
            pytest.param(*how, marks=pytest.mark.slow)
            for how in (("kill", "file"), ("kill", "undo"), *((fault, "undo") for fault in FAULTS))
        ),
    ],
)
@pytest.mark.parametrize("what", ["file", "undo"])
@pytest.mark.parametrize("how", HOW)
def test_struck_at_every_operation(places, how, what, fault, after):
    every = 2 if after == "turns" else 1
    assert strikes(places, how, what, fault, after, every) > 30 // every


@FORKS
@pytest.mark.parametrize("what", ["file+file", "file+undo", "undo+undo", "undo+file"])
@pytest.mark.parametrize(
    ("how", "every"),
    [
        ("move", 9),
        *(pytest.param(how, 2, marks=pytest.mark.slow) for how in HOW if "across" not in how),
        pytest.param("move across file systems", 7, marks=pytest.mark.slow),
    ],
)
def test_what_goes_on_with_what_was_killed_is_killed(places, how, every, what):
    """The one after that continues: it files everything, and one undo restores the tree."""
    assert strikes(places, how, what, "kill", "turns", every) > 10
