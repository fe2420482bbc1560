"""Classify a folder as torchvision's tutorials do, to compare dogsort's speed."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from torchvision.datasets.folder import IMG_EXTENSIONS
from torchvision.models import mobilenet_v2


class Photos(Dataset):
    def __init__(self, folder: str) -> None:
        names = sorted(Path(folder).rglob("*"))
        self.paths = [str(path) for path in names if path.suffix.lower() in IMG_EXTENSIONS]
        self.transform = transforms.Compose(
            [
                transforms.Resize(256),
                transforms.CenterCrop(224),
                transforms.ToTensor(),
                transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
            ]
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, str]:
        image = Image.open(self.paths[index]).convert("RGB")
        return self.transform(image), self.paths[index]


def main(folder: str, output: str) -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = mobilenet_v2(num_classes=2).eval().to(device)
    rows = []
    with torch.no_grad():
        for images, paths in DataLoader(Photos(folder), batch_size=32, num_workers=2):
            probabilities = torch.softmax(model(images.to(device)), dim=1).cpu()
            for path, (p_cat, p_dog) in zip(paths, probabilities.tolist(), strict=True):
                label = "dog" if p_dog > p_cat else "cat"
                rows.append({"path": path, "label": label, "p_dog": p_dog})
    pd.DataFrame(rows).to_csv(output, index=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
