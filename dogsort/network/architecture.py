"""The network: MobileNetV2 features, global average pooling, a dense ReLU layer, two neurons.

The features are those of Sandler et al., "MobileNetV2: Inverted Residuals and Linear
Bottlenecks" (CVPR 2018, arXiv:1801.04381), built by torchvision.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.models import mobilenet_v2

__all__ = ["DOG", "FEATURES", "PET", "DogsortNet"]

FEATURES = 1280  # channels of MobileNetV2's last feature map at width 1.0

# Columns of the logits and probabilities.
DOG = 0  # dog vs. cat, given that it is one of them
PET = 1  # a dog or a cat at all

# Pixels are scaled to [-1, 1], as the TensorFlow weights we start from expect.
PIXEL_SCALE = 127.5


class DogsortNet(nn.Module):
    """uint8 pixels in, two logits out.

    Args:
        hidden: width of the dense ReLU layer.
        dropout: share of pooled features and of hidden units dropped in training, 0..1.
    """

    def __init__(self, hidden: int = 256, dropout: float = 0.2) -> None:
        super().__init__()
        self.hidden = hidden
        self.features: nn.Sequential = mobilenet_v2(weights=None).features
        self.head = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(FEATURES, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, 2),
        )

    def forward(self, pixels: Tensor) -> Tensor:
        """Compute logits.

        Args:
            pixels: (N, H, W, 3), RGB, 0..255, uint8 or floating point.

        Returns:
            (N, 2) logits: column ``DOG`` is dog vs. cat, column ``PET`` is pet or not.
        """
        logits: Tensor = self.head(self.pooled(pixels))  # (N, 2)
        return logits

    def pooled(self, pixels: Tensor) -> Tensor:
        """Compute the features, averaged over the picture, (N, 1280)."""
        maps: Tensor = self.features(self.images(pixels))  # (N, 1280, H/32, W/32)
        return torch.mean(maps, dim=(2, 3))

    def images(self, pixels: Tensor) -> Tensor:
        """Scale the pixels of ``forward`` to the input of the features, (N, 3, H, W)."""
        dtype = next(self.parameters()).dtype
        # (N, H, W, 3) -> (N, 3, H, W): the same memory, now called "channels last".
        return pixels.permute(0, 3, 1, 2).to(dtype) / PIXEL_SCALE - 1.0
