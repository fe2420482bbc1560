"""PATH -: names from standard input."""

from __future__ import annotations

import codecs
import os
import sys
from collections.abc import Iterable, Iterator

from dogsort.errors import UsageError

__all__ = ["with_stdin"]


def with_stdin(paths: Iterable[str], null: bool) -> Iterator[str]:
    """Replace ``-`` by the names on stdin, lazily.

    Args:
        paths: as given.
        null: whether names end in NUL, not in a newline.

    Raises:
        UsageError: if stdin is closed, or in UTF-16.
    """
    for path in paths:
        if path == "-":
            yield from _names_on_stdin(b"\0" if null else b"\n")
        else:
            yield path


def _names_on_stdin(separator: bytes) -> Iterator[str]:
    if sys.stdin is None:
        raise UsageError("standard input is closed, but PATH - reads names from it")
    # The first bytes may be a byte order mark, with which no name begins.
    rest = os.read(sys.stdin.fileno(), 3).removeprefix(codecs.BOM_UTF8)
    if rest.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):  # as PowerShell's > writes
        raise UsageError("the names on standard input are in UTF-16; write them in UTF-8")
    while block := os.read(sys.stdin.fileno(), 1 << 16):
        *names, rest = (rest + block).split(separator)
        yield from (_name(name, separator) for name in names if name)
    yield from (_name(name, separator) for name in rest.split(separator) if name)


def _name(name: bytes, separator: bytes) -> str:
    # Lists made on Windows end in \r\n. A name that really ends in \r needs --null.
    return os.fsdecode(name.removesuffix(b"\r") if separator == b"\n" else name)
