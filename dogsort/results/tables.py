"""Records -> CSV, JSON Lines or Parquet, row by row."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, Protocol

from dogsort.errors import OutputError, UsageError
from dogsort.records import COLUMNS, Failure, Record
from dogsort.results.output import complete_file

__all__ = ["TABLE_SUFFIXES", "Table", "check_table_name", "csv_table", "open_table"]

TABLE_SUFFIXES = (".csv", ".jsonl", ".parquet")

#: Rows of a Parquet row group: what is held in memory before it is written.
PARQUET_GROUP = 4096

DECIMALS = 6


class Table(Protocol):
    """Takes records one at a time."""

    def write(self, record: Record) -> None:
        """Write one row; it may stay in a buffer until the table is closed."""
        ...


def check_table_name(path: str) -> str:
    """Return the suffix that decides the format.

    Raises:
        UsageError: if it is none of ``TABLE_SUFFIXES``.
    """
    suffix = os.path.splitext(path)[1].lower()
    if suffix not in TABLE_SUFFIXES:
        raise UsageError(f"{path}: the name must end in {', '.join(TABLE_SUFFIXES)}")
    return suffix


@contextmanager
def open_table(path: str) -> Iterator[Table]:
    """Open a table that gets its name only when the block has succeeded.

    Raises:
        UsageError: for a name of unknown format.
        OutputError: if it cannot be written.
        KeyboardInterrupt: if the block is interrupted. Both name the file of partial rows.
    """
    suffix = check_table_name(path)
    partial_path = ""
    try:
        with complete_file(path) as partial:
            partial_path = partial.path
            if suffix == ".parquet":
                with _parquet_table(partial.path) as table:
                    yield table
            else:
                # surrogateescape: a name that is no valid UTF-8 keeps its bytes.
                # Line by line, so that a run that is killed leaves its rows.
                with open(partial.path, "w", 1, "utf-8", "surrogateescape", "") as file:
                    yield csv_table(file) if suffix == ".csv" else _JsonLinesTable(file)
    except OutputError as error:
        raise OutputError("; ".join([str(error), *_rows_kept(partial_path)])) from error
    except KeyboardInterrupt:
        raise KeyboardInterrupt(*_rows_kept(partial_path)) from None


def _rows_kept(path: str) -> list[str]:
    return [f"the rows so far are in {path}"] if path and os.path.isfile(path) else []


def csv_table(file: IO[str]) -> Table:
    """Write CSV with a header to an open text file."""
    return _CsvTable(file)


class _CsvTable:
    def __init__(self, file: IO[str]) -> None:
        self._writer = csv.writer(file, lineterminator="\n")
        self._quoting_writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
        self._writer.writerow(COLUMNS)

    def write(self, record: Record) -> None:
        # Python before 3.13 leaves a lone carriage return unquoted where lines end in \n.
        writer = self._quoting_writer if "\r" in record.path else self._writer
        writer.writerow(_as_text(value) for value in _values(record))


class _JsonLinesTable:
    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def write(self, record: Record) -> None:
        self._file.write(json.dumps(dict(zip(COLUMNS, _values(record), strict=True))) + "\n")


class _ParquetTable:
    def __init__(self, writer: Any, schema: Any) -> None:
        self._writer, self._schema = writer, schema
        self._rows: list[tuple[Any, ...]] = []

    def write(self, record: Record) -> None:
        path, *rest = _values(record)
        # Parquet's strings are UTF-8 without exception.
        valid = os.fsencode(str(path)).decode("utf-8", "backslashreplace")
        self._rows.append((valid, *rest))
        if len(self._rows) >= PARQUET_GROUP:
            self.flush()

    def flush(self) -> None:
        import pyarrow

        columns = zip(*self._rows, strict=True) if self._rows else ([] for _ in COLUMNS)
        arrays = [
            pyarrow.array(column, type=field.type)
            for column, field in zip(columns, self._schema, strict=True)
        ]
        self._writer.write_table(pyarrow.table(arrays, schema=self._schema))
        self._rows.clear()


@contextmanager
def _parquet_table(path: str) -> Iterator[_ParquetTable]:
    import pyarrow
    import pyarrow.parquet

    number, text = pyarrow.float64(), pyarrow.string()
    types = {"p_dog": number, "p_pet": number, "confidence": number}
    schema = pyarrow.schema([(name, types.get(name, text)) for name in COLUMNS])
    with pyarrow.parquet.ParquetWriter(path, schema) as writer:
        table = _ParquetTable(writer, schema)
        try:
            yield table
        finally:
            table.flush()  # rows of a stopped run are kept, too


def _values(record: Record) -> tuple[Any, ...]:
    """Return a record's values in the order of COLUMNS; None where there is none."""
    if isinstance(record, Failure):
        return record.path, None, None, None, None, record.error
    return record.path, record.label, record.p_dog, record.p_pet, record.confidence, None


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.{DECIMALS}f}" if isinstance(value, float) else str(value)
