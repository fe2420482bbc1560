"""The Python interface: photos in, predictions out, in order."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dogsort
from dogsort import Classifier, DogsortError, Failure, Prediction
from dogsort.decision import decide
from dogsort.records import LABELS, Thresholds

PROBABILITY = st.floats(0, 1)


def test_exports_exist():
    for name in dogsort.__all__:
        assert getattr(dogsort, name)
    with pytest.raises(AttributeError):
        dogsort.nothing  # noqa: B018


def test_examples(classifier, album):
    labels = {record.path.rsplit("/", 1)[-1]: record.label for record in classifier.predict(album)}
    assert labels == {
        "astronaut.png": "neither",
        "chelsea.png": "cat",
        "coffee.png": "neither",
        "kitten.jpeg": "cat",
        "rocket.jpg": "neither",
        "running_dog.jpeg": "dog",
    }


def test_failures_keep_their_place_and_harm_nobody(album):
    whole = {record.path: record for record in Classifier(device="cpu").predict(album)}
    for name in ("aaa.jpg", "coffee2.jpg", "zzz.jpg"):
        (album / name).write_bytes(b"broken")
    for batch_size, workers in ((1, 1), (2, 3), (4, 1), (64, 8)):
        classifier = Classifier(device="cpu", batch_size=batch_size, workers=workers)
        records = list(classifier.predict(album))
        paths = [record.path for record in records]
        assert paths == sorted(paths)
        assert sum(isinstance(record, Failure) for record in records) == 3
        for record in records:
            if isinstance(record, Prediction):
                assert record.label == whole[record.path].label
                assert record.p_dog == pytest.approx(whole[record.path].p_dog, abs=1e-4)
                assert record.p_pet == pytest.approx(whole[record.path].p_pet, abs=1e-4)


def test_predict_is_lazy(classifier, album):
    asked: list[str] = []

    def names():
        for number in itertools.count():
            asked.append(str(number))
            yield album / ("coffee.png" if number % 2 else "kitten.jpeg")
            if number > 0:
                # A file given twice is one photo, so continue with copies.
                copy = album / f"copy{number}.jpeg"
                copy.write_bytes((album / "kitten.jpeg").read_bytes())
                yield copy

    records = classifier.predict(names())
    assert not asked
    assert next(records).label == "cat"
    assert len(asked) < 200
    records.close()


def test_one_path_or_many(classifier, album):
    one = album / "kitten.jpeg"
    assert len(list(classifier.predict(str(one)))) == 1
    assert len(list(classifier.predict(one))) == 1
    assert [r.path for r in classifier.predict([one, album / "gone.jpg"])] == [
        str(one),
        str(album / "gone.jpg"),
    ]
    assert list(classifier.predict([])) == []


def test_images_and_arrays_match_files(classifier, album, cat):
    (from_file,) = classifier.predict(album / "chelsea.png")
    for picture in (cat, np.asarray(cat)):
        (record,) = classifier.predict_images([picture])
        assert record.path == ""
        assert record.p_dog == pytest.approx(from_file.p_dog, abs=1e-5)
    assert len(list(classifier.predict_images([cat] * 70))) == 70


def test_images_are_not_changed(classifier, album):
    from PIL import Image

    with Image.open(album / "kitten.jpeg") as image:
        list(classifier.predict_images([image]))
        assert image.size == (275, 275)


@pytest.mark.parametrize(
    ("picture", "error"),
    [
        ("kitten.jpeg", TypeError),
        (np.zeros((4, 4, 3), np.float32), ValueError),
        (np.zeros((4, 4), np.uint8), ValueError),
        (np.zeros((0, 4, 3), np.uint8), DogsortError),
    ],
)
def test_other_pictures_are_refused(classifier, picture, error):
    with pytest.raises(error):
        list(classifier.predict_images([picture]))


@pytest.mark.parametrize("options", [{"batch_size": 0}, {"workers": -1}, {"min_confidence": 1.5}])
def test_numbers_out_of_range_are_refused(options):
    with pytest.raises(DogsortError):
        Classifier(device="cpu", **options)


def decide_one(p_dog: float, p_pet: float, confidence: float, species: float) -> tuple[str, float]:
    """Return what is said of one photo."""
    thresholds = Thresholds(confidence, species)
    (label,), (confidence,) = decide(np.array([p_dog]), np.array([p_pet]), thresholds)
    return LABELS[label], confidence


@given(p_dog=PROBABILITY, p_pet=PROBABILITY, threshold=PROBABILITY)
def test_a_decision(p_dog, p_pet, threshold):
    label, confidence = decide_one(p_dog, p_pet, threshold, 0.0)
    assert 1 / 3 - 1e-9 <= confidence <= 1
    assert (label == "unsure") == (confidence < threshold)
    strict, same_confidence = decide_one(p_dog, p_pet, threshold, 1.0)
    assert same_confidence == confidence
    assert strict in (label, "unsure")
    assert strict == label or label in ("dog", "cat")
    if label == "dog":
        assert p_dog >= 0.5
        assert confidence == pytest.approx(p_pet * p_dog)


def test_dog_beside_cat_is_unsure():
    assert decide_one(0.5, 1.0, 0.6, 0.0) == ("unsure", 0.5)
    assert decide_one(0.95, 1.0, 0.9, 0.0) == ("dog", 0.95)
    assert decide_one(0.95, 1.0, 0.9, 0.97) == ("unsure", 0.95)
    assert decide_one(0.95, 0.0, 0.9, 0.97) == ("neither", 1.0)
