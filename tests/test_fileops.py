"""Single files: rename, copy, link, delete, and move."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path

import pytest
from conftest import files_below
from trees import file_all, plant, tree

from dogsort.errors import FilingError
from dogsort.filing import fileops, undo
from dogsort.filing.fileops import PARTIAL_NAME, Folder, FolderGone, Place
from dogsort.filing.journal import Step
from dogsort.filing.steps import Folders, delete, take

TIME = 10**18 + 123_456_789  # to the ns: not a number that a float can hold

Placing = Callable[[Path], Place]


@pytest.fixture
def place() -> Iterator[Placing]:
    """Open the folders of paths, and close them at the end."""
    with ExitStack() as stack:
        yield lambda path: Place(stack.enter_context(closing(Folder(str(path.parent)))), path.name)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"photo")
    os.utime(path, ns=(TIME, TIME))
    (tmp_path / "dog").mkdir()
    return path


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A folder on another file system."""
    if not os.path.isdir("/dev/shm"):
        pytest.skip("no second file system here")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        if os.stat(folder).st_dev == os.stat(tmp_path).st_dev:
            pytest.skip("/dev/shm is no file system of its own here")
        yield Path(folder)


def refuse(number: int) -> Callable[..., None]:
    """Return a function that fails like a system call."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


def without_exclusive_rename(monkeypatch: pytest.MonkeyPatch) -> None:
    """Imitate file systems such as NFS, where a rename always replaces."""
    monkeypatch.setattr(fileops, "_system_rename", lambda: fileops._no_rename)


def without_hard_links(monkeypatch: pytest.MonkeyPatch) -> None:
    """Imitate file systems without hard links, such as FAT."""
    without_exclusive_rename(monkeypatch)
    monkeypatch.setattr(os, "link", refuse(errno.EPERM))


RENAMES = pytest.mark.parametrize(
    "way",
    [lambda _: None, without_exclusive_rename, without_hard_links],
    ids=["exclusive rename", "hard link", "placeholder"],
)


@RENAMES
def test_a_rename_is_the_same_file(photo, place, monkeypatch, way):
    way(monkeypatch)
    before = photo.stat()
    target = photo.parent / "dog" / "b.jpg"
    fileops.rename(place(photo), place(target))
    assert files_below(photo.parent) == {"dog/b.jpg": b"photo"}
    assert target.stat().st_ino == before.st_ino
    assert target.stat().st_mtime_ns == TIME


@RENAMES
@pytest.mark.parametrize(
    "what", ["file", "empty file", "folder", "link", "broken link", "hard link"]
)
def test_a_rename_never_replaces(photo, place, monkeypatch, way, what):
    target = photo.parent / "dog" / "a.jpg"
    if what == "folder":
        target.mkdir()
    elif what == "hard link":
        os.link(photo, target)
    elif "link" in what:
        target.symlink_to("../a.jpg" if what == "link" else "nowhere")
    else:
        target.write_bytes(b"other" if what == "file" else b"")
    before = target.lstat()
    way(monkeypatch)
    with pytest.raises(FileExistsError):
        fileops.rename(place(photo), place(target))
    assert photo.read_bytes() == b"photo"
    assert (target.lstat().st_ino, target.lstat().st_size) == (before.st_ino, before.st_size)


@pytest.mark.parametrize("way", [without_exclusive_rename, without_hard_links])
def test_a_rename_that_fails_half_way_leaves_nothing_behind(photo, place, monkeypatch, way):
    """As in a folder that may be read but not changed."""
    way(monkeypatch)
    unlink = os.unlink

    def refuse_photo(name: str, **options: int) -> None:
        if name == photo.name:
            refuse(errno.EACCES)()
        unlink(name, **options)

    monkeypatch.setattr(os, "replace", refuse(errno.EACCES))
    monkeypatch.setattr(os, "unlink", refuse_photo)
    with pytest.raises(PermissionError):
        fileops.rename(place(photo), place(photo.parent / "dog" / "b.jpg"))
    assert files_below(photo.parent) == {"a.jpg": b"photo"}


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOENT])
@pytest.mark.parametrize("way", [without_exclusive_rename, without_hard_links])
def test_a_rename_that_seems_to_fail_loses_nothing(photo, place, monkeypatch, way, number):
    """As over NFS, when an answer is lost and the request is sent again."""
    way(monkeypatch)

    def fail(done: Callable[..., None], *names: str, **options: int) -> None:
        done(*names, **options)
        refuse(number)()

    for name in ("replace", "unlink"):
        monkeypatch.setattr(os, name, partial(fail, getattr(os, name)))
    fileops.rename(place(photo), place(photo.parent / "dog" / "b.jpg"))
    assert files_below(photo.parent) == {"dog/b.jpg": b"photo"}


@RENAMES
def test_a_rename_to_another_file_system_says_so(photo, place, monkeypatch, way, elsewhere):
    if way is without_hard_links:
        without_exclusive_rename(monkeypatch)  # a stand-in for links would ignore disks
    else:
        way(monkeypatch)
    with pytest.raises(OSError) as info:
        fileops.rename(place(photo), place(elsewhere / "a.jpg"))
    assert info.value.errno == errno.EXDEV
    assert (files_below(photo.parent), files_below(elsewhere)) == ({"a.jpg": b"photo"}, {})


def test_a_copy_has_all_that_its_original_has(photo, place):
    os.chmod(photo, 0o640)
    attributes = set_attribute(photo)
    target = photo.parent / "dog" / "a.jpg"
    fileops.copy(place(photo), place(target))
    assert files_below(photo.parent) == {"a.jpg": b"photo", "dog/a.jpg": b"photo"}
    assert target.stat().st_mtime_ns == TIME
    assert target.stat().st_mode & 0o777 == 0o640
    assert {name: os.getxattr(target, name) for name in attributes} == attributes


def set_attribute(path: Path) -> dict[str, bytes]:
    """Give a file an attribute, as desktops do for stars; return those that it then has."""
    if hasattr(os, "setxattr"):
        try:
            os.setxattr(path, "user.rating", b"5")
        except OSError:
            return {}  # this file system supports none
        return {"user.rating": b"5"}
    return {}


def test_a_copy_that_differs_is_none(photo, place, monkeypatch):
    """As a failing disk may leave it."""
    monkeypatch.setattr(shutil, "copyfileobj", lambda _, writer, __: writer.write(b"phot0"))
    with pytest.raises(FilingError, match="the copy differs from the original; check the disk"):
        fileops.copy(place(photo), place(photo.parent / "dog" / "a.jpg"))
    assert files_below(photo.parent) == {"a.jpg": b"photo"}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_copy_that_cannot_be_written_leaves_nothing_behind(photo, place, monkeypatch, number):
    monkeypatch.setattr(os, "fsync", refuse(number))
    with pytest.raises(OSError) as info:
        fileops.copy(place(photo), place(photo.parent / "dog" / "a.jpg"))
    assert info.value.errno == number
    assert files_below(photo.parent) == {"a.jpg": b"photo"}


@RENAMES
def test_what_has_the_name_of_a_copy_keeps_it(photo, place, monkeypatch, way):
    way(monkeypatch)
    target = photo.parent / "dog" / "a.jpg"
    target.write_bytes(b"other")
    with pytest.raises(FileExistsError):
        fileops.copy(place(photo), place(target))
    assert files_below(photo.parent) == {"a.jpg": b"photo", "dog/a.jpg": b"other"}


def test_an_unfinished_copy_of_others_stays(photo, place):
    (photo.parent / "dog" / PARTIAL_NAME).write_bytes(b"precious")
    with pytest.raises(FilingError, match="is in the way"):
        fileops.copy(place(photo), place(photo.parent / "dog" / "a.jpg"))
    assert files_below(photo.parent / "dog") == {PARTIAL_NAME: b"precious"}


def test_copying_a_link_copies_the_photo(photo, place):
    (photo.parent / "link.jpg").symlink_to("a.jpg")
    target = photo.parent / "dog" / "a.jpg"
    fileops.copy(place(photo.parent / "link.jpg"), place(target))
    assert not target.is_symlink()
    assert target.read_bytes() == b"photo"
    assert target.stat().st_mtime_ns == TIME


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes")
def test_a_pipe_is_not_waited_for(photo, place):
    pipe = photo.parent / "pipe.jpg"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="not a file"):
        fileops.copy(place(pipe), place(photo.parent / "dog" / "a.jpg"))
    with pytest.raises(OSError, match="not a file"):
        fileops.is_same_bytes(place(photo), place(pipe))
    assert list((photo.parent / "dog").iterdir()) == []


def test_links_are_relative_and_lead_to_the_photo(photo, place):
    (photo.parent / "link.jpg").symlink_to("a.jpg")
    for name in ("a.jpg", "link.jpg"):
        target = photo.parent / "dog" / name
        fileops.symlink(place(photo.parent / name), place(target))
        assert os.readlink(target) == os.path.join("..", "a.jpg")
        assert target.read_bytes() == b"photo"
        assert fileops.leads_to(place(target), place(photo))
    assert not fileops.leads_to(place(photo), place(photo))


def test_hard_links_are_to_the_photo_not_to_a_link(photo, place):
    (photo.parent / "link.jpg").symlink_to("a.jpg")
    for name in ("a.jpg", "link.jpg"):
        target = photo.parent / "dog" / name
        fileops.hardlink(place(photo.parent / name), place(target))
        assert target.samefile(photo)
        assert not target.is_symlink()
    assert photo.stat().st_nlink == 3


@pytest.mark.parametrize("make", [fileops.symlink, fileops.hardlink])
def test_links_never_replace(photo, place, make):
    target = photo.parent / "dog" / "a.jpg"
    target.write_bytes(b"other")
    with pytest.raises(FileExistsError):
        make(place(photo), place(target))
    assert target.read_bytes() == b"other"


def test_a_folder_is_the_one_that_was_opened(tmp_path):
    """Also once its name leads elsewhere."""
    (tmp_path / "dog").mkdir()
    (tmp_path / "link").symlink_to("dog")
    (tmp_path / "file").touch()
    for name, reason in (
        ("link", "leads elsewhere now"),
        ("gone", "No such file"),
        ("file", "Not a directory"),
    ):
        with pytest.raises(FolderGone, match=reason):
            Folder(str(tmp_path / name))
    with closing(Folder(str(tmp_path / "dog"))) as folder:
        folder.check()
        (tmp_path / "dog").rename(tmp_path / "before")
        with pytest.raises(FolderGone, match="No such file"):
            folder.check()
        (tmp_path / "dog").mkdir()
        with pytest.raises(FolderGone, match="leads elsewhere now"):
            folder.check()


def test_bytes_are_compared_to_the_end(tmp_path, place):
    block = bytes(fileops.BLOCK)
    contents = {"a": block + b"one", "b": block + b"one", "c": block + b"two", "d": block}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    first = place(tmp_path / "a")
    answers = [fileops.is_same_bytes(first, place(tmp_path / name)) for name in "abcd"]
    assert answers == [True, True, False, False]


def carry(source: Path, target: Path, action: str, looked_at: os.stat_result | None = None) -> None:
    """Take the step of one photo, as a batch does for many."""
    status = looked_at or source.stat()
    step = Step(
        *(1, str(source.parent), source.name, str(target.parent), target.name, "dog", False),
        *(status.st_size, status.st_mtime_ns, stat.S_IMODE(status.st_mode)),
    )
    with closing(Folders(str(target.parent.parent))) as folders:
        extra = take(step, action, "there", again=False, folders=folders)
        folders.sync()
        if extra is not None:
            delete(extra)


@RENAMES
def test_a_moved_photo_is_the_very_file(photo, monkeypatch, way):
    """With its owner, permissions, attributes and other names."""
    os.chmod(photo, 0o640)
    if os.geteuid() == 0:
        os.chown(photo, 1234, 2345)
    attributes = set_attribute(photo)
    os.link(photo, photo.parent / "other name.jpg")
    before = photo.stat()
    way(monkeypatch)
    target = photo.parent / "dog" / "a.jpg"
    carry(photo, target, "move")
    after = target.stat()
    for name in ("st_ino", "st_nlink", "st_mode", "st_uid", "st_gid", "st_mtime_ns"):
        assert getattr(after, name) == getattr(before, name), name
    assert target.samefile(photo.parent / "other name.jpg")
    assert {name: os.getxattr(target, name) for name in attributes} == attributes
    assert not photo.exists()


def test_a_photo_keeps_what_it_has_on_another_file_system(photo, elsewhere):
    os.chmod(photo, 0o640)
    if os.geteuid() == 0:
        os.chown(photo, 1234, 2345)
    before = photo.stat()
    attributes = set_attribute(photo) if set_attribute(elsewhere) else {}
    target = elsewhere / "dog" / "a.jpg"
    carry(photo, target, "move")
    assert files_below(elsewhere) == {"dog/a.jpg": b"photo"}
    assert files_below(photo.parent) == {}
    assert target.stat().st_mtime_ns == TIME
    for name in ("st_mode", "st_uid", "st_gid"):
        assert getattr(target.stat(), name) == getattr(before, name), name
    assert {name: os.getxattr(target, name) for name in attributes} == attributes


def test_times_before_1970_are_kept_on_another_file_system(photo, elsewhere):
    os.utime(photo, ns=(-(10**18) + 7, -(10**18) + 7))
    before = photo.stat().st_mtime_ns
    carry(photo, elsewhere / "dog" / "a.jpg", "move")
    assert (elsewhere / "dog" / "a.jpg").stat().st_mtime_ns == before


def test_a_photo_that_is_changed_while_it_is_moved_stays(photo, elsewhere, monkeypatch):
    target = elsewhere / "dog" / "a.jpg"
    sync = os.fsync

    def save(descriptor: int) -> None:
        """An editor saves while the copy's name is flushed to disk."""
        if target.exists():
            photo.write_bytes(b"edited")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", save)
    with pytest.raises(FilingError, match="it has changed in the meantime"):
        carry(photo, target, "move")
    assert files_below(photo.parent) == {"a.jpg": b"edited"}
    assert files_below(elsewhere) == {}


def test_a_copy_that_is_gone_before_its_original_could_go_is_no_riddle(
    photo, elsewhere, monkeypatch
):
    target = elsewhere / "dog" / "a.jpg"
    sync = os.fsync

    def tidy(descriptor: int) -> None:
        """Somebody edits the photo and deletes the copy."""
        if target.exists():
            photo.write_bytes(b"edited")
            target.unlink()
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", tidy)
    with pytest.raises(FilingError, match="it has changed in the meantime"):
        carry(photo, target, "move")
    assert files_below(photo.parent) == {"a.jpg": b"edited"}


def test_a_photo_that_is_changed_before_it_is_moved_stays(photo):
    before = photo.stat()
    photo.write_bytes(b"edited")
    with pytest.raises(FilingError, match="it has changed since it was checked"):
        carry(photo, photo.parent / "dog" / "a.jpg", "move", before)
    assert files_below(photo.parent) == {"a.jpg": b"edited"}


@pytest.mark.parametrize("action", ["move", "copy", "link", "hardlink"])
@pytest.mark.parametrize("what", ["other", "same"])
def test_what_is_in_the_way_stays(photo, action, what):
    """Also the same photo, because this run may not have put it there."""
    target = photo.parent / "dog" / "a.jpg"
    target.write_bytes(b"other" if what == "other" else b"photo")
    before = files_below(photo.parent)
    with pytest.raises(FilingError, match="its new name was taken in the meantime"):
        carry(photo, target, action)
    assert files_below(photo.parent) == before


def test_what_is_in_the_way_on_another_file_system_stays(photo, elsewhere):
    (elsewhere / "dog").mkdir()
    (elsewhere / "dog" / "a.jpg").write_bytes(b"other")
    with pytest.raises(FilingError, match="its new name was taken in the meantime"):
        carry(photo, elsewhere / "dog" / "a.jpg", "move")
    assert files_below(photo.parent) == {"a.jpg": b"photo"}
    assert files_below(elsewhere) == {"dog/a.jpg": b"other"}


@pytest.mark.parametrize("action", ["move", "copy", "hardlink"])
def test_a_photo_that_is_gone_is_told(photo, action):
    before = photo.stat()
    photo.unlink()
    with pytest.raises(FilingError, match="No such file"):
        carry(photo, photo.parent / "dog" / "a.jpg", action, before)
    assert files_below(photo.parent) == {}


@pytest.mark.parametrize("action", ["move", "copy", "link", "hardlink"])
def test_the_longest_names_are_filed(tmp_path, action):
    name = "a" * 251 + ".jpg"
    (tmp_path / name).write_bytes(b"photo")
    carry(tmp_path / name, tmp_path / "dog" / name, action)
    assert (tmp_path / "dog" / name).read_bytes() == b"photo"


def test_the_longest_names_are_moved_to_another_file_system(tmp_path, elsewhere):
    name = "a" * 251 + ".jpg"
    (tmp_path / name).write_bytes(b"photo")
    carry(tmp_path / name, elsewhere / "dog" / name, "move")
    assert files_below(elsewhere) == {f"dog/{name}": b"photo"}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes")
def test_a_pipe_in_place_of_a_photo_is_not_moved(photo):
    before = photo.stat()
    photo.unlink()
    os.mkfifo(photo)
    with pytest.raises(FilingError, match="it has changed since it was checked"):
        carry(photo, photo.parent / "dog" / "a.jpg", "move", before)
    assert stat.S_ISFIFO(photo.lstat().st_mode)


def test_where_no_links_are_possible_a_copy_is_advised(photo, monkeypatch):
    monkeypatch.setattr(os, "link", refuse(errno.EPERM))
    monkeypatch.setattr(os, "symlink", refuse(errno.EPERM))
    target = photo.parent / "dog" / "a.jpg"
    with pytest.raises(FilingError, match="no hardlink is possible from here to there; use --copy"):
        carry(photo, target, "hardlink")
    with pytest.raises(FilingError, match=r"no link is possible .* try --hardlink, or use --copy"):
        carry(photo, target, "link")


def test_no_hard_link_leads_to_another_file_system(photo, elsewhere):
    with pytest.raises(FilingError, match="no hardlink is possible from here to there; use --copy"):
        carry(photo, elsewhere / "dog" / "a.jpg", "hardlink")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may remove anything")
def test_a_photo_that_cannot_leave_is_not_in_two_places(photo):
    photo.parent.chmod(0o555)
    try:
        with pytest.raises(FilingError, match="Permission denied"):
            carry(photo, photo.parent / "dog" / "a.jpg", "move")
    finally:
        photo.parent.chmod(0o755)
    assert files_below(photo.parent) == {"a.jpg": b"photo"}


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Prevent a file's deletion, like a card with its switch at 'lock'."""
    if subprocess.run(["chattr", "+i", path], capture_output=True, check=False).returncode:
        pytest.skip("no file can be locked here")
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", path], check=True)


def test_an_original_that_cannot_be_deleted_keeps_what_belongs_to_it(tmp_path, elsewhere):
    plant(tmp_path, {"a.jpg": b"one", "a.xmp": b"about one", "b.jpg": b"two"})
    before = tree(tmp_path)
    with locked(tmp_path / "a.jpg"):
        filed = file_all(tmp_path, {"a.jpg": "dog", "b.jpg": "dog"}, "move", to=elsewhere)
    assert [one.error for one in filed] == [
        "Operation not permitted",
        "its photo was not filed",
        None,
    ]
    assert files_below(elsewhere) == {"dog/b.jpg": b"two"}
    assert [one.error for one in undo(str(elsewhere))] == [None]
    assert tree(tmp_path) == before


def test_undo_leaves_no_photo_in_two_places_that_cannot_be_deleted(tmp_path, elsewhere):
    plant(elsewhere, {"a.jpg": b"one"})
    before = tree(elsewhere)
    file_all(elsewhere, {"a.jpg": "dog"}, "move", to=tmp_path)
    with locked(tmp_path / "dog" / "a.jpg"):
        assert [one.error for one in undo(str(tmp_path))] == ["Operation not permitted"]
    assert files_below(elsewhere) == {}
    assert [one.error for one in undo(str(tmp_path))] == [None]
    assert tree(elsewhere) == before


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOENT, errno.ESTALE])
@pytest.mark.parametrize("way", ["file", "undo"])
def test_a_delete_that_seems_to_fail_loses_nothing(tmp_path, elsewhere, monkeypatch, number, way):
    """A card is pulled out, or a server's answer is lost: the copy may be the only one."""
    plant(tmp_path, {"a.jpg": b"one", "a.xmp": b"about one"})
    before = tree(tmp_path)
    unlink, failing = os.unlink, ["a.jpg", "a.xmp"]

    def fail(name: str, **options: object) -> None:
        unlink(name, **options)
        if name in failing:
            failing.remove(name)
            raise OSError(number, os.strerror(number))

    if way == "undo":
        file_all(tmp_path, {"a.jpg": "dog"}, "move", to=elsewhere)
    monkeypatch.setattr(os, "unlink", fail)
    if way == "undo":
        undo(str(elsewhere))
    else:
        file_all(tmp_path, {"a.jpg": "dog"}, "move", to=elsewhere)
    assert failing == []
    found = [*files_below(tmp_path).values(), *files_below(elsewhere).values()]
    assert sorted(found) == [b"about one", b"one"]
    undo(str(elsewhere))
    assert tree(tmp_path) == before


def test_a_photo_that_may_have_two_names_has_one_the_next_time(tmp_path, elsewhere, monkeypatch):
    plant(tmp_path, {"a.jpg": b"one", "a.xmp": b"about one"})
    before = tree(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(os, "unlink", refuse(errno.EIO))
        filed = file_all(tmp_path, {"a.jpg": "dog"}, "move", to=elsewhere)
    said = "Input/output error; it may have both names until its disk answers"
    assert [one.error for one in filed] == [said] * 2
    assert tree(tmp_path) == before
    assert [one.error for one in undo(str(elsewhere))] == [None] * 2
    assert files_below(elsewhere) == {}
    assert tree(tmp_path) == before


def test_dates_that_memory_cards_cannot_keep_are_known_again(photo):
    """A camera whose clock was never set says 1970, which FAT and exFAT change to 1980."""
    os.utime(photo, ns=(0, 0))
    file_all(photo.parent, {"a.jpg": "dog"}, "move")
    os.utime(photo.parent / "dog" / "a.jpg", ns=(0, 315_532_800 * 10**9))
    assert [one.error for one in undo(str(photo.parent))] == [None]
    assert photo.read_bytes() == b"photo"


@pytest.mark.parametrize("place_of_link", ["source", "target"])
def test_nothing_is_moved_through_a_folder_that_became_a_link(photo, place_of_link):
    (photo.parent / "trip").mkdir()
    photo = photo.rename(photo.parent / "trip" / "a.jpg")
    folder = photo.parent.parent / ("trip" if place_of_link == "source" else "dog")
    before = photo.stat()
    folder.rename(folder.with_name("real"))
    folder.symlink_to("real")
    with pytest.raises(FilingError, match="leads elsewhere now"):
        carry(photo, photo.parent.parent / "dog" / "a.jpg", "move", before)
    assert list(files_below(photo.parent.parent)) in (["real/a.jpg"], ["trip/a.jpg"])
