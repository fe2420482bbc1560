"""Turn a Keras MobileNetV2 (.h5) into starting weights: convert_keras.py MODEL.h5 START.safetensors

`dogsort train --start START.safetensors` takes them. Needs h5py and dogsort[train].

TensorFlow's and torchvision's MobileNetV2 are the same network in different forms:

* Convolution kernels are (height, width, in, out) in TensorFlow and (out, in, height, width) in
  torch; depthwise ones are (height, width, channels, 1) and (channels, 1, height, width).
* Batch norm adds 1e-3 to the variance in TensorFlow and 1e-5 in torch, so the difference is added
  to each running variance.
* Stride-2 convolutions pad only at the bottom and right in TensorFlow, and on all sides in torch.
  No conversion can express this shift by a pixel, but fine-tuning absorbs it.
"""

import sys
from collections.abc import Iterator

import h5py
import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save_file
from torch import Tensor

TENSORFLOW_EPSILON = 1e-3
TORCHVISION_EPSILON = 1e-5

#: Inverted residual blocks after the first, which is the only one without expansion.
EXPANDING_BLOCKS = 16


def convert(path: str) -> dict[str, Tensor]:
    """Convert a MobileNetV2 1.0 from a Keras HDF5 file.

    It reads the layer names of ``keras.applications.MobileNetV2`` and the variable names of the
    TF-Hub module ``tf2-preview/mobilenet_v2/feature_vector/4``.

    Args:
        path: the ``.h5`` file; heads and optimizer state in it are ignored.

    Returns:
        State of ``DogsortNet.features``, for pixels scaled to [-1, 1].

    Raises:
        SystemExit: if the file cannot be read or holds no MobileNetV2.
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
        raise SystemExit(f"{path}: no MobileNetV2 in this file: {error}") from error
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
    """Read every array under ``model_weights``, by the last two or more parts of its name."""
    variables: dict[str, npt.NDArray[np.float32]] = {}

    def keep(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            parts = name.removesuffix(":0").split("/")
            # The hub's names are nested: keep every suffix except the bare variable name.
            for start in range(len(parts) - 1):
                variables.setdefault("/".join(parts[start:]), item[()])

    try:
        with h5py.File(path, "r") as file:
            root = file.get("model_weights", file)
            root.visititems(keep)
    except OSError as error:
        raise SystemExit(f"{path}: not a readable HDF5 file ({error})") from error
    return variables


def _first(variables: dict[str, npt.NDArray[np.float32]], *names: str) -> npt.NDArray[np.float32]:
    for name in names:
        if name in variables:
            return variables[name]
    raise KeyError(names[0])


def main(model: str, start: str) -> None:
    save_file(convert(model), start)


if __name__ == "__main__":
    main(*sys.argv[1:])
