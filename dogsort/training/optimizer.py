"""What is trained in a phase, and at which rates."""

from __future__ import annotations

import math

import torch

from dogsort.training.recipe import Phase, Recipe
from dogsort.training.teacher import Pupil

__all__ = ["make_optimizer"]


def make_optimizer(
    pupil: Pupil, recipe: Recipe, phase: Phase, steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """Freeze what is not trained, and make AdamW with warm-up and cosine decay for the rest.

    Args:
        pupil: its parameters are frozen and unfrozen here.
        recipe: the rates.
        phase: tells what is trained, and which rates.
        steps: of all epochs of the phase.
    """
    network = pupil.network
    for index, block in enumerate(network.features):
        block.requires_grad_(phase != "head" and index >= recipe.frozen_blocks)
    head = [*network.head.parameters(), *pupil.telling.parameters()]
    if phase == "head":
        groups = [{"params": head, "lr": recipe.head_rate}]
    else:
        # Early blocks know what all pictures share, and get lower rates.
        last = len(network.features) - 1
        groups = [
            {
                "params": list(block.parameters()),
                "lr": recipe.rate * recipe.layer_decay ** (last - index),
            }
            for index, block in enumerate(network.features)
            if index >= recipe.frozen_blocks
        ]
        groups.append({"params": head, "lr": recipe.rate * recipe.head_factor})
    rise = max(1, round(recipe.warmup * steps))

    def factor(step: int) -> float:
        if step < rise:
            return (step + 1) / rise
        return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))

    optimizer = torch.optim.AdamW(groups, weight_decay=recipe.weight_decay, fused=True)
    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
