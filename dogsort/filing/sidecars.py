"""Files that belong to photos: edits, metadata, the moving half of a Live Photo, the raw file."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable

__all__ = ["Sidecars", "is_sidecar_name", "is_sidecar_of"]

#: Suffixes of what has a photo's stem: IMG_1.xmp, and IMG_1.mov, beside IMG_1.jpg.
WITH_STEM = frozenset(
    (
        *(".xmp", ".aae", ".json", ".mov", ".mp4"),
        # Raw files, of the JPEG that the camera made with them.
        *(".dng", ".cr2", ".cr3", ".nef", ".nrw", ".arw", ".orf", ".rw2", ".raf", ".pef", ".srw"),
    )
)

#: Suffixes of what has a photo's whole name: IMG_1.jpg.json beside IMG_1.jpg.
WITH_NAME = frozenset((".json", ".xmp"))

#: All of them.
SUFFIXES = WITH_STEM | WITH_NAME

#: What Google Takeout puts between a photo's whole name and .json, cut off where that gets long.
TAKEOUT = ".supplemental-metadata"


class Sidecars:
    """The sidecars in one folder.

    Args:
        names: of the files in it.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._with_stem: dict[str, list[str]] = defaultdict(list)
        self._with_name: dict[str, list[str]] = defaultdict(list)
        for name in sorted(filter(is_sidecar_name, names)):
            stem, suffix = os.path.splitext(name)
            if suffix.lower() in WITH_STEM:
                self._with_stem[stem].append(name)
            if suffix.lower() in WITH_NAME:
                photo, between = os.path.splitext(stem)
                is_takeout = len(between) > 1 and TAKEOUT.startswith(between)
                self._with_name[photo if is_takeout else stem].append(name)

    def __bool__(self) -> bool:
        """Tell whether there are any, which most folders have none of."""
        return bool(self._with_stem or self._with_name)

    def of(self, photo: str) -> list[str]:
        """Return the names of what belongs to a photo; they begin with the photo's stem."""
        stem = os.path.splitext(photo)[0]
        names = [*self._with_stem.get(stem, ()), *self._with_name.get(photo, ())]
        return [name for name in names if name != photo]


def is_sidecar_name(name: str) -> bool:
    """Tell whether a file of this name may belong to a photo."""
    return os.path.splitext(name)[1].lower() in SUFFIXES


def is_sidecar_of(path: str, photo: str) -> bool:
    """Tell whether a file, by its name and its folder, belongs to a photo."""
    (folder, name), (place, photo_name) = os.path.split(path), os.path.split(photo)
    stem = os.path.splitext(photo_name)[0]
    return folder == place and is_sidecar_name(name) and name.startswith(stem + ".")
