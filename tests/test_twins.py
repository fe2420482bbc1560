"""Photos with the same content are classified once, and the rows are what they were."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import EXAMPLES
from hypothesis import given
from hypothesis import strategies as st

from dogsort import Classifier, Failure
from dogsort.photos.twins import LARGEST, Twin, Twins
from dogsort.records import Photo, Prediction


class Counting(Classifier):
    """Knows how many photos went through the network."""

    seen = 0

    def _record(self, path, row):
        self.seen += 1
        return super()._record(path, row)


@pytest.fixture
def counting():
    return Counting(device="cpu", batch_size=2, workers=2)


def found(folder: Path, *names: str) -> list[str]:
    """Return the names of what is classified, after telling each photo's record at once."""
    twins, classified = Twins(), []
    for item in twins.find(Photo(str(folder / name)) for name in names):
        if isinstance(item, Twin):
            assert Path(item.record.path).name in names
            continue
        classified.append(Path(item.path).name)
        twins.keep(Failure(item.path, "as if"))
    return classified


def test_copies_near_and_far_have_their_originals_records(counting, album):
    alone = {Path(record.path).read_bytes(): record for record in counting.predict(album)}
    assert counting.seen == 6
    (album / "sub").mkdir()
    for name in ("chelsea.png", "kitten.jpeg"):
        for number in range(12):  # more than the look-ahead of four
            shutil.copy(album / name, album / "sub" / f"{number}{name}")
    shutil.copy(album / "kitten.jpeg", album / "kitten2.jpeg")
    (album / "link.jpeg").symlink_to("kitten.jpeg")
    counting.seen = 0
    records = list(counting.predict(album))
    assert counting.seen == 6
    assert len(records) == 6 + 24 + 2
    assert [r.path for r in records] == sorted(
        (r.path for r in records), key=lambda path: (os.path.dirname(path), path)
    )
    for record in records:
        assert record == replace(alone[Path(record.path).read_bytes()], path=record.path)


def test_failures_are_shared_too(counting, tmp_path):
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        (tmp_path / name).write_bytes(b"no photo")
    (tmp_path / "d.jpg").write_bytes(b"no Photo")
    (tmp_path / "e.jpg").write_bytes(b"")
    (tmp_path / "f.jpg").write_bytes(b"")
    failures = list(counting.predict(tmp_path))
    assert [Path(failure.path).name for failure in failures] == [f"{n}.jpg" for n in "abcdef"]
    assert [failure.error for failure in failures] == [
        *["not an image of a known format"] * 4,
        *["empty file"] * 2,
    ]


def test_one_size_is_not_one_content(counting, tmp_path, dog, cat):
    for number in range(3):
        dog.save(tmp_path / f"{number}dog.bmp")
        cat.resize(dog.size).save(tmp_path / f"{number}cat.bmp")
    assert len({path.stat().st_size for path in tmp_path.iterdir()}) == 1
    labels = [record.label for record in counting.predict(tmp_path)]
    assert labels == ["cat", "dog"] * 3
    assert counting.seen == 2


def test_a_photo_that_changed_meanwhile_is_no_original(tmp_path):
    (tmp_path / "a").write_bytes(b"one")
    (tmp_path / "b").write_bytes(b"two")
    twins = Twins()
    items = twins.find(Photo(str(tmp_path / name)) for name in "ab")
    twins.keep(Failure(next(items).path, "what was made of one"))
    (tmp_path / "a").write_bytes(b"two")
    os.utime(tmp_path / "a", ns=(1, 1))  # whatever the file system's clock can tell
    assert next(items) == Photo(str(tmp_path / "b"))


def test_what_cannot_be_read_is_left_to_the_decoder(counting, tmp_path):
    shutil.copy(EXAMPLES / "kitten.jpeg", tmp_path / "a.jpg")
    shutil.copy(EXAMPLES / "kitten.jpeg", tmp_path / "b.jpg")
    items = iter([Photo(str(tmp_path / name)) for name in ("a.jpg", "gone.jpg", ".", "b.jpg")])
    records = list(counting.predict_photos(items))
    assert [getattr(record, "error", "") for record in records][1:3] == [
        "no such file",
        "not a regular file",
    ]
    assert counting.seen == 1
    # An original that is gone by the time of its twin.
    photos = (Photo(str(tmp_path / name)) for name in ("a.jpg", "b.jpg"))
    twins = Twins().find(photos)
    next(twins)
    (tmp_path / "a.jpg").unlink()
    assert next(twins) == Photo(str(tmp_path / "b.jpg"))
    # A file too large to be compared.
    for name in "cd":
        (tmp_path / name).touch()
        os.truncate(tmp_path / name, LARGEST + 1)
    assert found(tmp_path, "c", "d") == ["c", "d"]


def test_records_among_the_photos_pass_in_their_place(counting, album):
    known = Prediction("elsewhere.jpg", "dog", 1.0, 1.0, 1.0)
    failure = Failure("gone.jpg", "gone")
    kitten, chelsea = Photo(str(album / "kitten.jpeg")), Photo(str(album / "chelsea.png"))
    given = [known, kitten, failure, known, known, known, known, chelsea, known]
    records = list(counting.predict_photos(given))
    assert [record.path for record in records] == [item.path for item in given]
    assert [record for record in records if record in (known, failure)] == [
        item for item in given if item in (known, failure)
    ]
    assert counting.seen == 2


@given(contents=st.lists(st.sampled_from([b"", b"x", b"y", b"xx", b"xy", b"yy"]), max_size=30))
def test_exactly_the_first_of_each_content_is_classified(tmp_path_factory, contents):
    folder = tmp_path_factory.mktemp("twins")
    for number, content in enumerate(contents):
        (folder / str(number)).write_bytes(content)
    names = [str(number) for number in range(len(contents))]
    firsts = [
        n for n in names if not contents[int(n)] or contents.index(contents[int(n)]) == int(n)
    ]
    assert found(folder, *names) == firsts


def test_each_file_is_read_once_however_many_there_are(tmp_path, monkeypatch):
    read: list[str] = []
    really_open = os.open

    def counted(path, *arguments):
        read.append(path)
        return really_open(path, *arguments)

    names = [str(number) for number in range(500)]
    for name in names:
        (tmp_path / name).write_bytes(name.rjust(8).encode())
    monkeypatch.setattr(os, "open", counted)
    assert found(tmp_path, *names) == names
    assert len(read) == len(set(read)) == 500
    read.clear()
    (tmp_path / "other").write_bytes(b"another size")
    assert found(tmp_path, "0", "other") == ["0", "other"]
    assert read == []
