"""Filing, for ``dogsort PATH... --move`` and ``dogsort file``: options, carrying out, words."""

from __future__ import annotations

import os
import shlex
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from typing import Any, TypeVar, get_args

import click

from dogsort.cli.options import Talk, stdout_for_rows
from dogsort.errors import FilingError, UsageError
from dogsort.results.output import complete_file, writing
from dogsort.results.summary import printable, size_text
from dogsort.results.tables import open_text
from dogsort.sorting.plan import FILED, Action, Filing, OnConflict, Planner, Wishes
from dogsort.sorting.preview import sizes_of, write_plan
from dogsort.sorting.runs import Outcomes, carry_out

__all__ = ["file_photos", "filing_options", "passed_over", "show_plan", "wishes_of"]

F = TypeVar("F", bound=Callable[..., Any])

PAST: dict[Action, str] = {
    "move": "moved",
    "copy": "copied",
    "link": "linked",
    "hardlink": "linked",
}

ONE_OF = ", ".join(f"--{action}" for action in PAST)


def filing_options(command: F) -> F:
    """Add the options that say what is filed, where and how."""
    for option in reversed(
        (
            click.option("--move", is_flag=True, help="Move dogs into dog/ and cats into cat/."),
            click.option("--copy", is_flag=True, help="Copy them there instead."),
            click.option("--link", is_flag=True, help="Make symbolic links there instead."),
            click.option("--hardlink", is_flag=True, help="Make hard links there instead."),
            click.option(
                "--to",
                metavar="FOLDER",
                help="Where dog/ and cat/ are [default: the folder of photos itself].",
            ),
            click.option(
                "-n",
                "--dry-run",
                is_flag=True,
                help="File nothing; the table is then what would be done.",
            ),
            click.option(
                "--unsure-to", metavar="NAME", help="Also file unsure photos, into NAME/."
            ),
            click.option("--neither-to", metavar="NAME", help="Also file the others, into NAME/."),
            click.option("--keep-tree", is_flag=True, help="Keep sub-folders below dog/ and cat/."),
            click.option(
                "--no-sidecars",
                is_flag=True,
                help="Leave .xmp, .aae, Live Photo's .mov ... where they are.",
            ),
            click.option(
                "--on-conflict",
                type=click.Choice(get_args(OnConflict)),
                help="If another photo has the name: file as 'NAME (2)', leave, or file nothing "
                "[default: rename].",
            ),
        )
    ):
        command = option(command)
    return command


def wishes_of(
    options: Mapping[str, Any], default: str | None, roots: Sequence[str]
) -> Wishes | None:
    """Return what is asked for, after looking whether it can be done.

    Args:
        options: as ``filing_options`` give them.
        default: the folder to file into without --to; None if there is none.
        roots: the folders whose sub-folders --keep-tree keeps.

    Returns:
        None if nothing is to be filed.

    Raises:
        UsageError: if the options do not go together.
        FilingError: if the folders cannot be made or written.
    """
    action = _action(options)
    if action is None:
        return None
    folder = default if options["to"] is None else options["to"]
    if folder is None:
        raise UsageError(f"--{action} needs --to FOLDER unless the PATH is one folder")
    if folder == "":
        raise UsageError("--to: the name of the folder is empty")
    if options["keep_tree"] and not roots:
        raise UsageError("--keep-tree needs a PATH that is a folder")
    unsure_to, neither_to = options["unsure_to"], options["neither_to"]
    _check_name("--unsure-to", unsure_to, FILED)
    _check_name("--neither-to", neither_to, [*FILED, unsure_to])
    wishes = Wishes(
        action,
        folder,
        unsure_to=unsure_to,
        neither_to=neither_to,
        keep_tree=roots if options["keep_tree"] else None,
        sidecars=not options["no_sidecars"],
        on_conflict=options["on_conflict"] or "rename",
    )
    _check_folders(folder, wishes.folders().values())
    return wishes


def _action(options: Mapping[str, Any]) -> Action | None:
    """Return what to do with photos; None if nothing, and then nothing may be said of it."""
    chosen: list[Action] = [action for action in PAST if options[action]]
    if len(chosen) > 1:
        raise UsageError(f"give only one of {ONE_OF}")
    if chosen:
        return chosen[0]
    for name, value in options.items():
        if value not in (None, False):
            raise UsageError(f"--{name.replace('_', '-')} needs one of {ONE_OF}")
    return None


def _check_name(option: str, name: str | None, taken: Sequence[str | None]) -> None:
    if name is None:
        return
    # Some file systems take Dog for dog.
    if name.casefold() in [other.casefold() for other in taken if other is not None]:
        raise UsageError(f"{option} {name!r}: is the folder of others")
    if name in ("", ".", "..") or os.path.basename(name) != name or name.startswith("."):
        raise UsageError(f"{option} {name!r}: give the name of a folder, neither a path nor hidden")


def _check_folders(folder: str, below: Iterable[str]) -> None:
    for place in (folder, *below):
        if os.path.lexists(place) and not os.path.isdir(place):
            raise FilingError(f"{place}: is not a folder, so nothing can be filed into it")
        if os.path.isdir(place) and not os.access(place, os.W_OK | os.X_OK):
            raise FilingError(f"{place}: no permission to write into it")
        inside = os.path.join(os.path.realpath(folder), "")
        if place != folder and not os.path.realpath(place).startswith(inside):
            raise FilingError(f"{place}: is a link that leads out of {folder}")


def show_plan(planner: Planner, output: str | None, talk: Talk) -> None:
    """Say what would be done: how much, to stderr; each step, as the table of this run."""
    filings, action = _filings(planner, talk), planner.wishes.action
    sizes = sizes_of(filings)
    if output is not None and output != "-":
        with complete_file(output) as partial, writing(output), open_text(partial) as file:
            write_plan(filings, sizes, action, file)
    elif output == "-" or sys.stdout is None or not sys.stdout.isatty():
        with writing("standard output"):
            write_plan(filings, sizes, action, stdout_for_rows())
    else:
        for filing in filings:
            talk.data(f"{action} {printable(filing.source)} -> {printable(filing.target)}")
    _say_what_stays(planner, talk)
    counts = Counter(_kind(filing) for filing in filings)
    talk.say(f"would be {PAST[action]}: {_counted(counts)}, {size_text(sum(sizes))}")


def file_photos(planner: Planner, talk: Talk) -> int:
    """Carry out a plan; return how many files could not be filed.

    Raises:
        KeyboardInterrupt: if interrupted; it says how far the filing came.
    """
    filings, wishes = _filings(planner, talk), planner.wishes
    _say_what_stays(planner, talk)
    past = PAST[wishes.action]
    undo = f"dogsort undo {shlex.quote(printable(wishes.folder))}"
    outcomes: Outcomes[Filing] = carry_out(filings, wishes.action, wishes.folder)
    done: Counter[str] = Counter()
    failed = 0
    try:
        with closing(outcomes), talk.bar("file", len(filings)) as advance:
            for filing, error in outcomes:
                source = printable(filing.source)
                if error is not None:
                    talk.warn(f"{source}: not filed: {printable(str(error))}")
                    failed += 1
                else:
                    done[_kind(filing)] += 1
                    talk.detail(f"{wishes.action} {source} -> {printable(filing.target)}")
                advance()
    except KeyboardInterrupt:
        so_far = f"{done.total()} of {len(filings)} files were {past}"
        raise KeyboardInterrupt(f"{so_far}, the others are as they were; {undo}") from None
    talk.say(f"{past}: {_counted(done)}" + (f"; {failed} could not be" if failed else ""))
    if done:
        talk.say(f"to take it back: {undo}")
    return failed


def passed_over(folder: str, talk: Talk) -> Callable[[str], None]:
    """Return what says that earlier runs filed into a place, once for each folder in ``folder``."""
    real = os.path.join(os.path.realpath(folder), "")
    said: set[str] = set()

    def say(place: str) -> None:
        first, _, inner = os.path.realpath(place).removeprefix(real).partition(os.sep)
        outer = printable(os.path.join(folder, first))
        if not inner:
            talk.say(f"{outer}: an earlier run filed into it, passed over")
            return
        if first not in said:  # with --keep-tree, there may be hundreds
            talk.say(f"{outer}: folders in it that earlier runs filed into are passed over")
        said.add(first)
        talk.detail(f"{printable(place)}: passed over")

    return say


def _say_what_stays(planner: Planner, talk: Talk) -> None:
    for target, link in planner.links.items():
        talk.say(f"{printable(link)}: a link to {printable(target)}; both stay where they are")
    for path in planner.shared:
        talk.say(f"{printable(path)}: stays, since not all photos of its name go the same way")
    for source, name in planner.already.items():
        talk.detail(f"{printable(source)}: already there as {printable(name)}")
    if planner.already:
        talk.say(f"already there, so left where they are: {len(planner.already)}")
    _name_conflicts(planner, talk)
    if planner.conflicts:
        stay = planner.wishes.on_conflict == "skip"
        what = "so left where they are" if stay else "so filed under other names"
        talk.say(f"names that another file has, {what}: {len(planner.conflicts)}")


def _filings(planner: Planner, talk: Talk) -> list[Filing]:
    try:
        return planner.filings()
    except FilingError:
        _name_conflicts(planner, talk)
        raise


def _name_conflicts(planner: Planner, talk: Talk) -> None:
    for source, name in planner.conflicts.items():
        talk.detail(f"{printable(source)}: another file has the name {printable(name)}")


def _kind(filing: Filing) -> str:
    return "sidecar" if filing.belongs_to else filing.label


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in counts.items()) or "nothing"
