"""The bundled weights, the two engines that run them, and messages about damaged weights."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch

from dogsort import Classifier
from dogsort.errors import DeviceError, WeightsError
from dogsort.network.engines import TorchEngine, open_engine, probabilities_of
from dogsort.network.weights import (
    GEOMETRY,
    MANIFEST_NAME,
    ONNX_NAME,
    SAFETENSORS_NAME,
    Scaling,
    bundled_folder,
    load_network,
    load_weights,
)
from dogsort.photos.decode import decode_image

SCALING = {"temperature_dog": 1, "temperature_pet": 1, "bias_dog": 0}


@pytest.fixture
def copy(tmp_path):
    return shutil.copytree(bundled_folder(), tmp_path / "weights")


def edit(folder, **changes):
    path = folder / MANIFEST_NAME
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_onnx_and_torch_agree(cat, dog):
    weights = load_weights()
    size = weights.input_size
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, (size, size, 3), dtype=np.uint8) for _ in range(2)]
    pixels = np.stack([decode_image(dog, size), decode_image(cat, size), *noise])
    by_onnx = open_engine(weights, "cpu").probabilities(pixels)
    with torch.inference_mode():
        logits = load_network(weights)(torch.from_numpy(pixels)).numpy()
    by_torch = probabilities_of(logits, weights.scaling)
    assert by_onnx.shape == (4, 2)
    assert by_onnx.dtype == np.float32
    np.testing.assert_allclose(by_onnx, by_torch, atol=1e-4)


def test_weights_tell_nothing_of_the_machine_that_made_them():
    for path in bundled_folder().iterdir():
        content = path.read_bytes()
        assert b"site-packages" not in content, path
        assert b".py" not in content or path.suffix == ".md", path


def test_manifest_is_complete():
    manifest = load_weights().manifest
    for key in ("format_version", "architecture", "input", "classes", "calibration", "thresholds"):
        assert manifest[key]
    for key in ("submission", "figures", "recipe", "files"):
        assert manifest[key]
    assert set(manifest["files"]) == {SAFETENSORS_NAME, ONNX_NAME}


@pytest.mark.parametrize("name", ["", MANIFEST_NAME, SAFETENSORS_NAME, ONNX_NAME])
def test_weights_are_found_by_folder_or_file(copy, name):
    assert load_weights(copy / name).folder == copy


def test_missing_weights(tmp_path, copy):
    with pytest.raises(WeightsError, match="nowhere"):
        load_weights(tmp_path / "nowhere")
    with pytest.raises(WeightsError, match=r"no manifest\.json"):
        load_weights(tmp_path)
    with pytest.raises(WeightsError, match="typing-error: no such weights"):
        load_weights(copy / "typing-error")
    (copy / ONNX_NAME).unlink()
    with pytest.raises(WeightsError, match=ONNX_NAME):
        Classifier(copy, device="cpu")


def test_a_changed_byte_is_noticed(copy):
    for name in (ONNX_NAME, SAFETENSORS_NAME):
        content = bytearray((copy / name).read_bytes())
        content[len(content) // 2] ^= 1
        (copy / name).write_bytes(content)
    with pytest.raises(WeightsError, match=f"{ONNX_NAME}.*damaged"):
        open_engine(load_weights(copy), "cpu")
    with pytest.raises(WeightsError, match=f"{SAFETENSORS_NAME}.*damaged"):
        load_network(load_weights(copy))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": 99}, "format version 99"),
        ({"calibration": {}}, "temperature"),
        ({"files": None}, "damaged"),
        ({"architecture": {"name": "vit"}}, "vit"),
        ({"input": {"size": 0, "geometry": GEOMETRY}}, "size is out of range"),
        ({"input": {"size": 224, "geometry": "squashed"}}, "prepared photos differently: squashed"),
        ({"thresholds": {"min_confidence": 95, "min_species": 0.9}}, "min_confidence is out of"),
        ({"thresholds": {"min_confidence": 0.9}}, "min_species"),
        ({"calibration": {**SCALING, "temperature_dog": 0}}, "temperature_dog"),
        ({"calibration": {**SCALING, "temperature_pet": "NaN"}}, "temperature_pet"),
        ({"calibration": {**SCALING, "bias_dog": "inf"}}, "bias_dog"),
        ({"submission": {"clip": 0.7}}, "clip is out of range"),
        ({"architecture": {"name": "mobilenet_v2", "hidden": float("inf")}}, "damaged"),
        ({"figures": []}, "figures"),
    ],
)
def test_other_manifests_are_refused(copy, changes, message):
    edit(copy, **changes)
    with pytest.raises(WeightsError, match=message):
        load_weights(copy)


def test_a_size_that_is_not_the_networks_is_refused(copy):
    edit(copy, input={"size": 160, "geometry": GEOMETRY})
    with pytest.raises(WeightsError, match="160"):
        open_engine(load_weights(copy), "cpu")


def test_torch_engine_gives_what_onnx_gives(cat, dog):
    # It is meant for GPUs, but takes the same path on any device.
    weights = load_weights()
    pixels = np.stack([decode_image(one, weights.input_size) for one in (dog, cat)])
    by_torch = TorchEngine(weights, "cpu", "test").probabilities(pixels)
    by_onnx = open_engine(weights, "cpu").probabilities(pixels)
    np.testing.assert_allclose(by_torch, by_onnx, atol=1e-4)


@pytest.mark.parametrize("count", [0, 1, 3, 9])
def test_batches_of_any_size(cat, dog, count):
    weights = load_weights()
    engine = open_engine(weights, "cpu")
    pixels = np.stack([decode_image(one, weights.input_size) for one in (dog, cat)] * 5)[:count]
    rows = engine.probabilities(pixels)
    assert rows.shape == (count, 2)
    for row, one in zip(rows, pixels, strict=True):
        np.testing.assert_allclose(row, engine.probabilities(one[None])[0], atol=1e-4)


class _ScarceMemory(torch.nn.Module):
    """The network on a GPU with memory for few photos."""

    def __init__(self, network, most):
        super().__init__()
        self.network, self.most, self.sizes = network, most, []

    def forward(self, pixels):
        self.sizes.append(len(pixels))
        if len(pixels) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self.network(pixels)


def test_a_batch_for_which_memory_lacks_goes_in_halves(cat, dog):
    engine = TorchEngine(load_weights(), "cpu", "test")
    pixels = np.stack([decode_image(image, 224) for image in (cat, dog, cat, dog, dog)])
    whole = engine.probabilities(pixels)
    engine._network = _ScarceMemory(engine._network, 2)
    halves = engine.probabilities(pixels)
    np.testing.assert_allclose(halves, whole, atol=1e-5)
    assert engine._network.sizes == [5, 3, 2, 1, 2]
    engine._network.most = 0
    with pytest.raises(DeviceError, match="too little memory"):
        engine.probabilities(pixels)


def test_manifest_that_is_no_json(copy):
    (copy / MANIFEST_NAME).write_bytes(b"\xff\xfe{")
    with pytest.raises(WeightsError, match="damaged"):
        load_weights(copy)


def test_a_foreign_file_beside_a_manifest_is_refused(copy):
    (copy / "other.safetensors").write_bytes(b"")
    with pytest.raises(WeightsError, match=r"other\.safetensors"):
        load_weights(copy / "other.safetensors")


def test_devices():
    weights = load_weights()
    assert open_engine(weights, "cpu").device == "cpu"
    with pytest.raises(DeviceError, match="tpu"):
        open_engine(weights, "tpu")
    if not torch.cuda.is_available():
        with pytest.raises(DeviceError, match="--device cpu"):
            open_engine(weights, "cuda")


def test_sigmoid_does_not_overflow():
    with np.errstate(over="raise", invalid="raise"):
        values = probabilities_of(np.array([[-800.0, 800.0], [1.5, 2.0]]), Scaling(0.5, 2.0, -3.0))
    np.testing.assert_allclose(values, [[0, 1], [0.5, 0.731059]], atol=1e-6)
