"""CSV, JSON Lines or Parquet -> labels: a table from dogsort, corrected or not."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, Literal, TypeAlias, TypeVar, get_args

from dogsort.errors import DataError
from dogsort.records import COLUMNS, Label
from dogsort.results.formats import CsvSource, SourceRow, json_rows, parquet_rows
from dogsort.results.tables import check_table_name

__all__ = [
    "NETWORK_COLUMN",
    "NetworkLabel",
    "Row",
    "number",
    "read_table",
    "reading",
    "row_of",
    "rows_of",
]

Word = TypeVar("Word", bound=str)

NUMBERS = ("p_dog", "p_pet")

#: The column that dogsort review adds: the network's label, where a person set one.
NETWORK_COLUMN = "network_label"

NetworkLabel: TypeAlias = Literal[Label, "failed"]

_LABELS: dict[str, Label] = {name: name for name in get_args(Label)}
_NETWORK_LABELS: dict[str, NetworkLabel] = {name: name for name in get_args(NetworkLabel)}


@dataclass(frozen=True, slots=True)
class Row:
    """A table's row for one photo.

    Attributes:
        path: as in the table.
        label: None if the photo could not be read.
        p_dog, p_pet: its probabilities; None if they do not stand there.
        place: where it stands, for people: the table, and the line or row.
        network_label: what the network said, if a person set or confirmed the label in dogsort
            review; else None.
    """

    path: str
    label: Label | None
    place: str
    p_dog: float | None = None
    p_pet: float | None = None
    network_label: NetworkLabel | None = None

    @property
    def is_corrected(self) -> bool:
        """Whether a person set the label: the table says so, or it is not the likeliest one."""
        from dogsort.decision import likeliest

        if self.network_label is not None or self.p_dog is None or self.p_pet is None:
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
    check_table_name(table)
    found: dict[str, Row] = {}
    with reading(table), open(table, "rb") as file:
        for place, values, _ in rows_of(file, table):
            if values is None:
                continue
            row = row_of(values, f"{table}: {place}")
            if row.path in found:
                raise DataError(f"{row.place}: {row.path} appears twice")
            found[row.path] = row
    return list(found.values())


def rows_of(file: IO[bytes], table: str) -> Iterator[SourceRow]:
    """Yield the rows of a table that is open in binary mode; its suffix sets the format."""
    suffix = check_table_name(table)
    if suffix == ".csv":
        return CsvSource(file, table).rows()
    if suffix == ".jsonl":
        return json_rows(file, table)
    return parquet_rows(file, table, (*COLUMNS, NETWORK_COLUMN))


@contextmanager
def reading(table: str) -> Iterator[None]:
    """Turn system and encoding errors in the block into DataError."""
    try:
        yield
    except OSError as error:
        raise DataError(f"{table}: cannot be read: {error.strerror or error}") from error
    except UnicodeError as error:  # from truncated UTF-16
        raise DataError(f"{table}: cannot be read: {error}") from error


def row_of(values: dict[str, Any], place: str) -> Row:
    """Check the values of a row.

    Raises:
        DataError: if it has no path, or an unknown label.
    """
    path = values.get("path")
    if not isinstance(path, str) or not _is_name(path):
        raise DataError(f"{place}: no path; each row needs one")
    label = _word(values, "label", _LABELS, place)
    network_label = _word(values, NETWORK_COLUMN, _NETWORK_LABELS, place)
    if label is None:
        return Row(path, None, place, network_label=network_label)
    p_dog, p_pet = (number(values.get(name)) for name in NUMBERS)
    return Row(path, label, place, p_dog, p_pet, network_label)


def number(value: object) -> float | None:
    """Return a number, which may be text; None if it is not a finite number."""
    try:
        found = float(str(value).replace(",", "."))  # some countries write decimal commas
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def _word(values: dict[str, Any], column: str, known: dict[str, Word], place: str) -> Word | None:
    value = values.get(column)
    word = value.strip().lower() if isinstance(value, str) else value
    if word in ("", None):
        return None
    if not isinstance(word, str) or word not in known:
        raise DataError(
            f"{place}: unknown {column} {value!r}; use one of {', '.join(known)}, or none"
        )
    return known[word]


def _is_name(path: str) -> bool:
    try:
        return path != "" and b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:  # a lone surrogate, which JSON can hold
        return False
