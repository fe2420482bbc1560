"""Real file systems in image files: make, mount, copy as after a power cut, unmount.

``with disk("exfat") as place:`` gives a folder on a new disk of that kind, or skips the test and
names what this machine lacks.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

MIB = 1 << 20


@dataclass(frozen=True)
class Kind:
    """How to make and mount a kind of file system, and the resolution of its times."""

    make: tuple[str, ...]
    mount: tuple[str, ...] = ("mount", "-o", "loop")
    size: int = 64 * MIB
    grain: int = 1  # nanoseconds


KINDS = {
    "ext4": Kind(("mkfs.ext4", "-q", "-F", "-I", "256")),
    "ext4 without journal": Kind(("mkfs.ext4", "-q", "-F", "-I", "256", "-O", "^has_journal")),
    "ext2": Kind(("mkfs.ext2", "-q", "-F", "-I", "128"), grain=10**9),
    "xfs": Kind(("mkfs.xfs", "-q", "-f"), size=320 * MIB),
    "btrfs": Kind(("mkfs.btrfs", "-q", "-f"), size=160 * MIB),
    "exfat": Kind(("mkfs.exfat",), ("mount", "-t", "exfat-fuse", "-o", "loop"), grain=2 * 10**9),
    "ntfs": Kind(
        ("mkfs.ntfs", "-F", "-q", "-Q"), ("mount", "-t", "ntfs-3g", "-o", "loop"), grain=100
    ),
    "gocryptfs": Kind(("gocryptfs", "-init"), ("gocryptfs",)),
}
PASSWORD = ("-q", "-extpass", "echo dogsort")


def lacking(*tools: str) -> str | None:
    """Return why this machine cannot make disks with these tools, or None."""
    if not sys.platform.startswith("linux"):
        return "disks are mounted on Linux only"
    if os.geteuid() != 0:
        return "only root can mount disks"
    for tool in tools:
        if shutil.which(tool) is None:
            return f"{tool} is not installed"
    if not os.access("/dev/loop-control", os.W_OK) or not os.access("/dev/fuse", os.W_OK):
        return "this machine has no loop devices or no FUSE"
    return None


def need(*tools: str) -> None:
    """Skip the test if one of these tools is missing, or the user is not root."""
    if reason := lacking(*tools):
        pytest.skip(reason)


def attempt(*words: object) -> subprocess.CompletedProcess[str]:
    """Run a tool, whether or not it succeeds."""
    return subprocess.run([*map(str, words)], capture_output=True, text=True, check=False)


def call(*words: object) -> None:
    """Run a tool; if it fails, show its output."""
    run = attempt(*words)
    assert run.returncode == 0, f"{words}: {run.stdout}{run.stderr}"


def make_image(kind: str, image: Path, size: int | None = None) -> None:
    """Make a file system of this kind in a new file (for gocryptfs, in a new folder)."""
    if kind == "gocryptfs":
        image.mkdir()
        call(*KINDS[kind].make, *PASSWORD, "-scryptn", "10", image)
        return
    with image.open("wb") as file:
        file.truncate(size or KINDS[kind].size)
    call(*KINDS[kind].make, image)


def mount(kind: str, image: Path, place: Path) -> None:
    """Mount an image; skip the test if this kernel does not support the kind."""
    options = PASSWORD if kind == "gocryptfs" else ()
    words = (*KINDS[kind].mount, *options, image, place)
    for _ in range(20):  # another program may take the loop device that mount has just found free
        run = attempt(*words)
        if run.returncode == 0:
            return
        if "unknown filesystem type" in run.stderr:
            pytest.skip(run.stderr.strip())
        time.sleep(0.1)
    raise AssertionError(f"{words}: {run.stdout}{run.stderr}")


def unmount(place: Path) -> None:
    """Unmount a folder, or if it is busy, have it unmounted once it is free.

    The loop device detaches itself. btrfs must forget the disk, or it would take an older copy for
    the same disk and refuse it.
    """
    for _ in range(50):
        if not os.path.ismount(place):
            break
        if attempt("umount", place).returncode != 0:
            time.sleep(0.1)
    else:
        attempt("umount", "-l", place)
    if shutil.which("btrfs"):
        attempt("btrfs", "device", "scan", "--forget")


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder that every user may enter, deleted at the end unless a disk is still mounted.

    It is in memory if there is room, because hundreds of disks that are synced all the time would
    be slow, and would wear out a real disk.
    """
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > 4096 * MIB
    folder = Path(tempfile.mkdtemp(prefix="dogsort-disk-", dir=memory if roomy else None))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        if not any(os.path.ismount(below) for below in folder.iterdir()):
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def disk(kind: str, size: int | None = None) -> Iterator[Path]:
    """A folder on a new disk of this kind and size in bytes."""
    need(KINDS[kind].make[0], KINDS[kind].mount[0])
    with temporary_folder() as folder:
        place = folder / "disk"
        place.mkdir()
        make_image(kind, folder / "image", size)
        try:
            mount(kind, folder / "image", place)
            yield place
        finally:
            unmount(place)


def tree(folder: Path, grain: int = 1) -> dict[str, tuple[bytes, int, int] | None]:
    """Return bytes, time in grains, and mode of every file by name, and None for every folder.

    Journals and the file system's own files are left out. Times of folders do not count.
    """
    found: dict[str, tuple[bytes, int, int] | None] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if {".dogsort", "lost+found"} & set(name.parts):
            continue
        if path.is_file() and not path.is_symlink():
            status = path.stat()
            found[str(name)] = (path.read_bytes(), status.st_mtime_ns // grain, status.st_mode)
        else:
            found[str(name)] = None
    return found


def contents(*folders: Path) -> list[bytes]:
    """Return the contents of all files below some folders, with repetitions."""
    return sorted(file[0] for folder in folders for file in tree(folder).values() if file)
