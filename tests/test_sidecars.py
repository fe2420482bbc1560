"""What belongs to a photo, by the names that programs and cameras give."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from conftest import files_below
from hypothesis import given
from hypothesis import strategies as st

from dogsort.filing.sidecars import Sidecars, is_sidecar_name, named

#: Takeout cuts the name before .json to 46 units of UTF-16.
LONG = "Screenshot_20220207_102421_com.snapchat.androi"
CEREMONY = "Backyard_ceremony_wedding_photography_xxxxxxx_"
FACES = "😀" * 23
assert len(LONG) == len(CEREMONY) == 2 * len(FACES) == 46

#: A photo, its sidecars, and their new names if the photo gets " (2)".
TABLE = {
    "a.jpg": {"a.xmp": "a (2).xmp", "a.JPG.XMP": "a (2).JPG.XMP", "a.json": "a (2).json"},
    "IMG_1.HEIC": {"IMG_1.MOV": "IMG_1 (2).MOV", "IMG_1.AAE": "IMG_1 (2).AAE"},
    "IMG_1234.HEIC": {
        "IMG_O1234.AAE": "IMG_O1234 (2).AAE",
        "IMG_1234.AAE": "IMG_1234 (2).AAE",
        "IMG_O1234.AAE.json": "IMG_O1234 (2).AAE.json",
    },
    "DSC_1.JPG": {
        "DSC_1.NEF": "DSC_1 (2).NEF",
        "DSC_1.NEF.xmp": "DSC_1 (2).NEF.xmp",
        "DSC_1.nef.pp3": "DSC_1 (2).nef.pp3",
        "DSC_1.NEF.xmp.json": "DSC_1 (2).NEF.xmp.json",
        "DSC_1.JPG.pp3": "DSC_1 (2).JPG.pp3",
        "DSC_1.JPG.dop": "DSC_1 (2).JPG.dop",
        "DSC_1.THM": "DSC_1 (2).THM",
        "DSC_1.WAV": "DSC_1 (2).WAV",
    },
    "PXL_1.MP.jpg": {
        "PXL_1.MP": "PXL_1.MP (2).MP",
        "PXL_1.MP.pp3": "PXL_1.MP (2).MP.pp3",
        "PXL_1.MP.jpg.json": "PXL_1.MP (2).jpg.json",
    },
    "X.jpg": {"X.JPG.json": "X (2).JPG.json"},
    "Mixed.jpg": {"mixed.XMP": "Mixed (2).XMP"},
    "IMG_4081(1).jpg": {"IMG_4081.jpg(1).json": "IMG_4081(1) (2).jpg.json"},
    "Neg(1)(1).jpg": {
        "Neg(1).jpg.supplemental-metadata(1).json": "Neg(1)(1) (2).jpg.supplemental-metadata.json"
    },
    "b.jpg": {
        "b.jpg.supplemental-metadata.json": "b (2).jpg.supplemental-metadata.json",
        "b.jpg.suppl.json": "b (2).jpg.suppl.json",
        "b.jpg..json": "b (2).jpg..json",
    },
    "c(3).jpg": {"c.jpg.suppleme(3).json": "c(3) (2).jpg.suppleme.json"},
    f"{LONG}d.jpg": {f"{LONG}.json": f"{LONG}d (2).json"},
    f"{LONG[:-1]}.jpg": {f"{LONG[:-1]}..json": f"{LONG[:-1]} (2).json"},
    f"{LONG[:-5]}(38).jpg": {f"{LONG[:-5]}(38).json": f"{LONG[:-5]}(38) (2).json"},
    f"{CEREMONY}m(494).jpg": {f"{CEREMONY}(494).json": f"{CEREMONY}m(494) (2).json"},
    f"{FACES}😛.jpg": {f"{FACES}.json": f"{FACES}😛 (2).json"},
    "Ωmega.jpg": {"ωmega.xmp": "Ωmega (2).xmp"},
}


@pytest.mark.parametrize("photo", TABLE)
def test_what_belongs_to_a_photo(photo):
    names = [photo, *TABLE[photo]]
    sidecars = Sidecars([*names, "other.jpg", "other.xmp", "IMG_E1234.JPG"])
    stem = os.path.splitext(photo)[0]
    after = {name: named(f"{stem} (2)", rest) for name, rest in sidecars.of(photo).items()}
    assert after == TABLE[photo]
    assert sidecars.unclear({photo}) == []
    assert sidecars.of("other.jpg") == {"other.xmp": ".xmp"}
    assert sidecars.of("IMG_E1234.JPG") == {}


def test_all_kinds_in_one_folder_keep_apart():
    sidecars = Sidecars(name for photo in TABLE for name in (photo, *TABLE[photo]))
    assert {photo: set(sidecars.of(photo)) for photo in TABLE} == {
        photo: set(others) for photo, others in TABLE.items()
    }


@pytest.mark.parametrize(
    ("names", "photos"),
    [
        (["A.xmp", "a.jpg", "A.jpg"], ["A.jpg"]),
        (["a.xmp", "a.jpg", "a.heic"], ["a.jpg", "a.heic"]),
        (["X.JPG.json", "X.jpg", "X.jPg"], ["X.jpg", "X.jPg"]),
        (["X.JPG.json", "X.jpg", "x.JPG"], ["X.jpg"]),
        (["a.jpg.xmp", "a.jpg", "a.jpg.png"], ["a.jpg"]),
        (["IMG_O1.AAE", "IMG_O1.jpg", "IMG_1.jpg"], ["IMG_O1.jpg"]),
        ([f"{LONG}.json", f"{LONG}d.jpg", f"{LONG}d(1).jpg"], [f"{LONG}d.jpg"]),
        ([f"{LONG}(1).json", f"{LONG}d.jpg", f"{LONG}d(1).jpg"], [f"{LONG}d(1).jpg"]),
        (["IMG_1.mov.xmp", "IMG_1.mov", "IMG_1.jpg"], ["IMG_1.jpg"]),
        (["DSC_1.NEF.xmp", "DSC_1.JPG"], []),
        (["b.pp3", "b.jpg"], []),
        (["metadata.json", "b.jpg"], []),
        (["..MP", "..MP.jpg"], []),  # is hidden, and has no suffix
    ],
)
def test_the_best_fit_counts(names, photos):
    sidecars = Sidecars(names)
    others = [name for name in names if not is_sidecar_name(name)]
    assert [name for name in others if names[0] in sidecars.of(name)] == photos
    assert not sidecars.unclear(set(names))


@pytest.mark.parametrize(
    ("stays", "others"),
    [
        ("IMG.xmp", ["Img.jpg", "img.jpg"]),
        ("IMG.JPG.json", ["Img.jpg", "img.jpg"]),
        (f"{LONG}.json", [f"{LONG}d.jpg", f"{LONG}e.jpg"]),
        (f"{LONG}.json", [f"{LONG}.jpg", f"{LONG}e.jpg"]),
        (f"{LONG}(1).json", [f"{LONG}d.jpg", f"{LONG}e.jpg"]),
        # Two would get the same name.
        ("IMG.jpg(1).json", ["IMG(1).jpg", "IMG(1).jpg.json"]),
        ("A.xmp", ["a.jpg", "a.xmp"]),
    ],
)
def test_what_could_be_of_several_stays_and_is_named(stays, others):
    sidecars = Sidecars([stays, *others, "else.jpg", "stray.json"])
    for photo in (other for other in others if other.endswith(".jpg")):
        assert stays not in sidecars.of(photo)
        assert sidecars.unclear({photo}) == [stays]
    assert sidecars.unclear({"else.jpg"}) == []


def test_a_photo_that_is_no_file_or_has_a_strange_name_has_its_own():
    """A link, or a photo that was classified because it was named by itself."""
    belonging = {
        "a.jpg": ["a.jpg.json", "a.xmp"],
        "IMG_1234.HEIC": ["IMG_O1234.AAE"],
        "n(1).jpg": ["n.jpg(1).json"],
        "no_suffix": ["no_suffix.xmp"],
        "raw.dng": ["raw.dng.xmp", "raw.xmp"],
    }
    names = [name for others in belonging.values() for name in others]
    sidecars = Sidecars([*names, "raw.dng"], belonging)
    assert {photo: list(sidecars.of(photo)) for photo in belonging} == belonging


@pytest.mark.parametrize("taken", [False, True])
def test_each_kind_is_moved_and_put_back(dogsort, tmp_path, taken):
    folder, sorted_to = tmp_path / "photos", tmp_path / "sorted"
    names = [name for photo in TABLE for name in (photo, *TABLE[photo])]
    for place, some in ((folder, names), (sorted_to / "cat", TABLE if taken else ())):
        place.mkdir(parents=True)
        for name in some:
            (place / name).write_text(f"{place} {name}")
    whose, *theirs = (CEREMONY + rest for rest in (".json", "a.jpg", "b.jpg"))
    for name in ("stray.json", whose, *theirs):
        (folder / name).write_text(name)
    table = tmp_path / "t.csv"
    photos = [*TABLE, theirs[0]]
    table.write_text(
        "path,label\n" + "".join(f"photos/{name},cat\n" for name in photos), encoding="utf-8"
    )
    before = files_below(tmp_path)
    run = dogsort("file", "t.csv", "--move", "--to", "sorted", cwd=tmp_path)
    assert run.returncode == 0, run.stderr.decode()
    assert {path.name for path in folder.iterdir()} == {"stray.json", whose, theirs[1]}
    for photo, others in TABLE.items():
        stem, suffix = os.path.splitext(photo)
        moved = {photo: f"{stem} (2){suffix}", **others} if taken else {photo: photo}
        for name in (photo, *others):
            target = sorted_to / "cat" / moved.get(name, name)
            assert target.read_text() == f"{folder} {name}"
    said = run.stderr.decode().splitlines()
    assert [line for line in said if whose in line] == [
        f"{Path('photos', whose)}: stays, since it may belong to photos with different names"
    ]
    assert b"stray.json" not in run.stderr
    assert dogsort("undo", "sorted", cwd=tmp_path).returncode == 0
    assert files_below(tmp_path) == before


PARTS = ("a", "A", "IMG_", "IMG_O", "1", "(1)", ".jpg", ".JPG", ".NEF", ".MP", ".s", ".", LONG)
STEMS = st.lists(st.sampled_from(PARTS), min_size=1, max_size=4).map("".join)
NAMES = st.builds(
    str.__add__,
    STEMS,
    st.sampled_from(
        [".jpg", ".xmp", ".json", "(1).json", ".AAE", ".MP", ".NEF", ".pp3", ".suppl.json"]
    ),
)


@given(names=st.sets(NAMES, max_size=8), stem=st.one_of(STEMS, st.just("")), number=st.booleans())
def test_what_is_renamed_still_belongs_to_its_photo(names, stem, number):
    sidecars = Sidecars(names)
    for photo in names:
        old, suffix = os.path.splitext(photo)
        new = f"{old} (2)" if number or not stem else f"new {stem}"
        others = sidecars.of(photo) if suffix == ".jpg" else {}
        after = [named(new, rest) for rest in others.values()]
        assert set(after) <= Sidecars([new + suffix, *after]).of(new + suffix).keys()
        assert [os.path.splitext(name)[1] for name in after] == [
            os.path.splitext(name)[1] for name in others
        ]
        if number:
            assert len(set(after)) == len(others)
