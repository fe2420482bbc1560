"""A plan as a table, for people and programs that look before anything is done."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from typing import IO

from dogsort.results.tables import CsvRows
from dogsort.sorting.plan import Action, Filing

__all__ = ["PLAN_COLUMNS", "sizes_of", "write_plan"]

PLAN_COLUMNS = ("action", "source", "target", "label", "belongs_to", "bytes")


def sizes_of(filings: Iterable[Filing]) -> list[int]:
    """Return how many bytes each file has; what is gone has none."""
    sizes = []
    for filing in filings:
        size = 0
        with suppress(OSError):
            size = os.path.getsize(filing.source)
        sizes.append(size)
    return sizes


def write_plan(
    filings: Iterable[Filing], sizes: Iterable[int], action: Action, file: IO[str]
) -> None:
    """Write a row for each filing, below a row of ``PLAN_COLUMNS``."""
    rows = CsvRows(file, PLAN_COLUMNS)
    for filing, size in zip(filings, sizes, strict=True):
        rows.write((action, filing.source, filing.target, filing.label, filing.belongs_to, size))
