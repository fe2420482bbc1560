"""Move and undo on real file systems: within one, across two, with kills and faults anywhere."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from albums import Album, dogsort, many
from disks import KINDS, MIB, contents, disk, need, tree
from tracing import NAMES, SYNCS, Call, Traced, calls_in, traced

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("own_home")]

WITHIN = [(kind, kind) for kind in KINDS]
ACROSS = [pair for kind in KINDS if kind != "ext4" for pair in (("ext4", kind), (kind, "ext4"))]
MakeDisk = Callable[..., Path]


@pytest.fixture
def new_disk() -> Iterator[MakeDisk]:
    """Make disks that are unmounted after the test."""
    with ExitStack() as stack:
        yield lambda *wishes: stack.enter_context(disk(*wishes))


def two_places(new_disk: MakeDisk, kinds: tuple[str, str]) -> tuple[Path, Path]:
    """The disk of the photos, and the target disk: the same one if the kinds are the same."""
    source = new_disk(kinds[0])
    return source, source if kinds[0] == kinds[1] else new_disk(kinds[1])


def names(kinds: tuple[str, str]) -> str:
    return f"within {kinds[0]}" if kinds[0] == kinds[1] else f"{kinds[0]} to {kinds[1]}"


@pytest.mark.parametrize("kinds", WITHIN + ACROSS, ids=names)
def test_moves_and_undo_gives_back_the_very_tree(new_disk, tmp_path, kinds):
    source, target = two_places(new_disk, kinds)
    album = Album.plant(source / "camera", target / "sorted", tmp_path / "t.csv")
    grain = KINDS[kinds[0]].grain
    before = album.trees(grain)
    assert dogsort(*album.filing()) == (0, "")
    album.must_be_filed()
    coarser = max(KINDS[kind].grain for kind in kinds)
    times = {file[0]: file[1] for file in tree(album.to, coarser).values() if file}
    for name, (_, content) in album.shows.items():
        was = before[0][name]
        assert times[content] == was[1] * grain // coarser, name
    album.undo()
    album.must_be_as_before(before, grain)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "ext2"])
def test_moves_into_the_folder_of_photos_itself(new_disk, tmp_path, kind):
    place = new_disk(kind)
    album = Album.plant(place / "camera", place / "camera", tmp_path / "t.csv")
    before = album.trees(KINDS[kind].grain)
    album.file()
    album.must_be_filed()
    album.undo()
    album.must_be_as_before(before, KINDS[kind].grain)


@pytest.mark.parametrize("kinds", [("ext4", "ext4"), ("ext4", "xfs")], ids=names)
@pytest.mark.parametrize("year", [-60, 400])
def test_dates_before_1970_and_after_2262_are_no_trouble(new_disk, tmp_path, kinds, year):
    source, target = two_places(new_disk, kinds)
    album = Album.plant(source / "camera", target / "sorted", tmp_path / "t.csv")
    seconds = year * 31_556_952
    for place in (album.photos / "a.jpg", album.photos / "trip", album.photos):
        os.utime(place, (seconds, seconds))
    before = album.trees()
    for _ in range(2):  # the second run reads what the first wrote
        album.file()
        album.must_be_filed()
        album.undo()
        album.must_be_as_before(before)


def test_moves_on_a_nearly_full_card(new_disk, tmp_path):
    place = new_disk("exfat", 112 * MIB)
    shows = {
        f"{number}.jpg": ("cat" if number % 2 else "dog", b"%02d" % number * (5 * MIB // 2))
        for number in range(20)
    }
    album = Album.plant(place / "camera", place / "sorted", tmp_path / "t.csv", shows)
    space = os.statvfs(place)
    (place / "filler").write_bytes(bytes(space.f_bavail * space.f_frsize - 5 * MIB))
    before = album.trees(KINDS["exfat"].grain)
    assert dogsort(*album.filing()) == (0, "")
    album.must_be_filed()
    album.undo()
    album.must_be_as_before(before, KINDS["exfat"].grain)


KILLED = [
    *(("ext4", "ext4"), ("exfat", "exfat"), ("ntfs", "ntfs")),
    *(("ext4", "exfat"), ("exfat", "ext4"), ("ext4", "ext2")),
]


def test_a_name_that_a_card_cannot_keep_is_named(new_disk, tmp_path):
    card = new_disk("exfat")
    shows = {"12:30.jpg": ("dog", b"one"), "b.jpg": ("dog", b"two")}
    album = Album.plant(tmp_path / "photos", card / "sorted", tmp_path / "t.csv", shows)
    before = album.trees()
    code, complaint = dogsort(*album.filing())
    assert code == 3
    assert "12:30.jpg: not filed: its copy cannot be called 12:30.jpg: " in complaint
    assert sorted(path.name for path in (card / "sorted" / "dog").iterdir()) == ["b.jpg"]
    album.undo()
    album.must_be_as_before(before)


@pytest.mark.parametrize("kinds", KILLED, ids=names)
@pytest.mark.parametrize("command", ["file", "undo"])
def test_killed_at_each_rename_and_unlink(new_disk, tmp_path, capsys, kinds, command):
    """The next command is undo, or alternately file and then undo; both restore the tree."""
    need("strace")
    source, target = two_places(new_disk, kinds)
    grain = KINDS[kinds[0]].grain

    def strike(number: int, call: Call | None) -> list[Call]:
        album = Album.plant(
            source / f"camera {number}", target / f"sorted {number}", tmp_path / "t.csv"
        )
        before = album.trees(grain)
        if command == "undo":
            album.file()
        words = album.filing() if command == "file" else album.undoing()
        kill = call.kills() if call else ""
        code, complaint, calls = traced(tmp_path / "log", NAMES, *words, inject=kill)
        assert code == (-9 if call else 0), complaint
        album.must_recover(before, ("undo", "file")[number % 2], grain)
        return [call for call in calls if call.line.endswith("= 0")]  # others change nothing

    calls = strike(0, None)
    failures = []
    for number, call in enumerate(calls, start=1):
        try:
            strike(number, call)
        except AssertionError as error:
            failures.append(f"killed before {call.line}: {str(error).splitlines()[0]}")
    with capsys.disabled():
        print(f"\n{names(kinds)}: {command} killed at {len(calls)} calls")
    assert not failures, "\n".join([f"{len(failures)} of {len(calls)} kills", *failures])


@pytest.mark.parametrize("part", [0.1, 0.4, 0.8])
def test_a_folder_that_is_swapped_for_a_link_in_mid_run(tmp_path, part):
    """No photo goes where the link points; once the folder is back, undo restores the tree."""
    need("strace")
    shows = {name: ("dog", content) for name, (_, content) in many(200).items()}

    def swap(number: int, call: Call | None) -> list[Call]:
        place = tmp_path / str(number)
        album = Album.plant(place / "camera", place / "sorted", tmp_path / "t.csv", shows)
        before = album.trees()
        dog, outside = album.to / "dog", place / "outside"
        outside.mkdir()
        stop = call.stops() if call else ""
        with Traced(tmp_path / "log", NAMES, *album.filing(), inject=stop) as run:
            if call is None:
                assert run.end()[0] == 0
                moves = ("rename", "renameat", "renameat2", "link", "linkat")
                return [
                    call
                    for call in calls_in(tmp_path / "log")
                    if call.name in moves and call.line.endswith("= 0") and ".jpg" in call.line
                ]
            assert run.stopped()
            dog.rename(album.to / "dog_real")
            dog.symlink_to(outside)
            run.go_on()
            code, complaint = run.end()
        landed = len(contents(outside))
        assert landed == 0, f"{landed} photos landed outside"
        assert code in (0, 1, 3), complaint
        assert "Traceback" not in complaint
        album.must_have_lost_nothing()
        dog.unlink()
        (album.to / "dog_real").rename(dog)
        album.undo_all()
        album.must_be_as_before(before)
        return []

    moves = swap(0, None)
    swap(1, moves[int(len(moves) * part)])


def test_a_sync_that_fails_deletes_no_original(new_disk, tmp_path):
    """In a move across disks, each sync in turn fails once with EIO."""
    need("strace")
    source, target = new_disk("ext4"), new_disk("ext4")

    def fail(number: int, call: Call | None) -> list[Call]:
        album = Album.plant(
            source / f"camera {number}", target / f"sorted {number}", tmp_path / "t.csv"
        )
        before = album.trees()
        inject = call.fails("EIO") if call else ""
        code, complaint, calls = traced(
            tmp_path / "log", (*NAMES, *SYNCS), *album.filing(), inject=inject
        )
        album.must_have_lost_nothing()
        if call is None:
            assert code == 0, complaint
        else:
            assert code != 0, "it says nothing about it"
            assert complaint, "it says nothing about it"
            assert "Traceback" not in complaint, complaint
            failed = next(at for at, made in enumerate(calls) if "(INJECTED)" in made.line)
            folder = calls[failed].line.split("<")[1].split(">")[0]
            if folder in (str(album.to / "dog"), str(album.to / "cat"), str(album.to)):
                label = Path(folder).name if folder != str(album.to) else ""
                deleted = originals_deleted(album, label, calls[failed:])
                assert not deleted, f"deleted though its copy may be lost: {deleted}"
        album.undo_all()
        album.must_be_as_before(before)
        # The cache may fail; and SQLite ignores a failed sync of the journal's folder.
        return [
            call
            for call in calls
            if call.name in SYNCS
            and (str(source) in call.line or str(target) in call.line)
            and not (call.name == "fdatasync" and call.line.split(">")[0].endswith(".dogsort"))
        ]

    failures = []
    fail(0, None)  # which makes the cache, and syncs it
    calls = fail(1, None)
    for number, call in enumerate(calls, start=2):
        try:
            fail(number, call)
        except AssertionError as error:
            failures.append(f"{call.line}: {str(error).splitlines()[0]}")
    assert not failures, "\n".join([f"{len(failures)} of {len(calls)} syncs", *failures])


def originals_deleted(album: Album, label: str, calls: list[Call]) -> list[str]:
    """Return the photos that were deleted from their old folder, with this label or any."""
    deleted = [
        call.line
        for call in calls
        if call.name in ("unlink", "unlinkat") and str(album.photos) in call.line
    ]
    return [
        name
        for name, (shown, _) in album.shows.items()
        if label in (shown, "")
        and any(
            f'"{album.photos / name}"' in line
            or (f'"{Path(name).name}"' in line and f"<{(album.photos / name).parent}>" in line)
            for line in deleted
        )
    ]


def test_a_disk_that_keeps_no_modes_and_owners_is_no_trouble(new_disk, tmp_path):
    need("strace")
    album = Album.plant(
        new_disk("ext4") / "camera", new_disk("ext4") / "sorted", tmp_path / "t.csv"
    )
    before = album.trees()
    refused = ("?chmod", "fchmod", "fchmodat", "?chown", "?lchown", "fchown", "fchownat")
    inject = f"{','.join(refused)}:error=EPERM"
    for words, check in ((album.filing(), album.must_be_filed), (album.undoing(), None)):
        code, complaint, _ = traced(tmp_path / "log", refused, *words, inject=inject)
        assert code == 0, complaint
        if check:
            check()
    without_modes = [
        {name: file and file[:2] for name, file in found.items()}
        for trees in (before, album.trees())
        for found in trees
    ]
    assert without_modes[:2] == without_modes[2:]


def test_who_moves_a_photo_in_a_shared_folder_does_not_come_to_own_it(new_disk, tmp_path):
    """Also if hard links are protected, so that users cannot link files of others."""
    need("setpriv")
    owner, mover, group = 12345, 23456, 7777
    place = new_disk("ext4")
    home = place / "home"
    home.mkdir()
    os.chown(home, mover, group)
    album = Album.plant(place / "camera", place / "sorted", place / "t.csv")
    album.to.mkdir()
    for path in (album.photos, *album.photos.rglob("*"), album.to):
        os.chown(path, owner, group)
        path.chmod(0o2775 if path.is_dir() else 0o644)
    before = album.trees()

    def as_the_mover(*words: object) -> None:
        rights = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
        run = subprocess.run(  # may read all, to reach this Python wherever it is
            [
                *("setpriv", f"--reuid={mover}", f"--regid={group}", "--clear-groups", *rights),
                *(sys.executable, "-m", "dogsort", *map(str, words)),
            ],
            env={**os.environ, "HOME": str(home)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, run.stderr

    def owners() -> set[int]:
        files = (*album.photos.rglob("*.jpg"), *album.to.rglob("*.jpg"))
        return {path.stat().st_uid for path in files}

    as_the_mover(*album.filing())
    album.must_be_filed()
    assert owners() == {owner}
    as_the_mover(*album.undoing())
    album.must_be_as_before(before)
    assert owners() == {owner}
