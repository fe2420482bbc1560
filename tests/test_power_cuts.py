"""Power cuts: what is on the disk at some moment is all that the next run finds.

A disk here is an image file. Its copy, made while it is mounted and nothing has been told to sync,
holds what the file system has written so far: what a disk holds after a power cut. The images lie
on a disk that copies a file at one moment, however long it is (xfs, with reflinks), and the run is
stopped meanwhile. Then the copies take the place of the disks, and the next command finds them.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from albums import Album, dogsort, many
from disks import KINDS, attempt, call, disk, make_image, mount, need, tree, unmount
from test_disks import names
from tracing import NAMES, SYNCS, Call, Traced, traced

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("own_home")]

PHOTOS = 300
CUT_KINDS = ("ext4", "ext4 without journal", "xfs", "btrfs")
PAIRS = [(source, target) for source in CUT_KINDS for target in CUT_KINDS]
MOMENTS = [
    *("file, in mid-run", "file, in mid-run", "file, at the end", "file, 2 s after"),
    *("undo, in mid-run", "undo, at the end", "undo, 2 s after"),
]
#: The images that a command starts from.
START = {"file": "empty", "undo": "filed"}
#: Another number, other cuts.
SEED = int(os.environ.get("DOGSORT_SEED", "20"))


@pytest.fixture(scope="module")
def shelf() -> Iterator[Path]:
    """The disk that the images lie on."""
    need("strace", "e2fsck", *(KINDS[kind].make[0] for kind in CUT_KINDS))
    with disk("xfs", 8 << 30) as place:
        yield place


@dataclass(frozen=True)
class Disks:
    """One disk or two, their images on the shelf, and the folders where they are mounted."""

    shelf: Path
    kinds: tuple[str, ...]

    def place(self, kind: str) -> Path:
        return self.shelf / f"{kind} mounted"

    def image(self, kind: str, stage: str) -> Path:
        return self.shelf / f"{kind} {stage}"

    def mount(self, stage: str) -> None:
        for kind in self.kinds:
            mount(kind, self.image(kind, stage), self.place(kind))

    def unmount(self) -> None:
        for kind in self.kinds:
            unmount(self.place(kind))

    def copy(self, stage: str, copy: str) -> None:
        for kind in self.kinds:
            call("cp", "--reflink=always", self.image(kind, stage), self.image(kind, copy))

    def repair(self, stage: str) -> None:
        """What the system does at its next start, before it mounts a disk without a journal."""
        for kind in self.kinds:
            if kind == "ext4 without journal":
                run = attempt("e2fsck", "-fy", self.image(kind, stage))
                assert run.returncode in (0, 1), run.stdout

    def write_out(self) -> None:
        """What the system does now and then by itself."""
        for kind in self.kinds:
            call("sync", "-f", self.place(kind))


@pytest.fixture
def disks(shelf: Path, request: pytest.FixtureRequest) -> Iterator[Disks]:
    """New disks of the kinds that the test asks for, with the image 'empty'."""
    disks = Disks(shelf, tuple(dict.fromkeys(request.param)))
    try:
        for kind in disks.kinds:
            disks.place(kind).mkdir()
            make_image(kind, disks.image(kind, "empty"))
        yield disks
    finally:
        disks.unmount()
        for left in shelf.iterdir():
            left.rmdir() if left.is_dir() else left.unlink()


@pytest.mark.parametrize("disks", [(kind,) for kind in CUT_KINDS], indirect=True, ids=CUT_KINDS)
def test_a_cut_leaves_what_was_synced_and_nothing_else(disks: Disks):
    """This is how these tests know what a power cut leaves."""
    disks.copy("empty", "running")
    disks.mount("running")
    (kind,) = disks.kinds
    place = disks.place(kind)
    (place / "synced").write_bytes(b"synced")
    for path in (place / "synced", place):
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
    (place / "not synced").write_bytes(b"not synced")
    disks.copy("running", "cut")
    disks.unmount()
    disks.repair("cut")
    disks.mount("cut")
    assert {name: file and file[0] for name, file in tree(place).items()} == {"synced": b"synced"}


def cut_in_mid_run(
    disks: Disks, log: Path, words: tuple[object, ...], calls: list[Call], chance: random.Random
) -> str:
    """Run the command until some call; half of the times a call that syncs or deletes."""
    weighty = [call for call in calls if call.name in (*SYNCS, "unlink", "unlinkat")]
    last = chance.choice(chance.choice([weighty or calls, calls]))
    # Half of the times, the system has written out everything at some moment before that.
    written = chance.randrange(1, last.number) if last.number > 1 and chance.random() < 0.5 else 0
    with Traced(log, (*NAMES, *SYNCS), *words, inject=last.stops(after=written)) as run:
        if written:
            assert run.stopped()
            disks.write_out()
            run.go_on()
        assert run.stopped(1 + bool(written)), f"it ended before {last.line}"
        disks.copy("running", "cut")
    after = f" (all written out at call {written})" if written else ""
    return f"after call {last.number} of {last.name}{after}"


def without_a_cut(
    disks: Disks, log: Path, album: Album, before: tuple[dict, dict]
) -> dict[str, list[Call]]:
    """The calls that filing and undo make; the photos lie as filed on the images 'filed'."""
    calls = {}
    for command, words in (("file", album.filing()), ("undo", album.undoing())):
        disks.copy(START[command], "running")
        disks.mount("running")
        code, complaint, calls[command] = traced(log, (*NAMES, *SYNCS), *words)
        assert code == 0, complaint
        if command == "file":
            album.must_be_filed()
        else:
            album.must_be_as_before(before)
        disks.unmount()
        if command == "file":
            disks.copy("running", "filed")
    return calls


@pytest.mark.parametrize("disks", PAIRS, indirect=True, ids=names)
def test_power_cuts(disks: Disks, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Nothing is lost or doubled, and undo gives back the very tree."""
    chance = random.Random(f"{SEED} {disks.kinds}")
    log = tmp_path / "log"
    source, target = disks.place(disks.kinds[0]), disks.place(disks.kinds[-1])
    disks.mount("empty")
    album = Album.plant(source / "camera", target / "sorted", tmp_path / "t.csv", many(PHOTOS))
    before = album.trees()
    disks.unmount()
    calls = without_a_cut(disks, log, album, before)

    failures, found = [], []
    for moment in MOMENTS:
        command, when = moment.split(", ")
        words = album.filing() if command == "file" else album.undoing()
        disks.copy(START[command], "running")
        disks.mount("running")
        if when == "in mid-run":
            cut = cut_in_mid_run(disks, log, words, calls[command], chance)
        else:
            cut = when
            assert dogsort(*words)[0] == 0
            time.sleep(2 if when == "2 s after" else 0)
            disks.copy("running", "cut")
        disks.unmount()
        then = chance.choice(("undo", "file"))
        try:
            disks.repair("cut")
            disks.mount("cut")
            filed = sum(file is not None for file in album.trees()[1].values())
            found.append(f"{command} {when}: {filed}")
            album.must_recover(before, then)
        except AssertionError as error:
            reason = str(error).splitlines()[0]
            failures.append(f"{command}, {cut}, {filed} filed; then {then}: {reason}")
        finally:
            disks.unmount()
    with capsys.disabled():
        print(
            f"\n{names((disks.kinds[0], disks.kinds[-1]))}: filed at the cut:", *found, sep="\n  "
        )
    assert not failures, "\n".join([f"{len(failures)} of {len(MOMENTS)} cuts", *failures])
