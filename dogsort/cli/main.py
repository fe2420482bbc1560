"""The command ``dogsort``: finds the command, runs it, turns errors into exit codes."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from typing import NoReturn

import click

from dogsort.cli.classify import classify
from dogsort.cli.eval import evaluate
from dogsort.cli.info import info
from dogsort.cli.submit import submit
from dogsort.cli.train import train
from dogsort.errors import DogsortError

__all__ = ["COMMANDS", "main"]

#: What the first word may be. Anything else is an option or a PATH of the main job.
COMMANDS: dict[str, click.Command] = {
    str(command.name): command for command in (submit, evaluate, train, info)
}

# As shells count: 128 + the number of the signal.
INTERRUPTED = 130  # SIGINT
CLOSED_PIPE = 141  # SIGPIPE


def main(args: list[str] | None = None) -> NoReturn:
    """Run the command line; exits with the codes of ``dogsort.errors``, 130 on Ctrl-C."""
    args = sys.argv[1:] if args is None else args
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
    except DogsortError as error:
        click.echo(f"dogsort: {error}", err=True)
        code = error.exit_code
    except (KeyboardInterrupt, click.Abort) as error:
        # click replaces the first by the second; what is kept is said by the first.
        kept = (error.__cause__ or error).args
        click.echo("; ".join(["dogsort: interrupted", *map(str, kept)]), err=True)
        code = INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has had enough: `dogsort photos | head`.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = CLOSED_PIPE
    except Exception as error:
        # Nobody should see this; if somebody does, a line tells more than a page.
        place = traceback.extract_tb(error.__traceback__)[-1]
        text = f"{type(error).__name__}: {error} ({place.filename}:{place.lineno})"
        click.echo(f"dogsort: this should not happen, please report it: {text}", err=True)
        code = DogsortError.exit_code
    sys.exit(code)
