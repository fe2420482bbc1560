"""Classify a folder as timm's inference.py does, with all defaults but the network."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import timm
import torch
from timm.data import create_dataset, create_loader, resolve_data_config


def main(folder: str, output: str) -> None:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = timm.create_model("mobilenetv2_100", pretrained=False, num_classes=2).to(device).eval()
    loader = create_loader(
        create_dataset(name="", root=folder),
        batch_size=256,
        use_prefetcher=True,
        num_workers=2,
        device=device,
        **resolve_data_config({}, model=model),
    )
    outputs = []
    with torch.inference_mode():
        for images, _ in loader:
            outputs.append(model(images).softmax(-1).cpu().numpy())
    probabilities = np.concatenate(outputs)
    frame = pd.DataFrame({"filename": loader.dataset.filenames(basename=False)})
    frame["label"] = probabilities.argmax(1)
    frame["prob"] = probabilities.max(1)
    frame.to_csv(output, index=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
