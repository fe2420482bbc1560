"""The options of filing, for ``dogsort PATH... --move`` and ``dogsort file``."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

import click

from dogsort.cli.options import FOLDER
from dogsort.errors import UsageError
from dogsort.filing.folders import check_folders, has_own_photos
from dogsort.filing.options import FILED, Action, FilingOptions

__all__ = ["filing_options", "read_filing_options"]

ONE_OF = ", ".join(f"--{action}" for action in get_args(Action))

#: In the order of the help: names, settings for click, and help text.
OPTIONS: list[tuple[tuple[str, ...], dict[str, Any], str]] = [
    (("--move",), {"is_flag": True}, "Move dogs into dog/ and cats into cat/."),
    (("--copy",), {"is_flag": True}, "Copy them there instead."),
    (("--link",), {"is_flag": True}, "Make symbolic links there instead."),
    (("--hardlink",), {"is_flag": True}, "Make hard links there instead."),
    (
        ("--to",),
        {"type": FOLDER},
        "Where dog/ and cat/ are [default: the photo folder itself].",
    ),
    (("-n", "--dry-run"), {"is_flag": True}, "File nothing; show the plan, or write it with -o."),
    (("--unsure-to",), {"metavar": "NAME"}, "Also file unsure photos, into NAME/."),
    (("--neither-to",), {"metavar": "NAME"}, "Also file photos with neither, into NAME/."),
    (("--keep-tree",), {"is_flag": True}, "Keep subfolders below dog/ and cat/."),
]


def filing_options(command: Callable[..., int]) -> Callable[..., int]:
    """Add the options that say what to file, where and how."""
    for names, settings, text in reversed(OPTIONS):
        command = click.option(*names, **settings, help=text)(command)
    return command


def read_filing_options(
    options: Mapping[str, Any], default: str | None, roots: Sequence[str], missing: str
) -> FilingOptions | None:
    """Check the options and return them.

    Args:
        options: the values of ``filing_options``.
        default: the folder to file into without --to, if any.
        roots: the folders whose subfolders --keep-tree keeps.
        missing: what the error says if --to is needed.

    Returns:
        None if nothing is to be filed.

    Raises:
        UsageError: if the options do not go together.
        FilingError: if a folder is not a folder, cannot be written, or leads elsewhere.
    """
    action = _action(options)
    if action is None:
        return None
    folder = default if options["to"] is None else options["to"]
    if folder is None:
        raise UsageError(f"--{action} {missing}")
    if options["keep_tree"] and not roots:
        raise UsageError("--keep-tree needs a PATH that is a folder")
    unsure_to, neither_to = options["unsure_to"], options["neither_to"]
    _check_name("--unsure-to", unsure_to, FILED)
    _check_name("--neither-to", neither_to, [*FILED, unsure_to])
    tree = roots if options["keep_tree"] else None
    chosen = FilingOptions(
        action, folder, unsure_to=unsure_to, neither_to=neither_to, keep_tree=tree
    )
    check_folders(chosen)
    for option, name in (("--unsure-to", unsure_to), ("--neither-to", neither_to)):
        if name is not None and has_own_photos(chosen, name):
            raise UsageError(
                f"{option} {name!r}: that folder has photos of yours; give another name"
            )
    return chosen


def _action(options: Mapping[str, Any]) -> Action | None:
    """Return the action; without one (None), no other filing option may be given."""
    chosen: list[Action] = [action for action in get_args(Action) if options[action]]
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
    # Some file systems treat Dog and dog as one name.
    if name.casefold() in [other.casefold() for other in taken if other is not None]:
        raise UsageError(f"{option} {name!r}: other photos go there; give another name")
    if name in ("", ".", "..") or os.path.basename(name) != name or name.startswith("."):
        raise UsageError(f"{option} {name!r}: give a folder name, not a path or a hidden folder")
