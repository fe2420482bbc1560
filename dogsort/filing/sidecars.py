"""Files that belong to photos: edits, metadata, the moving half of a Live Photo, the raw file."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import TypeAlias

from dogsort.filing.sidecar_names import (
    NUMBER,
    is_sidecar_name,
    named_after,
    names_cut,
    renamed,
    stem_of,
    stems,
    whole_names,
)

__all__ = ["Sidecars", "is_sidecar_name", "renamed"]

#: What notes sidecars, by whole names or by stems; and the names or stems that one of them fits.
_Match: TypeAlias = tuple[dict[str, list[str]], list[str]]


class Sidecars:
    """The sidecars in one folder.

    A sidecar belongs to what its name fits best: a whole name before a stem, and another case only
    where nothing else fits. If photos of different stems fit as well, it belongs to none of them.

    Args:
        names: of the files in it, with those of its photos.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = set(names)
        self._sidecars: list[str] = []
        self._photos: list[str] = []
        for name in sorted(self._names):
            (self._sidecars if is_sidecar_name(name) else self._photos).append(name)
        self._with_stem: dict[str, list[str]] = defaultdict(list)
        self._with_name: dict[str, list[str]] = defaultdict(list)
        self._unclear: dict[str, list[str]] = defaultdict(list)
        for name in self._sidecars:
            self._place(name)

    def __bool__(self) -> bool:
        """Tell whether there are any, which most folders have none of."""
        return bool(self._sidecars)

    def of(self, photo: str) -> list[str]:
        """Return the names of what belongs to a photo, and of what belongs to that."""
        found = [*self._with_stem.get(stem_of(photo), ()), *self._with_name.get(photo, ())]
        for name in found:  # which grows meanwhile
            found += self._with_name.get(name, ())
        return [name for name in dict.fromkeys(found) if name != photo]

    def unclear(self, photo: str) -> list[str]:
        """Return the names of what may belong to a photo or to others, and so to none."""
        return self._unclear.get(stem_of(photo), [])

    def _place(self, name: str) -> None:
        """Note what a sidecar belongs to."""
        wholes = [whole for whole, _ in whole_names(name)]
        its_stems = stems(name)
        matches = self._matches(name, wholes, its_stems)
        owners, keys = next((match for match in matches if match[1]), (None, []))
        if owners is None:  # a photo that is not among the names may still ask for it
            for whole in wholes:
                self._with_name[whole].append(name)
            for stem in its_stems:
                self._with_stem[stem].append(name)
            return
        found = {stem_of(key) for key in keys} if owners is self._with_name else set(keys)
        if len(found) == 1 and not self._is_doubled(name, *found):
            for key in set(keys):
                owners[key].append(name)
        else:
            for stem in found:
                self._unclear[stem].append(name)

    def _matches(self, name: str, wholes: list[str], its_stems: list[str]) -> Iterator[_Match]:
        """Yield what a sidecar's name fits, the best first."""
        for whole in wholes:
            yield self._with_name, [whole] if whole in self._names else []
        for whole in wholes:
            alike = self._by_folded_name.get(whole.casefold(), [])
            yield self._with_name, [one for one in alike if stem_of(one) == stem_of(whole)]
        base = stem_of(name)
        if name.lower().endswith(".json"):
            yield self._with_stem, self._by_cut_name.get(base, [])
        for stem in its_stems:
            yield self._with_stem, [stem] if stem in self._photo_stems else []
        for whole in wholes:
            yield self._with_name, self._by_folded_name.get(whole.casefold(), [])
        for stem in its_stems:
            yield self._with_stem, self._by_folded_stem.get(stem.casefold(), [])
        # Of long names that are one once they are cut, nobody knows which got the number.
        if name.lower().endswith(".json") and (number := NUMBER.fullmatch(base)):
            found = self._by_cut_name.get(number[1], [])
            yield self._with_stem, found if len(set(found)) > 1 else []

    def _is_doubled(self, name: str, stem: str) -> bool:
        """Tell whether two would get one name, as IMG(1).jpg.json and IMG.jpg(1).json would."""
        if name.startswith(f"{stem}."):
            return False
        new_name = named_after(name, stem, stem).casefold()
        self._called[name.casefold()] -= 1
        self._called[new_name] += 1
        return self._called[new_name] > 1

    # Most folders need none of these.

    @cached_property
    def _called(self) -> Counter[str]:
        return Counter(map(str.casefold, self._sidecars))

    @cached_property
    def _photo_stems(self) -> set[str]:
        return set(map(stem_of, self._photos))

    @cached_property
    def _by_folded_name(self) -> dict[str, list[str]]:
        return _by_folded(self._names)

    @cached_property
    def _by_folded_stem(self) -> dict[str, list[str]]:
        return _by_folded(self._photo_stems)

    @cached_property
    def _by_cut_name(self) -> dict[str, list[str]]:
        """Return the stems of photos with long names, by what Takeout makes of these."""
        found: dict[str, list[str]] = defaultdict(list)
        for name in self._photos:
            for cut in names_cut(name):
                found[cut].append(stem_of(name))
        return found


def _by_folded(names: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(name.casefold(), []).append(name)
    return found
