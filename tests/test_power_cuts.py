"""Power cuts: the next run finds only what was on disk at some moment.

A disk here is an image file. A copy of it, made while it is mounted and without a sync, holds what
the file system has written so far, as a disk does after a power cut. The images are on a disk that
copies a file of any size at once (xfs, with reflinks), and the run is stopped meanwhile. Then the
copies replace the disks, and the next command finds them.
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
#: Another seed makes other cuts.
SEED = int(os.environ.get("DOGSORT_SEED", "20"))


@pytest.fixture(scope="module")
def shelf() -> Iterator[Path]:
    """The disk with the images."""
    need("strace", "e2fsck", *(KINDS[kind].make[0] for kind in CUT_KINDS))
    with disk("xfs", 8 << 30) as place:
        yield place


@dataclass(frozen=True)
class Disks:
    """One disk or two, with their images on the shelf and the folders where they are mounted."""

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
        """Repair a disk without a journal, as the system does when it starts."""
        for kind in self.kinds:
            if kind == "ext4 without journal":
                run = attempt("e2fsck", "-fy", self.image(kind, stage))
                assert run.returncode in (0, 1), run.stdout

    def write_out(self) -> None:
        """Write out everything, as the system does now and then."""
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
    """The tests rely on this."""
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
    """Run the command up to a random call; half of the time, one that syncs or deletes."""
    weighty = [call for call in calls if call.name in (*SYNCS, "unlink", "unlinkat")]
    last = chance.choice(chance.choice([weighty or calls, calls]))
    # Half of the time, the system writes out everything at some moment before that.
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
    """Return the calls of filing and undo; the images 'filed' then hold the filed photos."""
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
    """Nothing is lost or duplicated, and undo restores the tree."""
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
