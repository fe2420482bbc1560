"""Random changes to training photos, so that only the animal tells.

Our collections differ in their packaging: some photos were squashed, compressed twice,
enlarged from thumbnails, or framed in white, and those traits go with their labels. Each
photo, of every label, gets a random share of all of them.
"""

from __future__ import annotations

import io
import math
import random

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from dogsort.photos.decode import Pixels

__all__ = ["augment", "collage"]

#: Shares of photos that get each change.
CHANCE_FLIP = 0.5
CHANCE_COLOUR = 0.5
CHANCE_GREY = 0.05
CHANCE_BORDER = 0.1
CHANCE_SMALL = 0.15  # shrunk and enlarged again: a thumbnail, or blur
CHANCE_BLUR = 0.1
CHANCE_JPEG = 0.4
CHANCE_ERASE = 0.15
CHANCE_ROTATE = 0.2

CROP_AREA = (0.4, 1.0)  # share of the photo's area that a random crop keeps
CROP_STRETCH = 4 / 3  # how far its shape may be stretched either way
COLLAGE_CUT = (1 / 3, 2 / 3)  # share of a collage's side that its first photo gets


def augment(pixels: Pixels, size: int, rng: random.Random) -> Pixels:
    """Return a randomly changed copy of a photo.

    Args:
        pixels: (H, W, 3), uint8, RGB.
        size: side of the result.
        rng: where the randomness comes from.

    Returns:
        (size, size, 3), uint8, RGB.
    """
    image = Image.fromarray(pixels)
    if rng.random() < CHANCE_BORDER:
        image = _border(image, rng)
    if rng.random() < CHANCE_ROTATE:
        image = image.rotate(rng.uniform(-15, 15), Image.Resampling.BILINEAR)
    box = _crop_box(image.size, rng)
    image = image.resize((size, size), Image.Resampling.BILINEAR, box=box)
    if rng.random() < CHANCE_FLIP:
        image = ImageOps.mirror(image)
    image = _colour(image, rng)
    image = _degrade(image, rng)
    result = np.array(image)
    if rng.random() < CHANCE_ERASE:
        _erase(result, rng)
    return result


def _crop_box(shape: tuple[int, int], rng: random.Random) -> tuple[float, float, float, float]:
    """Random resized crop (Szegedy et al. 2014, arXiv:1409.4842, section 6)."""
    width, height = shape
    area = rng.uniform(*CROP_AREA)
    stretch = math.exp(rng.uniform(-math.log(CROP_STRETCH), math.log(CROP_STRETCH)))
    w = min(1.0, math.sqrt(area * stretch)) * width
    h = min(1.0, math.sqrt(area / stretch)) * height
    left, top = rng.uniform(0, width - w), rng.uniform(0, height - h)
    return left, top, left + w, top + h


def _border(image: Image.Image, rng: random.Random) -> Image.Image:
    grey = rng.choice([0, 255, rng.randrange(256)])
    across, down = (rng.choice([0, rng.randrange(40)]) for _ in "xy")
    return ImageOps.expand(image, (across, down, across, down), (grey, grey, grey))


def _colour(image: Image.Image, rng: random.Random) -> Image.Image:
    if rng.random() < CHANCE_GREY:
        image = ImageOps.grayscale(image).convert("RGB")
    if rng.random() < CHANCE_COLOUR:
        # Down to a third of the light: indoor evenings are where pets live.
        image = ImageEnhance.Brightness(image).enhance(math.exp(rng.uniform(-1.1, 0.4)))
        image = ImageEnhance.Contrast(image).enhance(rng.uniform(0.7, 1.3))
        image = ImageEnhance.Color(image).enhance(rng.uniform(0.5, 1.4))
    return image


def _degrade(image: Image.Image, rng: random.Random) -> Image.Image:
    size = image.size
    if rng.random() < CHANCE_SMALL:
        small = rng.randrange(size[0] // 4, size[0])
        image = image.resize((small, small), Image.Resampling.BILINEAR)
        image = image.resize(size, Image.Resampling.BICUBIC)
    if rng.random() < CHANCE_BLUR:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.5)))
    if rng.random() < CHANCE_JPEG:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=rng.randrange(30, 95))
        image = Image.open(file).convert("RGB")
    return image


def _erase(pixels: Pixels, rng: random.Random) -> None:
    """Random erasing (Zhong et al. 2017, arXiv:1708.04896), in place."""
    size = pixels.shape[0]
    h, w = (rng.randrange(size // 10, size // 3) for _ in "hw")
    top, left = rng.randrange(size - h), rng.randrange(size - w)
    pixels[top : top + h, left : left + w] = [rng.randrange(256) for _ in "rgb"]


def collage(first: Pixels, second: Pixels, rng: random.Random) -> Pixels:
    """Put two photos side by side, or one above the other, of up to twice the other's size.

    Each is squeezed whole into its part, so that what it shows stays in the picture.
    """
    size = first.shape[0]
    cut = round(size * rng.uniform(*COLLAGE_CUT))
    upright = rng.random() < 0.5
    shapes = [(cut, size), (size - cut, size)] if upright else [(size, cut), (size, size - cut)]
    parts = [
        np.asarray(Image.fromarray(pixels).resize(shape, Image.Resampling.BILINEAR))
        for pixels, shape in zip((first, second), shapes, strict=True)
    ]
    return np.concatenate(parts, axis=1 if upright else 0)
