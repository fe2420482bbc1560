"""Labelled photos -> weights: the parts, and a whole small run."""

from __future__ import annotations

import csv
import io
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import asdict

import numpy as np
import pytest
import torch
from conftest import EXAMPLES
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dogsort.errors import DataError, OutputError, WeightsError
from dogsort.evaluation.labelled import LabelledPhoto, find_labelled, truth_of
from dogsort.network.architecture import DogsortNet
from dogsort.network.weights import load_network, load_weights
from dogsort.photos.decode import decode_image
from dogsort.records import Failure
from dogsort.training.augment import augmentation, collage
from dogsort.training.calibrate import calibrate, calibration_of, enough
from dogsort.training.dataset import check_room, decode_photos, hold_out
from dogsort.training.distill import Teacher, standardised, unexplained
from dogsort.training.export import export
from dogsort.training.finish import Comparison, dog_and_cat_pairs
from dogsort.training.frozen_norm import maps_of
from dogsort.training.recipe import RANGES, Recipe, read_recipe
from dogsort.training.sampling import TrainingSamples, draw, shares_of
from dogsort.training.start import read_start
from dogsort.training.train import Progress, loss_of, train


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
    assert [photo.truth for photo in find_labelled([str(folder)])[0]] == ["cat"]
    assert [photo.truth for photo in find_labelled([str(tmp_path / "dogs")])[0]] == ["dog"]
    (tmp_path / "dogs" / "train" / "breeds").mkdir()
    (tmp_path / "dogs" / "train" / "breeds" / "a.jpg").write_bytes(b"x")
    with pytest.raises(DataError, match=r"a\.jpg: no label"):
        find_labelled([str(folder / "breeds")])
    (folder / "breeds" / "a.jpg").unlink()
    (tmp_path / "neither" / "furry").mkdir(parents=True)
    (tmp_path / "neither" / "furry" / "a.jpg").write_bytes(b"x")
    assert [p.truth for p in find_labelled([str(tmp_path / "neither" / "furry")])[0]] == ["neither"]
    assert len(find_labelled([str(folder), str(tmp_path / "dogs" / ".." / "dogs")])[0]) == 1


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


def decoded(photos, size, folder):
    *_, made = decode_photos(photos, size, folder / "pixels.npy")
    return made


def test_what_cannot_be_read_is_left_out(tmp_path, album):
    (album / "broken.jpg").write_bytes(b"x")
    photos = [LabelledPhoto(str(path), "cat") for path in sorted(album.iterdir())]
    *each, made = decode_photos(photos, 32, tmp_path / "pixels.npy")
    assert len(each) == len(photos)
    failure = Failure(str(album / "broken.jpg"), "not an image in a known format")
    assert [result for result in each if isinstance(result, Failure)] == [failure]
    assert [batch.shape for batch in made.batches()] == [(6, 32, 32, 3)]
    assert made.photos[2].path.endswith("coffee.png")
    assert (made.pixels[2] == decode_image(Image.open(album / "coffee.png"), 32)).all()
    packed = pickle.dumps(made)  # as workers get it
    assert len(packed) < 5_000
    assert (pickle.loads(packed).pixels == made.pixels).all()  # noqa: S301


@settings(max_examples=50)
@given(seed=st.integers(0, 2**32))
def test_changed_photos_keep_shape_and_are_repeatable(seed):
    change = augmentation(48, least_area=0.3)
    photo = torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8)
    torch.manual_seed(seed)
    first = change(photo)
    torch.manual_seed(seed)
    assert first.shape == (3, 48, 48)
    assert first.dtype == torch.uint8
    assert (change(photo) == first).all()
    joined, share = collage(torch.full_like(first, 200), torch.zeros_like(first))
    assert joined.shape == (3, 48, 48)
    assert float((joined == 200).float().mean()) == pytest.approx(share, abs=0.01)
    assert 0.3 <= share <= 0.7


@given(sizes=st.lists(st.integers(1, 60), min_size=1, max_size=6), count=st.integers(1, 500))
def test_photos_are_drawn_by_the_root_of_how_many_of_their_kind_there_are(sizes, count):
    photos = [
        LabelledPhoto(f"{kind}/{number}", "neither", f"kind {kind}")
        for kind, size in enumerate(sizes)
        for number in range(size)
    ]
    shares = shares_of(photos, {"kind 0": 2.0})
    assert shares.sum() == pytest.approx(1)
    drawn = draw(shares, count, np.random.default_rng(0))
    times = np.bincount(drawn, minlength=len(photos))
    assert (abs(times - shares * count) < 1 + 1e-6).all()
    of_kind = Counter(photos[index].group for index in drawn)
    roots = np.sqrt(sizes) * [2.0, *[1.0] * (len(sizes) - 1)]
    for kind, root in enumerate(roots):
        expected = count * root / roots.sum()
        assert abs(of_kind[f"kind {kind}"] - expected) < sizes[kind] + 1


CLASSES = ("dog", "cat", "neither")


def colours(folder):
    """Two red dogs, two green cats, and two blue others."""
    photos = []
    for number in range(6):
        photos.append(LabelledPhoto(str(folder / f"{number}.png"), CLASSES[number % 3]))
        colour = [0, 0, 0]
        colour[number % 3] = 200
        Image.new("RGB", (64, 64), tuple(colour)).save(photos[-1].path)
    return photos


def class_of(pixels):
    """Return the class of a patch; None if it is grey or a frame."""
    means = pixels.float().mean((0, 1))
    return CLASSES[int(means.argmax())] if means.max() > 2 * means.median() + 20 else None


@pytest.mark.parametrize("collages", [0.0, 1.0])
def test_samples_are_labelled_by_what_they_show(tmp_path, collages):
    made = decoded(colours(tmp_path), 64, tmp_path)
    taught = torch.eye(3).repeat(2, 1).half()
    recipe = Recipe(crop_size=64, collage_share=collages, epoch_photos=300)
    samples = TrainingSamples(made, taught, recipe, epoch=1)
    assert len(samples) == 300
    seen = Counter()
    for sample in (samples[item] for item in range(len(samples))):
        assert sample.pixels.shape == (64, 64, 3)
        shown = {class_of(sample.pixels[:12, :12]), class_of(sample.pixels[-12:, -12:])}
        if None in shown:
            continue
        seen[frozenset(shown)] += 1
        is_dog, is_pet = sample.labels.tolist()
        assert is_pet == (shown != {"neither"})
        if is_pet:
            assert is_dog == (0.5 if {"dog", "cat"} <= shown else float("dog" in shown))
        assert float(sample.taught.sum()) == pytest.approx(1, abs=1e-3)
        assert {CLASSES[index] for index in sample.taught.nonzero()[:, 0]} == shown
    if collages:
        assert seen[frozenset({"dog", "cat"})] > 40
    else:
        assert set(map(len, seen)) == {1}
        assert seen.total() > 200


def test_first_neuron_learns_from_pets_only():
    logits = torch.tensor([[5.0, -3.0], [1.0, 2.0]], requires_grad=True)
    labels = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    loss_of(logits, labels).backward()
    assert logits.grad[0, 0] == 0
    assert logits.grad[0, 1] > 0
    assert logits.grad[1, 0] < 0


def equal(count):
    return np.full(count, 1 / count)


def test_temperatures_and_bias_are_found_again():
    rng = np.random.default_rng(0)
    true = rng.normal(0, 3, (4000, 2))
    is_dog, is_pet = (rng.random((4000, 2)) < 1 / (1 + np.exp(-true))).T
    logits = ((true - [0.5, 0.0]) * [2.0, 0.5]).astype(np.float32)
    result = calibrate(logits, is_dog, is_pet, equal(4000), np.zeros((9, 2), np.float32))
    assert result.scaling.temperature_dog == pytest.approx(2.0, rel=0.15)
    assert result.scaling.temperature_pet == pytest.approx(0.5, rel=0.2)  # most show no pet
    assert result.scaling.bias_dog == pytest.approx(0.25, abs=0.1)  # half of the shift
    assert 0.5 <= result.threshold <= 1
    assert 0 < result.clip < 0.5


def faultless():
    half = np.random.default_rng(0).normal(0, 3, (500, 2)).astype(np.float32)
    logits = np.concatenate([half, -half])  # so that no bias is needed
    is_dog, is_pet = (logits > 0).T
    return logits, is_dog, is_pet


def test_pairs_that_look_sure_raise_the_threshold_for_the_species():
    logits, is_dog, is_pet = faultless()
    doubtful = np.zeros((9, 2), np.float32)
    calm = calibrate(logits, is_dog, is_pet, equal(1000), doubtful)
    assert calm.kept
    assert max(calm.threshold, calm.species_threshold) < 0.6
    dog = (3 - calm.scaling.bias_dog) * calm.scaling.temperature_dog
    sure = np.array([[dog, 50.0]], np.float32)
    strict = calibrate(logits, is_dog, is_pet, equal(1000), np.repeat(sure, 9, axis=0))
    assert strict.threshold < 0.6
    assert 0.953 < strict.species_threshold < 0.97  # sigmoid(3) is 0.9526


def test_kinds_count_by_their_share_and_promises_that_cannot_be_kept_are_told():
    logits, is_dog, is_pet = faultless()
    logits[np.flatnonzero(~is_pet)[:20]] = 100.0  # twenty others that surely look like dogs
    shares = equal(1000)
    result = calibrate(logits, is_dog, is_pet, shares, logits[:0])
    assert not result.kept
    assert result.threshold == result.species_threshold == 0.995
    shares[np.flatnonzero(~is_pet)[:20]] /= 100  # of a kind that is rare in folders
    assert calibrate(logits, is_dog, is_pet, shares, logits[:0]).kept


def test_few_photos_are_not_enough_to_calibrate_on():
    truths = np.array(["dog"] * 100 + ["cat"] * 100 + ["neither"] * 200)
    is_dog, is_pet = truths == "dog", truths != "neither"
    assert enough(is_dog, is_pet)
    for left_out in (0, 150, 399):
        kept = np.arange(400) != left_out
        assert not enough(is_dog[kept], is_pet[kept])


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
    command = ["train", labelled, "--val", labelled, "-o", out]
    run = dogsort(*command, "--epochs", 1, "--workers", 0, "--device", "cpu")
    said = run.stderr.decode()
    assert run.returncode == 3, said
    assert "broken.jpg: not an image" in said
    assert "10 photos of" in said  # --val names the training photos
    assert sorted(path.name for path in out.iterdir()) == [
        "checkpoint.pt",
        "dogsort.onnx",
        "dogsort.safetensors",
        "history.csv",
        "manifest.json",
    ]
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["recipe"]["training_photos"] == 9
    # Nine photos prove little, and it says so.
    assert "too few validation photos to calibrate on" in said
    assert "no significant difference from the bundled weights" in said
    bundled = load_weights().manifest
    for name in ("calibration", "thresholds", "submission"):
        assert manifest[name] == bundled[name]
    used = dogsort(labelled / "cat", "--weights", out)
    assert used.returncode == 0
    assert used.stdout.count(b"\n") == 4


def test_a_new_head_needs_photos_to_calibrate_on(dogsort, labelled, tmp_path):
    from safetensors.torch import save_file

    features = tmp_path / "features.safetensors"
    save_file(DogsortNet().features.state_dict(), features)
    command = ["train", labelled, "--val", labelled, "--start", features, "-o", tmp_path / "out"]
    run = dogsort(*command)
    assert run.returncode == 1
    said = run.stderr.decode()
    assert "9 validation photos are too few to calibrate on (100 dogs, 100 cats and 200" in said
    assert not (tmp_path / "out").exists()
    features.write_bytes(b"x")
    assert "features.safetensors: damaged" in dogsort(*command).stderr.decode()
    save_file({"0.0.weight": torch.zeros(1)}, features)
    assert "not hold the features of a MobileNetV2" in dogsort(*command).stderr.decode()


@pytest.mark.slow
def test_worse_weights_are_called_worse(data, tmp_path):
    """A random head, calibrated on photos that it never saw."""
    from safetensors.torch import save_file

    for folder in ("kaggle_squashed/dog", "kaggle_squashed/cat", "neither/other"):
        (tmp_path / "val" / folder).mkdir(parents=True)
        for photo in sorted((data / "val" / folder).iterdir())[:210]:
            (tmp_path / "val" / folder / photo.name).symlink_to(photo)
    features = tmp_path / "features.safetensors"
    save_file(load_network(load_weights()).features.state_dict(), features)
    photos, _ = find_labelled([str(tmp_path / "val")])
    recipe = Recipe(epochs=0)
    start = read_start(str(features), recipe)
    *_, end = train(photos, photos, start, None, str(tmp_path / "out"), recipe, "cpu", 0)
    assert isinstance(end, Comparison)
    assert end.calibrated
    assert end.gain[2] < 0
    assert "WORSE than the bundled ones; keep those" in " ".join(end.lines())


@pytest.fixture(scope="module")
def teacher_file(tmp_path_factory):
    """The example's teacher."""
    file = tmp_path_factory.mktemp("teacher") / "teacher.onnx"
    script = EXAMPLES.parent / "make_teacher.py"
    subprocess.run([sys.executable, script, file], capture_output=True, check=True)
    return file


@pytest.mark.slow
def test_the_teacher_of_the_examples_knows_dogs_from_cats(teacher_file, dog, cat):
    teacher = Teacher(str(teacher_file))
    dogs, cats = slice(151, 269), slice(281, 286)  # ImageNet's classes
    for size in (224, 320):
        said = teacher(np.stack([decode_image(photo, size) for photo in (dog, cat)]))
        assert said.shape == (2, 1000)
        chances = said.softmax(1)
        assert chances[0, dogs].sum() > 0.5
        assert chances[1, cats].sum() > 0.5


def test_what_is_no_teacher_is_refused(tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"x")
    with pytest.raises(DataError, match=r"a\.onnx: not a network that ONNX Runtime can load"):
        Teacher(str(tmp_path / "a.onnx"))
    teacher = Teacher(str(load_weights().folder / "dogsort.onnx"))  # any network will do
    with pytest.raises(DataError, match=r"not a teacher: it fails on pixels \(1, 64, 64, 3\)"):
        teacher(np.zeros((1, 64, 64, 3), np.uint8))  # the network takes one size only


@pytest.fixture(scope="module")
def colour_teacher(tmp_path_factory):
    """A teacher that returns how red, green and blue a photo is."""
    import onnx
    from onnx.helper import make_graph, make_model, make_node, make_opsetid, make_tensor_value_info

    nodes = [
        make_node("Cast", ["pixels"], ["values"], to=onnx.TensorProto.FLOAT),
        make_node("ReduceMean", ["values", "axes"], ["colours"], keepdims=0),
    ]
    graph = make_graph(
        nodes,
        "colours",
        [make_tensor_value_info("pixels", onnx.TensorProto.UINT8, ["n", "height", "width", 3])],
        [make_tensor_value_info("colours", onnx.TensorProto.FLOAT, ["n", 3])],
        [onnx.numpy_helper.from_array(np.array([1, 2]), "axes")],
    )
    file = tmp_path_factory.mktemp("colours") / "colours.onnx"
    onnx.save(make_model(graph, opset_imports=[make_opsetid("", 18)], ir_version=9), file)
    return file


def test_what_a_teacher_says_is_of_one_scale():
    torch.manual_seed(0)
    said = torch.randn(500, 4) * torch.tensor([9.0, 1.0, 0.1, 0.0]) + 7
    taught = standardised(said).float()
    assert taught.mean(0).abs().max() < 1e-2
    assert taught.std(0).tolist() == pytest.approx([1, 1, 1, 0], abs=0.01)
    assert float(unexplained(torch.zeros(500, 3), taught[:, :3])) == pytest.approx(1, abs=0.01)
    assert float(unexplained(taught, taught)) == 0


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


@pytest.mark.parametrize("taught", [False, True])
def test_train_goes_on_where_it_was_stopped(labelled, colour_teacher, tmp_path, taught):
    photos, _ = find_labelled([str(labelled)])
    recipe = Recipe(epochs=2, input_size=64, crop_size=64)

    def run(folder, stop=None, photos=photos, held_out=photos):
        """Train until the stage ``stop`` begins, or to the end; return the stages."""
        stages = []
        start = read_start(None, recipe)
        teacher = Teacher(str(colour_teacher)) if taught else None
        for event in train(
            photos, held_out, start, teacher, str(tmp_path / folder), recipe, "cpu", 0
        ):
            if isinstance(event, Progress) and event.stage not in stages:
                stages.append(event.stage)
            is_learned = isinstance(event, dict) and event["epoch"] == recipe.epochs
            if is_learned or (stages and stages[-1] == stop):
                break  # closes the run, as Ctrl-C does
        return stages

    run("whole")
    run("stopped", "epoch 2")
    assert not (tmp_path / "stopped" / ".dogsort-decoded").exists()
    stages = run("stopped")
    assert "epoch 1" not in stages
    assert "epoch 2" in stages
    assert ("asking the teacher" in stages) == taught
    learned = [
        torch.load(tmp_path / name / "checkpoint.pt", weights_only=True)
        for name in ("whole", "stopped")
    ]
    for part in ("student", "average", "best"):
        torch.testing.assert_close(*(one[part] for one in learned), rtol=0, atol=0)
    torch.testing.assert_close(*(one["optimizer"]["state"] for one in learned), rtol=0, atol=0)
    with open(tmp_path / "whole" / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert (float(rows[-1]["teacher_loss"]) > 0) == taught
    # With other photos, it is another run.
    with pytest.raises(DataError, match="started with different validation photos"):
        run("whole", held_out=photos[:-1])
    with pytest.raises(DataError, match="started with different photos"):
        run("whole", photos=photos[:-1])
    torch.save([1, 2], other := io.BytesIO())
    for damaged in (b"x", other.getvalue()):
        (tmp_path / "whole" / "checkpoint.pt").write_bytes(damaged)
        with pytest.raises(DataError, match=r"checkpoint\.pt: damaged or unreadable; delete it"):
            run("whole")


def test_pairs_show_a_dog_beside_a_cat(tmp_path):
    made = decoded(colours(tmp_path), 64, tmp_path)
    pairs = list(dog_and_cat_pairs(made, seed=1))
    assert [pair.shape for pair in pairs] == [(1, 64, 64, 3)] * 2
    for pair in pairs:
        picture = torch.from_numpy(pair[0])
        assert {class_of(picture[:12, :12]), class_of(picture[-12:, -12:])} == {"dog", "cat"}


def test_train_needs_room_on_the_disk(tmp_path):
    with pytest.raises(OutputError, match=r"needs 1000000\.0 GB"):
        check_room(tmp_path, 10**15)
    with pytest.raises(OutputError) as refused:  # by so little that rounding might hide it
        check_room(tmp_path, shutil.disk_usage(tmp_path).free + 10**7)
    needed, free = map(float, re.findall(r"([\d.]+) GB", str(refused.value)))
    assert needed > free


def test_train_says_early_what_is_missing(dogsort, labelled, tmp_path):
    shutil.rmtree(labelled / "neither")
    run = dogsort("train", labelled, "-o", tmp_path / "weights")
    assert run.returncode == 1
    assert "no training photos of: neither" in run.stderr.decode()
    assert not (tmp_path / "weights").exists()


def test_train_says_why_a_class_has_no_photos_left(dogsort, labelled, tmp_path):
    shutil.copytree(labelled, tmp_path / "held_out")
    for photo in (labelled / "cat").iterdir():
        photo.write_bytes(b"x")
    command = ["train", labelled, "--val", tmp_path / "held_out", "-o", tmp_path / "weights"]
    run = dogsort(*command, "--workers", 0, "--device", "cpu")
    assert run.returncode == 1
    said = run.stderr.decode()
    assert "folder of its name" not in said
    assert "0_kitten.jpeg: not an image" in said
    assert "no readable training photos of: cat" in said


def test_train_looks_at_validation_before_it_loads_anything(dogsort, labelled, tmp_path):
    (tmp_path / "teacher.onnx").write_bytes(b"no network")
    shutil.copytree(labelled, tmp_path / "held_out")
    shutil.rmtree(tmp_path / "held_out" / "cat")
    command = ["train", labelled, "--val", tmp_path / "held_out", "-o", tmp_path / "weights"]
    run = dogsort(*command, "--teacher", tmp_path / "teacher.onnx")
    assert run.returncode == 1
    assert "no validation photos of: cat" in run.stderr.decode()


def test_weights_that_are_half_written_are_none(tmp_path):
    """Earlier weights are replaced: their manifest goes first."""
    folder, bundled = tmp_path / "weights", load_weights()
    shutil.copytree(bundled.folder, folder)
    calibration = calibration_of(bundled)
    (folder / "dogsort.safetensors").unlink()
    (folder / "dogsort.safetensors").mkdir()
    with pytest.raises(OutputError, match="weights cannot be written"):
        export(load_network(bundled), folder, bundled.input_size, calibration, {}, {})
    with pytest.raises(WeightsError, match=r"there is no manifest\.json"):
        load_weights(folder)


def test_weights_are_not_made_among_the_photos(dogsort, labelled):
    for name in ("weights", "."):
        run = dogsort("train", ".", "-o", name, cwd=labelled)
        assert run.returncode == 1
        assert f"{name}: is inside ., among the photos" in run.stderr.decode()
    assert sorted(path.name for path in labelled.iterdir()) == ["cat", "dog", "neither"]


def test_two_runs_do_not_train_into_one_folder(dogsort, labelled, tmp_path):
    out = tmp_path / "weights"
    out.mkdir()
    command = ["train", labelled, "--val", labelled, "--start", load_weights().folder, "-o", out]
    with FileLock(out / ".dogsort-training"):
        run = dogsort(*command, "--epochs", 0)
    assert run.returncode == 1
    assert f"{out}: another run is training into it" in run.stderr.decode()


@pytest.mark.parametrize("name", [".dogsort-decoded", "history.csv"])
def test_train_names_the_file_that_cannot_be_written(dogsort, labelled, tmp_path, name):
    out = tmp_path / "weights"
    out.mkdir()
    (out / name).mkdir() if name == "history.csv" else (out / name).touch()
    command = ["train", labelled, "--val", labelled, "-o", out, "--epochs", 1]
    run = dogsort(*command, "--workers", 0, "--device", "cpu", "--verbose")
    assert run.returncode == 1
    said = run.stderr.decode().splitlines()
    assert said[-1].startswith(f"dogsort: {out / name}: cannot be written: ")
    assert {"training on cpu", "epochs: 1", "seed: 1"} <= set(said)


TOO_FEW_FILES = """
import os, resource, sys
from dogsort.evaluation.labelled import find_labelled
from dogsort.training.recipe import Recipe
from dogsort.training.start import read_start
from dogsort.training.train import Progress, train

recipe = Recipe(epochs=1)
photos, _ = find_labelled([sys.argv[1]])
for event in train(photos, photos, read_start(None, recipe), None, sys.argv[2], recipe, "cpu", 1):
    if event == Progress("decoding validation photos", len(photos), len(photos)):
        limit = len(os.listdir("/proc/self/fd")) + 2
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
"""


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts open files as Linux does")
def test_the_output_folder_is_not_blamed_for_what_else_fails(labelled, tmp_path):
    command = [sys.executable, "-c", TOO_FEW_FILES, labelled, tmp_path / "weights"]
    run = subprocess.run(command, capture_output=True, check=False)
    last = run.stderr.decode().splitlines()[-1]
    assert last == "dogsort.errors.DogsortError: training stopped: Too many open files"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not a JSON file"),
        ('{"group_weights": 3}', "group_weights: 3 is not of type dict"),
        ('{"group_weights": {"a": -1}}', "group_weights: -1 is not between"),
        ("[1]", "it must be an object of names and values"),
        ('{"epoch": 3}', "this version of dogsort knows no epoch in a recipe"),
        ('{"epochs": "3"}', "epochs: '3' is not of type int"),
        ('{"learning_rate": -1}', "learning_rate: -1 is not between 0 and 1"),
        ('{"dropout": NaN}', "dropout: nan is not between"),
        (
            '{"recipe": {"epochs": 3}}',
            "made by another version of dogsort: its recipe has no batch_size",
        ),
    ],
)
def test_recipes_that_cannot_be_followed(tmp_path, text, message):
    (tmp_path / "recipe.json").write_text(text)
    with pytest.raises(DataError, match=re.escape(message)):
        read_recipe(str(tmp_path / "recipe.json"))


def test_every_value_of_a_recipe_has_a_range():
    assert RANGES.keys() == asdict(Recipe()).keys()
    for name, value in asdict(Recipe(group_weights={"real": 2.0})).items():
        for number in value.values() if isinstance(value, dict) else [value]:
            assert RANGES[name][0] <= number <= RANGES[name][1]
