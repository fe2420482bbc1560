"""What a command says while it runs: rows on stdout, everything else on stderr, a bar between."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property, wraps
from typing import IO, TYPE_CHECKING, Any, TypeVar

import click

from dogsort.errors import OutputError
from dogsort.photos.scan import Scan
from dogsort.records import Failure, Label, Photo, Prediction, Record
from dogsort.results.text import Summary, printable, record_line, scan_lines

if TYPE_CHECKING:
    from rich.console import Console as RichConsole

__all__ = ["Console", "console_options", "rows_on_stdout"]

T = TypeVar("T")

BAR_DELAY = 2.0  # seconds; what is done by then needs no bar

#: Told apart without colour, too: each line begins with its label.
STYLES: dict[Label, str] = {
    "dog": "cyan",
    "cat": "magenta",
    "neither": "bright_black",
    "unsure": "yellow",
}


def console_options(command: Callable[..., int]) -> Callable[..., int]:
    """Add --quiet, --verbose and --no-progress; the command gets a ``console``."""

    @wraps(command)
    def with_console(*, quiet: bool, verbose: bool, no_progress: bool, **given: Any) -> int:
        return command(console=Console(quiet, verbose, no_progress), **given)

    for option in (
        click.option("--no-progress", is_flag=True, help="No progress bar."),
        click.option("-v", "--verbose", is_flag=True, help="Say more: engine, weights, each file."),
        click.option("-q", "--quiet", is_flag=True, help="Only errors on stderr."),
    ):
        with_console = option(with_console)
    return with_console


class Console:
    """Everything that a command says."""

    def __init__(self, quiet: bool = False, verbose: bool = False, no_progress: bool = False):
        self.quiet, self.verbose = quiet, verbose and not quiet
        self._shows_bar = _is_terminal(sys.stderr) and not quiet and not no_progress
        self._bar: Any = None

    @property
    def shows_lines(self) -> bool:
        """Whether a person reads stdout, and so gets lines instead of a table."""
        return _is_terminal(sys.stdout)

    def say(self, text: str) -> None:
        """Print a line, unless --quiet."""
        if not self.quiet:
            self._print(text)

    def warn(self, text: str) -> None:
        """Print a line even if --quiet: something did not go as asked."""
        self._print(text)

    def detail(self, text: str) -> None:
        """Print a line if --verbose."""
        if self.verbose:
            self._print(text)

    def data(self, text: str) -> None:
        """Print a line on stdout, above the bar if there is one."""
        self._print(text, err=False)

    def record(self, record: Record) -> None:
        """Print a photo's line on stdout, in the colour of its label; failures are on stderr."""
        if isinstance(record, Prediction):
            self._clear()
            self._rich.print(record_line(record), style=STYLES[record.label], soft_wrap=True)

    def summary(self, summary: Summary, scan: Scan | None = None) -> None:
        """Say how many photos got which label, and what was not looked at."""
        if scan is not None:
            for line in scan_lines(scan):
                self.say(line)
        self.say(summary.text())

    def watch(
        self, records: Iterable[Record], found: Iterable[Photo | Failure] | int | None
    ) -> Iterator[Record]:
        """Pass records on, drawing progress and naming bad files as they come.

        Args:
            records: the results, lazily.
            found: how many there are, or the same scan once more, to be counted on the side;
                None if that cannot be known.
        """
        with self.bar("photo", found) as advance:
            for record in records:
                if isinstance(record, Failure):
                    self.warn(f"{printable(record.path)}: {printable(record.error)}")
                advance()
                yield record

    def count(self, items: Iterable[T], total: int, what: str) -> Iterator[T]:
        """Pass items on, drawing progress."""
        with self.bar("step", total, what) as advance:
            for item in items:
                yield item
                advance()

    @contextmanager
    def bar(
        self, unit: str, counted: Iterable[Any] | int | None, what: str = ""
    ) -> Iterator[Callable[..., Any]]:
        """Draw a bar on a terminal, once the work has taken two seconds.

        Yields:
            What makes it advance, by one step or as many as it is told.
        """
        if not self._shows_bar:
            yield lambda _steps=1: None
            return
        from tqdm import tqdm

        total = counted if isinstance(counted, int) else None
        bar = tqdm(
            desc=what or None,
            unit=f" {unit}s",
            total=total,
            delay=BAR_DELAY,
            dynamic_ncols=True,
            leave=False,  # what came of it is said instead
            file=sys.stderr,
        )
        if counted is not None and not isinstance(counted, int):
            threading.Thread(target=_count, args=(counted, bar), daemon=True).start()
        self._bar = bar
        try:
            yield bar.update
        finally:
            self._bar = None
            bar.close()

    @contextmanager
    def status(self, text: str) -> Iterator[None]:
        """Show a passing line on a terminal, so that nobody waits before an empty screen."""
        if not self._shows_bar:
            yield
            return
        click.echo(text, nl=False, err=True)
        try:
            yield
        finally:
            click.echo("\r" + " " * len(text) + "\r", nl=False, err=True)

    def _print(self, text: str, err: bool = True) -> None:
        self._clear()
        click.echo(text, err=err)

    def _clear(self) -> None:
        """Make room for a line; the bar is drawn again below it."""
        if self._bar is not None:
            self._bar.clear()

    @cached_property
    def _rich(self) -> RichConsole:
        from rich.console import Console as RichConsole

        return RichConsole(highlight=False, markup=False, emoji=False)


def _is_terminal(stream: Any) -> bool:
    return stream is not None and bool(stream.isatty())


def _count(items: Iterable[Any], bar: Any) -> None:
    total = sum(1 for _ in items)
    bar.total = total


def rows_on_stdout() -> IO[str]:
    """Return stdout as a table needs it: UTF-8, names byte for byte, each row passed on at once.

    Raises:
        OutputError: if it is closed.
    """
    if sys.stdout is None:
        raise OutputError("standard output is closed; name a file with --output")
    return open(sys.stdout.fileno(), "w", 1, "utf-8", "surrogateescape", "", closefd=False)
