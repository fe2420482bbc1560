"""Distillation: the network also learns a teacher's outputs.

A label says one thing about a photo. A teacher's logits for ImageNet's thousand classes say much
more, and keep the network from forgetting what ImageNet taught it about other animals (Hinton et
al. 2015, arXiv:1503.02531; Li and Hoiem 2016, arXiv:1606.09282).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from dogsort.errors import DataError
from dogsort.network.architecture import FEATURES, DogsortNet
from dogsort.network.cores import cores
from dogsort.network.runtime import onnx_runtime
from dogsort.network.weights import sha256_of
from dogsort.photos.decode import Pixels
from dogsort.training.frozen_norm import maps_of

__all__ = ["Student", "Teacher", "standardised", "unexplained"]


TRIED = 256  # pixels: the side of the picture that tests a new teacher


class Teacher:
    """A frozen network in an ONNX file.

    Its one input takes (N, H, W, 3), RGB, uint8, of any size. Its one output is (N, C), such as the
    logits of ImageNet's classes.

    Args:
        location: the ONNX file.

    Attributes:
        name: the file's name and SHA-256.

    Raises:
        DataError: if ONNX Runtime cannot load it, or its input or output differs.
    """

    def __init__(self, location: str) -> None:
        onnxruntime = onnx_runtime()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = cores()
        options.log_severity_level = 3  # errors only
        try:
            self._session = onnxruntime.InferenceSession(
                location, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its errors have no public base class
            raise DataError(f"{location}: not a network that ONNX Runtime can load") from error
        self.name = f"{Path(location).name} (SHA-256 {sha256_of(Path(location))})"
        said = self(np.zeros((1, TRIED, TRIED, 3), np.uint8))
        if said.ndim != 2:
            raise DataError(
                f"{location}: not a teacher: its output for a photo is {tuple(said.shape)}, not "
                "(1, C), such as class logits"
            )

    def __call__(self, pixels: Pixels) -> Tensor:
        """Return its output (N, C) for pixels (N, H, W, 3), uint8.

        Raises:
            DataError: if the network fails on them.
        """
        try:
            name = self._session.get_inputs()[0].name
            (said,) = self._session.run(None, {name: np.ascontiguousarray(pixels)})
        except Exception as error:  # its errors have no public base class
            raise DataError(
                f"{self.name}: not a teacher: it fails on pixels {pixels.shape}: {error}"
            ) from error
        return torch.from_numpy(said)


def standardised(said: Tensor) -> Tensor:
    """Scale each column of (N, C) to mean 0 and deviation 1; return float16, to save memory."""
    return ((said - said.mean(0)) / said.std(0).clamp(min=1e-6)).half()


class Student(nn.Module):
    """The network in training, with an auxiliary layer that predicts the teacher's output.

    Args:
        network: the network to train, without that layer.
        outputs: C, the number of the teacher's outputs; 0 without a teacher.
    """

    def __init__(self, network: DogsortNet, outputs: int) -> None:
        super().__init__()
        self.network = network
        # Start from zero, because random predictions would spoil the features.
        self.weight = nn.Parameter(torch.zeros(outputs, FEATURES))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (N, 2) and predicted teacher outputs (N, C) for pixels (N, H, W, 3)."""
        maps = maps_of(self.network.features, self.network.images(pixels))  # (N, 1280, h, w)
        pooled = torch.mean(maps, dim=(2, 3))
        return self.network.head(pooled), linear(pooled, self.weight, self.bias)


def unexplained(said: Tensor, taught: Tensor) -> Tensor:
    """Return the share of the teacher's variance that the student does not predict: 1 at first.

    Args:
        said: the student's predictions, (N, C).
        taught: the teacher's outputs, (N, C), standardised.
    """
    return (said - taught).square().mean()
