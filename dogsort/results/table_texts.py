"""The text of a table in each format. Rows can be set; all others keep their bytes."""

from __future__ import annotations

import csv
import io
import json
from array import array
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from dogsort.errors import DataError
from dogsort.records import COLUMNS
from dogsort.results.csv_rows import as_text
from dogsort.results.formats import CsvSource, SourceRow, json_rows, parquet_rows
from dogsort.results.reading import NETWORK_COLUMN
from dogsort.results.tables import parquet_schema

__all__ = ["TEXTS", "TableText"]


class TableText(Protocol):
    """The rows of a table as they appear in its file.

    Arguments are the table's name and the file's content; None for a new table.
    """

    def rows(self) -> Iterator[SourceRow]:
        """Yield the rows; call this once, before anything else."""
        ...

    def set(self, row: int, values: dict[str, Any]) -> None:
        """Set values of a row, by column; values for columns that the table lacks are dropped.

        Only the column network_label is added with its first value.
        """
        ...

    def append(self, values: dict[str, Any]) -> None:
        """Add a row with these values, by column."""
        ...

    def content(self) -> bytes:
        """Return the content that the file should have now."""
        ...


class _CsvText:
    def __init__(self, name: str, content: bytes | None) -> None:
        new = ",".join(COLUMNS).encode() + b"\n"
        self._source = CsvSource(io.BytesIO(new if content is None else content), name)
        self._columns = self._source.columns
        self._chunks = [self._source.mark, self._source.head]
        self._places = array("L")  # the index of each row in the chunks, which include blank lines
        self._end = _line_end(self._decoded(self._source.head)) or "\n"

    def rows(self) -> Iterator[SourceRow]:
        for row in self._source.rows():
            if row.values is not None:
                self._places.append(len(self._chunks))
            self._chunks.append(row.raw)
            yield row

    def set(self, row: int, values: dict[str, Any]) -> None:
        if NETWORK_COLUMN not in self._columns and values[NETWORK_COLUMN] is not None:
            self._add_column()
        place = self._places[row]
        text = self._decoded(self._chunks[place])
        found = self._values(text)
        for index, column in enumerate(self._columns):
            if column in values:
                found[index] = as_text(values[column])
        self._chunks[place] = self._line(found, _line_end(text))

    def append(self, values: dict[str, Any]) -> None:
        last = self._chunks[-1]
        if last and not _line_end(self._decoded(last)):
            self._chunks.append(self._encoded(self._end))
        self._places.append(len(self._chunks))
        self._chunks.append(
            self._line([as_text(values.get(name)) for name in self._columns], self._end)
        )

    def content(self) -> bytes:
        return b"".join(self._chunks)

    def _add_column(self) -> None:
        width = len(self._columns)
        self._columns = [*self._columns, NETWORK_COLUMN]
        for place in (1, *self._places):
            text = self._decoded(self._chunks[place])
            end = _line_end(text)
            found = self._values(text, pad=False)
            if len(found) == width:
                added = self._source.separator + (NETWORK_COLUMN if place == 1 else "")
                self._chunks[place] = self._encoded(text.removesuffix(end) + added + end)
            else:  # values after the last column move by one
                found += [""] * (width - len(found))
                self._chunks[place] = self._line([*found[:width], "", *found[width:]], end)

    def _values(self, text: str, pad: bool = True) -> list[str]:
        """Return the values of a row, at least one for each column."""
        lines = io.StringIO(text, newline="")
        found = next(csv.reader(lines, delimiter=self._source.separator, strict=True))
        return found + [""] * (len(self._columns) - len(found)) * pad

    def _line(self, values: list[str], end: str) -> bytes:
        line = io.StringIO()
        # Before 3.13, Python quotes a lone \r only if lineterminator has it.
        csv.writer(line, delimiter=self._source.separator, lineterminator="\r\n").writerow(values)
        return self._encoded(line.getvalue().removesuffix("\r\n") + end)

    def _decoded(self, raw: bytes) -> str:
        return raw.decode(self._source.encoding, self._source.errors)

    def _encoded(self, text: str) -> bytes:
        return text.encode(self._source.encoding, self._source.errors)


class _JsonText:
    def __init__(self, name: str, content: bytes | None) -> None:
        self._rows = json_rows(io.BytesIO(content or b""), name)
        self._lines: list[bytes] = []

    def rows(self) -> Iterator[SourceRow]:
        for row in self._rows:
            self._lines.append(row.raw)
            yield row

    def set(self, row: int, values: dict[str, Any]) -> None:
        line = self._lines[row]
        found = {**json.loads(line), **values}
        if found[NETWORK_COLUMN] is None:
            del found[NETWORK_COLUMN]
        text = json.dumps(found, ensure_ascii=line.isascii())
        end = line[len(line.rstrip()) :]
        self._lines[row] = text.encode("utf-8", "surrogatepass") + end

    def append(self, values: dict[str, Any]) -> None:
        if self._lines and not self._lines[-1].endswith(b"\n"):
            self._lines[-1] += b"\n"
        self._lines.append(json.dumps(values).encode() + b"\n")

    def content(self) -> bytes:
        return b"".join(self._lines)


class _ParquetText:
    def __init__(self, name: str, content: bytes | None) -> None:
        import pyarrow
        import pyarrow.parquet

        self._name, self._content = name, content
        self._appended: list[dict[str, Any]] = []
        try:
            if content is None:
                self._table = parquet_schema().empty_table()
                self._compression = "snappy"
            else:
                with pyarrow.parquet.ParquetFile(io.BytesIO(content)) as file:
                    self._table = _with_types(file.read())
                    self._compression = _compression_of(file.metadata)
        except pyarrow.ArrowException as error:
            raise DataError(f"{name}: not a readable Parquet file: {error}") from error
        self._columns: dict[str, list[Any]] = {}  # columns in which something was set

    def rows(self) -> Iterator[SourceRow]:
        content, self._content = self._content, None
        if content is not None:
            yield from parquet_rows(io.BytesIO(content), self._name, (*COLUMNS, NETWORK_COLUMN))

    def set(self, row: int, values: dict[str, Any]) -> None:
        import pyarrow

        self._take_appended()
        if NETWORK_COLUMN not in self._table.column_names and values[NETWORK_COLUMN] is not None:
            nulls = pyarrow.nulls(len(self._table), pyarrow.string())
            self._table = self._table.append_column(NETWORK_COLUMN, nulls)
        for column, value in values.items():
            if column in self._table.column_names:
                if column not in self._columns:
                    self._columns[column] = self._table[column].to_pylist()
                self._columns[column][row] = value

    def append(self, values: dict[str, Any]) -> None:
        self._appended.append(values)

    def content(self) -> bytes:
        import pyarrow.parquet

        file = io.BytesIO()
        try:
            self._take_appended()
            pyarrow.parquet.write_table(self._filled(), file, compression=self._compression)
        except pyarrow.ArrowException as error:
            raise DataError(
                f"{self._name}: a column cannot hold the new values: {error}"
            ) from error
        return bytes(file.getvalue())

    def _take_appended(self) -> None:
        import pyarrow

        if self._appended:
            added = pyarrow.Table.from_pylist(self._appended, schema=self._table.schema)
            self._table = pyarrow.concat_tables([self._filled(), added])
            self._columns, self._appended = {}, []

    def _filled(self) -> Any:
        """Return the table with the values that were set."""
        import pyarrow

        table = self._table
        for column, values in self._columns.items():
            place = table.schema.get_field_index(column)
            field = table.schema.field(place)
            table = table.set_column(place, field, pyarrow.array(values, field.type))
        return table


TEXTS: dict[str, Callable[[str, bytes | None], TableText]] = {
    ".csv": _CsvText,
    ".jsonl": _JsonText,
    ".parquet": _ParquetText,
}


def _line_end(text: str) -> str:
    return next((end for end in ("\r\n", "\n", "\r") if text.endswith(end)), "")


def _with_types(table: Any) -> Any:
    """Give columns the usual type if another program set none, because they have no values."""
    import pyarrow

    text = pyarrow.field(NETWORK_COLUMN, pyarrow.string())
    for field in (*parquet_schema(), text):
        place = table.schema.get_field_index(field.name)
        if place >= 0 and pyarrow.types.is_null(table.schema.field(place).type):
            table = table.set_column(place, field, table.column(place).cast(field.type))
    return table


def _compression_of(metadata: Any) -> str:
    """Return the compression of a Parquet file's first column."""
    if metadata.num_row_groups == 0 or metadata.num_columns == 0:
        return "snappy"
    return str(metadata.row_group(0).column(0).compression.lower()).replace("uncompressed", "none")
