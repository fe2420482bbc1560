"""What a run found out about each photo: a hidden file beside its table.

JSON lines: a head, then a line for each photo that was read, with the size and the time that its
file had. It is called after the table's partial file until the table is complete, and then after
the table. What is read is checked line by line: somebody else may have made the file.
"""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from dogsort.network.weights import sha256_of
from dogsort.results.output import hidden_log

__all__ = [
    "FORMAT_VERSION",
    "Entry",
    "Log",
    "Stamp",
    "current_folder",
    "digest_of",
    "log_of",
    "open_safely",
    "read_log",
]

FORMAT_VERSION = 1


class Stamp(NamedTuple):
    """What tells whether a file is still the one that was classified.

    Attributes:
        size: in bytes.
        mtime_ns: when it was changed last, in nanoseconds.
    """

    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: str) -> Stamp | None:
        """Ask the disk, following links; None if there is no such file."""
        try:
            status = os.stat(path)
        except (OSError, ValueError):
            return None
        return cls(status.st_size, status.st_mtime_ns)


class Entry(NamedTuple):
    """What is known of one photo.

    Attributes:
        stamp: what its file was just before it was decoded.
        p_dog, p_pet: as in its row.
    """

    stamp: Stamp
    p_dog: float
    p_pet: float


@dataclass(frozen=True, slots=True)
class Log:
    """A log that was read.

    Attributes:
        weights: ``Weights.identity`` of those that were used.
        paths: the PATHs of the call, as they were given.
        current: the folder that they count from; empty if that is not known.
        entries: what was found out, by the photo's path as in its row.
        table: SHA-256 of the complete table; empty if it was not completed.
    """

    weights: str
    paths: tuple[str, ...]
    current: str = ""
    entries: dict[str, Entry] = field(default_factory=dict)
    table: str = ""


def digest_of(table: str) -> str:
    """Return the SHA-256 of a table, in hexadecimal; nothing if it cannot be read."""
    try:
        return sha256_of(Path(table))
    except OSError:
        return ""


def log_of(table: str) -> str:
    """Return where the log of a complete table lies; a link to a table is followed."""
    return hidden_log(os.path.realpath(table))


def current_folder() -> str:
    """Return the folder that paths count from; nothing if somebody deleted it."""
    try:
        return os.getcwd()
    except OSError:
        return ""


def read_log(path: str) -> Log | None:
    """Read a log; lines that make no sense, and a last one that was cut off, are left out.

    Returns:
        None if there is none, if it cannot be read, or if something else has its name.
    """
    try:
        with open_safely(path, os.O_RDONLY) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return None
            log = _head(file.readline())
            if log is None:
                return None
            table = ""
            for line in file:
                entry = _entry(line)
                if entry is not None:
                    log.entries.update([entry])
                else:
                    table = _table(line) or table
            return replace(log, table=table)
    except OSError:
        return None


def open_safely(path: str, flags: int) -> BinaryIO:
    """Open a log with ``os.open``'s flags; a link is not followed, a pipe not waited for.

    Raises:
        OSError: if it cannot be opened, or is a link.
    """
    for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"):
        flags |= getattr(os, name, 0)
    descriptor = os.open(path, flags, 0o666)
    # Unbuffered where written, so that a run that is killed leaves what it found out.
    writes = flags & (os.O_WRONLY | os.O_RDWR)
    return open(descriptor, "wb", 0) if writes else open(descriptor, "rb")


def _head(line: bytes) -> Log | None:
    match _values(line):
        case {"log": number, "weights": str(weights), "paths": list(paths), **rest} if (
            number == FORMAT_VERSION
        ):
            return Log(weights, tuple(map(str, paths)), str(rest.get("current", "")))
    return None


def _entry(line: bytes) -> tuple[str, Entry] | None:
    match _values(line):
        case {
            "path": str(path),
            "size": int(size),
            "mtime_ns": int(mtime_ns),
            "p_dog": float(p_dog),
            "p_pet": float(p_pet),
        } if 0.0 <= p_dog <= 1.0 and 0.0 <= p_pet <= 1.0:
            return path, Entry(Stamp(size, mtime_ns), p_dog, p_pet)
    return None


def _table(line: bytes) -> str:
    match _values(line):
        case {"table": str(digest)}:
            return digest
    return ""


def _values(line: bytes) -> Any:
    """Return what a line holds; None if it was cut off or is no JSON."""
    if not line.endswith(b"\n"):
        return None
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None
