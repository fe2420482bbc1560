"""A teacher: an image network that knows more than ours but is too slow to ship.

Labels say one thing of a photo, a teacher's features say hundreds: what keeps a small network
that learns from few photos from learning these by heart.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from dogsort.errors import DataError
from dogsort.network.architecture import FEATURES, DogsortNet
from dogsort.network.cores import cores
from dogsort.network.runtime import onnx_runtime
from dogsort.network.weights import sha256_of
from dogsort.photos.decode import Pixels
from dogsort.training.frozen_norm import maps_of

__all__ = ["Pupil", "Teacher"]


class Teacher:
    """A frozen network in an ONNX file that turns pixels into maps of features.

    Its one input takes (N, H, W, 3), RGB, uint8, of any size; its one output is
    (N, channels, h, w). Where its cells look is taken for where those of TensorFlow's networks do:
    see ``lessons.TEACHER_CENTRE``.

    Args:
        location: the ONNX file.

    Attributes:
        name: the file's name and SHA-256.

    Raises:
        DataError: if ONNX Runtime cannot load it, or it takes or gives something else.
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
        except Exception as error:  # its own errors share no public base class
            raise DataError(f"{location}: no network that ONNX Runtime can load") from error
        self.name = f"{Path(location).name} (SHA-256 {sha256_of(Path(location))})"
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if (
            [(item.type, len(item.shape), item.shape[3:]) for item in inputs]
            != [("tensor(uint8)", 4, [3])]
            or any(isinstance(side, int) for side in inputs[0].shape[:3])
            or [(item.type, len(item.shape)) for item in outputs] != [("tensor(float)", 4)]
        ):
            raise DataError(
                f"{location}: not a teacher: it must take pixels (N, H, W, 3), uint8, of any size, "
                "and give maps (N, channels, h, w)"
            )
        self._input = inputs[0].name

    def __call__(self, pixels: Pixels) -> Tensor:
        """Compute maps (N, h, w, channels) of pixels (N, H, W, 3), uint8.

        Raises:
            DataError: if the network fails on them.
        """
        try:
            (maps,) = self._session.run(None, {self._input: np.ascontiguousarray(pixels)})
        except Exception as error:  # its own errors share no public base class
            raise DataError(
                f"{self.name}: failed on photos of {pixels.shape[1:3]}: {error}"
            ) from error
        return torch.from_numpy(maps).permute(0, 2, 3, 1)


#: Of a thousand features, each of Adam's first steps would otherwise take what is told far past
#: the lesson.
TELLING_SCALE = 0.1


class Pupil(nn.Module):
    """The network while it has a teacher: a linear layer tells from its features the teacher's.

    Args:
        network: it comes out of training without that layer.
        components: of the teacher's features; 0 without a teacher.
    """

    def __init__(self, network: DogsortNet, components: int) -> None:
        super().__init__()
        self.network = network
        self.telling: nn.Module = nn.Identity()
        if components:
            layer = self.telling = nn.Linear(FEATURES, components)
            # From nothing on: what is told at random would spoil the features.
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Compute logits (N, 2) and what is told of the teacher's maps, (N, h, w, components)."""
        maps = maps_of(self.network.features, self.network.images(pixels))
        logits = self.network.head(torch.mean(maps, dim=(2, 3)))
        return logits, self.telling(maps.permute(0, 2, 3, 1) * TELLING_SCALE)
