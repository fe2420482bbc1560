"""A file that appears complete or not at all: written beside its place, then renamed."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from dogsort.errors import OutputError, UsageError

__all__ = [
    "check_not_input",
    "check_writable",
    "complete_file",
    "hidden_log",
    "write_text",
    "writing",
]


@contextmanager
def writing(target: str) -> Iterator[None]:
    """Turn an OSError of the block, which does nothing but write ``target``, into OutputError.

    A reader that went away stays a BrokenPipeError.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"{target}: cannot be written: {error.strerror or error}") from error


@contextmanager
def complete_file(target: str) -> Iterator[str]:
    """Give a path to write to, and rename it to ``target`` once the block has succeeded.

    A file that exists is replaced only then; a link is followed; a pipe or device is written
    to in place. If the block fails, the partial file stays if it holds anything.

    Args:
        target: the name that the finished file gets.

    Raises:
        OutputError: if the file cannot be created or renamed. Errors of the block pass.
    """
    final = os.path.realpath(target)
    path = _create(final, target)
    try:
        yield path
        if path != final:
            with writing(target):
                _flush_to_disk(path)
                os.replace(path, final)
    finally:
        if path != final:
            with contextlib.suppress(OSError):
                if os.path.getsize(path) == 0:
                    os.unlink(path)


def write_text(target: str, text: str) -> None:
    """Write a whole text file in UTF-8, or to stdout if ``target`` is ``-``.

    Raises:
        OutputError: if it cannot be written.
    """
    if target == "-":
        sys.stdout.write(text)
        return
    with complete_file(target) as path, writing(target):
        Path(path).write_text(text, encoding="utf-8")


def check_not_input(target: str, inputs: Iterable[str]) -> None:
    """Raise UsageError if ``target`` is one of the files that are to be read."""
    real = os.path.realpath(target)
    if any(os.path.realpath(path) == real for path in inputs):
        raise UsageError(f"{target}: is to be read itself; write to another file")


def check_writable(target: str) -> None:
    """Raise OutputError, before any work, if ``complete_file`` could not begin."""
    final = os.path.realpath(target)
    path = _create(final, target)
    if path != final:
        os.unlink(path)


def hidden_log(path: str) -> str:
    """Return where the log of a table, or of its partial file, lies: beside it, hidden."""
    folder, name = os.path.split(path)
    return os.path.join(folder, f".{name}.dogsort")


def _create(final: str, target: str) -> str:
    """Create an empty partial file beside its place; a pipe or device is its own."""
    try:
        status = os.stat(final)
    except OSError:
        status = None
    if status and stat.S_ISDIR(status.st_mode):
        raise OutputError(f"{target}: is a folder; name a file to write to")
    if status and not stat.S_ISREG(status.st_mode):
        return final
    folder = os.path.dirname(final)
    if not os.path.isdir(folder):
        raise OutputError(f"{target}: the folder {folder} does not exist")
    for number in count(1):
        path = f"{final}.{number}.partial"
        if os.path.lexists(hidden_log(path)):
            continue  # of a stopped run, whose partial file somebody deleted
        # Exclusively: a partial file of another run, or of a stopped one, is not touched.
        with writing(target), contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            return path
    raise AssertionError("count() ended")


def _flush_to_disk(path: str) -> None:
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
