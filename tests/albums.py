"""Photos to file, the commands that file them and undo it, and checks of the result."""

from __future__ import annotations

import csv
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from disks import contents, tree
from runner import run_process as run_dogsort


def dogsort(*words: object) -> tuple[int, str]:
    """Run the command; return its exit code and stderr, which never shows a traceback."""
    run = run_dogsort(*words)
    complaint = run.stderr.decode(errors="replace")
    assert "Traceback" not in complaint, complaint
    return run.returncode, complaint


#: Some share a name. All have the same size, and times within the two seconds that FAT keeps.
SIX = {
    "a.jpg": ("dog", b"one"),
    "trip/a.jpg": ("dog", b"two"),
    "b.jpg": ("dog", b"six"),
    "trip/b.jpg": ("cat", b"ten"),
    "trip/deep/d.jpg": ("cat", b"fox"),
    "e.jpg": ("cat", b"owl"),
}
TIME = 1_600_000_000_123_456_789


def many(count: int, folders: int = 5) -> dict[str, tuple[str, bytes]]:
    """Small photos in several folders, with the same names in each."""
    return {
        f"folder {number % folders}/photo {number // folders}.jpg": (
            "cat" if number % 3 else "dog",
            b"%d " % number * (100 + number % 7 * 500),
        )
        for number in range(count)
    }


@dataclass(frozen=True)
class Album:
    """A folder of photos, the folder to file them into, and a table of labels."""

    photos: Path
    to: Path
    table: Path
    shows: dict[str, tuple[str, bytes]]

    @classmethod
    def plant(
        cls, photos: Path, to: Path, table: Path, shows: dict[str, tuple[str, bytes]] | None = None
    ) -> Album:
        """Make the photos, each with its own time and mode, and the table."""
        album = cls(photos, to, table, shows or SIX)
        for number, (name, (_, content)) in enumerate(album.shows.items()):
            path = photos / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            with suppress(OSError):  # not every file system keeps modes
                path.chmod((0o644, 0o640, 0o400)[number % 3])
            os.utime(path, ns=(TIME, TIME + number))
        with table.open("w", newline="") as file:
            rows = ((photos / name, label) for name, (label, _) in album.shows.items())
            csv.writer(file).writerows([("path", "label"), *rows])
        return album

    def filing(self) -> tuple[object, ...]:
        return ("file", self.table, "--photos", self.photos, "--to", self.to, "--move", "--quiet")

    def undoing(self) -> tuple[object, ...]:
        return ("undo", self.to)

    def file(self) -> None:
        """File them all; the command may name those that an earlier run filed."""
        code, complaint = dogsort(*self.filing())
        assert code in (0, 3), f"file: exit code {code}: {complaint}"

    def undo(self) -> None:
        code, complaint = dogsort(*self.undoing())
        assert code == 0, f"undo: exit code {code}: {complaint}"

    def undo_all(self) -> None:
        """Undo until nothing is left to undo."""
        for _ in range(9):
            code, complaint = dogsort(*self.undoing())
            if code == 1:
                return
            assert code == 0, f"undo: exit code {code}: {complaint}"
        raise AssertionError("undo never comes to an end")

    def trees(self, grain: int = 1) -> tuple[dict, dict]:
        return tree(self.photos, grain), tree(self.to, grain) if self.to.exists() else {}

    def photos_of(self, *labels: str) -> list[bytes]:
        return sorted(content for label, content in self.shows.values() if label in labels)

    def must_have_lost_nothing(self) -> None:
        lost = set(self.photos_of("dog", "cat")) - set(contents(*self._folders()))
        assert not lost, f"{len(lost)} photos are lost"

    def must_be_filed(self) -> None:
        """Check that every photo is where it belongs, once, and nowhere else."""
        everything = self.photos_of("dog", "cat")
        found = contents(*self._folders())
        more, fewer = len(found) - len(set(found)), len(set(everything) - set(found))
        assert found == everything, f"{more} photos are doubled, {fewer} are lost"
        for label in ("dog", "cat"):
            filed = contents(self.to / label)
            wrong = set(filed) ^ set(self.photos_of(label))
            assert not wrong, f"{len(wrong)} photos are not where they shall be: {label}"

    def must_be_as_before(self, before: tuple[dict, dict], grain: int = 1) -> None:
        for was, now in zip(before, self.trees(grain), strict=True):
            changed = differences(was, now)
            assert not changed, "; ".join(changed)

    def must_recover(self, before: tuple[dict, dict], then: str, grain: int = 1) -> None:
        """Check that undo, or filing and one undo, restores the tree after a kill or power cut."""
        self.must_have_lost_nothing()
        if then == "file":
            self.file()
            self.must_be_filed()
            self.undo()
            self.must_be_as_before(before, grain)
        self.undo_all()
        self.must_be_as_before(before, grain)

    def _folders(self) -> dict[Path, None]:
        return dict.fromkeys(folder for folder in (self.photos, self.to) if folder.exists())


def differences(was: dict, now: dict) -> list[str]:
    """Describe up to ten differences between two trees."""
    found = [f"gone: {name}" for name in was.keys() - now.keys()]
    found += [f"new: {name}" for name in now.keys() - was.keys()]
    for name in was.keys() & now.keys():
        if was[name] is None or now[name] is None:
            if was[name] is not now[name]:
                found.append(f"another kind: {name}")
            continue
        for what, before, after in zip(
            ("bytes", "time", "mode"), was[name], now[name], strict=True
        ):
            if before != after:
                found.append(f"another {what}: {name}: {before!r:.40} -> {after!r:.40}")
    return sorted(found)[:10]
