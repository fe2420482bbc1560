"""Files that appear complete or not at all: written beside their target, then renamed."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from glob import escape, glob
from itertools import count
from pathlib import Path
from typing import IO

from dogsort.errors import DogsortError, OutputError, UsageError
from dogsort.network.weights import sha256_of
from dogsort.results.cache import Cache, WrittenTable, stamp_of

__all__ = [
    "check_not_input",
    "check_writable",
    "complete_file",
    "text_on_stdout",
    "write_text",
    "writing",
]


@contextmanager
def writing(target: str) -> Iterator[None]:
    """Turn an OSError in the block, which must only write ``target``, into OutputError.

    BrokenPipeError, when the reader has gone, passes through.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"{target}: cannot be written: {error.strerror or error}") from error


@dataclass(slots=True)
class NewFile:
    """A file that is being written.

    Attributes:
        path: where to write: beside its target, or the target itself if a pipe or device.
        has_rows: whether to keep it if the work fails, because it has results; set by the writer.
        messages: for the user, once it is complete.
    """

    path: str
    has_rows: bool = False
    messages: list[str] = field(default_factory=list)


@contextmanager
def complete_file(target: str, folders: Sequence[str] = ()) -> Iterator[NewFile]:
    """Yield a file to write, and rename it to ``target`` once the block has succeeded.

    Only then is an existing file replaced, and only if dogsort wrote it and nobody has changed it
    since. Any other file is kept under the name that ``check_writable`` reports, or a message if
    somebody changed it meanwhile. Links are followed; a pipe or device is written in
    place. If the block fails, the partial file is removed, unless it has rows. The next complete
    file with rows then removes it, if nobody has changed it.

    Args:
        target: the name of the finished file.
        folders: the folders that were classified into it, for ``dogsort file``.

    Raises:
        OutputError: if the file cannot be created or renamed.
        BaseException: any error in the block; DogsortError and KeyboardInterrupt then also name
            the partial file that stays.
    """
    final = os.path.realpath(target)
    file = NewFile(_create(final, target))
    if file.path == final:
        yield file
        return
    try:
        yield file
        with writing(target):
            _give_name(file, final, target, folders)
    except BaseException as error:
        if not file.has_rows:
            with contextlib.suppress(OSError):
                os.unlink(file.path)
            raise
        with closing(Cache()) as cache:
            cache.note_table(file.path, str(stamp_of(file.path)), folders)
        kept = f"the rows so far are in {file.path}"
        if isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt(kept) from None
        if isinstance(error, DogsortError):
            raise type(error)(f"{error}; {kept}") from error
        raise


def _give_name(file: NewFile, final: str, target: str, folders: Sequence[str]) -> None:
    with open(file.path, "rb+") as complete:
        os.fsync(complete.fileno())
    digest = sha256_of(Path(file.path))
    with closing(Cache()) as cache:
        known = cache.table(final)
        if not _is_ours(final, known):
            kept = _kept_name(final)
            os.rename(final, kept)
            if known is not None:  # else check_writable has said so
                file.messages.append(
                    f"{target}: was changed during this run, so the changed file is kept as {kept}"
                )
        os.replace(file.path, final)
        cache.note_table(final, digest, folders)
        if file.has_rows:
            _remove_partial_files(final, cache)


def _remove_partial_files(final: str, cache: Cache) -> None:
    """Remove what interrupted runs left, unless it was changed or is still being written."""
    for path in glob(f"{escape(final)}.*.partial"):
        known = cache.table(path)
        if known is not None and known.digest == stamp_of(path):
            with contextlib.suppress(OSError):
                os.unlink(path)


def text_on_stdout() -> IO[str]:
    """Return stdout as programs read it: UTF-8, names byte for byte, each line passed on at once.

    Raises:
        OutputError: if it is closed.
    """
    if sys.stdout is None:
        raise OutputError("standard output is closed, so nothing can be written to it")
    return open(sys.stdout.fileno(), "w", 1, "utf-8", "surrogateescape", "", closefd=False)


def write_text(target: str, text: str) -> list[str]:
    """Write a whole text file in UTF-8, or to stdout if ``target`` is ``-``.

    Returns:
        Messages for the user.

    Raises:
        OutputError: if it cannot be written.
    """
    if target == "-":
        with writing("standard output"):
            text_on_stdout().write(text)
        return []
    with complete_file(target) as file, writing(target):
        Path(file.path).write_text(text, encoding="utf-8")
    return file.messages


def check_not_input(target: str, inputs: Iterable[str]) -> None:
    """Raise UsageError if ``target`` is one of the inputs."""
    real = os.path.realpath(target)
    if any(os.path.realpath(path) == real for path in inputs):
        raise UsageError(f"{target}: is an input of this command; write to another file")


def check_writable(target: str) -> list[str]:
    """Check, before any work, that ``complete_file`` can write a file.

    Returns:
        Messages about an existing file.

    Raises:
        OutputError: if it cannot, or if somebody has changed the file since dogsort wrote it.
    """
    final = os.path.realpath(target)
    path = _create(final, target)
    if path == final:
        return []
    os.unlink(path)
    with closing(Cache()) as cache:
        known = cache.table(final)
    if _is_ours(final, known):
        return []
    if known is not None:
        raise OutputError(
            f"{target}: has changed since dogsort wrote it, so it is not overwritten; move it "
            "away, write to another file, or file photos by it with dogsort file"
        )
    kept = _kept_name(final)
    return [f"{target}: dogsort may not have written it, so the old file is kept as {kept}"]


def _is_ours(final: str, known: WrittenTable | None) -> bool:
    """Tell whether a file may be replaced: it is missing, empty, or as dogsort wrote it."""
    try:
        if os.path.getsize(final) == 0:
            return True
        return known is not None and sha256_of(Path(final)) == known.digest
    except FileNotFoundError:
        return True
    except OSError:
        return False


def _kept_name(final: str) -> str:
    """Return a free name under which an old file is kept."""
    stem, suffix = os.path.splitext(final)
    names = (f"{stem}.old{number if number > 1 else ''}{suffix}" for number in count(1))
    return next(name for name in names if not os.path.lexists(name))


def _create(final: str, target: str) -> str:
    """Create an empty partial file beside the target; return the target if a pipe or device."""
    try:
        status = os.stat(final)
    except OSError:
        status = None
    if status and stat.S_ISDIR(status.st_mode):
        raise OutputError(f"{target}: a folder; name a file to write to")
    if status and not stat.S_ISREG(status.st_mode):
        return final
    folder = os.path.dirname(final)
    if not os.path.isdir(folder):
        raise OutputError(f"{target}: the folder {folder} does not exist")
    for number in count(1):
        path = f"{final}.{number}.partial"
        # Exclusively, so as not to touch the partial file of another or an interrupted run.
        with writing(target), contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            return path
    raise AssertionError("count() ended")
