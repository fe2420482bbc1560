"""Text for the terminal: a line per photo, and the summary of a run."""

from __future__ import annotations

import os
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator

from dogsort.photos.scan import Scan
from dogsort.records import LABELS, Failure, Record

__all__ = [
    "Summary",
    "passed_over_lines",
    "printable",
    "program_folder_lines",
    "quoted",
    "record_line",
    "scan_lines",
    "size_text",
]

#: Most kinds of skipped files that are named; the rest are counted together.
MOST_KINDS = 6

UNREADABLE = "unreadable"


class Summary:
    """Counts records."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def add(self, record: Record) -> None:
        """Count one record."""
        self.counts[UNREADABLE if isinstance(record, Failure) else record.label] += 1

    @property
    def total(self) -> int:
        """How many records there were."""
        return self.counts.total()

    @property
    def failed(self) -> int:
        """How many of them were failures."""
        return self.counts[UNREADABLE]

    def text(self) -> str:
        """Return a line such as ``80 photos: 30 dog, 29 cat, 16 neither, 5 unreadable``."""
        if not self.total:
            return "no photos found"
        *rows, (photos, total, _) = self.rows()
        return f"{total} {photos}: {', '.join(f'{count} {name}' for name, count, _ in rows)}"

    def rows(self) -> list[tuple[str, str, str]]:
        """Return a row for each label that occurs (name, count, share), and a row for the total."""
        named = [(name, self.counts[name]) for name in (*LABELS, UNREADABLE) if self.counts[name]]
        rows = [(name, str(count), f"{count / self.total:.1%}") for name, count in named]
        return [*rows, ("photo" if self.total == 1 else "photos", str(self.total), "")]


def record_line(record: Record) -> str:
    """Return a readable line for a record, safe to print."""
    if isinstance(record, Failure):
        return f"{'-':8}{'':>6}  {printable(record.path)}  ({printable(record.error)})"
    path, confidence = printable(record.path), f"{record.confidence:.1%}"
    if record.label != "unsure":
        return f"{record.label:8}{confidence:>6}  {path}"
    from dogsort.decision import likeliest

    return f"{'unsure':8}{'':>6}  {path}  ({likeliest(record.p_dog, record.p_pet)} {confidence})"


def scan_lines(scan: Scan) -> Iterator[str]:
    """Report what a scan skipped."""
    for path in scan.links:
        yield (
            f"{printable(path)}: a link to a folder, not followed; name it as a PATH to include it"
        )
    yield from program_folder_lines(scan.program_folders)
    yield from passed_over_lines(scan.passed_over)
    if scan.excluded:
        yield f"skipped by --exclude: {scan.excluded}"
    if scan.ignored:
        kinds = scan.ignored.most_common(MOST_KINDS)
        others = scan.ignored.total() - sum(count for _, count in kinds)
        named = [_counted(count, kind) for kind, count in kinds]
        yield f"not looked at: {', '.join(named + [f'{others} others'] * bool(others))}"


def program_folder_lines(folders: Iterable[str], named_how: str = "as a PATH") -> Iterator[str]:
    """Report program folders that were skipped, and how to include them."""
    for path in folders:
        yield (
            f"{printable(path)}: a program's own folder, skipped; name it {named_how} to include it"
        )


def passed_over_lines(folders: Iterable[str]) -> Iterator[str]:
    """Report folders skipped because runs filed into them, one line per parent folder."""
    for outer in dict.fromkeys(os.path.dirname(folder) or os.curdir for folder in folders):
        yield f"{printable(outer)}: folders in it that earlier runs filed into are skipped"


def _counted(count: int, kind: str) -> str:
    return f"{count} {printable(kind)}{'s' if count > 1 and not kind.startswith('.') else ''}"


def size_text(size: int) -> str:
    """Return a number of bytes as readable text, such as ``3.2 GB``."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} bytes"


def printable(text: str) -> str:
    """Escape characters that could disturb a terminal: control characters, broken UTF-8."""
    if text.isprintable():  # as nearly all text is
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode()
        for char in text
    )


def quoted(word: str, windows: bool = os.name == "nt") -> str:
    """Return a word quoted for a shell of this system."""
    if not windows:
        return shlex.quote(word)
    # Names there hold no quotation marks. Only a backslash before one needs to be doubled.
    if re.fullmatch(r"[\w.:\\/-]+", word):
        return word
    return f'"{word}{word[len(word.rstrip(chr(92))) :]}"'
