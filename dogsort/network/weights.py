"""A weights folder: the network in two formats (safetensors, ONNX), and a manifest.

The manifest records everything else: architecture, input, calibration, thresholds, figures, recipe,
and the SHA-256 of both files.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dogsort.errors import WeightsError
from dogsort.records import Thresholds

if TYPE_CHECKING:
    from dogsort.network.architecture import DogsortNet

__all__ = [
    "FORMAT_VERSION",
    "GEOMETRY",
    "MANIFEST_NAME",
    "ONNX_NAME",
    "SAFETENSORS_NAME",
    "Scaling",
    "Weights",
    "bundled_folder",
    "load_network",
    "load_weights",
    "sha256_of",
]

FORMAT_VERSION = 2
ARCHITECTURE = "mobilenet_v2"
#: What ``photos.shrink.fit`` does. Weights trained on photos prepared differently work less well.
GEOMETRY = "whole picture, upright, stretched to a square by 4:3 at most, else padded"
MANIFEST_NAME = "manifest.json"
SAFETENSORS_NAME = "dogsort.safetensors"
ONNX_NAME = "dogsort.onnx"

SMALLEST, LARGEST = 1e-6, 1e6  # numbers in a manifest outside this range mean damage


@dataclass(frozen=True, slots=True)
class Scaling:
    """The scaling of logits before the sigmoid; ``calibration`` in the manifest."""

    temperature_dog: float  # divides the logit of dog vs. cat
    temperature_pet: float  # divides the logit of pet or not
    bias_dog: float  # is then added to the logit of dog vs. cat


@dataclass(frozen=True, slots=True)
class Weights:
    """A checked manifest; the files beside it are checked when they are loaded."""

    folder: Path  # the folder of the manifest
    hidden: int  # width of the dense layer
    input_size: int  # side of the square the network sees, in pixels
    scaling: Scaling
    thresholds: Thresholds  # the default thresholds of a label
    clip: float  # submissions stay within [clip, 1 - clip]
    manifest: dict[str, Any]  # the whole manifest, for display

    @property
    def identity(self) -> str:
        """A SHA-256 of everything that determines probabilities: both files, input, scaling.

        It does not include the thresholds.
        """
        files = [self.manifest["files"][name]["sha256"] for name in (SAFETENSORS_NAME, ONNX_NAME)]
        parts = [*files, self.input_size, *astuple(self.scaling)]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def checked_file(self, name: str) -> Path:
        """Return the path of a file of this folder, after checking its SHA-256.

        Raises:
            WeightsError: if it is missing, or not the file that the manifest describes.
        """
        path = self.folder / name
        try:
            actual = sha256_of(path)
        except OSError as error:
            raise WeightsError(f"{path}: weights file cannot be read: {error.strerror}") from error
        if actual != self.manifest["files"][name]["sha256"]:
            raise WeightsError(
                f"{path}: damaged, or not the file that {MANIFEST_NAME} describes "
                "(the SHA-256 differs); install or copy the weights again"
            )
        return path


def bundled_folder() -> Path:
    """Return the folder of the bundled weights: in the wheel, or beside the package's source."""
    package = Path(__file__).resolve().parent.parent
    in_wheel = package / "pretrained"
    return in_wheel if in_wheel.is_dir() else package.parent / "pretrained"


def load_weights(location: str | os.PathLike[str] | None = None) -> Weights:
    """Read and check a manifest.

    Args:
        location: a weights folder, or any of its files; None for the bundled weights.

    Raises:
        WeightsError: if it is missing, damaged, or in another format.
    """
    path = bundled_folder() if location is None else Path(location)
    if not os.path.exists(path):  # Path.exists raises an error for a name that is too long
        raise WeightsError(f"{path}: no such weights file or folder")
    folder = path if path.is_dir() else path.parent
    file = folder / MANIFEST_NAME
    if not os.path.exists(file):
        raise WeightsError(f"{path}: not dogsort weights: there is no {MANIFEST_NAME} in {folder}")
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise WeightsError(f"{file}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{file}: damaged: {error}") from error
    weights = _parse(manifest, file)
    if path.is_file() and path.name not in (MANIFEST_NAME, *manifest["files"]):
        raise WeightsError(f"{path}: not one of the weights files that {file} describes")
    return weights


def _parse(manifest: Any, file: Path) -> Weights:
    version = manifest.get("format_version") if isinstance(manifest, dict) else None
    if version != FORMAT_VERSION:
        raise WeightsError(
            f"{file}: format version {version}; this dogsort reads version {FORMAT_VERSION}"
        )
    try:
        architecture, shown = manifest["architecture"]["name"], manifest["input"]["geometry"]
        if architecture != ARCHITECTURE:
            raise WeightsError(f"{file}: unknown architecture {architecture!r}")
        if shown != GEOMETRY:
            raise WeightsError(
                f"{file}: made by another version of dogsort, which prepared photos differently: "
                f"{shown}; train the weights again"
            )
        for name in (SAFETENSORS_NAME, ONNX_NAME):
            str(manifest["files"][name]["sha256"])

        def number(section: str, name: str, low: float, high: float) -> float:
            value = float(manifest[section][name])
            if not low <= value <= high:
                raise WeightsError(f"{file}: damaged: {name} is out of range")
            return value

        if not isinstance(manifest["figures"], dict):
            raise WeightsError(f"{file}: damaged: figures must be an object")
        return Weights(
            folder=file.parent,
            hidden=int(number("architecture", "hidden", 1, LARGEST)),
            input_size=int(number("input", "size", 32, LARGEST)),  # the features shrink by 32
            scaling=Scaling(
                number("calibration", "temperature_dog", SMALLEST, LARGEST),
                number("calibration", "temperature_pet", SMALLEST, LARGEST),
                number("calibration", "bias_dog", -LARGEST, LARGEST),
            ),
            thresholds=Thresholds(
                number("thresholds", "min_confidence", 0, 1),
                number("thresholds", "min_species", 0, 1),
            ),
            clip=number("submission", "clip", 0, 0.5),
            manifest=manifest,
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise WeightsError(f"{file}: damaged: {error!r} is missing or wrong") from error


def load_network(weights: Weights) -> DogsortNet:
    """Build the torch network and load its weights: evaluation mode, on the CPU, float32.

    Raises:
        WeightsError: if the file is missing, damaged or does not fit the architecture.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from dogsort.network.architecture import DogsortNet

    path = weights.checked_file(SAFETENSORS_NAME)
    network = DogsortNet(hidden=weights.hidden)
    try:
        network.load_state_dict(load_file(path))
    except (SafetensorError, RuntimeError) as error:
        raise WeightsError(f"{path}: does not hold this network: {error}") from error
    return network.eval()


def sha256_of(path: Path) -> str:
    """Return a file's SHA-256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
