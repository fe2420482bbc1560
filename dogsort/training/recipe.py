"""Everything that decides the outcome of training, besides photos and starting weights."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Recipe"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train; kept in the manifest of the weights it made.

    Sizes are in pixels, rates per optimizer step, epochs over the training photos.
    """

    seed: int = 1
    input_size: int = 224  # what classification sees
    # Random crops show animals larger than whole photos do; training on fewer pixels brings
    # both to one scale and saves half the time (FixRes; Touvron et al. 2019, arXiv:1906.06423).
    crop_size: int = 160
    hidden: int = 256
    dropout: float = 0.2
    head_epochs: int = 1  # the head alone, on frozen features
    epochs: int = 5  # the whole network
    frozen_blocks: int = 5  # the first ones, edges and textures, stay as ImageNet made them
    batch_size: int = 32
    head_rate: float = 1e-3
    rate: float = 2e-4  # of the features; the head's is higher by the factor
    head_factor: float = 5.0
    warmup: float = 0.05  # share of the steps over which the rate rises
    weight_decay: float = 0.02
    average_decay: float = 0.998  # of the exponential moving average of weights
    collage_share: float = 0.2  # of the training photos; teaches not to be sure of two at once
    neither_repeats: int = 2  # they are few, and telling them is the hard part
