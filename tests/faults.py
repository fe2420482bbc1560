"""Run as a program: file or undo in many copies of a small folder, and strike in each once.

``python faults.py PLACE ELSEWHERE ACTION file|undo|recover FAULT file|undo|turns EVERY`` strikes
before the first file operation, in the next copy before the second (or, with EVERY 3, the fourth),
and so on, until a run ends without. After each, what must hold is checked: no content is lost or,
after a move, doubled. What the user does next is undo, which gives back the tree; or to file, which
files everything, and then one undo gives back the tree; or both in turns. With ``recover`` it kills
a run at every moment, and then the next one, which takes back the first one, at every moment of
that. It prints how many strikes there were. All are the real commands, in processes of their own.
"""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from itertools import count
from pathlib import Path
from typing import Any

from test_undo import LABELS, PHOTOS, contents, plant, tree

from dogsort.cli.main import COMMANDS
from dogsort.cli.options import Talk
from dogsort.cli.taking_back import turn_to_file
from dogsort.errors import DogsortError
from dogsort.sorting.lock import at_work
from dogsort.sorting.wishes import Wishes

#: Operations on files that Python tells its audit hooks, before it carries them out.
WATCHED = frozenset(
    (
        *("os.link", "os.remove", "os.mkdir", "os.rename", "os.symlink", "os.rmdir", "open"),
        *("os.truncate", "os.utime", "os.chmod", "shutil.copyfile", "fsync"),
    )
)

INTRUDER = b"of somebody else"


class Strike:
    """An audit hook that does something before one operation below some folders."""

    def __init__(self, fault: str, moment: int, folder: Path, to: Path) -> None:
        self.fault, self.left = fault, moment
        self.folder, self.to = folder, to
        self.places = (str(folder), str(to))

    def __call__(self, event: str, arguments: Any) -> None:
        if event not in WATCHED or not str(arguments[0]).startswith(self.places):
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
        else:
            number = getattr(errno, self.fault)
            raise OSError(number, os.strerror(number))

    def delete(self) -> None:
        """Delete a photo, wherever it is by now."""
        for path in (*self.folder.rglob("b.jpg"), *self.to.rglob("b.jpg")):
            path.unlink(missing_ok=True)

    def intrude(self) -> None:
        """Take the names that are not taken yet."""
        names = ("dog/a (2).jpg", "dog/a (3).jpg", "cat/b.jpg", "trip/b.jpg", "a.jpg")
        for place in (self.folder, self.to):
            for name in names:
                (place / name).parent.mkdir(exist_ok=True)
                if not (place / name).exists():
                    (place / name).write_bytes(INTRUDER)
                    with planted(self.folder).open("a") as file:
                        file.write(f"{place / name}\n")


def planted(folder: Path) -> Path:
    """Where it stands which names an intruder took."""
    return folder.with_name(f"{folder.name}.planted")


def run(what: str, folder: Path, to: Path, action: str) -> int:
    """File, undo, or only take back what was killed; what cannot be done may be said."""
    try:
        if what == "recover":
            wishes = Wishes(action, str(to))
            with turn_to_file(wishes, [str(folder)], Talk(quiet=True), False) as left:
                return left
        if what == "undo":
            arguments = [str(to)]
        else:
            table = folder.parent / "tables" / f"{folder.name}.csv"
            table.parent.mkdir(exist_ok=True)
            rows = "".join(f"{folder / name},{label}\n" for name, label in LABELS.items())
            table.write_text(f"path,label\n{rows}")
            arguments = [str(table), f"--{action}", "--photos", str(folder), "--to", str(to)]
        return COMMANDS[what].main([*arguments, "--quiet"], standalone_mode=False)
    except DogsortError as error:
        return error.exit_code


def struck(strike: Strike, what: str, action: str) -> bool:
    """Run in a process of its own; tell whether it was struck."""
    child = os.fork()
    if child == 0:
        sys.addaudithook(strike)
        sync = os.fsync

        def fsync(descriptor: int) -> None:
            """What Python tells its hooks nothing of: where a full disk shows at the latest."""
            strike("fsync", (os.path.realpath(f"/dev/fd/{descriptor}"),))
            sync(descriptor)

        os.fsync = fsync  # type: ignore[assignment]
        try:
            run(what, strike.folder, strike.to, action)
        except BaseException as error:
            print(f"moment {strike.left}: {type(error).__name__}: {error}", file=sys.stderr)
            os._exit(2)
        os._exit(0 if strike.left > 0 else 1)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, 1, -signal.SIGKILL), code
    return code != 0


def check(
    fault: str, folder: Path, to: Path, action: str, before: dict[str, Any], filed: Any
) -> None:
    """Check what must hold whatever happened.

    ``filed`` is what must be where after the next run; None if there is none before undo.
    """
    places = {folder, to}
    expected = set(PHOTOS.values()) - ({b"three"} if fault == "gone" else set())

    def everything() -> list[bytes]:
        return [one for place in places for one in contents(place) if one != INTRUDER]

    assert expected <= set(everything())
    if filed is not None:
        # If all was filed before the end, the photos are gone from where the table says.
        assert run("file", folder, to, action) in (0, 3)
        assert files(folder, to) == filed
        assert run("undo", folder, to, action) == 0
        assert tree(folder) == before, tree(folder)
        assert to == folder or tree(to) == {}
        return
    with at_work(str(to)):  # makes whole what was left half-way
        pass
    if action == "move":
        assert sorted(set(everything())) == sorted(everything()), everything()
    for _ in "12":  # an undo that was struck may have left one run more
        run("undo", folder, to, action)
    if fault == "taken" and planted(folder).exists():
        for name in planted(folder).read_text().splitlines():
            assert Path(name).read_bytes() == INTRUDER, name
    if fault in ("gone", "taken"):
        assert expected <= set(everything())
        return
    after = tree(folder)
    if fault == "kill":
        assert after == before, after
        assert to == folder or tree(to) == {}
    else:  # that a folder cannot be deleted, or given its time, is no reason to stop undoing
        for one in (before, after):
            for name in [name for name, (what, _) in one.items() if what == "folder"]:
                del one[name]
        assert after == before, after


def main(
    place: Path, elsewhere: Path, how: str, what: str, fault: str, after: str, every: int
) -> None:
    """Strike at every moment."""
    action = how.split(maxsplit=1)[0]
    if "without" in how:
        os.link = no_hard_links  # type: ignore[assignment]
    strikes, filed = 0, None
    for moment in count(0, every):  # the first strikes never: it tells where everything goes
        folder, to = place / str(moment), elsewhere / str(moment)
        plant(folder, PHOTOS)
        to.mkdir(exist_ok=True)
        before = tree(folder)
        if filed is None or what == "undo":
            assert run("file", folder, to, action) == 0
        if filed is None:
            filed = files(folder, to)
            continue
        now = filed if after == "file" or (after == "turns" and moment % 2) else None
        if what == "recover":
            was_struck = struck(Strike(fault, moment, folder, to), "file", action)
            strikes += recover(folder, action, before, filed, every) if was_struck else 0
        else:
            was_struck = struck(Strike(fault, moment, folder, to), what, action)
            try:
                check(fault, folder, to, action, before, now)
            except BaseException as error:
                error.add_note(f"after {fault} before operation {moment}")
                raise
            strikes += was_struck
        if not was_struck:
            print(strikes)
            return


def recover(killed: Path, action: str, before: dict[str, Any], filed: Any, every: int) -> int:
    """Kill what takes back a killed run, at every moment; return how many there were."""
    for strikes in count():
        moment = 1 + every * strikes
        folder = killed.with_name(f"{killed.name}-{moment}")
        subprocess.run(["/bin/cp", "-a", killed, folder], check=True)
        was_struck = struck(Strike("kill", moment, folder, folder), "recover", action)
        try:
            check("kill", folder, folder, action, before, filed)
        except BaseException as error:
            error.add_note(f"after kills before operations {killed.name} and {moment}")
            raise
        if not was_struck:
            return strikes
    raise AssertionError("count() ended")


def files(*places: Path) -> list[dict[str, object]]:
    """Which files there are, without the times of anything."""
    return [
        {name: what for name, (what, _) in tree(place).items() if what != "folder"}
        for place in places
    ]


def no_hard_links(*_: Any, **__: Any) -> None:
    """Stand for a file system that has none."""
    raise OSError(errno.EPERM, "not permitted")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:7], int(sys.argv[7]))
