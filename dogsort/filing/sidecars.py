"""Files that belong to photos: edits, metadata, the video of a Live Photo, the raw file."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence, Set

__all__ = ["Sidecars", "is_sidecar_name", "named"]

#: Suffixes of sidecars with a photo's stem: metadata, videos, thumbnails, voice notes, raw files.
OF_STEM = "xmp|aae|json|mov|mp4|mp|mp~2|thm|wav|dng|cr2|cr3|nef|nrw|arw|orf|rw2|raf|pef|srw"

#: Suffixes that editors append to the whole name of a photo or another sidecar.
OF_NAME = "xmp|pp3|dop"

#: Google Takeout puts this, or a prefix of it, between a photo's name and .json ...
SUPPLEMENT = ".supplemental-metadata"
_SUPPLEMENTS = "|".join(re.escape(SUPPLEMENT[:end]) for end in range(len(SUPPLEMENT), 0, -1))

#: ... and cuts the part before .json to this many UTF-16 units.
TAKEOUT_UNITS = 46

#: Patterns of sidecar names, ignoring case, best match first. With each comes the part of the owner
#: (a photo or another sidecar) that it gives: the whole "name", the "stem", or the name "cut" by
#: Takeout; how its groups form that part; and how they form what follows the photo's stem.
_RULES = (
    # b.jpg.json and b.jpg.suppl.json belong to b.jpg, IMG_4.jpg(1).json to IMG_4(1).jpg.
    (rf"(.+?)(\.[^.]+?)({_SUPPLEMENTS}|)(\(\d+\)|)(\.json)", "name", "{0}{3}{1}", "{1}{2}{4}"),
    # a.jpg.xmp belongs to a.jpg, DSC_1.NEF.xmp to DSC_1.NEF and with that to DSC_1.JPG.
    (rf"(.+)(\.[^.]+)(\.(?:{OF_NAME}))", "name", "{0}{1}", "{1}{2}"),
    # A_ceremony_(4).json belongs to A_ceremony_at_sea(4).jpg, if the limit were 11 units.
    (r"(.+)(\.json)", "cut", "{0}", "{1}"),
    # PXL_1.MP, the video of a Pixel's photo, belongs to PXL_1.MP.jpg.
    (r"(.+(\.mp(?:~2)?))", "stem", "{0}", "{1}"),
    # IMG_1.MOV belongs to IMG_1.HEIC, DSC_1.NEF to DSC_1.JPG.
    (rf"(.+)(\.(?:{OF_STEM}))", "stem", "{0}", "{1}"),
    # IMG_O1.AAE belongs to IMG_1.HEIC, the original of IMG_E1.HEIC.
    (r"(IMG_)(O)(\d.*)(\.aae)", "stem", "{0}{2}", "{1}{3}"),
    # A_ceremony_(4).json may belong to A_ceremony_at_sea.jpg, but that is unclear.
    (r"(.+)\(\d+\)\.json", "cut", "{0}", ""),
)


def is_sidecar_name(name: str) -> bool:
    """Tell whether a file of this name may belong to a photo."""
    return bool(re.fullmatch(rf"\.(?:{OF_STEM}|{OF_NAME})", os.path.splitext(name)[1], re.I))


def named(stem: str, rest: str) -> str:
    """Join a photo's stem and the rest of a sidecar's name: IMG_1 and O.AAE make IMG_O1.AAE."""
    if rest.startswith("O"):
        return re.sub(r"^(IMG_)(?=\d)", r"\1O", stem, flags=re.IGNORECASE) + rest[1:]
    return stem + rest


class Sidecars:
    """The sidecars in one folder.

    Each belongs to the owner that its name fits best; case is ignored only if nothing else fits. A
    sidecar is unclear if it fits photos with different stems, or would get another sidecar's name.

    Args:
        names: the names of the files in the folder.
        photos: the names of the photos to be filed. They count as photos whatever their suffix, and
            even if they are links, which are not among ``names``.
    """

    def __init__(self, names: Iterable[str], photos: Collection[str] = ()) -> None:
        self._rests: dict[str, dict[str, str]] = defaultdict(dict)  # by owner, by sidecar
        self._unclear: dict[int, tuple[list[str], list[str]]] = {}  # by id of owners
        everything = {*names, *photos}
        sidecars = set(filter(is_sidecar_name, everything.difference(photos)))
        self._photos: dict[str, list[str]] = defaultdict(list)  # by sidecar
        if sidecars:  # true in few folders
            self._find_owners(everything, sidecars)
            for photo in photos:
                for name in self.of(photo):
                    self._photos[name].append(photo)

    def of(self, owner: str) -> dict[str, str]:
        """Return the sidecars of a photo, and their own sidecars.

        Each name is a key; its value is the rest that follows the photo's stem: see ``named``.
        """
        found = {}
        for name, rest in self._rests.get(owner, {}).items():
            found[name] = rest
            for inner, inner_rest in self.of(name).items():
                found[inner] = rest.rpartition(".")[0] + inner_rest
        return found

    def going_with(self, photos: Sequence[str]) -> Iterator[tuple[str, str, str | None]]:
        """Yield what goes if exactly these photos go: name, rest, and for a sidecar its photo.

        A sidecar of several photos goes with the first, and only if all of them go.
        """
        for photo in photos:
            yield photo, os.path.splitext(photo)[1], None
            for name, rest in self.of(photo).items():
                its_photos = self._photos[name]
                if its_photos[0] == photo and set(its_photos) <= set(photos):
                    yield name, rest, photo

    def shared(self, going: Set[str]) -> list[str]:
        """Return sidecars that stay although some of their photos go."""
        its = self._photos.items()
        return [name for name, photos in its if name not in going and not going.isdisjoint(photos)]

    def unclear(self, going: Set[str]) -> list[str]:
        """Return unclear sidecars that may belong to some of the files that go."""
        groups = (names for owners, names in self._unclear.values() if not going.isdisjoint(owners))
        return [name for names in groups for name in names]

    def _find_owners(self, names: Set[str], sidecars: Set[str]) -> None:
        """Find the owners of the sidecars."""
        called = Counter(map(str.casefold, names))
        for name, owners, rest in _matches(names, sidecars):
            # Unclear by rule: skip, as thousands of sidecars may share thousands of owners.
            stems = set(map(_stem, owners)) if rest else set()
            new_name = named(stems.pop(), rest) if len(stems) == 1 else ""
            called[name.casefold()] -= 1
            called[new_name.casefold()] += 1
            # IMG.jpg(1).json would become IMG(1).jpg.json; a file with that name takes precedence.
            if new_name and (new_name == name or called[new_name.casefold()] == 1):
                for owner in owners:
                    self._rests[owner][name] = rest
            else:
                self._unclear.setdefault(id(owners), (owners, []))[1].append(name)


def _matches(names: Set[str], sidecars: Set[str]) -> Iterator[tuple[str, list[str], str]]:
    """Yield sidecars that have owners, with the owners they fit best, and the rest."""
    left = {name: list(_readings(name)) for name in sorted(sidecars)}
    parts = [(*part, name) for name in names for part in _parts(name, name in sidecars)]
    for spelled in (str, _with_suffix_folded, str.casefold):
        by_part: dict[tuple[str, str], list[str]] = defaultdict(list)
        for kind, text, name in parts if left else ():
            by_part[kind, spelled(text)].append(name)
        for name, readings in list(left.items()):
            fits = ((by_part.get((kind, spelled(text))), rest) for kind, text, rest in readings)
            owners, rest = next((fit for fit in fits if fit[0]), (None, ""))
            if owners:
                del left[name]
                yield name, owners, rest


def _readings(sidecar: str) -> Iterator[tuple[str, str, str]]:
    """Yield how a sidecar's name can be read by ``_RULES``: kind of part, part, rest."""
    for pattern, kind, part, rest in _RULES:
        if match := re.fullmatch(pattern, sidecar, re.I | re.S):
            yield kind, part.format(*match.groups()), rest.format(*match.groups())


def _parts(owner: str, is_sidecar: bool) -> Iterator[tuple[str, str]]:
    """Yield the parts of an owner's name that sidecar names may contain."""
    yield "name", owner
    if not is_sidecar:
        yield "stem", _stem(owner)
        for cut in _cut_names(owner):
            yield "cut", cut


def _cut_names(photo: str) -> set[str]:
    """Return what Takeout may put before .json for a photo, except its whole name."""
    stem, suffix = os.path.splitext(photo)
    title = re.sub(r"\(\d+\)\Z", "", stem)
    # The number of a second photo follows the cut part, and is never cut.
    names = {_cut(title + suffix) + stem[len(title) :]}
    if _cut(stem) == stem:
        names.add(_cut(photo))
    return names - {photo}


def _cut(name: str) -> str:
    units = name.encode("utf-16-le", "surrogatepass")
    if len(units) <= 2 * TAKEOUT_UNITS:
        return name
    return units[: 2 * TAKEOUT_UNITS].decode("utf-16-le", "ignore")  # without half a character


def _stem(name: str) -> str:
    return os.path.splitext(name)[0]


def _with_suffix_folded(name: str) -> str:
    """Fold the suffix only: X.JPG.json belongs to X.jpg rather than to x.JPG."""
    stem, suffix = os.path.splitext(name)
    return stem + suffix.casefold()
