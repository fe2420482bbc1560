"""Starting weights: files of other projects become the same network here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from conftest import EXAMPLES
from torchvision.models import MobileNet_V2_Weights, mobilenet_v2

from dogsort.network.architecture import DogsortNet
from dogsort.network.weights import bundled_folder
from dogsort.training.recipe import Recipe
from dogsort.training.start import read_start

CONVERT = EXAMPLES.parent / "convert_keras.py"

#: Layers in the order of the network: Keras's names of a convolution and its batch norm, and the
#: TF-Hub module's name of both.
NAMES = [
    ("Conv1", "bn_Conv1", "Conv"),
    ("expanded_conv_depthwise", "expanded_conv_depthwise_BN", "expanded_conv/depthwise"),
    ("expanded_conv_project", "expanded_conv_project_BN", "expanded_conv/project"),
    *(
        (f"block_{n}_{part}", f"block_{n}_{part}_BN", f"expanded_conv_{n}/{part}")
        for n in range(1, 17)
        for part in ("expand", "depthwise", "project")
    ),
    ("Conv_1", "Conv_1_bn", "Conv_1"),
]


@pytest.fixture
def network():
    torch.manual_seed(0)
    network = DogsortNet()
    for module in network.features.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for values in (module.weight.data, module.running_mean, module.running_var):
                values.uniform_(0.5, 1.5)
    return network


def write_tensorflow(path, network, hub):
    """Write the features of a network as Keras would, with its own names or those of the hub."""
    modules = [
        module
        for module in network.features.modules()
        if isinstance(module, torch.nn.Conv2d | torch.nn.BatchNorm2d)
    ]
    with h5py.File(path, "w") as file:
        root = file.create_group("model_weights/mobilenetv2_1.00_224")
        if hub:
            root = file.create_group("model_weights/keras_layer/MobilenetV2")
        for (conv, norm, scope), kernel, layer in zip(
            NAMES, modules[::2], modules[1::2], strict=True
        ):
            depthwise = kernel.groups > 1
            order = (2, 3, 0, 1) if depthwise else (2, 3, 1, 0)
            weights = "depthwise_weights" if depthwise else "weights"
            kernel_name = "depthwise_kernel" if depthwise else "kernel"
            name = f"{scope}/{weights}:0" if hub else f"{conv}/{conv}/{kernel_name}:0"
            root[name] = kernel.weight.detach().numpy().transpose(order)
            for their_name, values in (
                ("gamma", layer.weight.detach()),
                ("beta", layer.bias.detach()),
                ("moving_mean", layer.running_mean),
                ("moving_variance", layer.running_var),
            ):
                where = f"{scope}/BatchNorm" if hub else f"{norm}/{norm}"
                root[f"{where}/{their_name}:0"] = values.numpy()


def convert(model, start):
    """Run the example; return its exit code and messages."""
    command = [sys.executable, CONVERT, model, start]
    run = subprocess.run(command, capture_output=True, check=False)
    return run.returncode, run.stderr.decode()


@pytest.mark.parametrize("hub", [False, True])
def test_conversion_from_keras(tmp_path, network, hub):
    write_tensorflow(tmp_path / "model.h5", network, hub)
    assert convert(tmp_path / "model.h5", tmp_path / "start.safetensors") == (0, "")
    start = read_start(str(tmp_path / "start.safetensors"), Recipe())
    assert start.weights is None
    converted = start.network.features.state_dict()
    for name, value in network.features.state_dict().items():
        expected = value + (1e-3 - 1e-5) if name.endswith("running_var") else value
        torch.testing.assert_close(converted[name], expected, msg=name)


def test_files_without_the_network_are_refused(tmp_path):
    (tmp_path / "text.h5").write_text("no")
    code, said = convert(tmp_path / "text.h5", tmp_path / "start.safetensors")
    assert (code, "text.h5: not a readable HDF5 file" in said) == (1, True)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["model_weights/dense/kernel"] = np.zeros((2, 2))
    code, said = convert(tmp_path / "other.h5", tmp_path / "start.safetensors")
    assert (code, "no MobileNetV2 in this file" in said) == (1, True)
    assert "Traceback" not in said


def test_bundled_weights_are_what_training_starts_from():
    start = read_start(None, Recipe(dropout=0.4))
    assert start.weights is not None
    assert start.weights.folder == bundled_folder()
    assert [m.p for m in start.network.modules() if isinstance(m, torch.nn.Dropout)] == [0.4] * 2


@pytest.fixture
def fetched(tmp_path, monkeypatch):
    """The file in which torch keeps downloaded weights."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder / Path(MobileNet_V2_Weights.IMAGENET1K_V2.url).name


def test_torchvision_weights_see_the_same_in_our_scale_of_pixels(fetched, tmp_path):
    torch.manual_seed(0)
    theirs = mobilenet_v2().eval()
    # The file's name ends in the first digits of its checksum, which torchvision checks only after
    # a download.
    torch.save(theirs.state_dict(), fetched)
    script = EXAMPLES.parent / "imagenet_start.py"
    subprocess.run([sys.executable, script, tmp_path / "start.safetensors"], check=True)
    ours = read_start(str(tmp_path / "start.safetensors"), Recipe()).network.eval()
    pixels = torch.randint(0, 256, (1, 64, 64, 3), dtype=torch.uint8)
    images = MobileNet_V2_Weights.IMAGENET1K_V2.transforms(crop_size=64, resize_size=64)(
        pixels.permute(0, 3, 1, 2)
    )
    with torch.inference_mode():
        expected, found = theirs.features[0](images), ours.features[0](ours.images(pixels))
    # The upper and left edges see padding, which has another colour.
    torch.testing.assert_close(found[..., 1:, 1:], expected[..., 1:, 1:], atol=1e-5, rtol=1e-4)
