"""A program that files or undoes in many copies of a small folder, with a fault in each.

``python faults.py PLACE ELSEWHERE HOW WHAT FAULT NEXT EVERY`` strikes before the first file
operation, in the next copy before the second (with EVERY 3, the fourth), and so on, until a command
ends without a fault.

HOW is an action. If ``across file systems`` follows it, ELSEWHERE must be on another file system.
``without renameat2``, or ``without hard links`` (then it has neither), imitates a file system that
lacks them. WHAT is ``file`` or ``undo``; with ``undo+file``, one command is killed, and then the
other is killed at every moment, too. FAULT is ``kill``, the name of an error, ``gone`` (a photo is
deleted) or ``taken`` (another file takes the new names).

After each fault, it checks that no content is lost or, after a move, duplicated. NEXT is what the
user does then: ``undo``, which must restore the tree; ``file``, which must file everything, so that
one undo restores the tree; or ``turns``, both alternately. It prints the number of faults. All
commands are the real ones, each in a separate process.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import trees
from trees import contents, plant, tree

from dogsort.cli.main import COMMANDS
from dogsort.errors import DogsortError
from dogsort.filing import execute, fileops, steps
from dogsort.filing.journal import Journal

PHOTOS = {**trees.PHOTOS, "trip/b.xmp": b"about three"}
LABELS = trees.LABELS

#: File operations that Python reports to audit hooks beforehand; ``install`` reports the last
#: three.
WATCHED = frozenset(
    (
        *("os.link", "os.remove", "os.mkdir", "os.rename", "os.symlink", "os.rmdir", "open"),
        *("os.truncate", "os.utime", "os.chmod", "os.chown", "shutil.copyfile"),
        *("fsync", "rename", "journal"),
    )
)

INTRUDER = b"of somebody else"


class Copy(NamedTuple):
    """One copy of the small folder, and the folder that it is filed into."""

    folder: Path
    to: Path
    before: dict[str, Any]

    @property
    def planted(self) -> Path:
        """The file that lists the names that an intruder took."""
        return self.folder.with_name(f"{self.folder.name}.planted")


class Strike:
    """An audit hook that acts before one operation in a copy."""

    def __init__(self, fault: str, moment: int, copy: Copy) -> None:
        self.fault, self.left, self.copy = fault, moment, copy
        self.places = (str(copy.folder), str(copy.to))

    def __call__(self, event: str, arguments: Any) -> None:
        if event not in WATCHED or not isinstance(arguments[0], str | bytes | os.PathLike):
            return
        path = os.fsdecode(arguments[0])  # relative to an open folder, or absolute
        if os.path.isabs(path) and not path.startswith(self.places):
            return
        self.left -= 1
        if self.left != 0:
            return
        if self.fault == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif self.fault == "gone":
            self.delete()
        elif self.fault == "taken":
            self.intrude()
        elif event == "journal":
            raise sqlite3.OperationalError("disk I/O error")
        else:
            number = getattr(errno, self.fault)
            raise OSError(number, os.strerror(number))

    def delete(self) -> None:
        """Delete a photo, wherever it is now."""
        for place in (self.copy.folder, self.copy.to):
            for path in place.rglob("b.jpg"):
                path.unlink(missing_ok=True)

    def intrude(self) -> None:
        """Take the names that are still free."""
        names = ("dog/a (2).jpg", "dog/a (3).jpg", "cat/b.jpg", "trip/b.jpg", "a.jpg")
        for place in (self.copy.folder, self.copy.to):
            for name in names:
                (place / name).parent.mkdir(exist_ok=True)
                if not (place / name).exists():
                    (place / name).write_bytes(INTRUDER)
                    with self.copy.planted.open("a") as file:
                        file.write(f"{place / name}\n")

    def install(self) -> None:
        """In this process, also strike before operations that Python does not report to hooks."""
        sys.addaudithook(self)
        fsync, rename, writing = os.fsync, fileops.rename, Journal._writing

        def sync(descriptor: int) -> None:
            self("fsync", (os.path.realpath(f"/dev/fd/{descriptor}"),))
            fsync(descriptor)

        def give_name(source: fileops.Place, target: fileops.Place) -> None:
            self("rename", (target.path,))
            rename(source, target)

        @contextmanager
        def write(journal: Journal) -> Iterator[sqlite3.Connection]:
            self("journal", (journal.path,))
            with writing(journal) as database:
                yield database
                self("journal", (journal.path,))
            if self.fault == "kill":
                self("journal", (journal.path,))

        os.fsync = sync
        fileops.rename = steps.rename = give_name
        Journal._writing = write  # type: ignore[method-assign]


def run(what: str, copy: Copy, action: str) -> int:
    """File or undo; error messages are allowed."""
    if what == "undo":
        arguments = [str(copy.to)]
    else:
        table = copy.folder.parent / "tables" / f"{copy.folder.name}.csv"
        table.parent.mkdir(exist_ok=True)
        rows = "".join(f"{copy.folder / name},{label}\n" for name, label in LABELS.items())
        table.write_text(f"path,label\n{rows}")
        arguments = [str(table), f"--{action}", "--photos", str(copy.folder), "--to", str(copy.to)]
    try:
        return int(COMMANDS[what].main([*arguments, "--quiet"], standalone_mode=False))
    except DogsortError as error:
        return error.exit_code


def struck(strike: Strike, what: str, action: str) -> bool:
    """Run in a separate process; tell whether it was struck."""
    child = os.fork()
    if child == 0:
        try:
            strike.install()
            run(what, strike.copy, action)
        except BaseException as error:
            print(f"moment {strike.left}: {type(error).__name__}: {error}", file=sys.stderr)
            os._exit(2)
        os._exit(0 if strike.left > 0 else 1)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, 1, -signal.SIGKILL), code
    return code != 0


def everything(copy: Copy) -> list[bytes]:
    """Return the contents of all files except the intruder's."""
    places = {copy.folder, copy.to}
    return [one for place in places for one in contents(place) if one != INTRUDER]


def check_kill(copy: Copy, action: str, filed: Any) -> None:
    """Check the result of a kill.

    Args:
        copy: where it happened.
        action: what was done.
        filed: the tree once all is filed; None to undo at once.
    """
    assert set(PHOTOS.values()) <= set(everything(copy))
    if filed is not None:
        assert run("file", copy, action) == 0
        assert files(copy) == filed, files(copy)
    code = run("undo", copy, action)
    assert code == 0 or (code == 1 and filed is None)  # nothing had happened, or all was undone
    assert tree(copy.folder) == copy.before, tree(copy.folder)
    assert copy.to == copy.folder or tree(copy.to) == {}
    assert run("undo", copy, action) == 1


def check_fault(copy: Copy, action: str, fault: str) -> None:
    """Check the result of another fault."""
    expected = set(PHOTOS.values()) - ({b"three"} if fault == "gone" else set())
    assert expected <= set(everything(copy))
    for _ in "12":  # an interrupted undo may have left some
        run("undo", copy, action)
    if action == "move":
        assert sorted(set(everything(copy))) == sorted(everything(copy)), everything(copy)
    if fault == "taken" and copy.planted.exists():
        for name in copy.planted.read_text().splitlines():
            assert Path(name).read_bytes() == INTRUDER, name
    after = tree(copy.folder)
    if fault in ("gone", "taken"):
        assert expected <= set(everything(copy))
        return
    for one in (copy.before, after):  # a folder that could not be deleted does no harm
        for name in [name for name, (what, _) in one.items() if what == "folder"]:
            del one[name]
    assert after == copy.before, after


def files(copy: Copy) -> list[dict[str, object]]:
    """Return all files, without times."""
    return [
        {name: what for name, (what, _) in tree(place).items() if what != "folder"}
        for place in (copy.folder, copy.to)
    ]


def stand_for(how: str) -> None:
    """Make this process see a file system that lacks what ``how`` says."""

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.EPERM, "not permitted")

    if "without" in how:
        fileops._system_rename = lambda: fileops._no_rename  # type: ignore[assignment]
    if "without hard links" in how:
        os.link = refuse


def main(
    place: Path, elsewhere: Path, how: str, what: str, fault: str, after: str, every: int
) -> int:
    """Strike at every moment; return the number of faults."""
    action = how.split(maxsplit=1)[0]
    stand_for(how)
    execute.BATCH_FILES = 2  # so that there are several
    first, _, second = what.partition("+")
    names = count()

    def prepare() -> Copy:
        name = str(next(names))
        copy = Copy(place / name, elsewhere / name, {})
        plant(copy.folder, PHOTOS)
        copy.to.mkdir(exist_ok=True)
        copy.before.update(tree(copy.folder))
        if filed is None or first == "undo":
            assert run("file", copy, action) == 0
        return copy

    filed: Any = None
    filed = files(prepare())
    strikes = 0
    for moment in count(1, every):
        for other in count(1 + moment % every, every):
            copy = prepare()
            was_struck = struck(Strike(fault, moment, copy), first, action)
            goes_on = was_struck and bool(second)
            if goes_on:
                goes_on = struck(Strike(fault, other, copy), second, action)
            files_next = after == "file" or (after == "turns" and (moment + other) // every % 2)
            try:
                if fault == "kill":
                    check_kill(copy, action, filed if files_next else None)
                else:
                    check_fault(copy, action, fault)
            except BaseException as error:
                error.add_note(f"after {fault} before operation {moment}, then {other}")
                raise
            for folder in {copy.folder, copy.to}:
                shutil.rmtree(folder)
            strikes += goes_on if second else was_struck
            if not goes_on:
                break
        if not was_struck:
            return strikes
    raise AssertionError("count() ended")


if __name__ == "__main__":
    print(main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:7], int(sys.argv[7])))
