"""What a person reads in the terminal: a line per photo, and the summary of a run."""

from __future__ import annotations

from collections import Counter

from dogsort.records import LABELS, Failure, Record

__all__ = ["Summary", "printable", "record_line", "size_text"]

UNREADABLE = "unreadable"


class Summary:
    """Counts records as they pass."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def add(self, record: Record) -> None:
        """Count one record."""
        self.counts[UNREADABLE if isinstance(record, Failure) else record.label] += 1

    @property
    def total(self) -> int:
        """How many records have passed."""
        return self.counts.total()

    @property
    def failed(self) -> int:
        """How many of them were failures."""
        return self.counts[UNREADABLE]

    def text(self) -> str:
        """Return one line, such as ``80 photos: 30 dog, 29 cat, 16 neither, 5 unreadable``."""
        if not self.total:
            return "no photos found"
        named = [name for name in (*LABELS, UNREADABLE) if self.counts[name]]
        counts = ", ".join(f"{self.counts[name]} {name}" for name in named)
        return f"{self.total} photo{'' if self.total == 1 else 's'}: {counts}"


def record_line(record: Record) -> str:
    """Return a readable line for one record, safe to print."""
    if isinstance(record, Failure):
        return f"{'-':8}{'':>6}  {printable(record.path)}  ({printable(record.error)})"
    return f"{record.label:8}{record.confidence:>6.1%}  {printable(record.path)}"


def size_text(size: int) -> str:
    """Return a number of bytes as people read it, such as ``3.2 GB``."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} bytes"


def printable(text: str) -> str:
    """Return text without what would upset a terminal: control characters, broken UTF-8."""
    if text.isprintable():  # as nearly all is
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode()
        for char in text
    )
