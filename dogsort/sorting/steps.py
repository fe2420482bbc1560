"""One photo's filing, as it stands in a journal.

Paths below the folder filed into are kept relative to it, so that they hold wherever it is mounted.
What is read is checked: a journal may come with a folder that somebody else made.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple, get_args

from dogsort.errors import FilingError
from dogsort.photos.scan import is_photo_name
from dogsort.records import Label
from dogsort.sorting.identity import Identity
from dogsort.sorting.plan import Action, Filing
from dogsort.sorting.sidecars import is_sidecar_name

__all__ = ["FOLDER_NAME", "PARTIAL_NAME", "Step", "inside", "plain", "short"]

#: Where journals lie, in the folder that is filed into. Hidden: scans pass over it.
FOLDER_NAME = ".dogsort"

#: What a copy is called until it is whole, in the folder of its target. Short, so that it fits
#: wherever the photo's own name does; the same for all, so that what a killed run left is found.
PARTIAL_NAME = ".dogsort.partial"

#: A string as JSON: in ASCII, so that names that are no UTF-8 come through as escaped surrogates.
_json = json.JSONEncoder().encode

_LABELS: dict[str, Label] = {name: name for name in get_args(Label)}


class Step(NamedTuple):
    """One photo's filing.

    Attributes:
        source: where it was, absolute.
        target: where it went, absolute, below the folder filed into.
        label: why.
        identity: what it was when it was filed; None for a symbolic link, which is made anew.
        sidecar: whether it went with a photo.
        is_inside: whether the source lies below the folder filed into.
    """

    source: str
    target: str
    label: Label
    identity: Identity | None = None
    sidecar: bool = False
    is_inside: bool = True

    @classmethod
    def of(
        cls, filing: Filing, action: Action, folder: str, resolved: Callable[[str], str]
    ) -> Step:
        """Make the step of a filing.

        Args:
            filing: what is to be done.
            action: how.
            folder: the folder filed into, absolute, without links.
            resolved: gives the absolute path of a folder, without links.

        Raises:
            FilingError: if it leads out of the folder, or undo would not take it back.
            OSError: if the photo cannot be read.
        """
        source = os.path.join(resolved(filing.place or os.curdir), filing.name)
        target = os.path.join(resolved(filing.folder), filing.new_name)
        below = _start_of_paths_in(folder)
        if not target.startswith(below):
            raise FilingError(f"{filing.folder} is a link that leads elsewhere")
        is_inside = source.startswith(below)
        if not is_inside and not _may_come_from_outside(source):
            raise FilingError(
                "from outside the folder filed into, only files with a photo's suffix are filed, "
                "and none from hidden folders"
            )
        if (is_inside and _is_ours(source[len(below) :])) or _is_ours(target[len(below) :]):
            raise FilingError(f"what is called {FOLDER_NAME} or {PARTIAL_NAME} is dogsort's own")
        if action == "link" and not os.path.isfile(source):
            raise FilingError("not a file")  # others are read, which tells
        identity = None if action == "link" else Identity.of(source)
        sidecar = filing.photo is not None
        return cls(source, target, filing.label, identity, sidecar, is_inside)

    @property
    def size(self) -> int:
        """How many bytes the file has; 0 for a symbolic link."""
        return 0 if self.identity is None else self.identity.size

    def line(self, number: int, folder: str) -> str:
        """Return the journal's line for this step, a JSON object that ``read`` takes."""
        # Put together here, since a whole object takes the encoder six times as long.
        source, target = _json(short(self.source, folder)), _json(short(self.target, folder))
        line = f'{{"step": {number}, "label": "{self.label}", "source": {source}'
        line += f', "target": {target}'
        if self.identity is not None:
            line += f', "size": {self.identity.size}, "sha256": "{self.identity.sha256}"'
        return line + (', "sidecar": true}\n' if self.sidecar else "}\n")

    @classmethod
    def read(cls, entry: dict[str, Any], action: Action, folder: str) -> Step:
        """Read a journal's entry.

        Raises:
            ValueError, TypeError, KeyError: if dogsort does not write such an entry.
        """
        identity = None
        if action != "link":
            identity = Identity(int(entry["size"]), str(entry["sha256"]))
            if identity.size < 0:
                raise ValueError("a size below nothing")
        target, given = inside(entry["target"], folder), entry["source"]
        is_inside = not os.path.isabs(given)
        source = inside(given, folder) if is_inside else plain(given)
        # Nobody's journal shall make undo put just anything just anywhere.
        if os.path.splitext(target)[1] != os.path.splitext(source)[1] or not (
            is_inside or _may_come_from_outside(source)
        ):
            raise ValueError("names that filing does not give")
        sidecar = entry.get("sidecar", False) is True
        return cls(source, target, _LABELS[entry["label"]], identity, sidecar, is_inside)


def short(path: str, folder: str) -> str:
    """Return a path as a journal in ``folder`` writes it: relative where it lies below."""
    below = _start_of_paths_in(folder)
    return path[len(below) :] if path.startswith(below) else path


@lru_cache(maxsize=1)  # a run has one folder, and asks three times for each photo
def _start_of_paths_in(folder: str) -> str:
    return os.path.join(folder, "")


def inside(path: str, folder: str) -> str:
    """Return a journal's relative path as absolute; ValueError if it leads out of the folder."""
    drive, rest = os.path.splitdrive(path)
    if drive or rest.startswith(("/", os.sep)) or os.pardir in rest.split(os.sep) or _is_ours(rest):
        raise ValueError("a path that leads out of the folder")
    return os.path.join(folder, plain(path))


def plain(path: str) -> str:
    """Return a path if it says where it leads: nothing empty, no dots, no NUL in it."""
    if path in ("", os.curdir) or path != os.path.normpath(path) or b"\0" in os.fsencode(path):
        raise ValueError("not a plain path")
    return path


def _is_ours(path: str) -> bool:
    """Tell whether a path has one of our names in it; some systems do not tell case."""
    # The first question is the cheap one.
    return FOLDER_NAME in path.casefold() and not {FOLDER_NAME, PARTIAL_NAME}.isdisjoint(
        path.casefold().split(os.sep)
    )


def _may_come_from_outside(path: str) -> bool:
    """Tell whether a file may be filed from outside, and undo may put one there."""
    folder, name = os.path.split(path)
    if any(part.startswith(".") for part in folder.split(os.sep)):
        return False
    return is_photo_name(name) or (is_sidecar_name(name) and not name.startswith("."))
