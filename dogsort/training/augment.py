"""Random augmentation of training photos, so that only the animal decides the label.

Our collections differ in more than the animals: some photos were squashed, compressed twice,
enlarged from thumbnails, or framed in white, and these traits correlate with labels. So photos of
every label get a random share of all of them, and show their animals at all sizes.
"""

from __future__ import annotations

import io

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.v2 import functional

from dogsort.photos.shrink import PADDING

__all__ = ["augmentation", "collage"]

#: Frames are black, white, or the grey that pads long photos.
FRAMES = (0, 255, PADDING[0])

#: Share of a collage's side that its first photo gets.
COLLAGE_CUT = (1 / 3, 2 / 3)


def augmentation(size: int, least_area: float) -> v2.Transform:
    """Compose the augmentation of training photos.

    Args:
        size: side of the result, in pixels.
        least_area: the smallest share of a photo's area that a crop keeps, 0..1.

    Returns:
        A transform from (3, H, W) uint8 tensors, RGB, to (3, size, size). It uses torch's random
        numbers.
    """
    # Up to 1.6 times as wide as the photo, for animals that are small in a scene, or framed.
    frames = [v2.RandomZoomOut(grey, side_range=(1.0, 1.6), p=1.0) for grey in FRAMES]
    return v2.Compose(
        [
            v2.RandomApply([v2.RandomChoice(frames)], 0.15),
            v2.RandomApply([v2.RandomRotation(15, InterpolationMode.BILINEAR)], 0.2),
            v2.RandomResizedCrop(size, scale=(least_area, 1.0), antialias=True),
            v2.RandomHorizontalFlip(),
            v2.RandomGrayscale(0.08),
            # Down to a third of the light, as many pet photos are taken indoors in the evening.
            v2.RandomApply([v2.ColorJitter((0.33, 1.5), (0.7, 1.3), (0.5, 1.4))], 0.5),
            v2.RandomApply([Thumbnail()], 0.2),
            v2.RandomApply([v2.GaussianBlur(5, (0.3, 1.5))], 0.1),
            v2.RandomApply([Compression()], 0.4),
            v2.RandomErasing(0.15, scale=(0.02, 0.1), value=PADDING[0]),
        ]
    )


class Thumbnail(v2.Transform):  # type: ignore[misc]
    """Shrink a square to between a quarter and all of its side, and enlarge it again."""

    def make_params(self, flat_inputs: list[Tensor]) -> dict[str, int]:
        """Draw the side of the small square."""
        size = flat_inputs[0].shape[-1]
        return {"size": size, "small": int(torch.randint(size // 4, size, ()))}

    def transform(self, inpt: Tensor, params: dict[str, int]) -> Tensor:
        """Change a photo, (3, size, size)."""
        small = functional.resize(inpt, [params["small"]] * 2, antialias=True)
        large: Tensor = functional.resize(small, [params["size"]] * 2, InterpolationMode.BICUBIC)
        return large


class Compression(v2.Transform):  # type: ignore[misc]
    """Compress a photo as JPEG with quality 30 to 94; torchvision's own is deprecated."""

    def make_params(self, flat_inputs: list[Tensor]) -> dict[str, int]:
        """Draw the quality."""
        return {"quality": int(torch.randint(30, 95, ()))}

    def transform(self, inpt: Tensor, params: dict[str, int]) -> Tensor:
        """Change a photo, (3, H, W)."""
        file = io.BytesIO()
        image = Image.fromarray(inpt.permute(1, 2, 0).numpy())
        image.save(file, "JPEG", quality=params["quality"])
        return torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1)


def collage(first: Tensor, second: Tensor) -> tuple[Tensor, float]:
    """Put two photos side by side or above each other, one up to twice as large as the other.

    Each is squeezed into its part as a whole, so that its animal stays in the picture.

    Args:
        first: (3, size, size), uint8.
        second: (3, size, size), uint8.

    Returns:
        The collage, (3, size, size), and the share of the first photo, 0..1.
    """
    size = first.shape[-1]
    share = float(torch.empty(()).uniform_(*COLLAGE_CUT))
    cut = round(size * share)
    axis = 1 + int(torch.randint(2, ()))
    sides = ([cut, size], [size - cut, size])
    parts = [
        functional.resize(photo, shape if axis == 1 else shape[::-1], antialias=True)
        for photo, shape in zip((first, second), sides, strict=True)
    ]
    return torch.cat(parts, dim=axis), cut / size
