"""CSV, JSON Lines or Parquet -> the values of each row, and its bytes in the file."""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Iterable, Iterator
from typing import IO, Any, NamedTuple

from dogsort.errors import DataError

__all__ = ["CsvSource", "SourceRow", "json_rows", "parquet_rows"]

#: Separators that spreadsheets use in different countries.
SEPARATORS = (",", ";", "\t")

#: Spreadsheets write a byte order mark. Their "Unicode text" is UTF-16.
MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}


class SourceRow(NamedTuple):
    """A row in a file.

    Attributes:
        place: the line or row, for people.
        values: by column; None for a blank line of CSV.
        raw: its bytes, including the line end; empty for Parquet.
    """

    place: str
    values: dict[str, Any] | None
    raw: bytes


class CsvSource:
    """A CSV file as people and spreadsheets write it.

    Args:
        file: open in binary mode, at its start.
        table: its name, for messages.

    Raises:
        DataError: if there is no column ``path`` or ``label``.
        UnicodeError: from truncated UTF-16.

    Attributes:
        mark: the byte order mark, if any.
        head: the bytes of the header after the mark.
        columns: their names.
        encoding, errors: of the text. Without a mark it is UTF-8, and a name that is not valid
            UTF-8 keeps its bytes.
        separator: between values.
    """

    def __init__(self, file: IO[bytes], table: str) -> None:
        self._table = table
        start = file.read(3)
        self.mark = next((mark for mark in MARKS if start.startswith(mark)), b"")
        file.seek(len(self.mark))
        self.encoding = MARKS.get(self.mark, "utf-8")
        self.errors = "surrogateescape" if self.encoding == "utf-8" else "surrogatepass"
        self._text = io.TextIOWrapper(file, self.encoding, self.errors, newline="")
        first = self._text.readline()
        self.separator = max(SEPARATORS, key=first.count)
        self._read: list[str] = []
        self._reader = csv.reader(self._lines(first), delimiter=self.separator, strict=True)
        self.columns = self._next() or []
        self.head = self._taken()
        check_columns(self.columns, table)

    def rows(self) -> Iterator[SourceRow]:
        """Yield the rows after the header.

        Raises:
            DataError: if one is not valid CSV.
        """
        while (values := self._next()) is not None:
            named = dict(zip(self.columns, values, strict=False)) if values else None
            yield SourceRow(f"line {self._reader.line_num}", named, self._taken())

    def _next(self) -> list[str] | None:
        try:
            return next(self._reader, None)
        except csv.Error as error:
            raise DataError(f"{self._table}: line {self._reader.line_num}: {error}") from error

    def _lines(self, first: str) -> Iterator[str]:
        # A row may span several lines, and the reader keeps only its values.
        line = first
        while line:
            self._read.append(line)
            yield line
            line = self._text.readline()

    def _taken(self) -> bytes:
        text = "".join(self._read)
        self._read.clear()
        return text.encode(self.encoding, self.errors)


def json_rows(file: IO[bytes], table: str) -> Iterator[SourceRow]:
    """Yield the rows of JSON Lines.

    Raises:
        DataError: if one is not an object with a label.
    """
    for number, line in enumerate(file, 1):
        try:
            values = json.loads(line)
        except (ValueError, RecursionError):
            values = None
        if not isinstance(values, dict) or "label" not in values:
            raise DataError(f"{table}: line {number}: no JSON object with a path and a label")
        yield SourceRow(f"line {number}", values, line)


def parquet_rows(file: IO[bytes], table: str, columns: Iterable[str]) -> Iterator[SourceRow]:
    """Yield the rows of Parquet, with those of the columns that exist.

    Raises:
        DataError: if it cannot be read, or has no column ``path`` or ``label``.
    """
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(file) as source:
            there = source.schema_arrow.names
            check_columns(there, table)
            number = 0
            for batch in source.iter_batches(columns=[name for name in columns if name in there]):
                for values in batch.to_pylist():
                    number += 1
                    yield SourceRow(f"row {number}", values, b"")
    except pyarrow.ArrowException as error:
        raise DataError(f"{table}: not a readable Parquet file: {error}") from error


def check_columns(columns: Iterable[str], table: str) -> None:
    """Raise DataError if a table lacks a column that every table needs."""
    for name in ("path", "label"):
        if name not in columns:
            raise DataError(f"{table}: no column {name!r}; make the table with dogsort PATH -o")
