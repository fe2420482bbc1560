"""A table in memory whose labels can be set; everything else stays as it was."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator
from typing import Any, get_args

from dogsort.errors import DataError
from dogsort.records import COLUMNS, Failure, Prediction, Record
from dogsort.results.reading import NETWORK_COLUMN, NetworkLabel, Row, number, reading, row_of
from dogsort.results.table_texts import TEXTS
from dogsort.results.tables import check_table_name, record_values, utf8_path

__all__ = ["CODES", "FAILED", "NOBODY", "EditableTable"]

#: Labels as numbers: indexes into this list. The last is the empty label of an unreadable photo.
CODES: tuple[NetworkLabel, ...] = get_args(NetworkLabel)
FAILED = CODES.index("failed")

#: The network_label of a photo whose label nobody has set.
NOBODY = -1

NUMBERS = ("p_dog", "p_pet", "confidence")


class EditableTable:
    """A table in memory, about 300 bytes a photo.

    Args:
        name: its path; the suffix sets the format.
        content: the file's bytes; None for a new table.

    Raises:
        UsageError: if it has another suffix.
        DataError: if it cannot be read, or a row is invalid; the message names the row.

    Attributes:
        paths: as in the table. The index of a photo in these lists is its row, from 0.
        places: the row of each path.
        labels: indexes into ``CODES``.
        network_labels: the network's label where a person set another one or confirmed it; else
            ``NOBODY``.
        numbers: p_dog, p_pet and confidence, each by its name; NaN where there is none.
        errors: why photos could not be read, by row.
    """

    def __init__(self, name: str, content: bytes | None = None) -> None:
        self.name = name
        suffix = check_table_name(name)
        self._holds_bytes = suffix == ".csv"
        self.paths: list[str] = []
        self.places: dict[str, int] = {}
        self.labels = bytearray()
        self.network_labels = array("b")
        self.numbers = {column: array("d") for column in NUMBERS}
        self.errors: dict[int, str] = {}
        with reading(name):
            self._text = TEXTS[suffix](name, content)
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
                _known(p_dog),
                _known(p_pet),
                None if network_label == NOBODY else CODES[network_label],
            )

    def values(self, row: int) -> list[Any]:
        """Return the values of a row in the order of ``columns``."""
        numbers = (_known(column[row]) for column in self.numbers.values())
        error = self.errors.get(row, "")
        return [self.paths[row], self.labels[row], self.network_labels[row], *numbers, error]

    def columns(self) -> dict[str, list[Any]]:
        """Return all values, by column; None for a number that is not there."""
        return {
            "path": list(self.paths),
            "label": list(self.labels),
            NETWORK_COLUMN: self.network_labels.tolist(),
            **{name: list(map(_known, column)) for name, column in self.numbers.items()},
            "error": [self.errors.get(row, "") for row in range(len(self))],
        }

    def least_sure_first(self) -> list[str]:
        """Return the paths: unsure ones first, then by confidence."""
        unsure = CODES.index("unsure")
        sure = [label != unsure for label in self.labels]
        confidences = [_known(confidence) or 0 for confidence in self.numbers["confidence"]]
        order = sorted(range(len(sure)), key=lambda row: (sure[row], confidences[row]))
        return [self.paths[row] for row in order]

    def looked_at(self) -> tuple[int, int]:
        """Return how many labels a person set or confirmed, and how many of those changed."""
        pairs = zip(self.network_labels, self.labels, strict=True)
        seen = [said != label for said, label in pairs if said != NOBODY]
        return len(seen), sum(seen)

    def record(self, row: int) -> Record:
        """Return what the network said about a row."""
        said = self.network_labels[row]
        label = CODES[self.labels[row] if said == NOBODY else said]
        if label == "failed":
            return Failure(self.paths[row], self.errors.get(row, ""))
        return Prediction(self.paths[row], label, *(one[row] for one in self.numbers.values()))

    def set(self, row: int, label: int, network_label: int) -> None:
        """Set the label of a row, and what the network said, as indexes into ``CODES``."""
        self.labels[row], self.network_labels[row] = label, network_label
        said = None if network_label == NOBODY else CODES[network_label]
        values = {"label": None if label == FAILED else CODES[label], NETWORK_COLUMN: said}
        self._text.set(row, values)

    def put(self, record: Record) -> int:
        """Add a row, or reset the row of the same path; return the row."""
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
        """Return a path as this format can store it."""
        return path if self._holds_bytes else utf8_path(path)

    def content(self) -> bytes:
        """Return the bytes that the file should have now."""
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


def _known(number: float) -> float | None:
    return None if math.isnan(number) else number
