"""PATH -, the names on standard input."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator

from dogsort.errors import UsageError

__all__ = ["with_stdin"]


def with_stdin(paths: Iterable[str], null: bool) -> Iterator[str]:
    """Put the names on stdin in the place of ``-``, lazily.

    Args:
        paths: as given.
        null: whether names end in NUL instead of a line's end.

    Raises:
        UsageError: if stdin is closed.
    """
    for path in paths:
        if path == "-":
            yield from _names_on_stdin(b"\0" if null else b"\n")
        else:
            yield path


def _names_on_stdin(separator: bytes) -> Iterator[str]:
    if sys.stdin is None:
        raise UsageError("standard input is closed; PATH - reads names from it")
    rest = b""
    while block := os.read(sys.stdin.fileno(), 1 << 16):
        *names, rest = (rest + block).split(separator)
        yield from (_name(name, separator) for name in names if name)
    if rest:
        yield _name(rest, separator)


def _name(name: bytes, separator: bytes) -> str:
    # Lists made on Windows end in \r\n. A name that really ends in \r needs --null.
    return os.fsdecode(name.removesuffix(b"\r") if separator == b"\n" else name)
