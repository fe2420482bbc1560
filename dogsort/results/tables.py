"""Records -> CSV, JSON Lines or Parquet, row by row."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any

from dogsort.errors import UsageError
from dogsort.extras import check_extra
from dogsort.records import COLUMNS, Failure, Record
from dogsort.results.csv_rows import CsvRows, open_text
from dogsort.results.output import complete_file, writing

__all__ = [
    "TABLE_SUFFIXES",
    "Table",
    "check_table_name",
    "csv_table",
    "open_table",
    "parquet_schema",
    "record_values",
    "utf8_path",
]

TABLE_SUFFIXES = (".csv", ".jsonl", ".parquet")

#: Rows of a Parquet row group, which are held in memory before they are written.
PARQUET_GROUP = 4096


def check_table_name(path: str, suffixes: tuple[str, ...] = TABLE_SUFFIXES) -> str:
    """Return the suffix that sets the format.

    Raises:
        UsageError: if it is not one of ``suffixes``.
        MissingExtra: if the format needs a library that is not installed.
    """
    suffix = os.path.splitext(path)[1].lower()
    if suffix not in suffixes:
        raise UsageError(f"{path}: the name must end in {' or '.join(suffixes)}")
    if suffix == ".parquet":
        check_extra("parquet", path)
    return suffix


@contextmanager
def open_table(path: str, folders: Sequence[str] = ()) -> Iterator[Table]:
    """Open a table that appears under its name only once the block has succeeded.

    Args:
        path: the name, whose suffix sets the format.
        folders: the folders that are classified into it.

    Raises:
        UsageError: if the format is unknown.
        OutputError: if it cannot be written.
        KeyboardInterrupt: if the block is interrupted. Like OutputError, it names the partial file.
    """
    suffix = check_table_name(path)
    with complete_file(path, folders) as file:
        with writing(path):
            table = _open(file.path, suffix, path)
        try:
            yield table
        except BaseException:
            # Keep the rows written so far. A second error here is secondary.
            with contextlib.suppress(OSError):
                table.close()
            raise
        finally:
            file.has_rows = table.rows > 0
        with writing(path):
            table.close()
    table.messages = file.messages


def csv_table(file: IO[str], name: str) -> Table:
    """Write CSV with a header to an open text file; errors show ``name``."""
    with writing(name):
        return _CsvTable(file, name)


class Table:
    """Writes records to a file, one at a time.

    Attributes:
        rows: how many rows were written.
        messages: for the user, once it is complete.
    """

    def __init__(self, file: IO[Any], name: str) -> None:
        self._file, self._name = file, name
        self.rows = 0
        self.messages: list[str] = []

    def write(self, record: Record) -> None:
        """Write one row, which may stay in a buffer until the table is closed.

        Raises:
            OutputError: if it cannot be written.
        """
        with writing(self._name):
            self._write(record)
        self.rows += 1

    def close(self) -> None:
        """Write buffered rows and close the file."""
        self._file.close()

    def _write(self, record: Record) -> None:
        raise NotImplementedError


class _CsvTable(Table):
    def __init__(self, file: IO[str], name: str) -> None:
        super().__init__(file, name)
        self._rows = CsvRows(file, COLUMNS)

    def _write(self, record: Record) -> None:
        self._rows.write(record_values(record))


class _JsonLinesTable(Table):
    def _write(self, record: Record) -> None:
        self._file.write(json.dumps(_utf8_row(record)) + "\n")


class _ParquetTable(Table):
    def __init__(self, file: IO[bytes], name: str) -> None:
        import pyarrow.parquet

        super().__init__(file, name)
        self._schema = parquet_schema()
        self._writer = pyarrow.parquet.ParquetWriter(file, self._schema)
        self._group: list[dict[str, Any]] = []

    def _write(self, record: Record) -> None:
        self._group.append(_utf8_row(record))
        if len(self._group) >= PARQUET_GROUP:
            self._flush()

    def close(self) -> None:
        with self._file:
            try:
                self._flush()
            finally:
                self._writer.close()

    def _flush(self) -> None:
        import pyarrow

        self._writer.write_table(pyarrow.Table.from_pylist(self._group, schema=self._schema))
        self._group.clear()


def _open(path: str, suffix: str, name: str) -> Table:
    if suffix == ".parquet":
        # Not opened by pyarrow, which wants all names in UTF-8.
        return _ParquetTable(open(path, "wb"), name)
    return (_CsvTable if suffix == ".csv" else _JsonLinesTable)(open_text(path), name)


def record_values(record: Record) -> tuple[Any, ...]:
    """Return a record's values in the order of COLUMNS; None where it has none."""
    if isinstance(record, Failure):
        return record.path, None, None, None, None, record.error
    return record.path, record.label, record.p_dog, record.p_pet, record.confidence, None


def _utf8_row(record: Record) -> dict[str, Any]:
    row = dict(zip(COLUMNS, record_values(record), strict=True))
    row["path"] = utf8_path(record.path)
    return row


def utf8_path(path: str) -> str:
    """Return a path for JSON and Parquet, which must be UTF-8; other bytes become escapes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def parquet_schema() -> Any:
    """Return the pyarrow.Schema of a table."""
    import pyarrow

    number, text = pyarrow.float64(), pyarrow.string()
    types = {"p_dog": number, "p_pet": number, "confidence": number}
    return pyarrow.schema([(name, types.get(name, text)) for name in COLUMNS])
