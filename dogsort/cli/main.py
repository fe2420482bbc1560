"""The command ``dogsort``: finds the command, runs it, turns errors into exit codes."""

from __future__ import annotations

import io
import os
import sys
import traceback
from difflib import get_close_matches
from typing import NoReturn

import click

from dogsort.cli.bench import bench
from dogsort.cli.classify import classify
from dogsort.cli.eval import evaluate
from dogsort.cli.file import file
from dogsort.cli.history import history
from dogsort.cli.info import info
from dogsort.cli.interrupts import stop_gently
from dogsort.cli.submit import submit
from dogsort.cli.train import train
from dogsort.cli.undo import undo
from dogsort.errors import DogsortError, PathNotFound
from dogsort.results.summary import printable

__all__ = ["COMMANDS", "main"]

#: What the first word may be. Anything else is an option or a PATH of the main job.
COMMANDS: dict[str, click.Command] = {
    str(command.name): command
    for command in (submit, evaluate, train, file, undo, history, info, bench)
}

INTERRUPTED = 130  # 128 + the number of SIGINT, as shells count


def main(args: list[str] | None = None) -> NoReturn:
    """Run the command line; exits as ``dogsort.errors`` says, with 130 on Ctrl-C and SIGTERM."""
    args = sys.argv[1:] if args is None else args
    stop_gently()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names in any terminal's encoding
    command = COMMANDS.get(args[0]) if args else None
    try:
        if command is not None:
            name = f"dogsort {command.name}"
            code = command.main(args[1:], prog_name=name, standalone_mode=False)
        else:
            code = classify.main(
                args or ["--help"], prog_name="dogsort", standalone_mode=False, obj=COMMANDS
            )
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except PathNotFound as error:
        close = get_close_matches(args[0], COMMANDS) if command is None else []
        words = [*close, *(word for word in args[1:] if word in COMMANDS)]
        hint = f"; if you mean the command, it comes first: dogsort {words[0]} ..." if words else ""
        _complain(f"{error}{hint}")
        code = error.exit_code
    except DogsortError as error:
        _complain(str(error))
        code = error.exit_code
    except (KeyboardInterrupt, click.Abort) as error:
        # click replaces the first by the second; what is kept is said by the first.
        kept = (error.__cause__ or error).args
        _complain("; ".join(["interrupted", *map(str, kept)]))
        # Without waiting for threads that still decode a large photo.
        os._exit(INTERRUPTED)
    except Exception as error:
        # Nobody should see this; if somebody does, a line tells more than a page.
        place = traceback.extract_tb(error.__traceback__)[-1]
        text = f"{type(error).__name__}: {error} ({place.filename}:{place.lineno})"
        _complain(f"this should not happen, please report it: {text}")
        code = DogsortError.exit_code
    sys.exit(code)


def _complain(text: str) -> None:
    """Print one line on stderr, whatever the text holds."""
    click.echo(f"dogsort: {printable(' '.join(text.splitlines()))}", err=True)
