"""Starting weights: MobileNetV2 trained on ImageNet, from torchvision or a TensorFlow file.

TensorFlow's and torchvision's MobileNetV2 are the same network written down differently:

* convolution kernels are (height, width, in, out) there and (out, in, height, width) here,
  depthwise ones (height, width, channels, 1) there and (channels, 1, height, width) here;
* batch norm adds 1e-3 to the variance there and 1e-5 here, so the difference goes into each
  running variance;
* stride-2 convolutions pad at the bottom and right only there and on all sides here: a shift
  by a pixel, which fine-tuning absorbs and no conversion can express.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dogsort.errors import DataError
from dogsort.network.architecture import DogsortNet
from dogsort.network.weights import SAFETENSORS_NAME, load_network, load_weights, sha256_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["Start", "convert_tensorflow", "features_from_torchvision", "read_start"]

TENSORFLOW_EPSILON = 1e-3
TORCHVISION_EPSILON = 1e-5

#: Inverted residual blocks behind the first one, which alone has no expansion.
EXPANDING_BLOCKS = 16

#: The channel statistics that torchvision's ImageNet weights were trained with, pixels 0..1.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True, slots=True)
class Start:
    """Starting weights.

    Attributes:
        name: what they are: the file's name and SHA-256, or torchvision's name of them.
        features: state of ``DogsortNet.features``, for pixels scaled to [-1, 1].
    """

    name: str
    features: dict[str, Tensor]


def read_start(location: str | None) -> Start:
    """Read starting weights.

    Args:
        location: a Keras ``.h5`` file, dogsort weights, or None for torchvision's.

    Raises:
        DataError: if they cannot be fetched, or a file holds no MobileNetV2.
        WeightsError: if dogsort weights are damaged.
    """
    if location is None:
        return Start("torchvision MobileNet_V2_Weights.IMAGENET1K_V2", features_from_torchvision())
    if location.lower().endswith((".h5", ".hdf5")):
        features = convert_tensorflow(location)
        return Start(_name(Path(location)), features)
    weights = load_weights(location)
    features = load_network(weights).features.state_dict()
    return Start(_name(weights.folder / SAFETENSORS_NAME), features)


def _name(file: Path) -> str:
    return f"{file.name} (SHA-256 {sha256_of(file)})"


def features_from_torchvision() -> dict[str, Tensor]:
    """Fetch torchvision's ``MobileNet_V2_Weights.IMAGENET1K_V2`` (from its cache, if there).

    Returns:
        State of ``DogsortNet.features``, for pixels scaled to [-1, 1].

    Raises:
        DataError: if the weights cannot be fetched, or are damaged.
    """
    from torchvision.models import MobileNet_V2_Weights

    try:
        state = MobileNet_V2_Weights.IMAGENET1K_V2.get_state_dict(progress=False, check_hash=True)
    except Exception as error:  # the network's, torch's and pickle's errors share no base class
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise DataError(
            f"torchvision's ImageNet weights cannot be fetched, or are damaged ({reason}); "
            "give a file of starting weights with --start"
        ) from error
    prefix = "features."
    features = {
        name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)
    }
    return _rescale_input(features)


def _rescale_input(features: dict[str, Tensor]) -> dict[str, Tensor]:
    # ((y + 1) / 2 - mean) / std for y in [-1, 1]: the factor goes into the first kernel, the
    # constant into the running mean behind it. Padding, 0 before and after, is another colour now:
    # the upper and left edge of the first maps differ, which fine-tuning absorbs.
    mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
    kernel = features["0.0.weight"]  # (32, 3, 3, 3)
    constant = ((0.5 - mean) / std).view(1, 3, 1, 1)
    features["0.1.running_mean"] = features["0.1.running_mean"] - (kernel * constant).sum((1, 2, 3))
    features["0.0.weight"] = kernel / (2 * std).view(1, 3, 1, 1)
    return features


def convert_tensorflow(path: str) -> dict[str, Tensor]:
    """Convert a MobileNetV2 1.0 from a Keras HDF5 file.

    Understands the layer names of ``keras.applications.MobileNetV2`` and the variable names
    of the TF-Hub module ``tf2-preview/mobilenet_v2/feature_vector/4``.

    Args:
        path: the ``.h5`` file; heads and optimizer state in it are passed over.

    Returns:
        State of ``DogsortNet.features``, for pixels scaled to [-1, 1].

    Raises:
        DataError: if the file cannot be read or holds no MobileNetV2 1.0.
    """
    variables = _read_variables(path)
    state: dict[str, Tensor] = {}
    try:
        for torch_conv, torch_norm, keras_conv, keras_norm, hub in _layers():
            kernel = _first(
                variables,
                f"{keras_conv}/kernel",
                f"{hub}/weights",
                f"{hub}/depthwise_weights",
                f"{keras_conv}/depthwise_kernel",
            )
            depthwise = torch_conv in _DEPTHWISE
            axes = (2, 3, 0, 1) if depthwise else (3, 2, 0, 1)
            state[f"{torch_conv}.weight"] = torch.from_numpy(kernel.transpose(axes).copy())
            for theirs, ours in _NORM_NAMES.items():
                value = _first(variables, f"{keras_norm}/{theirs}", f"{hub}/BatchNorm/{theirs}")
                state[f"{torch_norm}.{ours}"] = torch.from_numpy(value.copy())
            state[f"{torch_norm}.running_var"] += TENSORFLOW_EPSILON - TORCHVISION_EPSILON
            state[f"{torch_norm}.num_batches_tracked"] = torch.tensor(0)
    except (KeyError, ValueError) as error:
        raise DataError(f"{path}: no MobileNetV2 in this file: {error}") from error
    for name, value in DogsortNet().features.state_dict().items():
        if state[name].shape != value.shape:
            raise DataError(f"{path}: not MobileNetV2 1.0: {name} is {tuple(state[name].shape)}")
    return state


_NORM_NAMES = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def _layers() -> Iterator[tuple[str, str, str, str, str]]:
    """Yield (torch convolution, torch norm, Keras convolution, Keras norm, TF-Hub scope)."""
    yield "0.0", "0.1", "Conv1", "bn_Conv1", "MobilenetV2/Conv"
    scope, hub = "expanded_conv", "MobilenetV2/expanded_conv"
    yield (
        "1.conv.0.0",
        "1.conv.0.1",
        f"{scope}_depthwise",
        f"{scope}_depthwise_BN",
        f"{hub}/depthwise",
    )
    yield "1.conv.1", "1.conv.2", f"{scope}_project", f"{scope}_project_BN", f"{hub}/project"
    for block in range(1, EXPANDING_BLOCKS + 1):
        ours, scope, hub = (
            f"{block + 1}.conv",
            f"block_{block}",
            f"MobilenetV2/expanded_conv_{block}",
        )
        yield f"{ours}.0.0", f"{ours}.0.1", f"{scope}_expand", f"{scope}_expand_BN", f"{hub}/expand"
        yield (
            f"{ours}.1.0",
            f"{ours}.1.1",
            f"{scope}_depthwise",
            f"{scope}_depthwise_BN",
            f"{hub}/depthwise",
        )
        yield f"{ours}.2", f"{ours}.3", f"{scope}_project", f"{scope}_project_BN", f"{hub}/project"
    yield "18.0", "18.1", "Conv_1", "Conv_1_bn", "MobilenetV2/Conv_1"


_DEPTHWISE = {"1.conv.0.0"} | {f"{block + 1}.conv.1.0" for block in range(1, EXPANDING_BLOCKS + 1)}


def _read_variables(path: str) -> dict[str, npt.NDArray[np.float32]]:
    """Read every array under ``model_weights``, keyed by its last two or more name parts."""
    try:
        import h5py
    except ImportError as error:
        raise DataError(f"{path}: reading it needs h5py: pip install h5py") from error

    variables: dict[str, npt.NDArray[np.float32]] = {}

    def keep(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            parts = name.removesuffix(":0").split("/")
            # The hub's names nest, Keras's do not: keep every suffix but the bare variable name.
            for start in range(len(parts) - 1):
                variables.setdefault("/".join(parts[start:]), item[()])

    try:
        with h5py.File(path, "r") as file:
            root = file.get("model_weights", file)
            root.visititems(keep)
    except OSError as error:
        raise DataError(f"{path}: not a readable HDF5 file ({error})") from error
    return variables


def _first(variables: dict[str, npt.NDArray[np.float32]], *names: str) -> npt.NDArray[np.float32]:
    for name in names:
        if name in variables:
            return variables[name]
    raise KeyError(names[0])
