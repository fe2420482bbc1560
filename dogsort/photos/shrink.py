"""Any mode and any size -> a small RGB square, without a second copy of the whole picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
from PIL import Image

__all__ = ["PADDING", "bands", "fit", "inner_size", "whole", "within"]

#: Shrink by whole factors first, down to this many times the target. Pillow documents a
#: reducing_gap of 3 as nearly indistinguishable from the slow way.
REDUCING_GAP = 3.0

#: Larger pictures are first shrunk by the largest whole factor. Otherwise, one that becomes less
#: than three times smaller would be copied whole.
PIXELS_TO_COPY = 50_000_000

#: A picture is stretched to the square by at most this factor, in training, too. A longer picture
#: (phones take 9:16) is padded.
MAX_STRETCH = 4 / 3
PADDING = (128, 128, 128)  # mid-grey: closest to the 0 that convolutions pad with

#: Larger pictures are converted and shrunk in bands of about this many pixels, because changing
#: the mode of a whole picture takes another 4 bytes or more per pixel.
BAND_PIXELS = 1_000_000

HIGH_DEPTH_MODES = ("I", "F")  # and all that begin with "I;16"

#: Premultiplied, so that hidden colours of transparent pixels do not bleed into averages.
MODES_TO_PREMULTIPLY = {"LA": "La", "RGBA": "RGBa"}

Values = npt.NDArray[np.float32]


def fit(image: Image.Image, size: int) -> Image.Image:
    """Shrink or enlarge a loaded picture to an RGB square of size x size pixels.

    It is stretched by ``MAX_STRETCH`` at most, and padded if that does not fill the square.
    """
    across, down = inner_size(image.width, image.height, size)
    inner = _resized(image, across, down)
    if inner.size == (size, size):
        return inner
    square = Image.new("RGB", (size, size), PADDING)
    square.paste(inner, ((size - across) // 2, (size - down) // 2))
    return square


def inner_size(width: int, height: int, size: int) -> tuple[int, int]:
    """Return how wide and high the picture becomes within its square; the padding is even."""

    def side(ratio: float) -> int:
        padding = round(size * max(0.0, 1 - ratio * MAX_STRETCH) / 2)
        return max(size - 2 * padding, 2 - size % 2)

    return side(width / height), side(height / width)


def within(image: Image.Image, side: int) -> Image.Image:
    """Shrink a loaded picture to RGB with a longer side of at most ``side``, aspect kept."""
    scale = min(1.0, side / max(image.size))
    width, height = round(image.width * scale) or 1, round(image.height * scale) or 1
    gap = REDUCING_GAP if image.width * image.height <= PIXELS_TO_COPY else 1.0
    return _resized(image, width, height, gap)


def _resized(image: Image.Image, width: int, height: int, gap: float = REDUCING_GAP) -> Image.Image:
    # Shrink in a mode that can be averaged, and convert the fewer pixels to RGB afterwards.
    convert = _to_averageable(image)
    across = int(image.width / width / gap) or 1
    down = int(image.height / height / gap) or 1
    if across == down == 1:
        reduced = convert(image)  # without a copy, as nothing is reduced
    else:
        parts = (convert(band).reduce((across, down)) for band in bands(image, down))
        reduced = _stacked(list(parts))
    resized = reduced.resize(
        (width, height),
        Image.Resampling.BILINEAR,
        box=(0, 0, image.width / across, image.height / down),
    )
    return _to_rgb(resized)


def whole(image: Image.Image) -> Image.Image:
    """Convert a loaded picture to RGB at its own size, transparency over white."""
    return _to_rgb(_to_averageable(image)(image))


def bands(image: Image.Image, multiple: int) -> Iterator[Image.Image]:
    """Cut a picture into bands; the height of all but the last is a multiple of ``multiple``."""
    if image.width * image.height <= BAND_PIXELS:
        yield image
        return
    height = max(BAND_PIXELS // image.width // multiple, 1) * multiple
    for top in range(0, image.height, height):
        yield image.crop((0, top, image.width, min(top + height, image.height)))


def _stacked(bands: list[Image.Image]) -> Image.Image:
    if len(bands) == 1:
        return bands[0]
    stack = Image.new(bands[0].mode, (bands[0].width, sum(band.height for band in bands)), None)
    top = 0
    for band in bands:
        stack.paste(band, (0, top))
        top += band.height
    return stack


def _to_averageable(image: Image.Image) -> Callable[[Image.Image], Image.Image]:
    """Return a function that converts bands of a picture to a mode whose pixels can be averaged."""
    if image.mode.startswith("I;16"):
        return lambda band: Image.fromarray((np.asarray(band) >> 8).astype(np.uint8))
    if image.mode in HIGH_DEPTH_MODES:
        low, high = _range(image)
        return lambda band: _to_8_bit(band, low, high)
    if image.mode in MODES_TO_PREMULTIPLY:
        return lambda band: band.convert(MODES_TO_PREMULTIPLY[image.mode])
    if image.mode in ("1", "P", "PA") or (image.mode == "RGB" and "transparency" in image.info):
        # Palette indices, or a colour that means transparent.
        if image.has_transparency_data:
            return lambda band: band.convert("RGBA").convert("RGBa")
        return lambda band: band.convert("RGB")
    return lambda band: band


def _to_rgb(image: Image.Image) -> Image.Image:
    """Convert to RGB, transparency over white."""
    if image.mode in ("La", "RGBa", "LA", "RGBA"):
        rgba = image.convert("LA").convert("RGBA") if image.mode == "La" else image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _range(image: Image.Image) -> tuple[float, float]:
    """Return the values of black and white in a picture of 32-bit numbers."""
    low, high = 0.0, -np.inf
    for band in bands(image, 1):
        values = _numbers(band)
        low, high = min(low, float(values.min())), max(high, float(values.max()))
    # There is no standard range: take the smallest common one that holds the values, or their own.
    return low, next((top for top in (1.0, 255.0, 65535.0) if high <= top), high)


def _to_8_bit(band: Image.Image, low: float, high: float) -> Image.Image:
    """Scale a one-channel picture of 32-bit numbers to mode L instead of clipping it."""
    scaled = (_numbers(band) - low) * (255.0 / (high - low))
    return Image.fromarray(scaled.round().astype(np.uint8))


def _numbers(band: Image.Image) -> Values:
    return np.nan_to_num(np.asarray(band, np.float32), nan=0.0, posinf=0.0, neginf=0.0)
