"""What goes where, and the carrying."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest
from conftest import files_below
from hypothesis import given
from hypothesis import strategies as st

from dogsort.errors import FilingError
from dogsort.sorting import disk
from dogsort.sorting.carry import carry
from dogsort.sorting.plan import Planner, Wishes


class Disk:
    """Answers for a disk that exists in the test only."""

    def __init__(self, existing=(), links=None, same=()):
        self.existing, self.leads, self.same = set(existing), links or {}, set(same)

    def lexists(self, path: str) -> bool:
        return any(one == path or one.startswith(f"{path}/") for one in self.existing)

    def islink(self, path: str) -> bool:
        return path in self.leads

    def links(self, folder: str, names) -> list[str]:
        return [name for name in names if f"{folder}/{name}" in self.leads]

    def realpath(self, path: str) -> str:
        return os.path.abspath(self.leads.get(path, path))

    def names(self, folder: str) -> list[str]:
        paths = [path.replace(os.sep, "/") for path in self.existing]
        return [path.rpartition("/")[2] for path in paths if path.rpartition("/")[0] == folder]

    def same_content(self, first: str, second: str) -> bool:
        return (first, second.replace(os.sep, "/")) in self.same


def plan(*photos, disk=None, action="move", folder="p", **wishes) -> dict[str, str]:
    """Plan photos given as (path, label); returns source to target."""
    planner = Planner(Wishes(action, folder, **wishes), disk or Disk())
    for path, label in photos:
        planner.add(path, label)
    return {filing.source: filing.target.replace(os.sep, "/") for filing in planner.filings()}


def test_only_dogs_and_cats_are_filed():
    photos = [("p/a.jpg", "dog"), ("p/b.jpg", "cat"), ("p/c.jpg", "neither"), ("p/d.jpg", "unsure")]
    assert plan(*photos) == {"p/a.jpg": "p/dog/a.jpg", "p/b.jpg": "p/cat/b.jpg"}
    assert plan(*photos, unsure_to="look")["p/d.jpg"] == "p/look/d.jpg"
    assert plan(*photos, neither_to="rest")["p/c.jpg"] == "p/rest/c.jpg"
    assert plan(("p/unreadable.jpg", None)) == {}


def test_what_is_in_its_folder_stays():
    assert plan(("./dog/a.jpg", "dog"), ("dog/b.jpg", "dog"), folder=".") == {}
    assert plan(("./dog/a.jpg", "cat"), folder=".") == {"./dog/a.jpg": "./cat/a.jpg"}
    # Also when one of the two names leads through a link.
    linked = Disk(links={os.path.join("link", "dog"): "real/dog"})
    assert plan(("real/dog/a.jpg", "dog"), folder="link", disk=linked) == {}


def test_taken_names_are_numbered():
    disk = Disk({os.path.join("p", "dog", name) for name in ("a.jpg", "a (2).jpg")})
    targets = plan(*((f"{n}/a.jpg", "dog") for n in range(3)), disk=disk)
    names = [f"p/dog/a ({number}).jpg" for number in (3, 4, 5)]
    assert list(targets.values()) == names
    # Some file systems do not tell a.jpg from A.JPG.
    targets = plan(("1/a.jpg", "dog"), ("2/A.JPG", "dog"))
    assert list(targets.values()) == ["p/dog/a.jpg", "p/dog/A (2).JPG"]


def test_what_is_there_already_is_not_filed_again():
    there = {os.path.join("p", "dog", name) for name in ("a.jpg", "a (2).jpg")}
    disk = Disk(there, same={("p/a.jpg", "p/dog/a (2).jpg")})
    for action in ("move", "copy"):
        assert plan(("p/a.jpg", "dog"), disk=disk, action=action) == {}
    assert plan(("q/a.jpg", "dog"), disk=disk) == {"q/a.jpg": "p/dog/a (3).jpg"}
    link = os.path.join("p", "dog", "a.jpg")
    linked = Disk({link}, links={link: "p/a.jpg"})
    assert plan(("p/a.jpg", "dog"), disk=linked, action="link") == {}
    assert plan(("q/a.jpg", "dog"), disk=linked, action="link") == {"q/a.jpg": "p/dog/a (2).jpg"}


def test_the_disk_compares_bytes(tmp_path):
    for name, content in (("a", b"one"), ("b", b"one"), ("c", b"two")):
        (tmp_path / name).write_bytes(content)
        os.utime(tmp_path / name, (1, 1))
    os.symlink("a", tmp_path / "link")
    a, b, c, link, gone = (str(tmp_path / name) for name in ("a", "b", "c", "link", "gone"))
    answers = [disk.Disk().same_content(a, other) for other in (b, c, link, gone, str(tmp_path))]
    assert answers == [True, False, False, False, False]


def test_a_move_leaves_links_and_what_they_lead_to():
    disk = Disk(links={"p/link.jpg": "p/a.jpg"})
    photos = [("p/a.jpg", "dog"), ("p/b.jpg", "dog"), ("p/link.jpg", "dog")]
    assert list(plan(*photos, disk=disk)) == ["p/b.jpg"]
    assert len(plan(*photos, disk=disk, action="copy")) == 3


def test_what_belongs_to_a_photo_goes_with_it():
    takeout = ("a.jpg.supplemental-metadata.json", "a.jpg.suppl.json")
    belonging = ("a.xmp", "a.jpg.json", "a.MOV", "a.NEF", *takeout)
    others = ("a.txt", "a.jpg.other.json", "ab.xmp", "b.jpg.json", "a.jpg.mov", "c.xmp")
    photos = [("q/a.jpg", "dog"), ("q/b.jpg", "neither")]
    disk = Disk({f"q/{name}" for name in (*belonging, *others)})
    expected = {f"q/{name}": f"p/dog/{name}" for name in ("a.jpg", *sorted(belonging))}
    assert plan(*photos, disk=disk) == expected
    # One name taken renames all of them, in step.
    disk = Disk({"q/a.xmp", "q/a.jpg.json", os.path.join("p", "dog", "a.xmp")})
    assert plan(("q/a.jpg", "dog"), disk=disk) == {
        "q/a.jpg": "p/dog/a (2).jpg",
        "q/a.jpg.json": "p/dog/a (2).jpg.json",
        "q/a.xmp": "p/dog/a (2).xmp",
    }


def test_a_sidecar_of_two_photos_that_part_stays():
    disk = Disk({"q/a.xmp", "q/a.jpg.xmp"})
    planner = Planner(Wishes("move", "p"), disk)
    for path, label in (("q/a.jpg", "dog"), ("q/a.heic", "cat")):
        planner.add(path, label)
    assert [filing.source for filing in planner.filings()] == ["q/a.jpg", "q/a.jpg.xmp", "q/a.heic"]
    assert planner.shared == ["q/a.xmp"]
    # Where they go together, so does it, once.
    together = plan(("q/a.jpg", "dog"), ("q/a.heic", "dog"), disk=disk)
    assert together == {
        f"q/{name}": f"p/dog/{name}" for name in ("a.jpg", "a.xmp", "a.jpg.xmp", "a.heic")
    }
    assert plan(("q/a.jpg", "dog"), ("q/a.heic", "neither"), disk=disk).keys() == {
        "q/a.jpg",
        "q/a.jpg.xmp",
    }


def test_a_folder_in_two_spellings_is_one():
    planner = Planner(Wishes("move", "p"), Disk({"q/a.xmp"}))
    for path, label in (("q/a.jpg", "dog"), ("./q/a.heic", "cat")):
        planner.add(path, label)
    assert [filing.source for filing in planner.filings()] == ["q/a.jpg", "q/a.heic"]
    assert planner.shared == ["q/a.xmp"]


@pytest.mark.parametrize("order", [1, -1])
def test_a_sidecar_never_leaves_a_photo_that_stays(order):
    """Whichever of its photos is met first, and for whatever reason one of them stays."""
    photos = [("q/i.jpg", "dog"), ("q/i.heic", "dog")][::order]
    taken = {"q/i.xmp", os.path.join("p", "dog", "i.jpg")}
    for files, wishes in (
        (Disk(taken), {"on_conflict": "skip"}),
        (Disk(taken, same={("q/i.jpg", "p/dog/i.jpg")}), {}),
        (Disk({"q/i.xmp"}, links={"q/link": "q/i.jpg"}), {}),
    ):
        planner = Planner(Wishes("move", "p", **wishes), files)
        for path, label in [*photos, ("q/link", "dog")] if files.leads else photos:
            planner.add(path, label)
        assert [filing.source for filing in planner.filings()] == ["q/i.heic"]
        assert planner.shared == ["q/i.xmp"]


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("taken", ["i.jpg", "i.heic", "i.xmp", "i.heic.json"])
def test_photos_of_one_stem_that_go_together_keep_one(order, taken):
    names = ["i.jpg", "i.heic", "i.xmp", "i.heic.json"]
    disk = Disk({*(f"q/{name}" for name in names), os.path.join("p", "dog", taken)})
    photos = [("q/i.jpg", "dog"), ("q/i.heic", "dog"), ("z/i.jpg", "dog")][::order]
    targets = plan(*photos, disk=disk)
    stem = targets["q/i.jpg"].removesuffix(".jpg")
    assert {targets[f"q/{name}"] for name in names} == {stem + name[1:] for name in names}
    assert stem.endswith(")")
    # Not where the file system may take two for one.
    twins = plan(("q/a.jpg", "dog"), ("q/a.JPG", "dog"), disk=Disk({"q/a.xmp"}))
    assert twins == {"q/a.jpg": "p/dog/a.jpg", "q/a.JPG": "p/dog/a (2).JPG"}


def test_a_photo_whose_name_has_a_number_keeps_it():
    photos = ["q/2023/x.jpg", "q/2024/x (2).jpg", "q/2024/x.jpg"]
    assert plan(*((path, "dog") for path in photos)) == {
        "q/2023/x.jpg": "p/dog/x.jpg",
        "q/2024/x (2).jpg": "p/dog/x (2).jpg",
        "q/2024/x.jpg": "p/dog/x (3).jpg",
    }


def test_the_same_photo_twice_is_filed_once():
    same = Disk(same={("y/a.jpg", "x/a.jpg"), ("z/A.jpg", "x/a.jpg")})
    photos = [("x/a.jpg", "dog"), ("y/a.jpg", "dog"), ("z/A.jpg", "dog"), ("z/b.jpg", "dog")]
    for action in ("move", "copy", "hardlink"):
        planner = Planner(Wishes(action, "p"), same)
        for path, label in photos:
            planner.add(path, label)
        assert [filing.source for filing in planner.filings()] == ["x/a.jpg", "z/b.jpg"]
        assert planner.already.keys() == {"y/a.jpg", "z/A.jpg"}
        assert {name.replace(os.sep, "/") for name in planner.already.values()} == {"p/dog/a.jpg"}
        assert planner.conflicts == {}
    # Of links to two files, each one counts.
    assert len(plan(*photos, disk=same, action="link")) == 4


@pytest.mark.parametrize("root", [".", "./", "q", "x/../q", os.path.abspath("q")])
def test_the_tree_is_kept_however_the_folder_is_named(root):
    below = "q/2019/" if root in (".", "./") else "2019/"
    for path in ("q/2019/a.jpg", "./q/2019/a.jpg", "q/x/../2019/a.jpg"):
        targets = plan((path, "dog"), keep_tree=[root, "other"])
        assert targets == {path: f"p/dog/{below}a.jpg"}
    # What was named by itself has no tree.
    assert plan(("b/c/a.jpg", "dog"), keep_tree=["q"]) == {"b/c/a.jpg": "p/dog/a.jpg"}


NAMES = st.sampled_from(["a.jpg", "A.jpg", "a (2).jpg", "a (2) (2).jpg", "b"])
SOURCES = st.lists(st.tuples(st.sampled_from("xyz"), NAMES), unique=True)


@given(sources=SOURCES, there=st.sets(NAMES))
def test_no_two_photos_get_one_name_and_none_that_exists(sources, there):
    existing = {os.path.join("p", "dog", name) for name in there}
    photos = [(f"{folder}/{name}", "dog") for folder, name in sources]
    targets = plan(*photos, disk=Disk(existing)).values()
    assert len({target.casefold() for target in targets}) == len(sources)
    assert not {target.replace(os.sep, "/") for target in existing} & set(targets)


STEMMED = st.sampled_from(["i.jpg", "i.JPG", "i.heic", "I.jpg"])
PLACES = st.tuples(st.sampled_from("xy"), STEMMED).map("/".join)


@given(
    labels=st.dictionaries(PLACES, st.sampled_from(["dog", "cat", None])),
    there=st.sets(st.sampled_from(["i.jpg", "i.heic", "i.xmp", "i (2).jpg", "I.JPG.json"])),
    same=st.sets(st.tuples(PLACES, st.one_of(PLACES, st.just("p/dog/i.jpg")))),
    action=st.sampled_from(["move", "copy"]),
    on_conflict=st.sampled_from(["rename", "skip"]),
)
def test_what_belongs_to_photos_goes_as_all_of_them_do(labels, there, same, action, on_conflict):
    sidecars = {"i.xmp": ".", "I.xmp": ".", "i.jpg.json": ".jpg.", "i.JPG.xmp": ".JPG."}
    beside = {f"{place}/{name}" for place in "xy" for name in sidecars}
    existing = {os.path.join("p", "dog", name) for name in there}
    targets = plan(
        *labels.items(),
        disk=Disk({*labels, *beside, *existing}, same=same),
        action=action,
        on_conflict=on_conflict,
    )
    assert len({target.casefold() for target in targets.values()}) == len(targets)
    assert not {target.replace(os.sep, "/") for target in existing} & set(targets.values())
    for sidecar in beside & targets.keys():
        stem, name = sidecar[: len("x/i")], sidecar[len("x/") :]
        owners = [path for path in labels if f"{path}.".startswith(stem + sidecars[name])]
        assert owners
        new = targets[sidecar].removesuffix(sidecar[len(stem) :])
        assert all(targets.get(path) == new + path[len(stem) :] for path in owners)


def prepare(tmp_path: Path) -> tuple[str, str]:
    (tmp_path / "a.jpg").write_bytes(b"photo")
    os.utime(tmp_path / "a.jpg", ns=(10**18, 10**18))
    return str(tmp_path / "a.jpg"), str(tmp_path / "dog" / "a.jpg")


def test_move(tmp_path):
    carry(*prepare(tmp_path), "move")
    assert files_below(tmp_path) == {"dog/a.jpg": b"photo"}
    assert (tmp_path / "dog/a.jpg").stat().st_mtime_ns == 10**18


def test_copy_keeps_the_original_and_the_times(tmp_path):
    carry(*prepare(tmp_path), "copy")
    assert files_below(tmp_path) == {"a.jpg": b"photo", "dog/a.jpg": b"photo"}
    assert (tmp_path / "dog/a.jpg").stat().st_mtime_ns == 10**18


def test_link_is_relative(tmp_path):
    carry(*prepare(tmp_path), "link")
    assert os.readlink(tmp_path / "dog/a.jpg") == os.path.join("..", "a.jpg")
    assert (tmp_path / "dog/a.jpg").read_bytes() == b"photo"


@pytest.mark.parametrize("action", ["move", "copy", "link"])
def test_what_has_the_name_keeps_it(tmp_path, action):
    source, target = prepare(tmp_path)
    (tmp_path / "dog").mkdir()
    (tmp_path / "dog" / "a.jpg").write_bytes(b"other")
    with pytest.raises(FilingError, match="taken"):
        carry(source, target, action)
    assert files_below(tmp_path) == {"a.jpg": b"photo", "dog/a.jpg": b"other"}


def other_file_system(monkeypatch):
    def link(*_, **__):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", link)


def test_a_photo_that_is_changed_while_it_is_moved_stays(tmp_path, monkeypatch):
    source, target = prepare(tmp_path)
    other_file_system(monkeypatch)
    sync = os.fsync

    def save(descriptor: int) -> None:
        """An editor saves while the copy's name goes onto the disk."""
        if os.path.exists(target):
            Path(source).write_bytes(b"edited")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", save)
    with pytest.raises(FilingError, match="changed while it was moved"):
        carry(source, target, "move")
    assert files_below(tmp_path) == {"a.jpg": b"edited"}


@pytest.mark.parametrize("same_file_system", [True, False])
def test_permissions_and_attributes_stay(tmp_path, monkeypatch, same_file_system):
    source, target = prepare(tmp_path)
    if not same_file_system:
        other_file_system(monkeypatch)
    os.chmod(source, 0o640)
    attributes = {}
    if hasattr(os, "setxattr"):
        try:
            os.setxattr(source, "user.rating", b"5")
            attributes = {"user.rating": b"5"}
        except OSError:
            pass  # this file system has none
    carry(source, target, "move")
    assert os.stat(target).st_mode & 0o777 == 0o640
    assert os.stat(target).st_mtime_ns == 10**18
    assert {name: os.getxattr(target, name) for name in attributes} == attributes


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="only root may give files away")
def test_a_photo_keeps_its_owner_on_another_file_system(tmp_path, monkeypatch):
    source, target = prepare(tmp_path)
    os.chown(source, 1234, 2345)
    other_file_system(monkeypatch)
    carry(source, target, "move")
    assert (os.stat(target).st_uid, os.stat(target).st_gid) == (1234, 2345)


def test_a_copy_that_differs_is_none(tmp_path, monkeypatch):
    """As a disk may leave it that is about to die."""
    source, target = prepare(tmp_path)
    other_file_system(monkeypatch)
    monkeypatch.setattr(shutil, "copyfileobj", lambda _, writer, __: writer.write(b"phot0"))
    with pytest.raises(FilingError, match="the copy differs from the original; check the disk"):
        carry(source, target, "move")
    assert files_below(tmp_path) == {"a.jpg": b"photo"}


@pytest.mark.parametrize("action", ["move", "copy"])
def test_a_photo_that_is_gone_is_told(tmp_path, action):
    source, target = prepare(tmp_path)
    os.unlink(source)
    with pytest.raises(FilingError, match="No such file"):
        carry(source, target, action)
    assert files_below(tmp_path) == {}


def test_copying_a_link_copies_the_photo(tmp_path):
    source, target = prepare(tmp_path)
    os.rename(source, tmp_path / "real.jpg")
    os.symlink("real.jpg", source)
    carry(source, target, "copy")
    assert not os.path.islink(target)
    assert Path(target).read_bytes() == b"photo"


@pytest.mark.parametrize("action", ["move", "copy"])
def test_the_longest_names_are_filed(tmp_path, action):
    name = "a" * 251 + ".jpg"
    (tmp_path / name).write_bytes(b"photo")
    carry(str(tmp_path / name), str(tmp_path / "dog" / name), action)
    assert (tmp_path / "dog" / name).read_bytes() == b"photo"


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may remove anything")
def test_a_photo_that_cannot_leave_is_not_in_two_places(tmp_path):
    source, target = prepare(tmp_path)
    (tmp_path / "dog").mkdir()
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(FilingError, match="Permission denied"):
            carry(source, target, "move")
    finally:
        tmp_path.chmod(0o755)
    assert files_below(tmp_path) == {"a.jpg": b"photo"}


@pytest.mark.skipif(not os.path.isdir("/dev/shm"), reason="no second file system here")
def test_move_across_file_systems(tmp_path):
    import tempfile

    source, target = prepare(tmp_path)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as other:
        if os.stat(other).st_dev == os.stat(tmp_path).st_dev:
            pytest.skip("/dev/shm is no file system of its own here")
        target = os.path.join(other, "dog", "a.jpg")
        with pytest.raises(OSError) as info:
            os.link(source, os.path.join(other, "a.jpg"))
        assert info.value.errno == errno.EXDEV
        carry(source, target, "move")
        assert files_below(Path(other)) == {"dog/a.jpg": b"photo"}
        assert os.stat(target).st_mtime_ns == 10**18
    assert files_below(tmp_path) == {}
