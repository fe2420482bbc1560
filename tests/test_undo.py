"""Undo puts back what was filed, and leaves alone what has changed since."""

from __future__ import annotations

import os
import shutil
import tempfile
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trees import ACTIONS, LABELS, PHOTOS, QUICK, contents, edit, file_all, plant, tree

from dogsort.filing import FilingOptions, execute, undo
from dogsort.filing.execute import at_work, carry_out
from dogsort.filing.plan import Planner


@pytest.mark.parametrize("action", ACTIONS)
def test_undo_puts_everything_back(tmp_path, action):
    plant(tmp_path, PHOTOS)
    (tmp_path / "a.jpg").chmod(0o604)
    before = tree(tmp_path)
    assert [one.error for one in file_all(tmp_path, LABELS, action)] == [None] * 3
    assert tree(tmp_path) != before
    assert (tmp_path / "dog" / "a (2).jpg").read_bytes() == b"one"
    undone = undo(str(tmp_path))
    assert [one.error for one in undone] == [None] * 3
    assert {one.source: one.label for one in undone} == {
        str(tmp_path / name): label for name, label in LABELS.items()
    }
    assert tree(tmp_path) == before
    assert undo(str(tmp_path)) == []


def test_undo_goes_back_run_by_run(tmp_path):
    plant(tmp_path, PHOTOS)
    before = tree(tmp_path)
    file_all(tmp_path, {"a.jpg": "dog"}, "move")
    between = tree(tmp_path)
    file_all(tmp_path, {"trip/b.jpg": "cat"}, "copy")
    undo(str(tmp_path))
    assert tree(tmp_path) == between
    undo(str(tmp_path))
    assert tree(tmp_path) == before


def test_undo_also_reaches_photos_from_elsewhere(tmp_path):
    plant(tmp_path / "camera", PHOTOS)
    before = tree(tmp_path / "camera")
    file_all(tmp_path / "camera", LABELS, "move", to=tmp_path / "sorted")
    shutil.rmtree(tmp_path / "camera" / "trip")
    reasons = [str(one.error) for one in undo(str(tmp_path / "sorted"))]
    gone = f"{tmp_path / 'camera' / 'trip'}: No such file or directory"
    assert sorted(reasons) == sorted(["None", gone, gone])
    (tmp_path / "camera" / "trip").mkdir()
    assert [one.error for one in undo(str(tmp_path / "sorted"))] == [None, None]
    assert tree(tmp_path / "camera") == before
    assert tree(tmp_path / "sorted") == {}


def test_a_folder_may_be_moved_before_undo(tmp_path):
    plant(tmp_path / "old", PHOTOS)
    before = tree(tmp_path / "old")
    file_all(tmp_path / "old", LABELS, "move")
    (tmp_path / "old").rename(tmp_path / "new")
    undo(str(tmp_path / "new"))
    assert tree(tmp_path / "new") == before


def test_undo_leaves_alone_what_is_not_what_was_filed(tmp_path):
    plant(tmp_path, {f"{name}.jpg": name.encode() for name in "abcd"})
    file_all(tmp_path, {f"{name}.jpg": "dog" for name in "abcd"}, "move")
    edit(tmp_path / "dog" / "a.jpg", b"A")  # of the same size
    (tmp_path / "dog" / "b.jpg").unlink()
    (tmp_path / "c.jpg").write_bytes(b"new")
    reasons = [(Path(one.source).name, str(one.error)) for one in undo(str(tmp_path))]
    assert reasons == [
        ("d.jpg", "None"),
        ("c.jpg", f"its old name is taken: {tmp_path / 'c.jpg'}"),
        ("b.jpg", "it is no longer there"),
        ("a.jpg", "it has changed since it was filed"),
    ]
    assert (tmp_path / "dog" / "a.jpg").read_bytes() == b"A"
    assert (tmp_path / "dog" / "c.jpg").read_bytes() == b"c"
    # Once the name is free, the same command puts back the rest.
    (tmp_path / "c.jpg").unlink()
    assert [one.error for one in undo(str(tmp_path))] == [None]
    assert (tmp_path / "c.jpg").read_bytes() == b"c"


@pytest.mark.parametrize("link", [False, True])
def test_what_was_copied_back_by_hand_is_settled(tmp_path, link):
    plant(tmp_path, PHOTOS)
    file_all(tmp_path, LABELS, "move")
    if link:
        os.link(tmp_path / "dog" / "a (2).jpg", tmp_path / "a.jpg")
    else:
        shutil.copyfile(tmp_path / "dog" / "a (2).jpg", tmp_path / "a.jpg")
    assert [one.error for one in undo(str(tmp_path))] == [None] * 3
    assert {name: content for name, (content, _) in tree(tmp_path).items()} == {
        **PHOTOS,
        "dog": "folder",
        "trip": "folder",
    }


@pytest.mark.parametrize("action", ["copy", "hardlink"])
def test_a_copy_whose_original_is_gone_is_kept_until_it_is_back(tmp_path, action):
    plant(tmp_path, PHOTOS)
    before = tree(tmp_path)
    file_all(tmp_path, {"a.jpg": "dog"}, action)
    (tmp_path / "a.jpg").rename(tmp_path / "away")
    for _ in "12":
        (outcome,) = undo(str(tmp_path))
        assert "may be the only copy; restore it or delete this one" in str(outcome.error)
        assert (tmp_path / "dog" / "a (2).jpg").read_bytes() == b"one"
    (tmp_path / "away").rename(tmp_path / "a.jpg")
    assert [one.error for one in undo(str(tmp_path))] == [None]
    assert tree(tmp_path) == before


def test_a_copy_of_what_a_link_led_to_is_kept_until_that_is_back(tmp_path):
    plant(tmp_path, {"disk/a.jpg": b"one"})
    (tmp_path / "link.jpg").symlink_to(tmp_path / "disk" / "a.jpg")
    file_all(tmp_path, {"link.jpg": "dog"}, "copy")
    (tmp_path / "disk").rename(tmp_path / "away")
    (outcome,) = undo(str(tmp_path))
    assert "restore it or delete this one" in str(outcome.error)
    (tmp_path / "away").rename(tmp_path / "disk")
    assert [one.error for one in undo(str(tmp_path))] == [None]
    assert not (tmp_path / "dog").exists()


@pytest.mark.parametrize("content", [b"edited", b"ONE"])
def test_a_copy_whose_original_was_changed_is_kept(tmp_path, content):
    plant(tmp_path, PHOTOS)
    file_all(tmp_path, {"a.jpg": "dog"}, "copy")
    (tmp_path / "a.jpg").write_bytes(content)
    (outcome,) = undo(str(tmp_path))
    assert "may be the only copy" in str(outcome.error)
    assert (tmp_path / "dog" / "a (2).jpg").read_bytes() == b"one"
    assert undo(str(tmp_path)) == []


@pytest.mark.parametrize("action", ["copy", "hardlink"])
def test_a_copy_is_kept_whose_original_became_a_link_to_it(tmp_path, action):
    """As programs leave it that replace duplicates by links."""
    plant(tmp_path, {"a.jpg": b"one"})
    file_all(tmp_path, {"a.jpg": "dog"}, action)
    (tmp_path / "a.jpg").unlink()
    (tmp_path / "a.jpg").symlink_to("dog/a.jpg")
    (outcome,) = undo(str(tmp_path))
    assert "this may be the only copy" in str(outcome.error)
    assert contents(tmp_path) == [b"one"]


def test_a_link_that_leads_elsewhere_by_now_stays(tmp_path):
    plant(tmp_path, {"a.jpg": b"one", "b.jpg": b"two"})
    file_all(tmp_path, {"a.jpg": "dog"}, "link")
    (tmp_path / "dog" / "a.jpg").unlink()
    (tmp_path / "dog" / "a.jpg").symlink_to("../b.jpg")
    assert [one.error for one in undo(str(tmp_path))] == ["it is not the link that dogsort made"]
    assert (tmp_path / "dog" / "a.jpg").read_bytes() == b"two"


def test_a_folder_that_became_a_link_is_left_alone(tmp_path):
    """Both names then mean the same file, so deleting one deletes the photo."""
    plant(tmp_path, {"trip/a.jpg": b"one"})
    file_all(tmp_path, {"trip/a.jpg": "dog"}, "move")
    (tmp_path / "trip").rmdir()
    (tmp_path / "trip").symlink_to("dog")
    (outcome,) = undo(str(tmp_path))
    assert outcome.error == f"{tmp_path / 'trip'} leads elsewhere now"
    assert contents(tmp_path) == [b"one"]
    (tmp_path / "trip").unlink()
    assert [one.error for one in undo(str(tmp_path))] == [None]
    assert contents(tmp_path) == [b"one"]


def test_dots_behind_links_lead_where_the_system_says(tmp_path, monkeypatch):
    plant(tmp_path, {"real/a.jpg": b"meant", "w/a.jpg": b"other", "real/sub/b": b""})
    (tmp_path / "w" / "link").symlink_to(tmp_path / "real" / "sub")
    monkeypatch.chdir(tmp_path / "w")
    file_all(Path("link/.."), {"a.jpg": "dog"}, "move", to=Path("."))
    assert (tmp_path / "w" / "dog" / "a.jpg").read_bytes() == b"meant"
    undo(str(tmp_path / "w"))
    assert (tmp_path / "real" / "a.jpg").read_bytes() == b"meant"


@pytest.mark.parametrize("action", ["move", "copy"])
@pytest.mark.parametrize("shift", [0, 1, -1, 3600, -2 * 3600, 20700])
def test_times_may_be_rounded_and_shift_with_the_clocks(tmp_path, action, shift):
    """As on FAT, which stores local time in steps of two seconds."""
    plant(tmp_path, {"a.jpg": b"one"})
    file_all(tmp_path, {"a.jpg": "dog"}, action)
    time = 10**18 + shift * 10**9
    os.utime(tmp_path / "dog" / "a.jpg", ns=(time, time))
    assert [one.error for one in undo(str(tmp_path))] == [None]
    assert list(tree(tmp_path)) == ["a.jpg"]


def test_links_may_be_copied(tmp_path):
    plant(tmp_path, {"elsewhere/b.jpg": b"two"})
    (tmp_path / "link.jpg").symlink_to("elsewhere/b.jpg")
    before = tree(tmp_path)
    file_all(tmp_path, {"link.jpg": "dog"}, "copy")
    assert [one.error for one in undo(str(tmp_path))] == [None]
    assert tree(tmp_path) == before


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("time", [0, -1, -(10**18), 2**63 - 1, 2**63, 10**19])
def test_photos_of_any_time_come_back(tmp_path, action, time):
    """Before 1970, and after 2262, when nanoseconds need more than 64 bits."""
    plant(tmp_path, {"a.jpg": b"one"})
    os.utime(tmp_path / "a.jpg", ns=(time, time))
    before = tree(tmp_path)
    assert [one.error for one in file_all(tmp_path, {"a.jpg": "dog"}, action)] == [None]
    assert [one.error for one in undo(str(tmp_path))] == [None]
    assert tree(tmp_path) == before


def test_folders_that_the_run_made_go_if_nobody_uses_them(tmp_path):
    plant(tmp_path, {"x/y/a.jpg": b"one", "b.jpg": b"two"})
    file_all(tmp_path, {"x/y/a.jpg": "dog", "b.jpg": "cat"}, "copy", keep_tree=[str(tmp_path)])
    (tmp_path / "cat" / "mine.txt").write_bytes(b"mine")
    before_undo = set(tree(tmp_path))
    assert [one.error for one in undo(str(tmp_path))] == [None, None]
    gone = {"dog", "dog/x", "dog/x/y", "dog/x/y/a.jpg", "cat/b.jpg"}
    assert set(tree(tmp_path)) == before_undo - gone


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
        "neither_to": st.sampled_from([None, "rest"]),
    }
)


TREES_AND_RUNS = given(
    labels=st.dictionaries(st.builds(str.__add__, FOLDERS, NAMES), LABEL, max_size=12),
    sidecars=st.sets(st.builds(str.__add__, FOLDERS, SIDECARS), max_size=5),
    links=st.dictionaries(st.builds(str.__add__, FOLDERS, LINKS), NAMES, max_size=3),
    runs=st.lists(RUN, min_size=1, max_size=3),
)


def check_that_it_comes_back(labels, sidecars, links, runs):
    """Runs into one folder, and from it to another, are undone one after the other."""
    with tempfile.TemporaryDirectory(dir=QUICK) as place:
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
        for options in runs:
            action, roots = options["action"], options.pop("roots")
            to = elsewhere if options.pop("is_elsewhere") else folder
            keep = None if roots is None else [str(folder / root) for root in roots]
            shown = {name: label for name, label in labels.items() if (folder / name).is_file()}
            file_all(folder, shown, keep_tree=keep, to=to, **options)
            if action == "move":
                assert len(all_contents()) >= len(before)
            assert set(before) <= set(all_contents())
            if state() != states[-1]:
                states.append(state())
                filed_into.append(to)
        if {options["action"] for options in runs} == {"move"}:
            assert all_contents() == before
        while filed_into:
            assert all(one.error is None for one in undo(str(filed_into.pop())))
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


def test_the_sidecars_of_a_photo_that_cannot_be_filed_stay(tmp_path):
    plant(tmp_path, {"a.jpg": b"one", "a.xmp": b"about it"})
    planner = Planner(FilingOptions("move", str(tmp_path)))
    planner.add(str(tmp_path / "a.jpg"), "dog")
    filings = planner.filings()
    (tmp_path / "dog").mkdir()
    (tmp_path / "dog" / "a.jpg").write_bytes(b"taken in between")
    with at_work(str(tmp_path)) as (journal, _):
        outcomes = list(carry_out(filings, "move", journal))
    assert [str(error) for _, error in outcomes] == [
        "its new name was taken in the meantime",
        "its photo was not filed",
    ]
    assert (tmp_path / "a.xmp").exists()


def test_many_files_take_little_memory(quick_path, monkeypatch):
    """A plan holds all names, so that it gives none twice; a run holds a batch of steps."""

    def peak(count: int) -> int:
        folder = quick_path / str(count)
        names = [f"IMG_{number:05}.jpg" for number in range(count)]
        plant(folder, dict.fromkeys(names, b"small"))
        planner = Planner(FilingOptions("move", str(folder)))
        tracemalloc.start()
        try:
            for name in names:
                planner.add(str(folder / name), "dog")
            with at_work(str(folder)) as (journal, _):
                for _, error in carry_out(planner.filings(), "move", journal):
                    assert error is None
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    monkeypatch.setattr(execute, "BATCH_FILES", 1024)
    few, many = 4 * execute.BATCH_FILES, 8 * execute.BATCH_FILES
    assert (peak(many) - peak(few)) / (many - few) < 500  # bytes per file; about 400 are expected


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes")
def test_what_is_no_file_is_named_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.jpg")
    (tmp_path / "b.jpg").mkdir()
    for action in ACTIONS:
        outcomes = file_all(tmp_path, {"a.jpg": "dog", "b.jpg": "dog"}, action)
        assert {one.error for one in outcomes} == {"not a file"}


@pytest.mark.skipif(os.name == "nt", reason="no limit on open files")
def test_however_many_folders_photos_come_from_few_are_open(quick_path):
    import resource

    labels = {f"{number}/{'deep/' * 8}a.jpg": "dog" for number in range(40)}
    plant(quick_path, {name: name.encode() for name in labels})
    before = tree(quick_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        filed = file_all(quick_path, labels, "move", keep_tree=[str(quick_path)])
        undone = undo(str(quick_path))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert {one.error for one in filed} == {None}
    assert {one.error for one in undone} == {None}
    assert tree(quick_path) == before
