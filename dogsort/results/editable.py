"""A table held whole, whose labels can be set; all else stays as it was, byte for byte."""

from __future__ import annotations

import csv
import io
import json
import math
from array import array
from collections.abc import Iterator
from typing import Any, Protocol, get_args

from dogsort.errors import DataError
from dogsort.records import COLUMNS, DECIMALS, Failure, Prediction, Record
from dogsort.results.formats import CsvSource, SourceRow, json_rows, parquet_rows
from dogsort.results.reading import NETWORK_COLUMN, NetworkLabel, Row, number, reading, row_of
from dogsort.results.tables import check_table_name, parquet_schema, record_values, utf8_path

__all__ = ["CODES", "FAILED", "NOBODY", "EditableTable"]

#: Labels as numbers: places in this list. The last is the empty label of an unreadable photo.
CODES: tuple[NetworkLabel, ...] = get_args(NetworkLabel)
FAILED = CODES.index("failed")

#: The network_label of a photo whose label nobody set.
NOBODY = -1

NUMBERS = ("p_dog", "p_pet", "confidence")


class _Text(Protocol):
    """The rows as they stand in the file."""

    def rows(self) -> Iterator[SourceRow]: ...

    def set(self, row: int, values: dict[str, Any]) -> None: ...

    def append(self, values: dict[str, Any]) -> None: ...

    def content(self) -> bytes: ...


class EditableTable:
    """A table in memory, about 300 bytes a photo.

    Args:
        name: its path; the suffix sets the format.
        content: the file's bytes; None for a new table.

    Raises:
        UsageError: if it has another suffix.
        DataError: if it cannot be read, or a row is invalid; the message names the row.

    Attributes:
        paths: as in the table. In these lists, a photo's row is its place, from 0.
        places: the row of each path.
        labels: places in ``CODES``.
        network_labels: what the network said where a person set the label; else ``NOBODY``.
        numbers: p_dog, p_pet and confidence, each by its name; NaN where there is none.
        errors: why photos could not be read, by row.
    """

    def __init__(self, name: str, content: bytes | None = None) -> None:
        self.name = name
        suffix = check_table_name(name)
        self.paths: list[str] = []
        self.places: dict[str, int] = {}
        self.labels = bytearray()
        self.network_labels = array("b")
        self.numbers = {column: array("d") for column in NUMBERS}
        self.errors: dict[int, str] = {}
        with reading(name):
            self._text: _Text = _TEXTS[suffix](name, content)
            for place, values, _ in self._text.rows():
                if values is not None:
                    row = row_of(values, f"{name}: {place}")
                    if row.path in self.places:
                        raise DataError(f"{row.place}: {row.path} appears twice")
                    self._add(row, values)

    def __len__(self) -> int:
        return len(self.paths)

    def rows(self) -> Iterator[Row]:
        """Yield the rows with their labels as they are now."""
        for row, path in enumerate(self.paths):
            label, network_label = CODES[self.labels[row]], self.network_labels[row]
            p_dog, p_pet = (self.numbers[name][row] for name in ("p_dog", "p_pet"))
            yield Row(
                path,
                None if label == "failed" else label,
                f"{self.name}: photo {row + 1}",
                None if math.isnan(p_dog) else p_dog,
                None if math.isnan(p_pet) else p_pet,
                None if network_label == NOBODY else CODES[network_label],
            )

    def record(self, row: int) -> Record:
        """Return what the network said of a row."""
        said = self.network_labels[row]
        label = CODES[self.labels[row] if said == NOBODY else said]
        if label == "failed":
            return Failure(self.paths[row], self.errors.get(row, ""))
        return Prediction(self.paths[row], label, *(one[row] for one in self.numbers.values()))

    def set(self, row: int, label: int, network_label: int) -> None:
        """Set the label of a row, and what the network said of it, as places in ``CODES``."""
        self.labels[row], self.network_labels[row] = label, network_label
        said = None if network_label == NOBODY else CODES[network_label]
        values = {"label": None if label == FAILED else CODES[label], NETWORK_COLUMN: said}
        self._text.set(row, values)

    def put(self, record: Record) -> int:
        """Add a row, or let that of the same path begin anew; return the row."""
        path = self.path_of(record.path)
        values = {**dict(zip(COLUMNS, record_values(record), strict=True)), "path": path}
        row = self.places.setdefault(path, len(self))
        if row == len(self):
            self._text.append(values)
            self._add(row_of(values, self.name), values)
        else:
            self._text.set(row, {**values, NETWORK_COLUMN: None})
            self._fill(row, row_of(values, self.name), values)
        return row

    def path_of(self, path: str) -> str:
        """Return a path as this format can hold it."""
        return path if isinstance(self._text, _CsvText) else utf8_path(path)

    def content(self) -> bytes:
        """Return the file's bytes as they should be now."""
        return self._text.content()

    def _add(self, row: Row, values: dict[str, Any]) -> None:
        self.places[row.path] = len(self.paths)
        self.paths.append(row.path)
        self.labels.append(FAILED)
        self.network_labels.append(NOBODY)
        for column in self.numbers.values():
            column.append(math.nan)
        self._fill(len(self.paths) - 1, row, values)

    def _fill(self, place: int, row: Row, values: dict[str, Any]) -> None:
        said = row.network_label
        self.labels[place] = CODES.index(row.label or "failed")
        self.network_labels[place] = NOBODY if said is None else CODES.index(said)
        for name, column in self.numbers.items():
            found = number(values.get(name))
            column[place] = math.nan if found is None else found
        self.errors.pop(place, None)
        if error := values.get("error"):
            self.errors[place] = str(error)


class _CsvText:
    def __init__(self, name: str, content: bytes | None) -> None:
        new = ",".join(COLUMNS).encode() + b"\n"
        self._source = CsvSource(io.BytesIO(new if content is None else content), name)
        self._columns = self._source.columns
        self._chunks = [self._source.mark, self._source.head]
        self._places = array("L")  # of each row among the chunks, which may be blank lines, too
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
                found[index] = _as_text(values[column])
        self._chunks[place] = self._line(found, _line_end(text))

    def append(self, values: dict[str, Any]) -> None:
        last = self._chunks[-1]
        if last and not _line_end(self._decoded(last)):
            self._chunks.append(self._encoded(self._end))
        self._places.append(len(self._chunks))
        self._chunks.append(
            self._line([_as_text(values.get(name)) for name in self._columns], self._end)
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
            else:  # the values after the last column move on by one
                found += [""] * (width - len(found))
                self._chunks[place] = self._line([*found[:width], "", *found[width:]], end)

    def _values(self, text: str, pad: bool = True) -> list[str]:
        """Return the values of a row, one for each column at least."""
        lines = io.StringIO(text, newline="")
        found = next(csv.reader(lines, delimiter=self._source.separator, strict=True))
        return found + [""] * (len(self._columns) - len(found)) * pad

    def _line(self, values: list[str], end: str) -> bytes:
        line = io.StringIO()
        # Python before 3.13 quotes a lone \r only if lines end in it.
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
        self._columns: dict[str, list[Any]] = {}  # those in which something was set

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
        """Return the table with what was set."""
        import pyarrow

        table = self._table
        for column, values in self._columns.items():
            place = table.schema.get_field_index(column)
            field = table.schema.field(place)
            table = table.set_column(place, field, pyarrow.array(values, field.type))
        return table


_TEXTS: dict[str, Any] = {".csv": _CsvText, ".jsonl": _JsonText, ".parquet": _ParquetText}


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.{DECIMALS}f}" if isinstance(value, float) else str(value)


def _line_end(text: str) -> str:
    return next((end for end in ("\r\n", "\n", "\r") if text.endswith(end)), "")


def _with_types(table: Any) -> Any:
    """Give columns in which other programs found no value, and so no type, the usual one."""
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
