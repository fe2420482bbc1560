"""The console: data on stdout, everything else on stderr, with a progress bar."""

from __future__ import annotations

import io
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, wraps
from typing import IO, TYPE_CHECKING, Any, TypeAlias, TypeVar

import click

from dogsort.photos.scan import Scan
from dogsort.records import Failure, Photo, Prediction, Record
from dogsort.results.text import Summary, printable, record_line, scan_lines

if TYPE_CHECKING:
    from rich.console import Console as RichConsole

__all__ = ["Console", "console_options", "console_options_with", "outlive_stderr"]

T = TypeVar("T")

BAR_DELAY = 2.0  # seconds; shorter work needs no bar

#: Labels are words, so they can be told apart without colour, too.
STYLES: dict[str, str] = {
    "dog": "cyan",
    "cat": "magenta",
    "neither": "bright_black",
    "unsure": "yellow",
}

UNLIMITED = 1_000_000  # columns, where no terminal sets a width

Command: TypeAlias = Callable[..., int]


def console_options_with(verbose: str) -> Callable[[Command], Command]:
    """Add --quiet, --verbose (with this help) and --no-progress; the command gets a ``console``."""

    def decorate(command: Command) -> Command:
        @wraps(command)
        def with_console(*, quiet: bool, verbose: bool, no_progress: bool, **given: Any) -> int:
            return command(console=Console(quiet, verbose, no_progress), **given)

        for option in (
            click.option("--no-progress", is_flag=True, help="Show no progress bar."),
            click.option("-v", "--verbose", is_flag=True, help=verbose),
            click.option("-q", "--quiet", is_flag=True, help="Print only errors on stderr."),
        ):
            with_console = option(with_console)
        return with_console

    return decorate


console_options = console_options_with("Also show the engine and the weights.")


def outlive_stderr() -> None:
    """Let work go on if stderr is closed, its reader or terminal has gone, or its disk is full."""
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    elif os.name != "nt" or not sys.stderr.isatty():  # Windows writes to terminals in its own way
        encoding, errors = sys.stderr.encoding, sys.stderr.errors
        file = io.BufferedWriter(_Lossy(sys.stderr.fileno(), "w", closefd=False))
        sys.stderr = io.TextIOWrapper(file, encoding, errors, line_buffering=True)


class _Lossy(io.FileIO):
    """A file that drops what cannot be written."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(data)


class Console:
    """Everything that a command prints, with control characters made harmless."""

    def __init__(self, quiet: bool = False, verbose: bool = False, no_progress: bool = False):
        self.quiet, self.verbose = quiet, verbose and not quiet
        self._shows_bar = _is_terminal(sys.stderr) and not quiet and not no_progress
        self._bar: Any = None

    @property
    def shows_lines(self) -> bool:
        """Whether stdout is a terminal, which gets readable lines instead of a table."""
        return _is_terminal(sys.stdout)

    def say(self, *lines: str) -> None:
        """Print lines, unless --quiet."""
        if not self.quiet:
            self.warn(*lines)

    def warn(self, *lines: str) -> None:
        """Print lines even if --quiet: something went wrong."""
        self._print(lines, sys.stderr)

    def detail(self, *lines: str) -> None:
        """Print lines if --verbose."""
        if self.verbose:
            self.warn(*lines)

    def data(self, *lines: str) -> None:
        """Print lines on stdout, above the bar if there is one."""
        self._print(lines, sys.stdout)

    def record(self, record: Record) -> None:
        """Print a photo's line on stdout, with its label in colour; failures go to stderr."""
        if isinstance(record, Prediction):
            from rich.text import Text

            self._clear()
            label, rest = record.label, record_line(record).removeprefix(record.label)
            self._lines.print(Text.assemble((label, STYLES[label]), rest), soft_wrap=True)

    def summary(self, summary: Summary, scan: Scan) -> None:
        """Print how many photos got each label, and what was skipped."""
        self.say(*scan_lines(scan))
        if _is_terminal(sys.stderr) and summary.total:
            self.table(summary.rows(), has_head=False, err=True)
        else:
            self.say(summary.text())

    def table(
        self,
        rows: Sequence[Sequence[str]],
        has_head: bool = True,
        figures: bool = True,
        err: bool = False,
    ) -> None:
        """Draw a table with coloured labels: fitted to a terminal; elsewhere not padded or cut.

        Args:
            rows: one or more of the same length, safe to print.
            has_head: whether the first row names the columns.
            figures: whether all columns but the first hold numbers, which are right-aligned.
            err: whether it goes to stderr; with --quiet it is then not printed.
        """
        if err and self.quiet:
            return
        from rich.table import Table
        from rich.text import Text

        first, *others = [[Text(cell, STYLES.get(cell, "")) for cell in row] for row in rows]
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=has_head)
        for index, cell in enumerate(first):
            right = figures and index > 0
            table.add_column(cell, justify="right" if right else "left", overflow="fold")
        for row in others if has_head else [first, *others]:
            table.add_row(*row)
        stream = sys.stderr if err else sys.stdout
        console = _rich(stream, None if _is_terminal(stream) else UNLIMITED)
        with console.capture() as drawn:
            console.print(table)
        self._clear()
        for line in drawn.get().splitlines():
            click.echo(line.rstrip(), stream)

    def watch(
        self, results: Iterable[T], found: Iterable[Photo | Failure] | int | None, what: str = ""
    ) -> Iterator[T]:
        """Pass results on, drawing progress and naming bad files as they come.

        Args:
            results: a lazy iterable.
            found: how many there will be, or a second scan to count in the background; None if
                unknown.
            what: the text before the bar.
        """
        with self.bar("photo", found, what) as advance:
            for result in results:
                if isinstance(result, Failure):
                    self.warn(f"{result.path}: {result.error}")
                advance()
                yield result

    @contextmanager
    def bar(
        self, unit: str, counted: Iterable[Any] | int | None, what: str = ""
    ) -> Iterator[Callable[..., Any]]:
        """Draw a bar on a terminal, once the work has taken two seconds.

        Yields:
            A function that advances the bar by one step, or by the number given.
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
            leave=False,  # the result is printed instead
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
        """Show a temporary line on a terminal, so that nobody waits at an empty screen."""
        if not self._shows_bar:
            yield
            return
        click.echo(text, nl=False, err=True)
        try:
            yield
        finally:
            click.echo("\r" + " " * len(text) + "\r", nl=False, err=True)

    def _print(self, lines: Iterable[str], stream: IO[str]) -> None:
        self._clear()
        for line in lines:
            click.echo(printable(line), stream)

    def _clear(self) -> None:
        """Clear the bar before a line is printed; the bar is then drawn below it."""
        if self._bar is not None:
            self._bar.clear()

    @cached_property
    def _lines(self) -> RichConsole:
        return _rich(sys.stdout)


def _rich(stream: IO[str], width: int | None = None) -> RichConsole:
    from rich.console import Console as RichConsole

    terminal = _is_terminal(stream)
    return RichConsole(file=stream, width=width, force_terminal=terminal, highlight=False)


def _is_terminal(stream: Any) -> bool:
    return stream is not None and bool(stream.isatty())


def _count(items: Iterable[Any], bar: Any) -> None:
    total = sum(1 for _ in items)
    bar.total = total
