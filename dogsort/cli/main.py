"""The command ``dogsort``: a group whose default command classifies, and its exit codes."""

from __future__ import annotations

import io
import os
import sys
import traceback
from collections.abc import Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NoReturn

import click

from dogsort.cli.bench import bench
from dogsort.cli.classify import classify
from dogsort.cli.console import outlive_stderr
from dogsort.cli.eval import evaluate
from dogsort.cli.file import file
from dogsort.cli.history import history
from dogsort.cli.info import info
from dogsort.cli.interrupts import stop_gently
from dogsort.cli.review import review
from dogsort.cli.submit import submit
from dogsort.cli.train import train
from dogsort.cli.undo import undo
from dogsort.errors import DogsortError, PathNotFound
from dogsort.results.text import printable

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

__all__ = ["COMMANDS", "INTERRUPTED", "cli", "main"]

#: The commands. Any other first word is an option or a PATH of the default command.
COMMANDS: dict[str, click.Command] = {
    str(command.name): command
    for command in (review, submit, evaluate, train, file, undo, history, info, bench)
}

INTERRUPTED = 130  # 128 + the number of SIGINT, as shells count


class DefaultGroup(click.Group):
    """Commands, and a default command that is called without a name.

    ``main`` exits as ``dogsort.errors`` says, in a process as in ``click.testing.CliRunner``.
    """

    def __init__(self, name: str, default: click.Command, commands: dict[str, click.Command]):
        super().__init__(name, commands)
        self.default = default

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Return the group's context if the first word is a command, otherwise the default's."""
        completing_first_word = extra.get("resilient_parsing") and not args
        if completing_first_word or (args and args[0] in self.commands):
            return super().make_context(info_name, args, parent, **extra)
        extra["obj"] = self.commands  # its help lists them, too
        return self.default.make_context(info_name, args or ["--help"], parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command of the context; return its exit code."""
        return super().invoke(ctx) if ctx.command is self else ctx.command.invoke(ctx)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete the first word: a command, or an option or a PATH of the default command."""
        if incomplete.startswith("-"):
            return self.default.shell_complete(ctx, incomplete)
        arguments = (one for one in self.default.params if isinstance(one, click.Argument))
        paths = [item for one in arguments for item in one.shell_complete(ctx, incomplete)]
        # click's script for bash drops whatever came before a path.
        return paths + super().shell_complete(ctx, incomplete)

    def main(self, args: Sequence[str] | None = None, *_: Any, **extra: Any) -> NoReturn:
        """Run the command line; exit as ``dogsort.errors`` says, with 130 on Ctrl-C."""
        words = sys.argv[1:] if args is None else list(args)
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")  # names in any terminal's encoding
        extra = {"prog_name": self.name, **extra, "standalone_mode": False}
        try:
            code = super().main(words, **extra)
        except click.ClickException as error:
            error.show()
            code = error.exit_code
        except DogsortError as error:
            _complain(f"{error}{self._hint(words) if isinstance(error, PathNotFound) else ''}")
            code = error.exit_code
        except (KeyboardInterrupt, click.Abort) as error:
            # click replaces KeyboardInterrupt by Abort; the first one says what is kept.
            kept = (error.__cause__ or error).args
            _complain("; ".join(["interrupted", *map(str, kept)]))
            code = INTERRUPTED
        except OSError as error:
            # Such as a full disk behind stdout, or a folder that was deleted under us.
            said = (error.filename, error.strerror or error)
            _complain(": ".join(str(part) for part in said if part))
            code = DogsortError.exit_code
        except Exception as error:
            if isinstance(error.__cause__, KeyboardInterrupt):
                # C libraries raise this when they are interrupted while loading.
                _complain("interrupted")
                sys.exit(INTERRUPTED)
            # Nobody should see this; if somebody does, one line is clearer than a traceback.
            place = traceback.extract_tb(error.__traceback__)[-1]
            text = f"{type(error).__name__}: {error} ({place.filename}:{place.lineno})"
            _complain(f"this should not happen, please report it: {text}")
            code = DogsortError.exit_code
        sys.exit(code)

    def _hint(self, words: list[str]) -> str:
        """Suggest a command when a PATH does not exist."""
        close = [] if words[0] in self.commands else get_close_matches(words[0], self.commands)
        meant = [*close, *(word for word in words[1:] if word in self.commands)]
        return f"; to run the command, put it first: dogsort {meant[0]} ..." if meant else ""


cli = DefaultGroup("dogsort", classify, COMMANDS)


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the command line as a process that ends well, whatever happens around it."""
    outlive_stderr()
    stop_gently()
    try:
        cli.main(args)
    except SystemExit as end:
        if end.code == INTERRUPTED:
            # Do not wait for threads that still decode a large photo.
            os._exit(INTERRUPTED)
        raise


def _complain(text: str) -> None:
    """Print a text on stderr as one line."""
    click.echo(f"dogsort: {printable(' '.join(text.splitlines()))}", err=True)
