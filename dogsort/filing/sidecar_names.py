"""How files that belong to photos are called, and what they are called once a photo is renamed."""

from __future__ import annotations

import os
import re

__all__ = [
    "NUMBER",
    "is_sidecar_name",
    "named_after",
    "names_cut",
    "renamed",
    "stem_of",
    "stems",
    "whole_names",
]

#: Suffixes of what has a photo's stem: IMG_1.xmp, and IMG_1.mov, beside IMG_1.jpg.
WITH_STEM = frozenset(
    (
        *(".xmp", ".aae", ".json", ".mov", ".mp4", ".thm", ".wav"),
        # Raw files, of the JPEG that the camera made with them.
        *(".dng", ".cr2", ".cr3", ".nef", ".nrw", ".arw", ".orf", ".rw2", ".raf", ".pef", ".srw"),
    )
)

#: The moving half of a Pixel's photo is called as the photo's stem: PXL_1.MP beside PXL_1.MP.jpg.
AS_STEM = frozenset((".mp", ".mp~2"))

#: Suffixes of what has the whole name of a photo, or of another sidecar: DSC_1.NEF.xmp.
WITH_NAME = frozenset((".json", ".xmp", ".pp3", ".dop"))

#: All of them.
SUFFIXES = WITH_STEM | AS_STEM | WITH_NAME

#: What Google Takeout puts between a photo's whole name and .json.
TAKEOUT = ".supplemental-metadata"

#: Takeout cuts what stands before .json to so many units of UTF-16.
TAKEOUT_UNITS = 46

#: Takeout's number of a second photo of one name. It is never cut off.
NUMBER = re.compile(r"(.+)(\(\d+\))", re.DOTALL)

#: An iPhone's IMG_O1234.AAE is about the original IMG_1234.HEIC; IMG_E1234.HEIC is the edited one.
OF_ORIGINAL = re.compile(r"(IMG_)O(\d.*)", re.DOTALL | re.IGNORECASE)


def is_sidecar_name(name: str) -> bool:
    """Tell whether a file of this name may belong to a photo."""
    return os.path.splitext(name)[1].lower() in SUFFIXES


def stem_of(name: str) -> str:
    """Return a name without its suffix."""
    return os.path.splitext(name)[0]


def whole_names(name: str) -> list[tuple[str, str]]:
    """Return the whole names that a sidecar's name may stand for, each with what follows it."""
    base, suffix = os.path.splitext(name)
    # A name without a suffix is a stem.
    if suffix.lower() not in WITH_NAME or "." not in base:
        return []
    if suffix.lower() != ".json":
        found = [(base, suffix)]
    else:
        found = [_without_takeout(base, suffix)]
        if base.endswith(")") and (
            match := NUMBER.fullmatch(base)
        ):  # Takeout has Neg.jpg(1).json beside Neg(1).jpg
            whole, rest = _without_takeout(match[1], suffix)
            stem, photo_suffix = os.path.splitext(whole)
            found.append((stem + match[2] + photo_suffix, rest))
    return [(whole, rest) for whole, rest in found if "." in whole]


def _without_takeout(base: str, suffix: str) -> tuple[str, str]:
    """Split a name into a photo's and the rest, which is cut off where the photo's is long."""
    whole, between = os.path.splitext(base)
    if between and TAKEOUT.startswith(between):
        return whole, between + suffix
    return base, suffix


def stems(name: str) -> list[str]:
    """Return the stems that a sidecar's photo may have, the likelier first."""
    base, suffix = os.path.splitext(name)
    suffix = suffix.lower()
    if suffix in AS_STEM:
        return [name, base]
    found = [base] if suffix in WITH_STEM else []
    if suffix == ".aae" and (match := OF_ORIGINAL.fullmatch(base)):
        found.append(match[1] + match[2])
    return found


def _cut(name: str) -> str:
    """Cut a name as Takeout does; half a character is left out."""
    units = name.encode("utf-16-le", "surrogatepass")
    if len(units) <= 2 * TAKEOUT_UNITS:
        return name
    return units[: 2 * TAKEOUT_UNITS].decode("utf-16-le", "ignore")


def names_cut(photo: str) -> list[str]:
    """Return what may stand before .json in Takeout if a photo's name is too long for it."""
    if len(photo) * 2 <= TAKEOUT_UNITS:  # no character has more than two
        return []
    found = []
    stem, suffix = os.path.splitext(photo)
    match = NUMBER.fullmatch(stem)
    cut = _cut(photo)
    # A number that the cut would take off is none of the title's.
    if cut != photo and (match is None or _cut(stem) == stem):
        found.append(cut)
    if match and (cut := _cut(match[1] + suffix)) != match[1] + suffix:
        found.append(cut + match[2])
    return found


def renamed(name: str, old_stem: str, new_stem: str) -> str:
    """Return a sidecar's name once its photo has another stem: one that still belongs to it.

    Args:
        name: of the sidecar.
        old_stem: of the photo that it belongs to, by itself or by what belongs to that.
        new_stem: what the photo's becomes.
    """
    return name if old_stem == new_stem else named_after(name, old_stem, new_stem)


def named_after(name: str, old_stem: str, new_stem: str) -> str:
    """Return what ``renamed`` does, but in the usual form even if the stem stays."""
    # What does not hold the stem was cut.
    return _of_stem(name, old_stem, new_stem) or new_stem + os.path.splitext(name)[1]


def _of_stem(name: str, old: str, new: str) -> str | None:
    """Return a sidecar's name for another stem; None if it does not hold the old one."""
    base, suffix = os.path.splitext(name)
    for stem in stems(name):
        if stem.casefold() == old.casefold():
            original = f"{new[:4]}O{new[4:]}"
            is_original = stem not in (name, base) and OF_ORIGINAL.fullmatch(original)
            return (original if is_original else new) + suffix
    for whole, rest in whole_names(name):
        stem, photo_suffix = os.path.splitext(whole)
        if stem.casefold() == old.casefold():
            return new + photo_suffix + rest
        if is_sidecar_name(whole) and (inner := _of_stem(whole, old, new)):
            return inner + rest
    return None
