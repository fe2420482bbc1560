"""What several commands share: their construction, options, and checks before any work."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, fields
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from dogsort.cli.console import Console
from dogsort.errors import UnreadablePhoto, UsageError
from dogsort.extras import check_extra
from dogsort.records import DEVICES
from dogsort.results.cache import Cache
from dogsort.results.output import check_not_input, check_writable
from dogsort.results.tables import check_table_name

if TYPE_CHECKING:
    from dogsort.classifier import Classifier

__all__ = [
    "FILE",
    "FOLDER",
    "SOME_FAILED",
    "EngineOptions",
    "cache_option",
    "check_output",
    "command",
    "device_option",
    "engine_options",
    "exclude_option",
    "excluding",
    "min_confidence_option",
    "number",
    "open_cache",
    "report_cache",
    "weights_option",
]

#: Exit code: done, but some files could not be read or filed.
SOME_FAILED = UnreadablePhoto.exit_code

HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class _Typed(click.Path):
    """A path that shells complete, and that only the command itself checks."""

    def __init__(self, name: str, file_okay: bool = True) -> None:
        super().__init__(file_okay=file_okay)
        self.name = name  # its name in help

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return the path as typed, but refuse an empty one, as from a variable that is not set."""
        return value or self.fail("the name is empty", param, ctx)


def number(least: int, most: int | None = None) -> click.IntRange:
    """Return the type for whole numbers within bounds."""
    kind = click.IntRange(least, most)
    kind.name = "N"  # its name in help
    return kind


FILE, FOLDER = _Typed("FILE"), _Typed("FOLDER", file_okay=False)


def command(
    name: str, *calls: str, **settings: Any
) -> Callable[[Callable[..., int]], click.Command]:
    """Make a command whose help ends with example calls, one per line."""
    end = "\n".join(["\b", "Examples:", *(f"  {call}" for call in calls)])
    return click.command(name, context_settings=HELP, epilog=end, **settings)


def check_output(
    target: str | None, suffixes: tuple[str, ...], console: Console, inputs: Iterable[str] = ()
) -> None:
    """Check, before any work, that an output file can be written, and report any backup of it.

    Args:
        target: its name; None and ``-`` (stdout) need no check.
        suffixes: the allowed suffixes.
        console: where to report.
        inputs: files that it must not overwrite.

    Raises:
        UsageError: if it has another suffix, or is one of the inputs.
        OutputError: if it cannot be written.
    """
    if target not in (None, "-"):
        check_table_name(target, suffixes)
        check_not_input(target, inputs)
        console.say(*check_writable(target))


def _check_device(_context: click.Context, _option: click.Parameter, device: str) -> str:
    # Check now, before any work.
    if device not in ("auto", "cpu"):
        check_extra("gpu", f"device {device}")
    return device


weights_option = click.option(
    "--weights", type=FILE, help="Weights folder, or a file in it [default: the bundled weights]."
)
device_option = click.option(
    "--device",
    type=click.Choice(DEVICES),
    default="auto",
    show_default=True,
    callback=_check_device,
    help="Where to run the network.",
)
batch_option = click.option(
    "--batch-size", type=number(1), help="Photos per batch [default: chosen for the device]."
)
workers_option = click.option(
    "--workers", type=number(1), help="Decoding threads [default: one per CPU core]."
)
min_confidence_option = click.option(
    "--min-confidence",
    type=click.FloatRange(0, 1),
    metavar="P",
    help="Lowest confidence that gets a label [default: from the weights].",
)
exclude_option = click.option(
    "--exclude", multiple=True, metavar="GLOB", help="Skip what matches, as in .gitignore."
)
cache_option = click.option(
    "--no-cache", is_flag=True, help="Classify all photos again, and cache no results."
)


def excluding(globs: Sequence[str]) -> Callable[[str], bool] | None:
    """Return a function that says whether to skip a path below a PATH.

    Raises:
        UsageError: for an invalid pattern.
    """
    if not globs:
        return None
    from pathspec import GitIgnoreSpec

    for glob in globs:
        try:
            GitIgnoreSpec.from_lines([glob])
        except (ValueError, re.error) as error:
            raise UsageError(f"--exclude {glob}: not a pattern as in .gitignore") from error
    return GitIgnoreSpec.from_lines(globs).match_file


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """The options of ``Classifier``."""

    weights: str | None
    device: str
    batch_size: int | None
    workers: int | None

    def open(self, console: Console, min_confidence: float | None = None) -> Classifier:
        """Load the network, with a message in case it takes a moment."""
        # Pillow warns above 89 megapixels; dogsort has its own limit and reports it per photo.
        warnings.filterwarnings("ignore", module="PIL")
        with console.status("loading the model ..."):
            from dogsort.classifier import Classifier

            classifier = Classifier(**asdict(self), min_confidence=min_confidence)
        engine = classifier.engine
        # Somebody who asks for a device wants to know whether it is used.
        tell = console.detail if self.device == "auto" else console.say
        tell(f"{engine.name} on {engine.device}: {engine.reason}")
        if engine.advice:
            console.say(engine.advice)
        console.detail(f"weights: {classifier.weights.folder}")
        return classifier


def engine_options(command: Callable[..., int]) -> Callable[..., int]:
    """Add --weights, --device, --batch-size and --workers; the command gets an ``engine``."""

    @wraps(command)
    def with_engine(**given: Any) -> int:
        own = {field.name: given.pop(field.name) for field in fields(EngineOptions)}
        return command(engine=EngineOptions(**own), **given)

    for option in (workers_option, batch_option, device_option, weights_option):
        with_engine = option(with_engine)
    return with_engine


@contextmanager
def open_cache(no_cache: bool, console: Console) -> Iterator[Cache]:
    """Open the cache, or one that keeps nothing, and report at the end if it could not be used."""
    with closing(Cache(wanted=not no_cache)) as cache:
        yield cache
        report_cache(cache, console)


def report_cache(cache: Cache, console: Console) -> None:
    """Report how much was in the cache, and whether it could not be used."""
    if cache.recalled:
        console.detail(f"known from earlier runs: {cache.recalled}")
    if cache.trouble:
        console.warn(
            f"{cache.path}: the cache cannot be used, so nothing is saved: {cache.trouble}; "
            "delete it, or set DOGSORT_CACHE to another folder"
        )
