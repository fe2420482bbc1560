"""A plan as a table, for people and programs that look before anything is done."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from typing import IO

from dogsort.results.tables import CsvRows
from dogsort.sorting.plan import Action, Filing

__all__ = ["PLAN_COLUMNS", "total_size", "write_plan"]

PLAN_COLUMNS = ("action", "source", "target", "label", "belongs_to", "bytes")


def write_plan(filings: Iterable[Filing], action: Action, file: IO[str]) -> None:
    """Write a row for each filing, below a row of ``PLAN_COLUMNS``."""
    rows = CsvRows(file, PLAN_COLUMNS)
    for filing in filings:
        size = total_size([filing])
        rows.write((action, filing.source, filing.target, filing.label, filing.belongs_to, size))


def total_size(filings: Iterable[Filing]) -> int:
    """Return how many bytes the files have together; what is gone has none."""
    total = 0
    for filing in filings:
        with suppress(OSError):
            total += os.path.getsize(filing.source)
    return total
