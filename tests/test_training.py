"""Labelled photos -> weights: the parts, and a whole small run."""

from __future__ import annotations

import csv
import io
import json
import os
import pickle
import random
import re
import shutil
import subprocess
import sys
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from conftest import EXAMPLES
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dogsort.errors import DataError, OutputError, WeightsError
from dogsort.network.architecture import DogsortNet
from dogsort.network.weights import load_network, load_weights
from dogsort.photos.decode import decode_image
from dogsort.records import Failure
from dogsort.training.augment import augment, collage
from dogsort.training.calibrate import Calibration, calibrate
from dogsort.training.cross_validation import features_of, frozen, out_of_fold, standardised
from dogsort.training.dataset import (
    TRUTHS,
    LabelledPhoto,
    find_labelled,
    hold_out,
    truth_of,
)
from dogsort.training.export import export
from dogsort.training.frozen_norm import maps_of
from dogsort.training.lessons import (
    TEACHER_CENTRE,
    Lessons,
    find_basis,
    lesson_loss,
    principal_basis,
    size_of_lessons,
    take_lessons,
)
from dogsort.training.pixels import check_room, decode_all
from dogsort.training.recipe import RANGES, Recipe, read_recipe
from dogsort.training.samples import Samples, cell_centres, loss_of
from dogsort.training.suspects import suspects_among, write_suspects
from dogsort.training.teacher import Teacher


@pytest.mark.parametrize(
    ("path", "truth"),
    [
        ("x/dog/a.jpg", "dog"),
        ("x/Cats/a.jpg", "cat"),
        ("dog/neither/furry/a.jpg", "neither"),
        ("train/cat.12.jpg", "cat"),
        ("dog/cat.12.jpg", "dog"),
        ("x/a.jpg", None),
        ("hotdog/a.jpg", None),
    ],
)
def test_labels_come_from_folders_or_names(path, truth):
    assert truth_of(path) == truth


def test_a_photo_without_label_is_named(album):
    with pytest.raises(DataError, match=r"astronaut\.png: no label"):
        find_labelled([str(album)])


def test_folders_above_the_one_given_tell_no_labels(tmp_path):
    folder = tmp_path / "dogs" / "train"
    folder.mkdir(parents=True)
    (folder / "cat.1.jpg").write_bytes(b"x")
    assert [photo.truth for photo in find_labelled([str(folder)])] == ["cat"]
    assert [photo.truth for photo in find_labelled([str(tmp_path / "dogs")])] == ["dog"]
    (tmp_path / "dogs" / "train" / "breeds").mkdir()
    (tmp_path / "dogs" / "train" / "breeds" / "a.jpg").write_bytes(b"x")
    with pytest.raises(DataError, match=r"a\.jpg: no label"):
        find_labelled([str(folder / "breeds")])
    (folder / "breeds" / "a.jpg").unlink()
    (tmp_path / "neither" / "furry").mkdir(parents=True)
    (tmp_path / "neither" / "furry" / "a.jpg").write_bytes(b"x")
    assert [p.truth for p in find_labelled([str(tmp_path / "neither" / "furry")])] == ["neither"]
    assert len(find_labelled([str(folder), str(tmp_path / "dogs" / ".." / "dogs")])) == 1


def test_links_to_folders_and_empty_folders_are_refused(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "labelled").mkdir()
    with pytest.raises(DataError, match="labelled: no labelled photos"):
        find_labelled([str(tmp_path / "labelled")])
    (tmp_path / "labelled" / "dog").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="dog: a link to a folder"):
        find_labelled([str(tmp_path / "labelled")])


def test_hold_out_takes_a_tenth_of_each_class():
    truths = ("dog", "cat", "neither")
    photos = [LabelledPhoto(str(n), truths[n % 3]) for n in range(90)]
    kept, held_out = hold_out(photos)
    assert (len(kept), len(held_out)) == (81, 9)
    assert {photo.truth for photo in held_out} == set(truths)
    assert not set(kept) & set(held_out)
    with pytest.raises(DataError, match=r"fewer than 10 photos of: cat, dog, neither.*--val"):
        hold_out(photos[:10])


def test_cache_leaves_out_what_cannot_be_read(tmp_path, album):
    (album / "broken.jpg").write_bytes(b"x")
    photos = [LabelledPhoto(str(path), "cat") for path in sorted(album.iterdir())]
    cache = decode_all(photos, 32, str(tmp_path / "cache.npy"))
    assert [batch.shape for batch in cache.batches()] == [(6, 32, 32, 3)]
    assert cache.failures == [Failure(str(album / "broken.jpg"), "not an image of a known format")]
    assert cache.photos[2].path.endswith("coffee.png")
    with_image = decode_image(Image.open(album / "coffee.png"), 32)
    assert (cache.pixels(2) == with_image).all()
    fewer = pickle.loads(pickle.dumps(cache.without([0, 2])))  # noqa: S301  as workers get it
    assert [photo.path for photo in fewer.photos] == [
        photo.path for index, photo in enumerate(cache.photos) if index not in (0, 2)
    ]
    assert (fewer.pixels(1) == cache.pixels(3)).all()
    assert len(pickle.dumps(cache)) < 10_000


@settings(max_examples=50)
@given(seed=st.integers(0, 2**32))
def test_augmented_photos_keep_shape_and_are_repeatable(seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (48, 48, 3), dtype=np.uint8)
    (first, placement), (second, again) = (augment(pixels, 40, random.Random(seed)) for _ in "ab")
    assert first.shape == (40, 40, 3)
    assert first.dtype == np.uint8
    assert (first == second).all()
    assert (placement == again).all()
    joined, _ = collage(first, np.zeros_like(first), random.Random(seed))
    assert joined.shape == (40, 40, 3)
    assert (joined == 0).all(axis=2).mean() >= 0.3


@settings(max_examples=100)
@given(seed=st.integers(0, 2**32))
def test_augmented_photos_tell_where_each_place_was(seed):
    """A picture whose red and green tell the place: red rises to the right, green downward."""
    rising = np.linspace(0, 200, 100)
    red, green = np.meshgrid(rising, rising)
    pixels = np.stack([red, green, np.full_like(red, 255)], axis=-1).round().astype(np.uint8)
    rng = random.Random(seed)
    with pytest.MonkeyPatch.context() as patch:
        for change in ("COLOUR", "GREY", "BLUR", "JPEG", "ERASE"):  # they stay in place
            patch.setattr(f"dogsort.training.augment.CHANCE_{change}", 0)
        first, placement = augment(pixels, 90, rng)
        second, other_placement = augment(pixels, 90, rng)
    joined, parts = collage(first, second, rng)
    placements = [placement @ parts[0], other_placement @ parts[1]]
    for _ in range(20):
        x, y = rng.randrange(90), rng.randrange(90)
        place = np.array([(x + 0.5) / 90, (y + 0.5) / 90, 1])
        # Away from where they meet, and from frames and what turning brought into the picture.
        inside = [
            whole @ place
            for part, whole in zip(parts, placements, strict=True)
            if ((part @ place)[:2] > 0.1).all()
            and ((part @ place)[:2] < 0.9).all()
            and ((whole @ place)[:2] > 0.1).all()
            and ((whole @ place)[:2] < 0.9).all()
        ]
        assert len(inside) <= 1
        for found in inside:
            assert joined[y, x, :2] == pytest.approx(found[:2] * 202 - 1, abs=6)


def test_first_neuron_learns_from_pets_only():
    logits = torch.tensor([[5.0, -3.0], [1.0, 2.0]], requires_grad=True)
    targets = torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    loss_of(logits, targets).backward()
    assert logits.grad[0, 0] == 0
    assert logits.grad[0, 1] > 0
    assert logits.grad[1, 0] < 0


def test_temperatures_and_bias_are_found_again():
    rng = np.random.default_rng(0)
    true = rng.normal(0, 3, (20000, 2))
    is_dog, is_pet = (rng.random((20000, 2)) < 1 / (1 + np.exp(-true))).T
    logits = ((true - [0.5, 0.0]) * [2.0, 0.5]).astype(np.float32)
    result = calibrate(logits, is_dog, is_pet, pair_logits=np.zeros((9, 2), np.float32))
    assert result.scaling.temperature_dog == pytest.approx(2.0, rel=0.1)
    assert result.scaling.temperature_pet == pytest.approx(0.5, rel=0.1)
    assert result.scaling.bias_dog == pytest.approx(0.25, abs=0.03)  # half of it
    assert 0.5 <= result.bar <= 1
    assert 0 < result.clip < 0.5


def test_pairs_that_look_sure_raise_the_bar_for_the_species():
    half = np.random.default_rng(0).normal(0, 3, (500, 2)).astype(np.float32)
    logits = np.concatenate([half, -half])  # so that no bias is needed
    is_dog, is_pet = (logits > 0).T  # a network without fault
    doubtful = np.zeros((9, 2), np.float32)
    calm = calibrate(logits, is_dog, is_pet, doubtful)
    assert max(calm.bar, calm.species_bar) < 0.6
    dog = (3 - calm.scaling.bias_dog) * calm.scaling.temperature_dog
    sure = np.array([[dog, 50.0]], np.float32)
    strict = calibrate(logits, is_dog, is_pet, np.repeat(sure, 9, axis=0))
    assert strict.bar < 0.6
    assert 0.953 < strict.species_bar < 0.97  # sigmoid(3) is 0.9526


@pytest.fixture
def labelled(tmp_path):
    for name in ("kitten.jpeg", "running_dog.jpeg", "coffee.png"):
        truth = {"k": "cat", "r": "dog", "c": "neither"}[name[0]]
        folder = tmp_path / "labelled" / truth
        folder.mkdir(parents=True)
        for number in range(3):
            shutil.copy(EXAMPLES / name, folder / f"{number}_{name}")
    return tmp_path / "labelled"


def test_train_makes_weights_that_classify(dogsort, labelled, tmp_path):
    (labelled / "dog" / "broken.jpg").write_bytes(b"x")
    out = tmp_path / "weights"
    command = ["train", labelled, "--val", labelled, "--start", load_weights().folder, "-o", out]
    command += ["--epochs", 1, "--workers", 0, "--device", "cpu"]
    run = dogsort(*command)
    assert run.returncode == 3, run.stderr.decode()
    assert "broken.jpg: not an image" in run.stderr.decode()
    assert "10 photos of" in run.stderr.decode()  # --val names the very photos trained on
    assert sorted(path.name for path in out.iterdir()) == [
        "checkpoint.pt",
        "dogsort.onnx",
        "dogsort.safetensors",
        "history.csv",
        "history.png",
        "manifest.json",
        "suspects.csv",
    ]
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["recipe"]["training_photos"] == 9
    used = dogsort(labelled / "cat", "--weights", out)
    assert used.returncode == 0
    assert used.stdout.count(b"\n") == 4


@pytest.fixture(scope="module")
def teacher_file(tmp_path_factory):
    """The example's teacher."""
    file = tmp_path_factory.mktemp("teacher") / "teacher.onnx"
    script = EXAMPLES.parent / "make_teacher.py"
    subprocess.run([sys.executable, script, file], capture_output=True, check=True)
    return file


@pytest.mark.slow
def test_train_learns_from_a_teacher(dogsort, labelled, teacher_file, tmp_path):
    out = tmp_path / "weights"
    run = dogsort(
        *("train", labelled, "--val", labelled, "--start", load_weights().folder, "-o", out),
        *("--epochs", 0, "--workers", 0, "--device", "cpu", "--teacher", teacher_file),
    )
    assert run.returncode == 0, run.stderr.decode()
    teacher = json.loads((out / "manifest.json").read_text())["recipe"]["teacher"]
    assert re.fullmatch(r"teacher\.onnx \(SHA-256 [0-9a-f]{64}\)", teacher)
    run = dogsort(
        *("train", labelled, "--val", labelled, "--start", load_weights().folder, "-o", out),
        *("--epochs", 0),
    )
    assert run.returncode == 1
    assert "begun with other starting weights or teacher" in run.stderr.decode()


@pytest.mark.slow
def test_a_teacher_sees_the_same_at_any_size(teacher_file, dog, cat):
    teacher = Teacher(str(teacher_file))
    small, large = (
        teacher(np.stack([decode_image(photo, size) for photo in (dog, cat)]))
        for size in (224, 320)
    )
    assert small.shape == large.shape == (2, 8, 8, 2560)
    alike = torch.corrcoef(torch.cat([small, large]).mean((1, 2)))
    assert alike[0, 2] > 0.9
    assert alike[1, 3] > 0.9
    assert alike[0, 1] < 0.7


@pytest.mark.slow
def test_teacher_and_network_look_at_the_same_places(teacher_file, album):
    """Where a photo is changed, the cells that change most are to look at one place in both.

    Both look a little to the upper left of the middle of what they could see, for they have learned
    to where TensorFlow pads; that is why each alone is no measure.
    """
    teacher, network = Teacher(str(teacher_file)), load_network(load_weights()).eval()
    rng = np.random.default_rng(1)

    @torch.inference_mode()
    def network_maps(pixels):
        return network.features(network.images(torch.from_numpy(pixels))).permute(0, 2, 3, 1)

    def looks_at(maps_of, centres, before, after):
        strength = (maps_of(after[None]) - maps_of(before[None])).square().sum((0, 3)).square()
        x, y = (strength.sum(axis) @ centres / strength.sum() for axis in (0, 1))
        return torch.stack([x, y])

    differences = []
    for path in sorted(album.iterdir()) * 10:
        before = decode_image(Image.open(path), 256).copy()
        after = before.copy()
        x, y = rng.integers(80, 160, 2)
        after[y : y + 16, x : x + 16] = rng.integers(0, 255, (16, 16, 3))
        theirs = looks_at(teacher, (torch.arange(8) + TEACHER_CENTRE) / 8, before, after)
        ours = looks_at(
            network_maps, torch.from_numpy(cell_centres(256)[0, :, 0]).float(), before, after
        )
        differences.append(theirs - ours)
    assert torch.stack(differences).mean(0).abs().max() < 0.4 / 8  # of a cell


def test_what_is_no_teacher_is_refused(tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"x")
    with pytest.raises(DataError, match=r"a\.onnx: no network that ONNX Runtime can load"):
        Teacher(str(tmp_path / "a.onnx"))
    # Of one size of photos only, and with logits.
    with pytest.raises(DataError, match=r"dogsort\.onnx: not a teacher: it must take pixels"):
        Teacher(str(load_weights().folder / "dogsort.onnx"))


@pytest.fixture(scope="module")
def colour_teacher(tmp_path_factory):
    """A teacher that sees colours, each cell those where cells padded as TensorFlow's look."""
    import onnx
    from onnx.helper import make_graph, make_model, make_node, make_opsetid, make_tensor_value_info

    nodes = [
        make_node("Transpose", ["pixels"], ["planes"], perm=[0, 3, 1, 2]),
        make_node("Cast", ["planes"], ["values"], to=onnx.TensorProto.FLOAT),
        make_node("Slice", ["values", "first", "last", "axes"], ["rest"]),
        make_node("AveragePool", ["rest"], ["maps"], kernel_shape=[2, 2], strides=[32, 32]),
    ]
    constants = {"first": [30, 30], "last": [9999, 9999], "axes": [2, 3]}
    graph = make_graph(
        nodes,
        "colours",
        [make_tensor_value_info("pixels", onnx.TensorProto.UINT8, ["n", "height", "width", 3])],
        [make_tensor_value_info("maps", onnx.TensorProto.FLOAT, ["n", 3, "h", "w"])],
        [
            onnx.numpy_helper.from_array(np.array(values), name)
            for name, values in constants.items()
        ],
    )
    file = tmp_path_factory.mktemp("colours") / "colours.onnx"
    onnx.save(make_model(graph, opset_imports=[make_opsetid("", 18)], ir_version=9), file)
    return file


def test_features_are_condensed():
    """Synthetic features: two directions, one of them stronger, a little noise, a dead channel."""
    torch.manual_seed(0)
    hidden = torch.randn(500, 2) * torch.tensor([3.0, 1.0])
    features = hidden @ torch.randn(2, 40) + torch.randn(500, 40) * 0.01 + 7
    features[:, 5] = 2.0
    covariance = torch.cov(features.T.double(), correction=0)
    basis = principal_basis(features.double().mean(0), covariance, 2)
    components = basis.components(features)
    assert components.shape == (500, 2)
    assert components.mean(0).abs().max() < 1e-3
    assert components.square().mean() == pytest.approx(1, abs=0.01)
    # Nothing but noise is lost: each feature is a sum of the two.
    centred = features - features.mean(0)
    solution = torch.linalg.lstsq(components, centred).solution
    assert (components @ solution - centred).std() < 0.02
    assert principal_basis(features.double().mean(0), covariance, 99).weight.shape == (40, 40)
    assert basis.weight[5].abs().max() == 0


def test_a_lesson_is_learned_once_it_can_be_told():
    torch.manual_seed(0)
    lesson = torch.randn(200, 3, 3, 8) * 0.6 + torch.randn(200, 1, 1, 8) * 0.8  # mean square 1
    mean_square = float(lesson.mean((1, 2)).square().mean())
    seen = torch.ones(200, 3, 3, dtype=torch.bool)
    nothing = torch.zeros_like(lesson)
    assert lesson_loss(nothing, lesson, seen, mean_square) == pytest.approx(1, abs=0.05)
    assert lesson_loss(lesson, lesson, seen, mean_square) == 0
    seen[:, 0] = False
    assert lesson_loss(torch.where(seen[..., None], lesson, 9), lesson, seen, mean_square) == 0
    assert lesson_loss(nothing, lesson, seen & False, mean_square) == 0


def test_normalising_in_the_convolutions_changes_nothing():
    torch.manual_seed(0)
    network = DogsortNet()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-1, 1)
            module.running_var.uniform_(0.5, 2)
    network.features.eval()
    images = torch.rand(2, 3, 64, 64) * 2 - 1
    outcomes = []
    for maps in (network.features(images), maps_of(network.features, images)):
        network.zero_grad()
        maps.square().mean().backward()
        gradients = [parameter.grad for parameter in network.features.parameters()]
        outcomes.append([maps, *gradients])
    for expected, found in zip(*outcomes, strict=True):
        near = 1e-4 * float(expected.detach().abs().max())
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=near)


def places_as_colours(folder):
    """Photos whose red and green tell the place: red rises to the right, green downward."""
    rising = np.linspace(0, 255, 256)
    red, green = np.meshgrid(rising, rising)
    photos = []
    for number, truth in enumerate(TRUTHS):
        blue = np.full_like(red, 120 * number)
        picture = np.stack([red, green, blue], axis=-1).round().astype(np.uint8)
        photos.append(LabelledPhoto(str(folder / f"{number}.png"), truth))
        Image.fromarray(picture).save(photos[-1].path)
    return photos


@pytest.mark.parametrize("collages", [0.0, 1.0])
def test_samples_tell_which_place_of_which_photo_they_show(tmp_path, monkeypatch, collages):
    for change in ("COLOUR", "GREY", "SMALL", "BLUR", "JPEG", "ERASE"):  # the colours shall stay
        monkeypatch.setattr(f"dogsort.training.augment.CHANCE_{change}", 0)
    cache = decode_all(places_as_colours(tmp_path), 256, str(tmp_path / "cache.npy"))
    recipe = Recipe(first_crop=160, last_crop=160, collage_share=collages, neither_repeats=2)
    looked_at = 0
    for epoch in range(10):
        samples = Samples(cache, recipe, epoch)
        assert samples.indices.tolist() == [0, 1, 2, 2]
        for item in range(len(samples)):
            pixels, targets, photos, places = samples[item]
            shown = [TRUTHS[index] for index in photos.unique().tolist()]
            pets = [truth for truth in shown if truth != "neither"]
            assert targets[0] == pytest.approx(pets.count("dog") / max(1, len(pets)))
            assert targets[1:].tolist() == [len(pets) > 0] * 2
            assert int(photos[0, 0]) == samples.indices[item]
            for row, column in np.ndindex(5, 5):
                colour = pixels[row * 32, column * 32].float()  # the pixel a cell looks around
                place = places[row, column]
                alone = (
                    photos[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2]
                ).unique()
                if not ((place > 0.05) & (place < 0.95)).all() or len(alone) > 1:
                    continue  # in a frame, or where photos meet
                assert colour[:2].numpy() == pytest.approx(place.numpy() * 255, abs=6)
                assert float(colour[2]) == pytest.approx(120 * int(photos[row, column]), abs=2)
                looked_at += 1
    assert looked_at > 200


def test_a_teacher_tells_what_each_place_shows(colour_teacher, tmp_path):
    cache = decode_all(places_as_colours(tmp_path), 256, str(tmp_path / "cache.npy"))
    teacher, file = Teacher(str(colour_teacher)), tmp_path / "lessons.npy"
    basis = find_basis(cache, teacher, components=9, seed=1)
    means = take_lessons(len(cache), cache.batches(), teacher, basis, file)
    assert means.shape == (3, 3)
    assert means[:, 2].tolist() == pytest.approx([0, 120, 240])
    maps = np.load(file)
    assert (maps.shape, maps.dtype) == ((3, 8, 8, 3), np.float16)
    assert maps.nbytes == size_of_lessons(3, teacher, 9, 256)
    assert np.square(maps.astype(np.float32)).mean() == pytest.approx(1, rel=0.01)
    lessons = Lessons(file, [0, 2], mean_square=1.0)
    places = torch.rand(2, 50, 2, generator=torch.Generator().manual_seed(0)) * 0.8 + 0.15
    photos = torch.tensor([[0], [1]]).expand(2, 50)
    found, seen = lessons.at(photos, places)
    assert seen.all()
    # Colours rise evenly, so that between cells they are what is between those of the cells.
    colours = torch.cat([places * 256 - 0.5, photos[..., None] * 240], dim=-1)
    expected = basis.components(colours)
    assert (found - expected).abs().max() < 0.03
    _, seen = lessons.at(photos[:1, :3], torch.tensor([[[-0.01, 0.5], [0.5, 1.01], [1, 0]]]))
    assert seen.tolist() == [[False, False, True]]
    lessons.close()


def test_cells_look_around_where_they_are_said_to():
    """With convolutions that average, what a cell sees lies evenly around its centre."""
    features = DogsortNet().features.eval()
    for layer in features.modules():
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.constant_(layer.weight, 1 / layer.weight[0].numel())
    size = 480  # wide enough that the middle sees no border
    images = torch.full((1, 3, size, size), 1e-4, requires_grad=True)  # far from ReLU6's end
    features(images)[0, 0, 8, 7].backward()
    seen = images.grad[0, 0]
    places = (torch.arange(size) + 0.5) / size
    x, y, _ = cell_centres(size)[8, 7]
    assert float((seen.sum(0) * places).sum() / seen.sum()) == pytest.approx(x, abs=1e-3)
    assert float((seen.sum(1) * places).sum() / seen.sum()) == pytest.approx(y, abs=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("taught", [False, True])
def test_train_goes_on_where_it_was_stopped(labelled, colour_teacher, tmp_path, taught):
    from dogsort.photos.decode import readable_formats
    from dogsort.training.start import read_start
    from dogsort.training.train import train
    from dogsort.training.watcher import Watcher

    readable_formats()
    photos = find_labelled([str(labelled)])
    start = read_start(str(load_weights().folder))
    recipe = Recipe(epochs=3)
    teacher = Teacher(str(colour_teacher)) if taught else None

    class Stopping(Watcher):
        """Stops the run as Ctrl-C would, once so many epochs are done."""

        def __init__(self, after: int) -> None:
            self.after = after
            self.said: list[str] = []

        def say(self, text: str) -> None:
            self.said.append(text)

        def track(self, items, total, what):
            self.said.append(what)
            if what == f"epoch {self.after + 1}":
                raise KeyboardInterrupt
            return items

    def run(folder, after, held_out=photos):
        watcher = Stopping(after)
        train(photos, held_out, start, teacher, str(tmp_path / folder), recipe, "cpu", 0, watcher)
        return watcher.said

    run("whole", 99)
    with pytest.raises(KeyboardInterrupt):
        run("stopped", 2)
    said = run("stopped", 99)
    assert "going on after epoch 2" in said
    assert ("asking the teacher" in said) == taught
    digests = [load_weights(tmp_path / name).manifest["files"] for name in ("whole", "stopped")]
    assert digests[0]["dogsort.safetensors"] == digests[1]["dogsort.safetensors"]
    # A finished run is calibrated and exported once more, to the same weights.
    (tmp_path / "whole" / "dogsort.onnx").unlink()
    (tmp_path / "whole" / ".dogsort-decoded").mkdir()
    (tmp_path / "whole" / ".dogsort-decoded" / "training.npy").write_bytes(
        b"of a run that was killed"
    )
    assert "asking the teacher" not in run("whole", 99)
    assert load_weights(tmp_path / "whole").manifest["files"] == digests[0]
    assert not (tmp_path / "whole" / ".dogsort-decoded").exists()
    with open(tmp_path / "whole" / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["phase"] for row in rows] == ["head", "whole", "whole", "whole"]
    if taught:
        assert float(rows[-1]["teacher_loss"]) < float(rows[0]["teacher_loss"]) < 2
    # It may be calibrated on other photos; one that goes on compares its epochs on the same ones.
    assert "going on after epoch 4" in run("whole", 99, photos[:-1])
    with pytest.raises(KeyboardInterrupt):
        run("other", 1)
    with pytest.raises(DataError, match="begun with other validation photos"):
        run("other", 99, photos[:-1])
    # Photos that differ are no continuation.
    photos.pop()
    with pytest.raises(DataError, match="begun with other photos"):
        run("other", 99)
    torch.save([1, 2], other := io.BytesIO())
    for damaged in (b"x", other.getvalue()):
        (tmp_path / "other" / "checkpoint.pt").write_bytes(damaged)
        with pytest.raises(DataError, match=r"checkpoint\.pt: damaged or unreadable; delete it"):
            run("other", 99)


def test_train_needs_room_on_the_disk(tmp_path):
    with pytest.raises(OutputError, match=r"1000000\.0 GB are needed there"):
        check_room(tmp_path, 10**15)
    with pytest.raises(OutputError) as refused:  # lacking little, yet seen to lack something
        check_room(tmp_path, shutil.disk_usage(tmp_path).free + 10**7)
    needed, free = map(float, re.findall(r"([\d.]+) GB", str(refused.value)))
    assert needed > free


def test_labels_are_judged_by_other_photos():
    """Synthetic features that tell the label, but for one photo whose label is wrong."""
    truth = torch.arange(300) % 3
    features = torch.eye(3)[truth] * 8 + torch.randn(
        300, 3, generator=torch.Generator().manual_seed(0)
    )
    truth[7] = (truth[7] + 1) % 3
    given = out_of_fold(features, truth, seed=1).gather(1, truth[:, None])[:, 0]
    assert given.argmin() == 7
    assert given[7] < 0.05
    assert given[torch.arange(300) != 7].min() > 0.5


def test_train_says_early_what_is_missing(dogsort, labelled, tmp_path):
    shutil.rmtree(labelled / "neither")
    run = dogsort("train", labelled, "-o", tmp_path / "weights")
    assert run.returncode == 1
    assert "no training photos of: neither" in run.stderr.decode()
    assert not (tmp_path / "weights").exists()


@pytest.mark.parametrize("reason", ["unreadable", "too few to judge"])
def test_train_says_why_a_class_has_no_photos_left(dogsort, labelled, tmp_path, reason):
    shutil.copytree(labelled, tmp_path / "held_out")
    for photo in labelled.glob("*/[12]_*"):
        photo.unlink()
    if reason == "unreadable":
        (labelled / "cat" / "0_kitten.jpeg").write_bytes(b"x")
    command = ["train", labelled, "--val", tmp_path / "held_out", "-o", tmp_path / "weights"]
    run = dogsort(*command, "--start", load_weights().folder, "--workers", 0, "--device", "cpu")
    assert run.returncode == 1
    said = run.stderr.decode()
    assert "folder of its name" not in said
    if reason == "unreadable":
        assert "0_kitten.jpeg: not an image" in said
        assert "no readable training photos of: cat" in said
    else:
        assert "no believable training photos of: cat, dog, neither" in said
        assert "suspects.csv" in said


def test_train_looks_at_validation_before_it_loads_anything(dogsort, labelled, tmp_path):
    (tmp_path / "teacher.onnx").write_bytes(b"no network")
    shutil.copytree(labelled, tmp_path / "held_out")
    shutil.rmtree(tmp_path / "held_out" / "cat")
    command = ["train", labelled, "--val", tmp_path / "held_out", "-o", tmp_path / "weights"]
    run = dogsort(*command, "--teacher", tmp_path / "teacher.onnx")
    assert run.returncode == 1
    assert "no validation photos of: cat" in run.stderr.decode()


def test_weights_that_are_half_written_are_none(tmp_path):
    """Those of before are replaced: what describes them goes first."""
    folder, bundled = tmp_path / "weights", load_weights()
    shutil.copytree(bundled.folder, folder)
    calibration = Calibration(bundled.scaling, bundled.bar, bundled.species_bar, bundled.clip)
    (folder / "dogsort.safetensors").unlink()
    (folder / "dogsort.safetensors").mkdir()
    with pytest.raises(OutputError, match="weights cannot be written"):
        export(load_network(bundled), folder, bundled.input_size, calibration, {}, {})
    with pytest.raises(WeightsError, match=r"there is no manifest\.json"):
        load_weights(folder)


def test_weights_are_not_made_among_the_photos(dogsort, labelled):
    """Of the plots there, the next run would say that they have no label."""
    for name in ("weights", "."):
        run = dogsort("train", ".", "-o", name, cwd=labelled)
        assert run.returncode == 1
        assert f"{name}: lies in ., among the photos" in run.stderr.decode()
    assert sorted(path.name for path in labelled.iterdir()) == ["cat", "dog", "neither"]


def test_two_runs_do_not_train_into_one_folder(dogsort, labelled, tmp_path):
    out = tmp_path / "weights"
    out.mkdir()
    command = ["train", labelled, "--val", labelled, "--start", load_weights().folder, "-o", out]
    with FileLock(out / ".dogsort-training"):
        run = dogsort(*command, "--epochs", 0)
    assert run.returncode == 1
    assert f"{out}: another run trains into it" in run.stderr.decode()


def test_wrong_labels_are_found(data, tmp_path):
    photos = [
        photo
        for truth in ("kaggle_squashed/dog", "kaggle_squashed/cat", "neither/other")
        for photo in find_labelled([str(data / "val" / truth)])[:250]
    ]
    photos[7] = replace(photos[7], truth="cat")
    cache = decode_all(photos, 224, str(tmp_path / "cache.npy"))
    network = frozen(load_network(load_weights()), "cpu")
    features = standardised(features_of(cache.batches(), network))
    truth = torch.tensor([TRUTHS.index(photo.truth) for photo in photos])
    found = suspects_among(photos, out_of_fold(features, truth, seed=1).numpy())
    assert (found[0].index, found[0].likelier) == (7, "dog")
    assert len(found) <= 3
    write_suspects(found, str(data / "val"), tmp_path / "suspects.csv")
    with open(tmp_path / "suspects.csv", newline="") as file:
        row, *others = csv.DictReader(file)
    assert len(others) == len(found) - 1
    assert (row["path"], row["label"], row["likelier"]) == (
        os.path.relpath(photos[7].path, data / "val"),
        "cat",
        "dog",
    )
    assert float(row["probability"]) < 0.01


@pytest.mark.slow
def test_two_processes_train_one_network(labelled, tmp_path):
    """As several GPUs do, here on the CPU: the outcome is that of a single process."""
    # Without dropout, whose draws differ; with pets only, since each process takes the first
    # neuron's mean over its own pets.
    recipe = {"dropout": 0.0, "collage_share": 0.0, "neither_repeats": 0}
    recipe |= {"batch_size": 2, "average_decay": 0.0}
    (tmp_path / "recipe.json").write_text(json.dumps(recipe))
    weights = []
    for name, launcher in (
        ("one", ["-m"]),
        ("two", ["-m", "torch.distributed.run", "--nproc-per-node=2", "-m", "--"]),
    ):
        command = [sys.executable, *launcher, "dogsort", "train", labelled, "--val", labelled]
        command += ["--start", load_weights().folder, "-o", tmp_path / name, "--device", "cpu"]
        command += ["--epochs", "1", "--workers", "0", "--recipe", tmp_path / "recipe.json"]
        run = subprocess.run(command, capture_output=True, check=False)
        assert run.returncode == 0, run.stderr.decode()
        assert run.stderr.decode().count("weights are in") == 1
        assert run.stderr.decode().count("are trained on, too") == 1
        assert "dogsort/training" not in run.stderr.decode()  # warnings about our own code
        weights.append(load_network(load_weights(tmp_path / name)).state_dict())
    for name, value in weights[0].items():
        # Adam's first step is a matter of signs, and those of nothing are chance.
        assert (weights[1][name] - value).abs().float().mean() < 1e-5, name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not a JSON file"),
        ("[1]", "an object of names and values is needed"),
        ('{"epoch": 3}', "unknown in a recipe of this dogsort: epoch"),
        ('{"epochs": "3"}', "epochs: '3' is no int"),
        ('{"rate": -1}', "rate: -1 is not within 0 and 1"),
        ('{"dropout": NaN}', "dropout: nan is not within"),
        ('{"recipe": {"epochs": 3}}', "made by another dogsort: its recipe has no average_decay"),
    ],
)
def test_recipes_that_cannot_be_followed(tmp_path, text, message):
    (tmp_path / "recipe.json").write_text(text)
    with pytest.raises(DataError, match=re.escape(message)):
        read_recipe(str(tmp_path / "recipe.json"))


def test_every_value_of_a_recipe_has_a_range():
    assert RANGES.keys() == asdict(Recipe()).keys()
    assert all(low <= asdict(Recipe())[name] <= high for name, (low, high) in RANGES.items())


def test_the_recipe_of_the_bundled_weights_can_be_followed():
    weights = load_weights()
    recipe = read_recipe(str(weights.folder / "manifest.json"))
    assert recipe.input_size == weights.input_size
    assert recipe.hidden == weights.hidden


def test_crops_grow_to_the_last_epoch():
    recipe = Recipe(head_epochs=1, epochs=7, first_crop=128, last_crop=192)
    sizes = [recipe.crop_size(epoch) for epoch in range(recipe.all_epochs)]
    assert sizes == sorted(sizes)
    assert (sizes[0], sizes[-1]) == (128, 192)
    assert all(size % 32 == 0 for size in sizes)
    phases = [recipe.phase(epoch) for epoch in range(recipe.all_epochs)]
    assert phases == ["head", *["whole"] * 7]
    assert Recipe(head_epochs=1, epochs=0).crop_size(0) == Recipe().last_crop
