"""Nothing is lost, whatever happens half-way, and undo puts back what was filed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from types import FrameType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dogsort.errors import FilingError
from dogsort.sorting import lock
from dogsort.sorting.disk import Disk
from dogsort.sorting.journal import Journal
from dogsort.sorting.journals import journals_of, stopped_runs
from dogsort.sorting.lines import Lines
from dogsort.sorting.lock import at_work
from dogsort.sorting.plan import Planner, Wishes
from dogsort.sorting.runs import BATCH_FILES, carry_out, filing_into
from dogsort.sorting.steps import FOLDER_NAME
from dogsort.sorting.undo import take_back

ACTIONS = ("move", "copy", "link", "hardlink")


def tree(folder: Path) -> dict[str, tuple[object, int]]:
    """What lies below a folder, but for journals: by relative path, content and time.

    The time of the folder itself is left out: it holds the journals.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if name.split(os.sep, maxsplit=1)[0] == FOLDER_NAME:
            continue
        if path.is_symlink():
            found[name] = (f"-> {os.readlink(path)}", 0)
        elif path.is_file():
            found[name] = (path.read_bytes(), path.stat().st_mtime_ns)
        else:
            found[name] = ("folder", path.stat().st_mtime_ns)
    return found


def contents(folder: Path) -> list[bytes]:
    return sorted(content for content, _ in tree(folder).values() if isinstance(content, bytes))


def plant(folder: Path, files: dict[str, bytes]) -> None:
    for number, (name, content) in enumerate(files.items()):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, ns=(10**18 + number, 10**18 + number))


def file_all(
    folder: Path, labels: dict[str, str], action: str, to: Path | None = None, **wishes: object
) -> list:
    planner = Planner(Wishes(action, str(to or folder), unsure_to="unsure", **wishes), Disk())
    for name, label in labels.items():
        planner.add(str(folder / name), label)
    with at_work(str(to or folder)):
        filings = planner.filings()
        if not filings:
            return []
        with filing_into(str(to or folder), action) as journal:
            return list(carry_out(filings, journal))


def undo(folder: Path) -> list:
    with at_work(str(folder)):
        journals = [journal for journal in journals_of(str(folder)) if not journal.closed]
        return list(take_back(journals[-1])) if journals else []


PHOTOS = {"a.jpg": b"one", "trip/a.jpg": b"two", "trip/b.jpg": b"three", "dog/a.jpg": b"four"}
LABELS = {"a.jpg": "dog", "trip/a.jpg": "dog", "trip/b.jpg": "cat"}


@pytest.mark.parametrize("action", ACTIONS)
def test_undo_puts_everything_back(tmp_path, action):
    plant(tmp_path, PHOTOS)
    before = tree(tmp_path)
    assert [error for _, error in file_all(tmp_path, LABELS, action)] == [None] * 3
    assert tree(tmp_path) != before
    assert (tmp_path / "dog" / "a (2).jpg").read_bytes() == b"one"
    assert [error for _, error in undo(tmp_path)] == [None] * 3
    assert tree(tmp_path) == before
    assert undo(tmp_path) == []


def test_what_was_filed_and_edited_before_the_next_run_looks_is_named(tmp_path):
    """A killed run may not have noted its last steps."""
    plant(tmp_path, {"a.jpg": b"one", "b.jpg": b"two"})
    file_all(tmp_path, {"a.jpg": "dog", "b.jpg": "dog"}, "move")
    (journal,) = (tmp_path / FOLDER_NAME).glob("run-*")
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(line for line in lines if b"done" not in line))
    (tmp_path / "dog" / "a.jpg").write_bytes(b"edited")
    reasons = [str(error) for _, error in undo(tmp_path)]
    assert reasons == ["None", "it was changed since it was filed"]


def test_undo_goes_back_run_by_run(tmp_path):
    plant(tmp_path, PHOTOS)
    before = tree(tmp_path)
    file_all(tmp_path, {"a.jpg": "dog"}, "move")
    between = tree(tmp_path)
    file_all(tmp_path, {"trip/b.jpg": "cat"}, "copy")
    undo(tmp_path)
    assert tree(tmp_path) == between
    undo(tmp_path)
    assert tree(tmp_path) == before


def test_undo_also_reaches_photos_from_elsewhere(tmp_path):
    plant(tmp_path / "camera", PHOTOS)
    before = tree(tmp_path / "camera")
    file_all(tmp_path / "camera", LABELS, "move", to=tmp_path / "sorted")
    shutil.rmtree(tmp_path / "camera" / "trip")
    reasons = [str(error) for _, error in undo(tmp_path / "sorted")]
    gone = f"its old folder is gone: {tmp_path / 'camera' / 'trip'}; once it is there, undo goes on"
    assert sorted(reasons) == ["None", gone, gone]
    (tmp_path / "camera" / "trip").mkdir()
    undo(tmp_path / "sorted")
    del before["trip"]  # it is another folder now, with a time of its own
    assert before.items() <= tree(tmp_path / "camera").items()
    assert tree(tmp_path / "sorted") == {}


def test_a_folder_may_be_moved_before_undo(tmp_path):
    plant(tmp_path / "old", PHOTOS)
    before = tree(tmp_path / "old")
    file_all(tmp_path / "old", LABELS, "move")
    (tmp_path / "old").rename(tmp_path / "new")
    undo(tmp_path / "new")
    assert tree(tmp_path / "new") == before


def test_undo_leaves_alone_what_is_not_what_was_filed(tmp_path):
    plant(tmp_path, {f"{name}.jpg": name.encode() for name in "abcd"})
    file_all(tmp_path, {f"{name}.jpg": "dog" for name in "abcd"}, "move")
    (tmp_path / "dog" / "a.jpg").write_bytes(b"A")  # of the same size
    (tmp_path / "dog" / "b.jpg").unlink()
    (tmp_path / "c.jpg").write_bytes(b"new")
    reasons = [(Path(step.source).name, str(error)) for step, error in undo(tmp_path)]
    assert reasons == [
        ("d.jpg", "None"),
        ("c.jpg", f"its old name is taken: {tmp_path / 'c.jpg'}"),
        ("b.jpg", "it is no longer there"),
        ("a.jpg", "it was changed since it was filed"),
    ]
    assert (tmp_path / "dog" / "a.jpg").read_bytes() == b"A"
    assert (tmp_path / "dog" / "c.jpg").read_bytes() == b"c"
    # Once the name is free, the same call puts back the rest.
    (tmp_path / "c.jpg").unlink()
    assert [error for _, error in undo(tmp_path)] == [None]
    assert (tmp_path / "c.jpg").read_bytes() == b"c"


@pytest.mark.parametrize("action", ["copy", "hardlink"])
def test_a_copy_whose_original_is_gone_is_kept_until_it_is_back(tmp_path, action):
    plant(tmp_path, PHOTOS)
    before = tree(tmp_path)
    file_all(tmp_path, {"a.jpg": "dog"}, action)
    (tmp_path / "a.jpg").rename(tmp_path / "away")
    for _ in "12":
        ((_, error),) = undo(tmp_path)
        assert "may be the only one; once that is there" in str(error)
        assert (tmp_path / "dog" / "a (2).jpg").read_bytes() == b"one"
    (tmp_path / "away").rename(tmp_path / "a.jpg")
    assert [error for _, error in undo(tmp_path)] == [None]
    assert tree(tmp_path) == before


def test_a_copy_of_what_a_link_led_to_is_kept_until_that_is_back(tmp_path):
    plant(tmp_path, {"disk/a.jpg": b"one"})
    (tmp_path / "link.jpg").symlink_to(tmp_path / "disk" / "a.jpg")
    file_all(tmp_path, {"link.jpg": "dog"}, "copy")
    (tmp_path / "disk").rename(tmp_path / "away")
    ((_, error),) = undo(tmp_path)
    assert "once that is there" in str(error)
    (tmp_path / "away").rename(tmp_path / "disk")
    assert [error for _, error in undo(tmp_path)] == [None]
    assert not (tmp_path / "dog").exists()


def test_a_copy_whose_original_was_changed_is_kept(tmp_path):
    plant(tmp_path, PHOTOS)
    file_all(tmp_path, {"a.jpg": "dog"}, "copy")
    (tmp_path / "a.jpg").write_bytes(b"edited")
    ((_, error),) = undo(tmp_path)
    assert "may be the only one" in str(error)
    assert (tmp_path / "dog" / "a (2).jpg").read_bytes() == b"one"
    assert journals_of(str(tmp_path))[0].closed


def test_a_folder_that_became_a_link_is_left_alone(tmp_path):
    """Both names of the photo are then one, and whoever deletes one deletes the photo."""
    plant(tmp_path, {"trip/a.jpg": b"one"})
    file_all(tmp_path, {"trip/a.jpg": "dog"}, "move")
    (tmp_path / "trip").rmdir()
    (tmp_path / "trip").symlink_to("dog")
    ((_, error),) = undo(tmp_path)
    assert str(error) == f"{tmp_path / 'trip'} leads elsewhere now"
    assert contents(tmp_path) == [b"one"]
    (tmp_path / "trip").unlink()
    assert [error for _, error in undo(tmp_path)] == [None]
    assert contents(tmp_path) == [b"one"]


def test_dots_behind_links_lead_where_the_system_says(tmp_path, monkeypatch):
    plant(tmp_path, {"real/a.jpg": b"meant", "w/a.jpg": b"other", "real/sub/b": b""})
    (tmp_path / "w" / "link").symlink_to(tmp_path / "real" / "sub")
    monkeypatch.chdir(tmp_path / "w")
    file_all(Path("link/.."), {"a.jpg": "dog"}, "move", to=Path("."))
    assert (tmp_path / "w" / "dog" / "a.jpg").read_bytes() == b"meant"
    undo(tmp_path / "w")
    assert (tmp_path / "real" / "a.jpg").read_bytes() == b"meant"


def test_times_may_shift_and_links_be_copied(tmp_path):
    plant(tmp_path, {"a.jpg": b"one", "elsewhere/b.jpg": b"two"})
    (tmp_path / "link.jpg").symlink_to("elsewhere/b.jpg")
    before = tree(tmp_path)
    file_all(tmp_path, {"a.jpg": "dog", "link.jpg": "dog"}, "copy")
    os.utime(tmp_path / "dog" / "a.jpg", ns=(0, 3600 * 10**9))
    assert [error for _, error in undo(tmp_path)] == [None, None]
    assert tree(tmp_path) == before


def forget(folder: Path, run: str = "*") -> None:
    """Take what was noted out of the journals: what a run leaves that was killed."""
    for journal in (folder / FOLDER_NAME).glob(f"run-{run}.jsonl"):
        lines = journal.read_bytes().splitlines(keepends=True)
        kept = [line for line in lines if b'"done"' not in line and b'"ended"' not in line]
        journal.write_bytes(b"".join(kept))


def look(folder: Path) -> list[str]:
    """What the next run says of the one that was killed."""
    with at_work(str(folder)) as found:
        return found


def test_settling_deletes_nothing_behind_a_link(tmp_path):
    plant(tmp_path, {"album/a.jpg": b"one", "pictures/a.jpg": b"one"})
    os.utime(tmp_path / "pictures" / "a.jpg", ns=(10**18, 10**18))
    file_all(tmp_path / "album", {"a.jpg": "dog"}, "copy")
    shutil.rmtree(tmp_path / "album" / "dog")
    (tmp_path / "album" / "dog").symlink_to("../pictures")
    (journal,) = (tmp_path / "album" / FOLDER_NAME).glob("run-*")
    journal.write_bytes(journal.read_bytes().replace(b'"copy"', b'"move"'))
    forget(tmp_path / "album")
    before = tree(tmp_path / "album"), tree(tmp_path / "pictures")
    assert "it is not known" in look(tmp_path / "album")[1]
    ((_, error),) = undo(tmp_path / "album")
    assert "it is not known" in str(error)
    assert (tree(tmp_path / "album"), tree(tmp_path / "pictures")) == before


def test_a_copy_made_by_hand_after_a_kill_stays(tmp_path):
    plant(tmp_path, {"a.jpg": b"one", "b.jpg": b"two"})
    file_all(tmp_path, {"a.jpg": "dog"}, "move")
    (tmp_path / "dog" / "a.jpg").rename(tmp_path / "a.jpg")
    forget(tmp_path)  # as if it had been killed before the move
    (tmp_path / "dog" / "a.jpg").write_bytes(b"one")
    copy = tmp_path / "dog" / "a.jpg"
    assert look(tmp_path)[1:] == [f"{copy}: nobody can tell that it was filed, so it stays"]
    assert contents(tmp_path) == [b"one", b"one", b"two"]


@pytest.mark.parametrize(
    ("by_hand", "reason"),
    [
        ("deleted", "it is no longer there"),
        ("edited", "it was changed since it was filed"),
    ],
)
def test_what_was_done_by_hand_after_a_kill_is_named(tmp_path, by_hand, reason):
    plant(tmp_path, {"a.jpg": b"one"})
    file_all(tmp_path, {"a.jpg": "dog"}, "move")
    filed = tmp_path / "dog" / "a.jpg"
    filed.unlink()
    if by_hand == "edited":
        filed.write_bytes(b"edited")
    forget(tmp_path)
    ((step, error),) = undo(tmp_path)
    assert (step.target, str(error)) == (str(filed), reason)
    assert filed.exists() == (by_hand == "edited")


@pytest.mark.parametrize("action", ["copy", "hardlink", "link"])
@pytest.mark.parametrize("content", [b"of somebody else", b""])
def test_what_others_put_there_after_a_kill_is_named_and_stays(tmp_path, action, content):
    """Nobody can tell whether it was filed and edited, or never filed."""
    plant(tmp_path, {"a.jpg": b"one"})
    file_all(tmp_path, {"a.jpg": "dog"}, action)
    other = tmp_path / "dog" / "a.jpg"
    other.unlink()
    other.write_bytes(content)
    (tmp_path / "dog" / ".dogsort.partial").write_bytes(b"not whole")
    forget(tmp_path)
    state, named = look(tmp_path)
    assert "0 of its files are filed" in state
    assert named == f"{other}: nobody can tell that it was filed, so it stays"
    assert undo(tmp_path) == []
    assert tree(tmp_path)["dog/a.jpg"][0] == content
    assert not (tmp_path / "dog" / ".dogsort.partial").exists()


def test_folders_get_no_time_that_a_run_did_not_see(tmp_path):
    """Ended by a Ctrl-C just before it noted their times; the next run looks much later."""
    plant(tmp_path, {"trip/a.jpg": b"one"})
    file_all(tmp_path, {"trip/a.jpg": "dog"}, "move")
    (journal,) = (tmp_path / FOLDER_NAME).glob("run-*")
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(line for line in lines if b'"after"' not in line))
    plant(tmp_path, {"trip/new.jpg": b"new"})
    changed = (tmp_path / "trip").stat().st_mtime_ns
    assert look(tmp_path) == []
    assert [error for _, error in undo(tmp_path)] == [None]
    assert (tmp_path / "trip").stat().st_mtime_ns >= changed


def test_a_photo_whose_old_name_is_taken_anew_is_not_forgotten(tmp_path):
    plant(tmp_path, {"a.jpg": b"one"})
    file_all(tmp_path, {"a.jpg": "dog"}, "move")
    forget(tmp_path)
    (tmp_path / "a.jpg").write_bytes(b"new")
    assert "1 of its files are filed" in look(tmp_path)[0]
    ((_, error),) = undo(tmp_path)
    assert "its old name is taken" in str(error)
    # Restored by a backup, it is the same photo; the one that was filed keeps its time, and stays.
    (tmp_path / "a.jpg").write_bytes(b"one")
    ((_, error),) = undo(tmp_path)
    assert "its old name is taken" in str(error)
    assert look(tmp_path) == []
    assert (tmp_path / "dog" / "a.jpg").stat().st_mtime_ns == 10**18


def test_what_lay_on_a_card_that_is_not_there_is_told_when_it_is(tmp_path):
    plant(tmp_path / "card", {"a.jpg": b"one"})
    file_all(tmp_path / "card", {"a.jpg": "dog"}, "move", to=tmp_path / "sorted")
    (tmp_path / "sorted" / "dog" / "a.jpg").rename(tmp_path / "card" / "a.jpg")
    forget(tmp_path / "sorted")  # as if it had been killed before the move
    (tmp_path / "card").rename(tmp_path / "pulled")
    said = look(tmp_path / "sorted")
    assert "0 of its files are filed" in said[0]
    assert "a.jpg: cannot be reached" in said[1]
    (tmp_path / "pulled").rename(tmp_path / "card")
    assert len(look(tmp_path / "sorted")) == 1
    assert undo(tmp_path / "sorted") == []
    assert (tmp_path / "card" / "a.jpg").exists()


HEAD = {"journal": 2, "started": "2026-01-01T00:00:00+00:00", "action": "move"}
STEP = {
    "step": 0,
    "label": "dog",
    "size": 1,
    "sha256": "",
    "source": "a.jpg",
    "target": "dog/a.jpg",
}


@pytest.mark.parametrize(
    "lines",
    [
        [[]],
        ["abc"],
        [STEP],
        [HEAD, HEAD],
        [HEAD | {"action": "shred"}],
        [HEAD | {"started": "\x1b]0;"}],
        [HEAD, {name: value for name, value in STEP.items() if name != "size"}],
        [HEAD, STEP | {"label": []}],
        [HEAD, STEP | {"source": "a\0.jpg"}],
        [HEAD, STEP | {"source": "\ud800.jpg"}],
        [HEAD, STEP | {"source": "../a.jpg"}],
        [HEAD, STEP | {"target": "/etc/a.jpg"}],
        [HEAD, STEP | {"target": ".dogsort/a.jpg"}],
        [HEAD, STEP | {"source": "/etc/cron.d/a.cron", "target": "dog/a.cron"}],
        [HEAD, STEP | {"source": "a.sh"}],
        [HEAD, {"make": "../x"}],
        [HEAD, STEP, {"done": 1}],
        [HEAD, STEP, {"done": "0"}],
        [HEAD, {"eaten": 0}],
        [HEAD, {"before": []}],
        [HEAD, {"after": {".": -1}}],
        [HEAD, {"undoing": True, "restored": 5}],
        [HEAD, STEP | {"size": float("inf")}],
        [HEAD, STEP | {"size": -1}],
        [HEAD, STEP, {"back": [1]}],
        [HEAD, STEP | {"source": "/home/me/bashrc", "target": "dog/bashrc"}],
        [HEAD, STEP | {"source": "/home/me/.ssh/a.jpg"}],
        [HEAD, STEP | {"source": "/home/me/.a.jpg", "target": "dog/.a.jpg"}],
        [HEAD, STEP | {"source": "/srv/app.json", "target": "dog/app.json", "sidecar": True}],
        [HEAD, STEP, STEP | {"source": "b.xmp", "target": "dog/b.xmp", "sidecar": True}],
        [HEAD, STEP | {"target": "dog/.DOGSORT/a.jpg"}],
    ],
)
def test_journals_that_dogsort_does_not_write_are_refused(tmp_path, lines):
    (tmp_path / FOLDER_NAME).mkdir()
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (tmp_path / FOLDER_NAME / "run-000001.jsonl").write_text(text)
    with pytest.raises(FilingError, match=r"run-000001\.jsonl: damaged in line [123]"):
        undo(tmp_path)


def test_nothing_is_written_through_links(tmp_path):
    plant(tmp_path, {"precious": b"one"})
    (tmp_path / "album" / FOLDER_NAME).mkdir(parents=True)
    for name in ("at-work.json", "run-000001.jsonl"):  # and, below, the lock
        (tmp_path / "album" / FOLDER_NAME / name).symlink_to(tmp_path / "precious")
    with pytest.raises(FilingError, match="not a file"):
        undo(tmp_path / "album")
    (tmp_path / "locked" / FOLDER_NAME).mkdir(parents=True)
    (tmp_path / "locked" / FOLDER_NAME / "lock").symlink_to(tmp_path / "precious")
    with pytest.raises(FilingError, match="lock: is a link"):
        undo(tmp_path / "locked")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / FOLDER_NAME).symlink_to(tmp_path / "album")
    with pytest.raises(FilingError, match="is a link"):
        undo(tmp_path / "other")
    assert (tmp_path / "precious").read_bytes() == b"one"


def test_names_that_are_no_utf8_come_back(tmp_path):
    name = os.fsdecode(b"caf\xe9 \n=1.jpg")
    try:
        plant(tmp_path, {name: b"one"})
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    before = tree(tmp_path)
    file_all(tmp_path, {name: "cat"}, "move")
    assert (tmp_path / "cat" / name).exists()
    undo(tmp_path)
    assert tree(tmp_path) == before


def test_a_damaged_journal_is_named(tmp_path):
    plant(tmp_path, PHOTOS)
    file_all(tmp_path, LABELS, "move")
    (journal,) = (tmp_path / FOLDER_NAME).glob("run-*")
    whole = journal.read_bytes()
    journal.write_bytes(whole.replace(b'"step": 1', b'"step" 1', 1))
    with pytest.raises(FilingError, match=r"run-000001\.jsonl: damaged in line \d+"):
        undo(tmp_path)
    # What was being written when the machine stopped is no damage.
    journal.write_bytes(whole + b'{"done": ')
    assert len(undo(tmp_path)) == 3
    assert journals_of(str(tmp_path))[0].closed
    # Nor is a journal in which nothing could be written yet.
    (tmp_path / FOLDER_NAME / "run-000002.jsonl").write_bytes(b'{"jour')
    assert undo(tmp_path) == []
    file_all(tmp_path, LABELS, "move")
    assert [journal.run for journal in journals_of(str(tmp_path))] == [1, 3]


@pytest.mark.skipif(os.name == "nt", reason="no limit on the size of files")
def test_a_journal_goes_on_at_its_last_whole_line(tmp_path):
    """The disk was full, so that a part of some lines was written."""
    import resource

    path = tmp_path / "run-000001.jsonl"
    Lines.create(path, {"first": 1})
    lines = Lines(path)
    lines.note(b'{"noted": 1}\n')
    most = path.stat().st_size + 30
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    try:
        with pytest.raises(
            FilingError, match=r"run-000001\.jsonl: cannot be written: File too large"
        ):
            lines.write([b'{"a": "' + b"a" * 1000 + b'"}\n'])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.stat().st_size == most
    lines.write([b'{"b": 1}\n'])
    lines.close()
    assert Lines(path).found() == [b'{"first": 1}', b'{"noted": 1}', b'{"b": 1}']


def test_every_step_is_on_disk_before_it_is_taken(tmp_path):
    plant(tmp_path, PHOTOS)
    planner = Planner(Wishes("move", str(tmp_path)), Disk())
    for name, label in LABELS.items():
        planner.add(str(tmp_path / name), label)
    with at_work(str(tmp_path)), filing_into(str(tmp_path), "move") as journal:
        next(carry_out(planner.filings(), journal))
        (path,) = (tmp_path / FOLDER_NAME).glob("run-*")
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        assert [line["source"] for line in lines if "step" in line] == list(LABELS)
    assert Journal(path).outcomes == ["done", "failed", "failed"]
    undo(tmp_path)
    assert (tmp_path / "a.jpg").exists()


FOLDERS = st.sampled_from(["", "x/", "x/y/", "dog/", "cat/"])
NAMES = st.sampled_from(["a.jpg", "A.jpg", "a (2).jpg", "b.jpg"])
SIDECARS = st.sampled_from(["a.xmp", "a.jpg.json", "b.mov", "c.xmp"])
LINKS = st.sampled_from(["link.jpg", "b.jpg.lnk.jpg"])
LABEL = st.sampled_from(["dog", "cat", "unsure", "neither"])


RUN = st.fixed_dictionaries(
    {
        "action": st.sampled_from(ACTIONS),
        "is_elsewhere": st.booleans(),
        "roots": st.sampled_from([None, ("",), ("", "x")]),
        "on_conflict": st.sampled_from(["rename", "skip"]),
        "neither_to": st.sampled_from([None, "rest"]),
        "sidecars": st.booleans(),
    }
)


TREES_AND_RUNS = given(
    labels=st.dictionaries(st.builds(str.__add__, FOLDERS, NAMES), LABEL, max_size=12),
    sidecars=st.sets(st.builds(str.__add__, FOLDERS, SIDECARS), max_size=5),
    links=st.dictionaries(st.builds(str.__add__, FOLDERS, LINKS), NAMES, max_size=3),
    runs=st.lists(RUN, min_size=1, max_size=3),
)


def check_that_it_comes_back(labels, sidecars, links, runs):
    """Runs pile up in one folder, or file from it elsewhere, and are undone one after the other."""
    with tempfile.TemporaryDirectory() as place:
        folder, elsewhere = Path(place, "album"), Path(place, "sorted")
        plant(folder, {name: name.encode() for name in (*labels, *sidecars)})
        for name, target in links.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).symlink_to(target)
        folder.mkdir(exist_ok=True)
        elsewhere.mkdir()
        labels |= dict.fromkeys(links, "dog")

        def state() -> tuple[object, object]:
            return tree(folder), tree(elsewhere)

        def all_contents() -> list[bytes]:
            return sorted(contents(folder) + contents(elsewhere))

        before, states, filed_into = all_contents(), [state()], []
        for wishes in runs:
            action, roots = wishes["action"], wishes.pop("roots")
            to = elsewhere if wishes.pop("is_elsewhere") else folder
            keep = None if roots is None else [str(folder / root) for root in roots]
            shown = {name: label for name, label in labels.items() if (folder / name).is_file()}
            file_all(folder, shown, keep_tree=keep, to=to, **wishes)
            if action == "move":
                assert len(all_contents()) >= len(before)
            assert set(before) <= set(all_contents())
            if state() != states[-1]:
                states.append(state())
                filed_into.append(to)
        if {wishes["action"] for wishes in runs} == {"move"}:
            assert all_contents() == before
        while filed_into:
            assert all(error is None for _, error in undo(filed_into.pop()))
            states.pop()
            assert state() == states[-1]


@settings(max_examples=60)
@TREES_AND_RUNS
def test_any_tree_comes_back(**drawn):
    check_that_it_comes_back(**drawn)


@pytest.mark.slow
@settings(max_examples=1500)
@TREES_AND_RUNS
def test_very_many_trees_come_back(**drawn):
    check_that_it_comes_back(**drawn)


#: What may happen just before a file operation, besides that the process is killed: the system
#: refuses; somebody deletes a photo, or takes the new names.
FAULTS = ("ENOSPC", "EACCES", "EROFS", "EIO", "gone", "taken")


def strikes(*arguments: object) -> int:
    """Strike in many copies of a small folder; how often that was."""
    run = subprocess.run(
        [sys.executable, "faults.py", *map(str, arguments)],
        cwd=Path(__file__).parent,
        capture_output=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr.decode()
    return int(run.stdout)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.parametrize(
    ("action", "every"),
    [
        ("move", 7),
        *(
            pytest.param(action, 1, marks=pytest.mark.slow)
            for action in (*ACTIONS, "move without hard links")
        ),
    ],
)
def test_what_takes_back_a_killed_run_is_killed(tmp_path, action, every):
    """The one after that goes on, files everything, and one undo gives back the tree."""
    struck = strikes(tmp_path, tmp_path, action, "recover", "kill", "file", every)
    assert struck > (100 if every == 1 else 10)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
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
@pytest.mark.parametrize(
    "action", [*ACTIONS, "move across file systems", "move without hard links"]
)
def test_struck_at_every_operation(tmp_path, action, what, fault, after):
    with tempfile.TemporaryDirectory(dir="/dev/shm" if "across" in action else None) as other:
        elsewhere = other if "across" in action else tmp_path
        assert strikes(tmp_path, elsewhere, action, what, fault, after, 1) > 10


def test_the_sidecars_of_a_photo_that_cannot_be_filed_stay(tmp_path):
    plant(tmp_path, {"a.jpg": b"one", "a.xmp": b"about it"})
    planner = Planner(Wishes("move", str(tmp_path)), Disk())
    planner.add(str(tmp_path / "a.jpg"), "dog")
    filings = planner.filings()
    (tmp_path / "dog").mkdir()
    (tmp_path / "dog" / "a.jpg").write_bytes(b"taken in between")
    with at_work(str(tmp_path)):
        with filing_into(str(tmp_path), "move") as journal:
            outcomes = list(carry_out(filings, journal))
    assert [str(error) for _, error in outcomes] == [
        "its new name was taken in the meantime",
        "its photo was not filed",
    ]
    assert (tmp_path / "a.xmp").exists()


def test_many_files_take_little_memory(tmp_path):
    """A plan holds names, since it must give none of them twice; a run holds a batch of steps."""

    def peak(count: int) -> int:
        folder = tmp_path / str(count)
        names = [f"IMG_{number:05}.jpg" for number in range(count)]
        plant(folder, dict.fromkeys(names, b"small"))
        planner = Planner(Wishes("move", str(folder)), Disk())
        tracemalloc.start()
        try:
            for name in names:
                planner.add(str(folder / name), "dog")
            with at_work(str(folder)), filing_into(str(folder), "move") as journal:
                for _, error in carry_out(planner.filings(), journal):
                    assert error is None
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    few, many = 2 * BATCH_FILES, 4 * BATCH_FILES
    assert (peak(many) - peak(few)) / (many - few) < 500  # bytes a file; 300 are to be expected


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes")
def test_what_is_no_file_is_named_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.jpg")
    (tmp_path / "b.jpg").mkdir()
    for action in ACTIONS:
        outcomes = file_all(tmp_path, {"a.jpg": "dog", "b.jpg": "dog"}, action)
        assert {str(error) for _, error in outcomes} <= {"not a file", "Is a directory"}


def test_interrupted_between_the_two_names(tmp_path, monkeypatch):
    plant(tmp_path, {"a.jpg": b"one", "b.jpg": b"two"})
    before, link = tree(tmp_path), os.link

    def interrupted(*arguments, **options):
        link(*arguments, **options)
        monkeypatch.setattr(os, "link", link)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "link", interrupted)
    with pytest.raises(KeyboardInterrupt):
        file_all(tmp_path, {"a.jpg": "dog", "b.jpg": "dog"}, "move")
    assert contents(tmp_path) == [b"one", b"two"]
    file_all(tmp_path, {"a.jpg": "dog", "b.jpg": "dog"}, "move")
    monkeypatch.setattr(os, "link", interrupted)
    with pytest.raises(KeyboardInterrupt):
        undo(tmp_path)
    assert contents(tmp_path) == [b"one", b"two"]
    undo(tmp_path)
    undo(tmp_path)
    assert tree(tmp_path) == before


@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize("action", ACTIONS)
def test_an_interrupted_undo_is_gone_on_with_unasked_only_of_a_killed_run(tmp_path, action, killed):
    plant(tmp_path, PHOTOS)
    before = tree(tmp_path)
    file_all(tmp_path, LABELS, action)
    if killed:
        forget(tmp_path)
    with at_work(str(tmp_path)):
        outcomes = take_back(journals_of(str(tmp_path))[0])
        next(outcomes)
        outcomes.close()
    assert bool(stopped_runs(str(tmp_path))) == killed
    assert [line.split("; ")[1] for line in look(tmp_path)] == ["that is to go on"] * killed
    undo(tmp_path)
    assert tree(tmp_path) == before


def interrupted(what: Callable[[], object], line: int) -> bool:
    """Press Ctrl-C, as it were, before the so-many-th line of filing; tell if it came to that.

    In a process of its own, which ends then.
    """
    left, place = line, os.path.dirname(lock.__file__)

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


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.parametrize("what", ["file", "undo"])
@pytest.mark.parametrize("every", [7, pytest.param(1, marks=pytest.mark.slow)])
def test_interrupted_before_any_line(tmp_path, what, every):
    for line in count(1, every):
        folder = tmp_path / str(line)
        plant(folder, PHOTOS)
        before = tree(folder)
        if what == "file":
            was_interrupted = interrupted(partial(file_all, folder, LABELS, "move"), line)
        else:
            file_all(folder, LABELS, "move")
            was_interrupted = interrupted(partial(undo, folder), line)
        assert set(contents(folder)) == set(PHOTOS.values())
        assert [error for _, error in undo(folder) if error is not None] == [], line
        assert tree(folder) == before, line
        if not was_interrupted:
            break


def test_two_at_once(tmp_path):
    plant(tmp_path, PHOTOS)
    with at_work(str(tmp_path)):
        with pytest.raises(FilingError, match=rf"process {os.getpid()} on .* is at work in it"):
            with at_work(str(tmp_path)):
                pass
    with at_work(str(tmp_path)):
        pass


NO_FOLDER_LOCKS = pytest.mark.skipif(os.name == "nt", reason="folders cannot be locked there")


@NO_FOLDER_LOCKS
def test_two_at_once_from_one_folder_to_different_ones(dogsort, album):
    (album / "trip").mkdir()
    shutil.copy(album / "chelsea.png", album / "trip")
    before, to = tree(album), album.parent / "to"
    with at_work(str(to / "one"), [str(album)]):
        for source in (album, album / "trip", album.parent, album / "chelsea.png", to / "one"):
            run = dogsort(source, "--move", "--to", to / "two")
            assert run.returncode == 1
            assert b"is at work in it; wait until it is done" in run.stderr
        assert dogsort(album, "--copy", "--to", to / "three").returncode == 0
    with at_work(str(to / "one"), [str(album / "trip"), str(album), str(album) + "/trip/.."]):
        pass
    with (
        at_work(str(to / "one"), [str(album / "trip")]),
        at_work(str(to / "two"), [str(to / "three")]),
    ):
        pass
    assert tree(album) == before
    assert dogsort(album, "--move", "--to", to / "two").returncode == 0


@NO_FOLDER_LOCKS
def test_however_many_folders_photos_come_from_few_files_are_open(tmp_path):
    import resource

    folders = [tmp_path / str(number) / "photos" for number in range(300)]
    for folder in folders:
        folder.mkdir(parents=True)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        with at_work(str(tmp_path / "sorted"), list(map(str, folders))):
            with pytest.raises(FilingError, match="is at work in it"):
                with at_work(str(tmp_path / "other"), [str(folders[7])]):
                    pass
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("action", ["copy", "hardlink"])
def test_a_copy_is_kept_whose_original_became_a_link_to_it(tmp_path, action):
    """As those leave it who look for doubles, and put links in their place."""
    plant(tmp_path, {"a.jpg": b"one"})
    file_all(tmp_path, {"a.jpg": "dog"}, action)
    (tmp_path / "a.jpg").unlink()
    (tmp_path / "a.jpg").symlink_to("dog/a.jpg")
    ((_, error),) = undo(tmp_path)
    assert "this may be the only one" in str(error)
    assert contents(tmp_path) == [b"one"]


def test_an_album_gets_its_time_back_that_a_new_folder_was_made_in(tmp_path):
    plant(tmp_path, {"album/a.jpg": b"one"})
    os.utime(tmp_path / "album", ns=(10**18, 10**18))
    file_all(tmp_path / "album", {"a.jpg": "dog"}, "move", to=tmp_path / "album" / "new" / "one")
    assert [error for _, error in undo(tmp_path / "album" / "new" / "one")] == [None]
    assert (tmp_path / "album").stat().st_mtime_ns == 10**18


def test_an_older_run_is_undone_only_once_that_was_said(dogsort, album):
    home = album.parent / "home"
    home.mkdir()
    for name in ("kitten.jpeg", "running_dog.jpeg"):
        (album / name).rename(home / name)
    assert dogsort(album, "--move").returncode == 0
    assert dogsort(home, "--move", "--to", album).returncode == 0
    (home / "kitten.jpeg").write_bytes(b"another one")
    said = [dogsort("undo", album) for _ in range(3)]
    assert [run.returncode for run in said] == [3, 3, 3]
    assert (home / "running_dog.jpeg").exists()
    assert b"put back: 1 files; 1 not" in said[0].stderr
    assert b"call undo" not in said[0].stderr
    assert b"call undo once more" in said[1].stderr
    assert b"nothing of it can be put back now; that begun" in said[2].stderr
    assert (album / "chelsea.png").exists()
    alone = dogsort("undo", album)
    assert alone.returncode == 3
    assert b"its old name is taken" in alone.stderr
    assert b"once more" not in alone.stderr
    assert b"next" not in alone.stderr


@NO_FOLDER_LOCKS
def test_undo_keeps_others_out_of_where_photos_go_back_to(dogsort, album):
    assert dogsort(album, "--move", "--to", album.parent / "to").returncode == 0
    with at_work(str(album)):
        run = dogsort("undo", album.parent / "to")
    assert run.returncode == 1
    assert b"is at work in it" in run.stderr
    assert dogsort("undo", album.parent / "to").returncode == 0


@NO_FOLDER_LOCKS
def test_undoing_copies_keeps_nobody_from_their_originals(dogsort, album):
    assert dogsort(album, "--copy", "--to", album.parent / "to").returncode == 0
    with at_work(str(album)):
        assert dogsort("undo", album.parent / "to").returncode == 0


def test_a_half_moved_photo_that_cannot_go_ends_the_run(tmp_path, monkeypatch):
    plant(tmp_path, {"a.jpg": b"one"})
    file_all(tmp_path, {"a.jpg": "dog"}, "move")
    os.link(tmp_path / "dog" / "a.jpg", tmp_path / "a.jpg")
    forget(tmp_path)

    def refuse(path: object, **_: object) -> None:
        raise PermissionError(1, "Operation not permitted", path)

    with monkeypatch.context() as patched:
        patched.setattr(os, "unlink", refuse)
        with pytest.raises(FilingError, match="half moved, and cannot be deleted"):
            look(tmp_path)
    look(tmp_path)
    assert contents(tmp_path) == [b"one"]


def test_the_folder_around_a_new_one_may_be_somebody_elses(tmp_path, monkeypatch):
    """Whose time only its owner may set."""
    plant(tmp_path, {"album/a.jpg": b"one"})

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "utime", refuse)
    ((_, error),) = file_all(tmp_path / "album", {"a.jpg": "dog"}, "move", to=tmp_path / "to")
    assert error is None


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read anything")
def test_what_cannot_be_read_after_a_kill_keeps_nobody_from_filing(tmp_path):
    plant(tmp_path, {"a.jpg": b"one"})
    file_all(tmp_path, {"a.jpg": "dog"}, "copy")
    forget(tmp_path)
    (tmp_path / "dog" / "a.jpg").chmod(0)
    assert "Permission denied" in look(tmp_path)[1]


def test_the_command(dogsort, album):
    before = tree(album)
    assert dogsort(album, "--move", "--quiet").returncode == 0
    assert (album / "dog" / "running_dog.jpeg").exists()
    again = dogsort(album, "--move")
    assert again.returncode == 0
    assert again.stderr.decode().count("an earlier run filed into it, passed over") == 2
    assert again.stdout.count(b"\n") == 4  # the head, and the three that are neither
    listed = dogsort("undo", album, "--list")
    assert "move  2 cat, 1 dog  filed" in listed.stdout.decode()
    undone = dogsort("undo", album)
    assert undone.returncode == 0, undone.stderr.decode()
    assert "2 cat, 1 dog  undone" in undone.stderr.decode()
    assert tree(album) == before
    again = dogsort("undo", album)
    assert again.returncode == 1
    assert "everything that was filed is undone already" in again.stderr.decode()
    # What can never be put back is no reason not to go on to the run before.
    (album / "home").mkdir()
    (album / "kitten.jpeg").rename(album / "home" / "kitten.jpeg")
    (album / "home").rename(album.parent / "home")
    assert dogsort(album.parent / "home", "--move", "--to", album).returncode == 0
    assert dogsort(album, "--move", "--quiet").returncode == 0
    assert dogsort("undo", album).returncode == 0
    (album.parent / "home").rename(album.parent / "away")
    assert dogsort("undo", album).returncode == 3
    listed = dogsort("undo", album, "--list").stdout.decode().splitlines()
    assert [line.split("  ")[-1] for line in listed] == ["undone", "filed", "undone"]
    (album.parent / "away").rename(album.parent / "home")
    (album / "cat" / "kitten.jpeg").unlink()
    gone = dogsort("undo", album)
    assert gone.returncode == 3
    assert "it is no longer there" in gone.stderr.decode()
    listed = dogsort("undo", album, "--list").stdout.decode()
    assert "1 cat  undone, but for 1 changed or gone since" in listed
    nothing = dogsort("undo", cwd=album / "..")
    assert nothing.returncode == 1
    assert "nothing was filed into it" in nothing.stderr.decode()
    assert not (album.parent / FOLDER_NAME).exists()
    with at_work(str(album)):
        busy = dogsort(album, "--move")
    assert busy.returncode == 1
    assert "is at work in it" in busy.stderr.decode()
