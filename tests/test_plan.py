"""What goes where, with real folders."""

from __future__ import annotations

import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trees import plant

from dogsort.filing.options import FilingOptions
from dogsort.filing.plan import Planner


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths in these tests are relative to an empty folder."""
    monkeypatch.chdir(tmp_path)


def make_files(*names: str, **contents: str) -> None:
    """Make files in the current folder, with their names or the given text as content."""
    plant(Path(), {name: name.encode() for name in names})
    plant(Path(), {name: text.encode() for name, text in contents.items()})


def planner_of(*photos: tuple[str, str | None], action="move", folder="p", **options) -> Planner:
    planner = Planner(FilingOptions(action, folder, **options))
    for path, label in photos:
        planner.add(path, label)
    return planner


def plan(*photos: tuple[str, str | None], **options) -> dict[str, str]:
    """Plan photos given as (path, label); return targets by source."""
    filings = planner_of(*photos, **options).filings()
    return {filing.source: filing.target for filing in filings}


def test_only_dogs_and_cats_are_filed():
    make_files("p/a.jpg", "p/b.jpg", "p/c.jpg", "p/d.jpg")
    photos = [("p/a.jpg", "dog"), ("p/b.jpg", "cat"), ("p/c.jpg", "neither"), ("p/d.jpg", "unsure")]
    assert plan(*photos) == {"p/a.jpg": "p/dog/a.jpg", "p/b.jpg": "p/cat/b.jpg"}
    assert plan(*photos, unsure_to="look")["p/d.jpg"] == "p/look/d.jpg"
    assert plan(*photos, neither_to="rest")["p/c.jpg"] == "p/rest/c.jpg"
    assert plan(("p/unreadable.jpg", None)) == {}


def test_planning_changes_nothing():
    make_files("q/a.jpg", "q/a.xmp", "p/dog/a.jpg")
    before = sorted(Path().rglob("*"))
    assert plan(("q/a.jpg", "dog"), ("q/b.jpg", "cat")) != {}
    assert sorted(Path().rglob("*")) == before


def test_what_is_in_its_folder_stays():
    make_files("dog/a.jpg", "dog/b.jpg", "real/dog/a.jpg")
    assert plan(("./dog/a.jpg", "dog"), ("dog/b.jpg", "dog"), folder=".") == {}
    assert plan(("./dog/a.jpg", "cat"), folder=".") == {"./dog/a.jpg": "./cat/a.jpg"}
    # Also if one of the two names leads through a link.
    os.mkdir("link")
    os.symlink("../real/dog", "link/dog")
    planner = planner_of(("real/dog/a.jpg", "dog"), folder="link")
    assert planner.filings() == []
    assert planner.in_place == 1


def test_taken_names_are_numbered():
    make_files("p/dog/a.jpg", "p/dog/a (2).jpg", "0/a.jpg", "1/a.jpg", "2/a.jpg")
    targets = plan(*((f"{n}/a.jpg", "dog") for n in range(3)))
    assert list(targets.values()) == [f"p/dog/a ({number}).jpg" for number in (3, 4, 5)]
    # On some file systems, b.jpg and B.JPG are the same name.
    make_files("1/b.jpg", "2/B.JPG")
    targets = plan(("1/b.jpg", "dog"), ("2/B.JPG", "dog"))
    assert list(targets.values()) == ["p/dog/b.jpg", "p/dog/B (2).JPG"]


def test_conflicts_are_named():
    make_files("q/a.jpg", "q/b.jpg", "p/dog/a.jpg")
    photos = [("q/a.jpg", "dog"), ("q/b.jpg", "dog")]
    planner = planner_of(*photos)
    assert [filing.target for filing in planner.filings()] == ["p/dog/a (2).jpg", "p/dog/b.jpg"]
    assert planner.conflicts == {"q/a.jpg": "p/dog/a.jpg"}


def test_what_is_there_already_is_not_filed_again():
    make_files("p/dog/a.jpg", "p/dog/a (2).jpg", **{"p/a.jpg": "p/dog/a (2).jpg"})
    make_files("q/a.jpg", "r/a.jpg")
    for action in ("move", "copy", "hardlink"):
        planner = planner_of(("p/a.jpg", "dog"), action=action)
        assert planner.filings() == []
        assert planner.already == {"p/a.jpg": "p/dog/a (2).jpg"}
        assert planner.conflicts == {}
    assert plan(("q/a.jpg", "dog")) == {"q/a.jpg": "p/dog/a (3).jpg"}


def test_a_link_that_is_there_already_is_not_made_again():
    make_files("p/a.jpg", "q/a.jpg")
    os.mkdir("p/dog")
    os.symlink("../a.jpg", "p/dog/a.jpg")
    assert plan(("p/a.jpg", "dog"), action="link") == {}
    assert plan(("q/a.jpg", "dog"), action="link") == {"q/a.jpg": "p/dog/a (2).jpg"}


def test_the_same_is_what_holds_the_same_bytes():
    """Neither a file of the same size and time, nor a link, nor a folder."""
    make_files(**{"q/a.jpg": "one", "q/b.jpg": "one", "q/c.jpg": "one", "q/d.jpg": "one"})
    make_files(**{"p/dog/a.jpg": "one", "p/dog/b.jpg": "two"})
    for path in ("q/a.jpg", "q/b.jpg", "p/dog/a.jpg", "p/dog/b.jpg"):
        os.utime(path, (1, 1))
    os.symlink("a.jpg", "p/dog/c.jpg")
    os.mkdir("p/dog/d.jpg")
    # A photo that is already gone is reported when it is filed.
    targets = plan(*((f"q/{name}.jpg", "dog") for name in "abcd"), ("q/gone/a.jpg", "dog"))
    assert targets == {
        "q/b.jpg": "p/dog/b (2).jpg",
        "q/c.jpg": "p/dog/c (2).jpg",
        "q/d.jpg": "p/dog/d (2).jpg",
        "q/gone/a.jpg": "p/dog/a (2).jpg",
    }


def test_a_move_leaves_links_and_what_they_lead_to():
    make_files("p/a.jpg", "p/b.jpg")
    os.symlink("a.jpg", "p/link.jpg")
    photos = [("p/a.jpg", "dog"), ("p/b.jpg", "dog"), ("p/link.jpg", "dog")]
    planner = planner_of(*photos)
    assert [filing.source for filing in planner.filings()] == ["p/b.jpg"]
    assert planner.links == {os.path.realpath("p/a.jpg"): "p/link.jpg"}
    assert len(plan(*photos, action="copy")) == 3


def test_what_belongs_to_a_photo_goes_with_it():
    takeout = ("a.jpg.supplemental-metadata.json", "a.jpg.suppl.json")
    belonging = ("a.xmp", "a.jpg.json", "a.MOV", "a.NEF", *takeout)
    others = ("a.txt", "a.jpg.other.json", "ab.xmp", "b.jpg.json", "a.jpg.mov", "c.xmp")
    make_files(*(f"q/{name}" for name in ("a.jpg", "b.jpg", *belonging, *others)))
    photos = [("q/a.jpg", "dog"), ("q/b.jpg", "neither")]
    expected = {f"q/{name}": f"p/dog/{name}" for name in ("a.jpg", *sorted(belonging))}
    assert plan(*photos) == expected


def test_what_belongs_to_a_link_goes_with_it():
    make_files("elsewhere/b.jpg", "q/a.xmp", "q/n.jpg(1).json")
    for name in ("a.jpg", "n(1).jpg"):
        os.symlink("../elsewhere/b.jpg", f"q/{name}")
    targets = plan(("q/a.jpg", "dog"), ("q/n(1).jpg", "dog"), action="copy")
    assert targets.keys() == {f"q/{name}" for name in os.listdir("q")}


def test_one_name_taken_renames_a_photo_and_its_sidecars_in_step():
    make_files("q/a.jpg", "q/a.xmp", "q/a.jpg.json", "p/dog/a.xmp")
    assert plan(("q/a.jpg", "dog")) == {
        "q/a.jpg": "p/dog/a (2).jpg",
        "q/a.jpg.json": "p/dog/a (2).jpg.json",
        "q/a.xmp": "p/dog/a (2).xmp",
    }


def test_a_sidecar_of_two_photos_that_part_stays():
    make_files("q/a.jpg", "q/a.heic", "q/a.xmp", "q/a.jpg.xmp")
    planner = planner_of(("q/a.jpg", "dog"), ("q/a.heic", "cat"))
    assert [filing.source for filing in planner.filings()] == ["q/a.jpg", "q/a.jpg.xmp", "q/a.heic"]
    assert planner.shared == ["q/a.xmp"]
    # If they go together, so does it, once.
    assert plan(("q/a.jpg", "dog"), ("q/a.heic", "dog")) == {
        f"q/{name}": f"p/dog/{name}" for name in ("a.jpg", "a.xmp", "a.jpg.xmp", "a.heic")
    }
    left = plan(("q/a.jpg", "dog"), ("q/a.heic", "neither"))
    assert left.keys() == {"q/a.jpg", "q/a.jpg.xmp"}


def test_a_folder_in_two_spellings_is_one():
    make_files("q/a.jpg", "q/a.heic", "q/a.xmp")
    planner = planner_of(("q/a.jpg", "dog"), ("./q/a.heic", "cat"))
    assert [filing.source for filing in planner.filings()] == ["q/a.jpg", "q/a.heic"]
    assert planner.shared == ["q/a.xmp"]


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("reason", ["same", "link"])
def test_a_sidecar_never_leaves_a_photo_that_stays(order, reason):
    """Whichever of its photos comes first, and whatever the reason that one stays."""
    make_files("q/i.jpg", "q/i.heic", "q/i.xmp")
    photos = [("q/i.jpg", "dog"), ("q/i.heic", "dog")][::order]
    if reason == "link":
        os.symlink("i.jpg", "q/link")
        photos.append(("q/link", "dog"))
    else:
        make_files(**{"p/dog/i.jpg": "q/i.jpg"})
    planner = planner_of(*photos)
    assert [filing.source for filing in planner.filings()] == ["q/i.heic"]
    assert planner.shared == ["q/i.xmp"]


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("taken", ["i.jpg", "i.heic", "i.xmp", "i.heic.json"])
def test_photos_of_one_stem_that_go_together_keep_one(order, taken):
    names = ["i.jpg", "i.heic", "i.xmp", "i.heic.json"]
    make_files(*(f"q/{name}" for name in names), f"p/dog/{taken}", "z/i.jpg")
    photos = [("q/i.jpg", "dog"), ("q/i.heic", "dog"), ("z/i.jpg", "dog")][::order]
    targets = plan(*photos)
    stem = targets["q/i.jpg"].removesuffix(".jpg")
    assert {targets[f"q/{name}"] for name in names} == {stem + name[1:] for name in names}
    assert stem.endswith(")")


def test_photos_that_some_file_systems_take_for_one_keep_apart():
    make_files("q/a.jpg", "q/a.JPG", "q/a.xmp")
    targets = plan(("q/a.jpg", "dog"), ("q/a.JPG", "dog"))
    assert targets == {"q/a.jpg": "p/dog/a.jpg", "q/a.JPG": "p/dog/a (2).JPG"}


def test_a_photo_whose_name_has_a_number_keeps_it():
    photos = ["q/2023/x.jpg", "q/2024/x (2).jpg", "q/2024/x.jpg"]
    make_files(*photos)
    assert plan(*((path, "dog") for path in photos)) == {
        "q/2023/x.jpg": "p/dog/x.jpg",
        "q/2024/x (2).jpg": "p/dog/x (2).jpg",
        "q/2024/x.jpg": "p/dog/x (3).jpg",
    }


def test_the_same_photo_twice_is_filed_once():
    paths = ["x/a.jpg", "y/a.jpg", "z/A.jpg"]
    make_files("z/b.jpg", **dict.fromkeys(paths, "a dog"))
    photos = [(path, "dog") for path in (*paths, "z/b.jpg")]
    for action in ("move", "copy", "hardlink"):
        planner = planner_of(*photos, action=action)
        assert [filing.source for filing in planner.filings()] == ["x/a.jpg", "z/b.jpg"]
        assert planner.already == {"y/a.jpg": "p/dog/a.jpg", "z/A.jpg": "p/dog/a.jpg"}
        assert planner.conflicts == {}
    # Links to two files count separately.
    assert len(plan(*photos, action="link")) == 4


@pytest.mark.parametrize("root", [".", "./", "q", "x/../q", "absolute"])
def test_the_tree_is_kept_however_the_folder_is_named(root):
    make_files("q/2019/a.jpg", "q/x/b.jpg", "x/c.jpg", "b/c/a.jpg")
    root = os.path.abspath("q") if root == "absolute" else root
    below = "q/2019/" if root in (".", "./") else "2019/"
    for path in ("q/2019/a.jpg", "./q/2019/a.jpg", "q/x/../2019/a.jpg"):
        targets = plan((path, "dog"), keep_tree=[root, "other"])
        assert targets == {path: f"p/dog/{below}a.jpg"}
    # A photo that was named by itself has no tree.
    assert plan(("b/c/a.jpg", "dog"), keep_tree=["q"]) == {"b/c/a.jpg": "p/dog/a.jpg"}


@contextmanager
def new_folder() -> Iterator[None]:
    """Use another empty folder, because hypothesis shares a test's fixtures between examples."""
    before = os.getcwd()
    with tempfile.TemporaryDirectory(dir=before) as folder:
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)


NAMES = st.sampled_from(["a.jpg", "A.jpg", "a (2).jpg", "a (2) (2).jpg", "b"])
SOURCES = st.lists(st.tuples(st.sampled_from("xyz"), NAMES), unique=True)


@given(sources=SOURCES, there=st.sets(NAMES))
def test_no_two_photos_get_one_name_and_none_that_exists(sources, there):
    paths = [f"{folder}/{name}" for folder, name in sources]
    with new_folder():
        make_files(*paths, *(f"p/dog/{name}" for name in there))
        targets = plan(*((path, "dog") for path in paths)).values()
    assert len({target.casefold() for target in targets}) == len(sources)
    assert not {f"p/dog/{name}" for name in there} & set(targets)


STEMMED = st.sampled_from(["i.jpg", "i.JPG", "i.heic", "I.jpg"])
PLACES = st.tuples(st.sampled_from("xy"), STEMMED).map("/".join)


@given(
    labels=st.dictionaries(PLACES, st.sampled_from(["dog", "cat", None])),
    there=st.sets(st.sampled_from(["i.jpg", "i.heic", "i.xmp", "i (2).jpg", "I.JPG.json"])),
    same=st.dictionaries(st.one_of(PLACES, st.just("p/dog/i.jpg")), st.sampled_from(["1", "2"])),
    action=st.sampled_from(["move", "copy"]),
)
def test_what_belongs_to_photos_goes_as_all_of_them_do(labels, there, same, action):
    sidecars = {"i.xmp": ".", "I.xmp": ".", "i.jpg.json": ".jpg.", "i.JPG.xmp": ".JPG."}
    beside = {f"{place}/{name}" for place in "xy" for name in sidecars}
    existing = {f"p/dog/{name}" for name in there}
    with new_folder():
        files = {*labels, *beside, *existing}
        make_files(*files, **{path: text for path, text in same.items() if path in files})
        targets = plan(*labels.items(), action=action)
    assert len({target.casefold() for target in targets.values()}) == len(targets)
    assert not existing & set(targets.values())
    for sidecar in beside & targets.keys():
        stem, name = sidecar[: len("x/i")], sidecar[len("x/") :]
        begin = stem + sidecars[name]
        alike = [path for path in labels if f"{path}.".casefold().startswith(begin.casefold())]
        exact = [path for path in alike if f"{path}.".startswith(begin)]
        owners = exact or [path for path in alike if path.startswith(stem)] or alike
        assert owners
        new = targets[sidecar].removesuffix(sidecar[len(stem) :]).casefold()
        assert all(
            targets.get(path, "").casefold() == new + path[len(stem) :].casefold()
            for path in owners
        )


class Counts:
    """Count opened files and executed lines of Python while it listens."""

    def __init__(self) -> None:
        self.opened: Counter[str] = Counter()
        self.lines = 0
        self._listens = False
        sys.addaudithook(self._audit)  # which cannot be removed

    def _audit(self, event: str, arguments: tuple[object, ...]) -> None:
        if self._listens and event == "open":
            self.opened[str(arguments[0])] += 1

    def _trace(self, _frame, event, _argument):
        self.lines += event == "line"
        return self._trace

    @contextmanager
    def listening(self) -> Iterator[None]:
        self._listens = True
        before = sys.gettrace()
        sys.settrace(self._trace)
        try:
            yield
        finally:
            sys.settrace(before)
            self._listens = False


@pytest.mark.parametrize(
    ("content", "filed"),
    [
        (lambda number: f"{number:04}", 2000),
        (lambda number: "x" * number, 2000),
        (lambda _: "x", 1),
    ],
    ids=["different bytes", "different sizes", "identical"],
)
def test_thousands_of_photos_of_one_name_take_linear_time(content, filed):
    """As cameras number them; measured by operations, not by time."""
    make_files(**{f"q/{number}/IMG_1.jpg": content(number) for number in range(2000)})
    lines = {}
    for count in (200, 2000):
        counts = Counts()
        with counts.listening():
            planner = planner_of(*((f"q/{number}/IMG_1.jpg", "dog") for number in range(count)))
            filings = planner.filings()
        assert len(filings) == min(filed, count)
        assert len(filings) + len(planner.already) == count
        assert not counts.opened or counts.opened.most_common(1)[0][1] == 1
        lines[count] = counts.lines
    assert lines[2000] < 12 * lines[200]


def test_thousands_of_sidecars_that_nobody_can_tell_apart_take_linear_time():
    """As in an album whose long names Takeout cut to the same name."""
    cut = "Backyard_ceremony_wedding_photography_xxxxxxx_"
    lines = {}
    for count in (200, 2000):
        photos = [f"{count}/{cut}number_{number}.jpg" for number in range(count)]
        sidecars = [f"{count}/{cut}({number}).json" for number in range(count)]
        make_files(*photos, *sidecars)
        planner = planner_of(*((path, "dog") for path in photos))
        counts = Counts()
        with counts.listening():
            assert len(planner.filings()) == count
        assert sorted(planner.unclear) == sorted(sidecars)
        lines[count] = counts.lines
    assert lines[2000] < 12 * lines[200]
