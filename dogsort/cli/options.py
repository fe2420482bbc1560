"""Options that several commands share, and what is drawn while they run."""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, TypeVar

import click

from dogsort.errors import OutputError, UnreadablePhoto
from dogsort.extras import check_extra
from dogsort.records import DEVICES, Failure, Photo, Record
from dogsort.results.summary import printable

if TYPE_CHECKING:
    from dogsort.classifier import Classifier

__all__ = [
    "FILE",
    "FOLDER",
    "HELP",
    "SOME_FAILED",
    "Talk",
    "engine_options",
    "examples",
    "open_classifier",
    "stdout_for_rows",
    "talk_options",
]

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

BAR_DELAY = 2.0  # seconds; what is done by then needs no bar

#: Exit code: done, but some files could not be read or filed.
SOME_FAILED = UnreadablePhoto.exit_code

HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class _Typed(click.Path):
    """A path that shells complete, and that only the command itself looks at."""

    def __init__(self, name: str, file_okay: bool = True) -> None:
        super().__init__(file_okay=file_okay)
        self.name = name  # what help calls it

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return it as it was typed."""
        return value


FILE, FOLDER = _Typed("FILE"), _Typed("FOLDER", file_okay=False)


def examples(*calls: str) -> str:
    """Return the end of a command's help: calls of it, each in a line."""
    return "\n".join(["\b", "Examples:", *(f"  {call}" for call in calls)])


def engine_options(command: F) -> F:
    """Add --weights, --device, --batch-size and --workers."""
    for option in reversed(
        (
            click.option(
                "--weights",
                type=FILE,
                help="Weights folder, or a file in it [default: the bundled ones].",
            ),
            click.option(
                "--device",
                type=click.Choice(DEVICES),
                default="auto",
                show_default=True,
                callback=_check_device,
                help="Where the network runs.",
            ),
            click.option(
                "--batch-size",
                type=click.IntRange(min=1),
                metavar="N",
                help="Photos at a time [default: what suits the device].",
            ),
            click.option(
                "--workers",
                type=click.IntRange(min=1),
                metavar="N",
                help="Threads that decode [default: one per CPU core].",
            ),
        )
    ):
        command = option(command)
    return command


def _check_device(_context: click.Context, _option: click.Parameter, device: str) -> str:
    # Here, since a command may go on with an earlier run before it loads the network.
    if device not in ("auto", "cpu"):
        check_extra("gpu", f"device {device}")
    return device


def talk_options(command: F) -> F:
    """Add --quiet, --verbose and --no-progress."""
    for option in reversed(
        (
            click.option("-q", "--quiet", is_flag=True, help="Only errors on stderr."),
            click.option(
                "-v",
                "--verbose",
                is_flag=True,
                help="Also say which weights, device and engine are used.",
            ),
            click.option("--no-progress", is_flag=True, help="No progress bar."),
        )
    ):
        command = option(command)
    return command


class Talk:
    """Everything said on stderr during a run: lines, warnings, a progress bar."""

    def __init__(self, quiet: bool, verbose: bool = False, no_progress: bool = False) -> None:
        self.quiet, self.verbose = quiet, verbose and not quiet
        self.show_bar = sys.stderr.isatty() and not quiet and not no_progress
        self._bar: Any = None

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

    def skipped_link(self, path: str) -> None:
        """Say that a link to a folder was not followed."""
        self.say(
            f"{printable(path)}: a link to a folder, not followed; name it as a PATH to include it"
        )

    def program_folder(self, path: str, named_how: str = "as a PATH") -> None:
        """Say that a folder of a program was passed over, and how it is named to be included."""
        self.say(
            f"{printable(path)}: a folder of a program, passed over; "
            f"name it {named_how} to include it"
        )

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
        if not self.show_bar:
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
        if not self.show_bar:
            yield
            return
        click.echo(text, nl=False, err=True)
        try:
            yield
        finally:
            click.echo("\r" + " " * len(text) + "\r", nl=False, err=True)

    def data(self, text: str) -> None:
        """Print a line on stdout, above the bar if there is one."""
        self._print(text, err=False)

    def _print(self, text: str, err: bool = True) -> None:
        if self._bar is not None:
            self._bar.write(text, file=sys.stderr if err else sys.stdout)
        else:
            click.echo(text, err=err)


def _count(items: Iterable[Any], bar: Any) -> None:
    total = sum(1 for _ in items)
    bar.total = total


def stdout_for_rows() -> IO[str]:
    """Return stdout as a table needs it: UTF-8, names byte for byte, each row passed on at once.

    Raises:
        OutputError: if it is closed.
    """
    if sys.stdout is None:
        raise OutputError("standard output is closed; name a file with --output")
    return open(sys.stdout.fileno(), "w", 1, "utf-8", "surrogateescape", "", closefd=False)


def open_classifier(talk: Talk, device: str, **options: Any) -> Classifier:
    """Load the network, saying so where it may take a moment."""
    # Pillow warns from 89 megapixels on; dogsort has its own limit and says so per photo.
    warnings.filterwarnings("ignore", module="PIL")
    with talk.status("loading the network ..."):
        from dogsort.classifier import Classifier

        classifier = Classifier(device=device, **options)
    engine = classifier.engine
    # Who asks for a device wants to know what came of it.
    tell = talk.detail if device == "auto" else talk.say
    tell(f"{engine.name} on {engine.device}: {engine.reason}")
    if engine.advice:
        talk.say(engine.advice)
    talk.detail(f"weights: {classifier.weights.folder}")
    return classifier
