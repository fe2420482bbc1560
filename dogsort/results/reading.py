"""CSV, JSON Lines or Parquet -> labels: a table from dogsort, corrected or not."""

from __future__ import annotations

import codecs
import csv
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any, get_args

from dogsort.errors import DataError
from dogsort.records import COLUMNS, Label
from dogsort.results.tables import check_table_name

__all__ = ["Row", "read_table"]

#: Separators that spreadsheets use in different countries.
SEPARATORS = (",", ";", "\t")

NUMBERS = ("p_dog", "p_pet")

_LABELS: dict[str, Label] = {name: name for name in get_args(Label)}


@dataclass(frozen=True, slots=True)
class Row:
    """A table's row for one photo.

    Attributes:
        path: as in the table.
        label: None if the photo could not be read.
        p_dog, p_pet: its probabilities; None if they do not stand there.
        place: where it stands, for people: the table, and the line or row.
    """

    path: str
    label: Label | None
    place: str
    p_dog: float | None = None
    p_pet: float | None = None

    @property
    def is_corrected(self) -> bool:
        """Whether a person set the label: it is not what the probabilities, if any, say."""
        from dogsort.decision import likeliest

        if self.p_dog is None or self.p_pet is None:
            return True
        return self.label not in ("unsure", likeliest(self.p_dog, self.p_pet))


def read_table(table: str) -> list[Row]:
    """Read the paths and labels of a table; other columns may be missing.

    Args:
        table: a ``.csv``, ``.jsonl`` or ``.parquet`` file.

    Raises:
        UsageError: if it has another suffix.
        DataError: if it cannot be read, or a row is invalid; the message names the row.
    """
    rows = _ROWS[check_table_name(table)]
    found: dict[str, Row] = {}
    try:
        for place, values in rows(table):
            row = _row(values, f"{table}: {place}")
            if row.path in found:
                raise DataError(f"{row.place}: {row.path} appears twice")
            found[row.path] = row
    except OSError as error:
        raise DataError(f"{table}: cannot be read: {error.strerror or error}") from error
    except UnicodeError as error:  # from truncated UTF-16
        raise DataError(f"{table}: cannot be read: {error}") from error
    return list(found.values())


def _row(values: dict[str, Any], place: str) -> Row:
    path, label = values.get("path"), values.get("label")
    if not isinstance(path, str) or not _is_name(path):
        raise DataError(f"{place}: no path; each row needs one")
    word = label.strip().lower() if isinstance(label, str) else label
    if word in ("", None):
        return Row(path, None, place)
    if word not in _LABELS:
        names = ", ".join(_LABELS)
        raise DataError(f"{place}: unknown label {label!r}; use one of {names}, or none")
    return Row(path, _LABELS[word], place, *(_number(values.get(name)) for name in NUMBERS))


def _number(value: object) -> float | None:
    try:
        return float(str(value).replace(",", "."))  # some countries write decimal commas
    except ValueError:
        return None


def _is_name(path: str) -> bool:
    try:
        return path != "" and b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:  # a lone surrogate, which JSON can hold
        return False


def _csv_rows(table: str) -> Iterator[tuple[str, dict[str, Any]]]:
    encoding, errors = _encoding_of(table)
    with open(table, encoding=encoding, errors=errors, newline="") as file:
        head = file.readline()
        separator = max(SEPARATORS, key=head.count)
        reader = csv.reader(chain([head], file), delimiter=separator, strict=True)
        try:
            columns = next(reader, [])
            _check_columns(columns, table)
            for values in reader:
                if values:
                    yield f"line {reader.line_num}", dict(zip(columns, values, strict=False))
        except csv.Error as error:
            raise DataError(f"{table}: line {reader.line_num}: {error}") from error


def _encoding_of(table: str) -> tuple[str, str]:
    """Return the encoding of a table, and the handling of its errors.

    Spreadsheets write a byte order mark. Their "Unicode text" is UTF-16. Everything else is UTF-8,
    and a name that is not valid UTF-8 keeps its bytes.
    """
    with open(table, "rb") as file:
        start = file.read(2)
    if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return "utf-16", "surrogatepass"
    return "utf-8-sig", "surrogateescape"


def _json_rows(table: str) -> Iterator[tuple[str, dict[str, Any]]]:
    with open(table, "rb") as file:
        for number, line in enumerate(file, 1):
            try:
                values = json.loads(line)
            except (ValueError, RecursionError):
                values = None
            if not isinstance(values, dict) or "label" not in values:
                raise DataError(f"{table}: line {number}: no JSON object with a path and a label")
            yield f"line {number}", values


def _parquet_rows(table: str) -> Iterator[tuple[str, dict[str, Any]]]:
    import pyarrow
    import pyarrow.parquet

    try:
        with open(table, "rb") as opened, pyarrow.parquet.ParquetFile(opened) as file:
            _check_columns(file.schema_arrow.names, table)
            number = 0
            for batch in file.iter_batches(
                columns=[name for name in COLUMNS if name in file.schema_arrow.names]
            ):
                for values in batch.to_pylist():
                    number += 1
                    yield f"row {number}", values
    except pyarrow.ArrowException as error:
        raise DataError(f"{table}: not a readable Parquet file: {error}") from error


def _check_columns(columns: Iterable[str], table: str) -> None:
    for name in ("path", "label"):
        if name not in columns:
            raise DataError(f"{table}: no column {name!r}; make the table with dogsort PATH -o")


_ROWS = {".csv": _csv_rows, ".jsonl": _json_rows, ".parquet": _parquet_rows}
