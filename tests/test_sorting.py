"""What goes where, and the carrying."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from conftest import files_below
from hypothesis import given
from hypothesis import strategies as st

from dogsort.errors import FilingError
from dogsort.records import Failure, Prediction
from dogsort.sorting.carry import carry
from dogsort.sorting.plan import Filing, Planner


def record(path: str, label: str) -> Prediction:
    return Prediction(path, label, 0.9, 0.9, 0.9)  # type: ignore[arg-type]


def nothing_exists(path: str) -> bool:
    return False


def test_only_dogs_and_cats_are_filed():
    planner = Planner("p", nothing_exists)
    assert planner.plan(record("p/a.jpg", "dog")) == Filing(
        "p/a.jpg", os.path.join("p", "dog", "a.jpg"), "dog"
    )
    assert planner.plan(record("p/b.jpg", "cat")).target == os.path.join("p", "cat", "b.jpg")
    for label in ("neither", "unsure"):
        assert planner.plan(record("p/c.jpg", label)) is None
    assert planner.plan(Failure("p/d.jpg", "empty file")) is None
    unsure = Planner("p", nothing_exists, unsure_to="look").plan(record("p/c.jpg", "unsure"))
    assert unsure.target == os.path.join("p", "look", "c.jpg")


def test_what_is_in_its_folder_stays():
    planner = Planner(".", nothing_exists)
    assert planner.plan(record("./dog/a.jpg", "dog")) is None
    assert planner.plan(record("./dog/a.jpg", "cat")) is not None


def test_taken_names_are_numbered():
    existing = {os.path.join("p", "dog", name) for name in ("a.jpg", "a (2).jpg")}
    planner = Planner("p", existing.__contains__)
    targets = [planner.plan(record(f"{n}/a.jpg", "dog")).target for n in range(3)]
    assert [os.path.basename(t) for t in targets] == ["a (3).jpg", "a (4).jpg", "a (5).jpg"]
    # Some file systems do not tell a.jpg from A.JPG.
    planner = Planner("p", nothing_exists)
    targets = [planner.plan(record(path, "dog")).target for path in ("1/a.jpg", "2/A.JPG")]
    assert [os.path.basename(t) for t in targets] == ["a.jpg", "A (2).JPG"]


NAMES = st.sampled_from(["a.jpg", "A.jpg", "a (2).jpg", "a (2) (2).jpg", "b"])


@given(
    sources=st.lists(st.tuples(st.sampled_from("xyz"), NAMES), unique=True), there=st.sets(NAMES)
)
def test_no_two_photos_get_one_name_and_none_that_exists(sources, there):
    existing = {os.path.join("p", "dog", name) for name in there}
    planner = Planner("p", existing.__contains__)
    targets = [planner.plan(record(f"{folder}/{name}", "dog")).target for folder, name in sources]
    assert len({target.casefold() for target in targets}) == len(targets)
    assert not existing & set(targets)


def prepare(tmp_path: Path) -> Filing:
    (tmp_path / "a.jpg").write_bytes(b"photo")
    os.utime(tmp_path / "a.jpg", ns=(10**18, 10**18))
    return Filing(str(tmp_path / "a.jpg"), str(tmp_path / "dog" / "a.jpg"), "dog")


def test_move(tmp_path):
    carry(prepare(tmp_path), "move")
    assert files_below(tmp_path) == {"dog/a.jpg": b"photo"}
    assert (tmp_path / "dog/a.jpg").stat().st_mtime_ns == 10**18


def test_copy_keeps_the_original_and_the_times(tmp_path):
    carry(prepare(tmp_path), "copy")
    assert files_below(tmp_path) == {"a.jpg": b"photo", "dog/a.jpg": b"photo"}
    assert (tmp_path / "dog/a.jpg").stat().st_mtime_ns == 10**18


def test_link_is_relative(tmp_path):
    carry(prepare(tmp_path), "link")
    assert os.readlink(tmp_path / "dog/a.jpg") == os.path.join("..", "a.jpg")
    assert (tmp_path / "dog/a.jpg").read_bytes() == b"photo"


@pytest.mark.parametrize("action", ["move", "copy", "link"])
def test_what_has_the_name_keeps_it(tmp_path, action):
    filing = prepare(tmp_path)
    (tmp_path / "dog").mkdir()
    (tmp_path / "dog" / "a.jpg").write_bytes(b"other")
    with pytest.raises(FilingError, match="taken"):
        carry(filing, action)
    assert files_below(tmp_path) == {"a.jpg": b"photo", "dog/a.jpg": b"other"}


@pytest.mark.parametrize("action", ["move", "copy"])
def test_a_photo_that_is_gone_is_told(tmp_path, action):
    filing = prepare(tmp_path)
    os.unlink(filing.source)
    with pytest.raises(FilingError, match="No such file"):
        carry(filing, action)
    assert files_below(tmp_path) == {}


def test_links_are_not_moved(tmp_path):
    filing = prepare(tmp_path)
    os.rename(filing.source, tmp_path / "real.jpg")
    os.symlink("real.jpg", filing.source)
    with pytest.raises(FilingError, match="link"):
        carry(filing, "move")
    assert os.path.islink(filing.source)
    carry(filing, "copy")
    assert not os.path.islink(filing.target)
    assert Path(filing.target).read_bytes() == b"photo"


@pytest.mark.skipif(not os.path.isdir("/dev/shm"), reason="no second file system here")
def test_move_across_file_systems(tmp_path):
    import tempfile

    filing = prepare(tmp_path)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as other:
        if os.stat(other).st_dev == os.stat(tmp_path).st_dev:
            pytest.skip("/dev/shm is no file system of its own here")
        target = os.path.join(other, "dog", "a.jpg")
        with pytest.raises(OSError) as info:
            os.link(filing.source, os.path.join(other, "a.jpg"))
        assert info.value.errno == errno.EXDEV
        carry(Filing(filing.source, target, "dog"), "move")
        assert files_below(Path(other)) == {"dog/a.jpg": b"photo"}
        assert os.stat(target).st_mtime_ns == 10**18
    assert files_below(tmp_path) == {}
