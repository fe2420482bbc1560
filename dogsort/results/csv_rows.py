"""Rows of CSV, to a file or to stdout."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from typing import IO, Any

from dogsort.records import DECIMALS
from dogsort.results.output import complete_file, text_on_stdout, writing

__all__ = ["CsvRows", "as_text", "open_text", "write_rows"]


class CsvRows:
    """Writes rows of CSV without loss.

    Args:
        file: open for writing text, without newline translation.
        columns: the header, written first.
    """

    def __init__(self, file: IO[str], columns: Iterable[str]) -> None:
        self._writer = csv.writer(file, lineterminator="\n")
        self._quoting_writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
        self._writer.writerow(columns)

    def write(self, values: Iterable[object]) -> None:
        """Write a row; None becomes empty."""
        texts = [as_text(value) for value in values]
        # Python before 3.13 leaves a lone carriage return unquoted if lines end in \n.
        quote = any("\r" in text for text in texts)
        (self._quoting_writer if quote else self._writer).writerow(texts)

    def write_all(self, rows: Iterable[Iterable[object]]) -> None:
        """Write rows."""
        for values in rows:
            self.write(values)


def open_text(path: str) -> IO[str]:
    """Open a text file of rows for writing."""
    # Line-buffered, so that a killed run leaves its rows. With surrogateescape, a name that is not
    # UTF-8 keeps its bytes.
    return open(path, "w", 1, "utf-8", "surrogateescape", "")


def write_rows(
    output: str | None, columns: Sequence[str], rows: Iterable[Sequence[object]]
) -> list[str]:
    """Write a table as CSV to a file, or with ``-`` or None to stdout.

    Returns:
        Messages for the user.

    Raises:
        OutputError: if it cannot be written.
    """
    if output is None or output == "-":
        with writing("standard output"):
            CsvRows(text_on_stdout(), columns).write_all(rows)
        return []
    with complete_file(output) as new, writing(output), open_text(new.path) as file:
        CsvRows(file, columns).write_all(rows)
    return new.messages


def as_text(value: Any) -> str:
    """Return a value as text for a table; empty for None."""
    if value is None:
        return ""
    return f"{value:.{DECIMALS}f}" if isinstance(value, float) else str(value)
