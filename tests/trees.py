"""Small trees of files: make them, compare them, and leave them as a killed run does."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from dogsort.filing import Filed, FilingOptions, file_photos
from dogsort.filing.journal import FILE_NAME, FOLDER_NAME
from dogsort.filing.options import Action
from dogsort.records import Label, Prediction

__all__ = [
    "ACTIONS",
    "LABELS",
    "PHOTOS",
    "QUICK",
    "contents",
    "edit",
    "file_all",
    "plant",
    "stop",
    "tree",
]

ACTIONS: tuple[Action, ...] = ("move", "copy", "link", "hardlink")

#: A folder in memory, where syncing many files is fast; None if there is none.
QUICK = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None

#: Files that tests make, and their labels: one name is taken, another occurs twice.
PHOTOS = {"a.jpg": b"one", "trip/a.jpg": b"two", "trip/b.jpg": b"three", "dog/a.jpg": b"four"}
LABELS: dict[str, Label] = {"a.jpg": "dog", "trip/a.jpg": "dog", "trip/b.jpg": "cat"}


def plant(folder: Path, files: dict[str, bytes]) -> None:
    """Make files below a folder, by relative path, each with its own time."""
    for number, (name, content) in enumerate(files.items()):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, ns=(10**18 + number, 10**18 + number))


def edit(path: Path, content: bytes) -> None:
    """Change a file, perhaps without changing its size; then only its time shows it."""
    path.write_bytes(content)
    os.utime(path, ns=(10**18, 10**18 + 450 * 10**9))


def file_all(
    folder: Path,
    labels: Mapping[str, Label],
    action: Action,
    to: Path | None = None,
    **options: Any,
) -> list[Filed]:
    """File photos of a folder, by relative path, into that folder or another."""
    records = [
        Prediction(str(folder / name), label, 1.0, 1.0, 1.0) for name, label in labels.items()
    ]
    options = {"unsure_to": "unsure", **options}
    return file_photos(records, FilingOptions(action, str(to or folder), **options))


def tree(folder: Path) -> dict[str, tuple[object, object]]:
    """Return content, time and mode of all below a folder but the journal, by relative path.

    Folders have neither, because these change as files come and go.
    """
    found: dict[str, tuple[object, object]] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if name.split(os.sep, maxsplit=1)[0] == FOLDER_NAME:
            continue
        status = path.lstat()
        if path.is_symlink():
            found[name] = (f"-> {os.readlink(path)}", None)
        elif path.is_file():
            found[name] = (path.read_bytes(), (status.st_mtime_ns, status.st_mode))
        else:
            found[name] = ("folder", None)
    return found


def contents(folder: Path) -> list[bytes]:
    """Return the contents of all files below a folder, sorted."""
    return sorted(content for content, _ in tree(folder).values() if isinstance(content, bytes))


def stop(folder: Path, run: int | None = None) -> None:
    """Make a run in the journal look as if it was killed before its steps were marked as done.

    Args:
        folder: the folder filed into.
        run: its number; None for the last one.
    """
    with closing(sqlite3.connect(folder / FOLDER_NAME / FILE_NAME)) as journal, journal:
        number = run or journal.execute("SELECT max(run) FROM runs").fetchone()[0]
        for change in (
            "UPDATE runs SET state = 'filing' WHERE run = ?",
            "UPDATE steps SET state = 'planned' WHERE run = ? AND state = 'done'",
        ):
            assert journal.execute(change, (number,)).rowcount > 0
