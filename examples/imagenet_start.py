"""Write torchvision's ImageNet weights as starting weights: imagenet_start.py START.safetensors

`dogsort train --start START.safetensors` takes them. torchvision downloads them if needed.
"""

import sys

import torch
from safetensors.torch import save_file
from torchvision.models import MobileNet_V2_Weights

#: Mean and standard deviation of each channel in their training, for pixels 0..1.
MEAN, STD = torch.tensor((0.485, 0.456, 0.406)), torch.tensor((0.229, 0.224, 0.225))


def main(start: str) -> None:
    state = MobileNet_V2_Weights.IMAGENET1K_V2.get_state_dict(progress=False, check_hash=True)
    prefix = "features."
    features = {
        name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)
    }
    # dogsort's pixels y are in [-1, 1], so these weights expect ((y + 1) / 2 - mean) / std. The
    # factor goes into the first kernel, the constant into the running mean after it. The padding is
    # 0 in both scales, so it becomes another colour. This changes the upper and left edges of the
    # first maps, which fine-tuning absorbs.
    kernel = features["0.0.weight"]  # (32, 3, 3, 3)
    constant = ((0.5 - MEAN) / STD).view(1, 3, 1, 1)
    features["0.1.running_mean"] = features["0.1.running_mean"] - (kernel * constant).sum((1, 2, 3))
    features["0.0.weight"] = kernel / (2 * STD).view(1, 3, 1, 1)
    save_file(features, start)


if __name__ == "__main__":
    main(*sys.argv[1:])
