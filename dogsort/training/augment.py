"""Random changes to training photos, so that only the animal tells.

Our collections differ in their packaging: some photos were squashed, compressed twice,
enlarged from thumbnails, or framed in white, and those traits go with their labels. Each
photo, of every label, gets a random share of all of them.
"""

from __future__ import annotations

import io
import math
import random
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from dogsort.photos.decode import Pixels
from dogsort.photos.shrink import PADDING

__all__ = ["Placement", "augment", "collage"]

#: Takes a place in one picture, (x, y, 1), to the same place in another, likewise: (3, 3). Places
#: go from (0, 0), the upper left corner, to (1, 1).
Placement: TypeAlias = npt.NDArray[np.float64]

#: Shares of photos that get each change.
CHANCE_FLIP = 0.5
CHANCE_COLOUR = 0.5
CHANCE_GREY = 0.08
CHANCE_BORDER = 0.15
CHANCE_SMALL = 0.2  # shrunk and enlarged again: a thumbnail, or blur
CHANCE_BLUR = 0.1
CHANCE_JPEG = 0.4
CHANCE_ERASE = 0.15
CHANCE_ROTATE = 0.2

CROP_AREA = (0.3, 1.0)  # share of the photo's area that a random crop keeps
CROP_STRETCH = 4 / 3  # how far its shape may be stretched either way
MOST_BORDER = 64  # of 256 pixels: animals become smaller by a third, as in wide scenes
CAST = 0.12  # how far each colour is weakened or strengthened: lamps and cheap telephones
COLLAGE_CUT = (1 / 3, 2 / 3)  # share of a collage's side that its first photo gets


def augment(pixels: Pixels, size: int, rng: random.Random) -> tuple[Pixels, Placement]:
    """Return a randomly changed copy of a photo.

    Args:
        pixels: (H, W, 3), uint8, RGB.
        size: side of the result.
        rng: where the randomness comes from.

    Returns:
        Pixels (size, size, 3), uint8, RGB; from places in them to those in the photo.
    """
    image = Image.fromarray(pixels)
    placement = np.eye(3)
    if rng.random() < CHANCE_BORDER:
        image, step = _border(image, rng)
        placement @= step
    if rng.random() < CHANCE_ROTATE:
        image, step = _turn(image, rng)
        placement @= step
    image, step = _crop(image, size, rng)
    placement @= step
    if rng.random() < CHANCE_FLIP:
        image = ImageOps.mirror(image)
        placement @= np.array([[-1.0, 0.0, 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    image = _colour(image, rng)
    image = _degrade(image, rng)
    result = np.array(image)
    if rng.random() < CHANCE_ERASE:
        _erase(result, rng)
    return result, placement


def _crop(image: Image.Image, size: int, rng: random.Random) -> tuple[Image.Image, Placement]:
    """Random resized crop (Szegedy et al. 2014, arXiv:1409.4842, section 6)."""
    area = rng.uniform(*CROP_AREA)
    stretch = math.exp(rng.uniform(-math.log(CROP_STRETCH), math.log(CROP_STRETCH)))
    w, h = min(1.0, math.sqrt(area * stretch)), min(1.0, math.sqrt(area / stretch))
    left, top = rng.uniform(0, 1 - w), rng.uniform(0, 1 - h)
    across, down = image.size
    box = (left * across, top * down, (left + w) * across, (top + h) * down)
    cropped = image.resize((size, size), Image.Resampling.BILINEAR, box=box)
    return cropped, np.array([[w, 0, left], [0, h, top], [0, 0, 1]])


def _border(image: Image.Image, rng: random.Random) -> tuple[Image.Image, Placement]:
    grey = rng.choice([0, 255, PADDING[0], rng.randrange(256)])
    across, down = (rng.choice([0, rng.randrange(MOST_BORDER)]) for _ in "xy")
    framed = ImageOps.expand(image, (across, down, across, down), (grey, grey, grey))
    x, y = across / image.width, down / image.height
    return framed, np.array([[1 + 2 * x, 0, -x], [0, 1 + 2 * y, -y], [0, 0, 1]])


def _turn(image: Image.Image, rng: random.Random) -> tuple[Image.Image, Placement]:
    degrees = rng.uniform(-15, 15)
    turned = image.rotate(degrees, Image.Resampling.BILINEAR)
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    shape = image.height / image.width
    step = np.array([[cos, -sin * shape, 0], [sin / shape, cos, 0], [0, 0, 1]])
    step[:2, 2] = 0.5 - step[:2, :2] @ (0.5, 0.5)  # the middle stays
    return turned, step


def _colour(image: Image.Image, rng: random.Random) -> Image.Image:
    if rng.random() < CHANCE_GREY:
        image = ImageOps.grayscale(image).convert("RGB")
    if rng.random() < CHANCE_COLOUR:
        # Down to a third of the light: indoor evenings are where pets live.
        image = ImageEnhance.Brightness(image).enhance(math.exp(rng.uniform(-1.1, 0.4)))
        image = ImageEnhance.Contrast(image).enhance(rng.uniform(0.7, 1.3))
        image = ImageEnhance.Color(image).enhance(rng.uniform(0.5, 1.4))
        red, green, blue = (rng.uniform(1 - CAST, 1 + CAST) for _ in "rgb")
        image = image.convert("RGB", (red, 0, 0, 0, 0, green, 0, 0, 0, 0, blue, 0))
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


def collage(
    first: Pixels, second: Pixels, rng: random.Random
) -> tuple[Pixels, tuple[Placement, Placement]]:
    """Put two photos side by side, or one above the other, of up to twice the other's size.

    Each is squeezed whole into its part, so that what it shows stays in the picture.

    Args:
        first: (size, size, 3), uint8, RGB.
        second: likewise.
        rng: where the randomness comes from.

    Returns:
        Pixels (size, size, 3); from places in them to those in each photo, which are outside of
        it where the other one is.
    """
    size = first.shape[0]
    cut = round(size * rng.uniform(*COLLAGE_CUT))
    share = cut / size
    across = rng.random() < 0.5
    shapes = [(cut, size), (size - cut, size)]
    parts = [
        np.asarray(
            Image.fromarray(pixels).resize(
                shape if across else shape[::-1], Image.Resampling.BILINEAR
            )
        )
        for pixels, shape in zip((first, second), shapes, strict=True)
    ]
    axis = 0 if across else 1
    placements = np.eye(3), np.eye(3)
    placements[0][axis, axis] = 1 / share
    placements[1][axis, [axis, 2]] = np.array([1, -share]) / (1 - share)
    return np.concatenate(parts, axis=1 - axis), placements
