"""Checks on the folders to file into."""

from __future__ import annotations

import os

from dogsort.errors import FilingError
from dogsort.filing.journal import filed_into
from dogsort.filing.options import FilingOptions
from dogsort.photos.scan import is_photo_name

__all__ = ["check_folders", "has_own_photos"]


def check_folders(options: FilingOptions) -> None:
    """Check that photos can be filed into the folders, as far as that shows beforehand.

    Raises:
        FilingError: if one is not a folder, cannot be written, or leads elsewhere.
    """
    folder = options.folder
    inside = os.path.join(os.path.realpath(folder), "")
    for place in (folder, *options.folders().values()):
        if os.path.lexists(place) and not os.path.isdir(place):
            raise FilingError(f"{place}: not a folder, so nothing can be filed into it")
        if os.path.isdir(place) and not os.access(place, os.W_OK | os.X_OK):
            raise FilingError(f"{place}: no permission to write to it")
        if place != folder and not os.path.realpath(place).startswith(inside):
            raise FilingError(f"{place}: a link that leads out of {folder}")


def has_own_photos(options: FilingOptions, name: str) -> bool:
    """Tell whether a folder of this name has the user's own photos.

    If dogsort filed into it, later runs would skip them.
    """
    place = os.path.join(os.path.realpath(options.folder), name)
    if not os.path.isdir(place) or place in filed_into(options.folder):
        return False
    return any(map(is_photo_name, os.listdir(place)))
