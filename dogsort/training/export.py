"""A trained network -> a weights folder: safetensors, ONNX, manifest."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from dogsort.errors import OutputError
from dogsort.network.architecture import PIXEL_SCALE, DogsortNet
from dogsort.network.weights import (
    ARCHITECTURE,
    FORMAT_VERSION,
    GEOMETRY,
    MANIFEST_NAME,
    ONNX_NAME,
    SAFETENSORS_NAME,
    sha256_of,
)
from dogsort.training.calibrate import Calibration

__all__ = ["export", "strip_traces", "write_onnx"]

#: The first opset with current versions of all operators in the network; every ONNX Runtime that
#: dogsort accepts supports it.
OPSET = 18


def export(
    network: DogsortNet,
    folder: Path,
    input_size: int,
    calibration: Calibration,
    figures: dict[str, Any],
    recipe: dict[str, Any],
) -> None:
    """Write a folder for ``--weights``, with the manifest last, because it makes the folder valid.

    Raises:
        OutputError: if it cannot be written.
    """
    from safetensors.torch import save

    network = network.cpu().eval()
    safetensors, onnx = folder / SAFETENSORS_NAME, folder / ONNX_NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MANIFEST_NAME).unlink(missing_ok=True)  # the manifest of the replaced weights
        state = {name: value.contiguous() for name, value in network.state_dict().items()}
        safetensors.write_bytes(save(state))
        write_onnx(network, onnx, input_size)
        manifest = {
            "format_version": FORMAT_VERSION,
            "architecture": {"name": ARCHITECTURE, "width": 1.0, "hidden": network.hidden},
            "input": {
                "size": input_size,
                "geometry": GEOMETRY,
                "scaling": f"value / {PIXEL_SCALE} - 1",
            },
            "outputs": {"0": "dog against cat", "1": "dog or cat against neither"},
            "classes": ["dog", "cat", "neither"],
            "calibration": asdict(calibration.scaling),
            "thresholds": {
                "min_confidence": calibration.threshold,
                "min_species": calibration.species_threshold,
            },
            "submission": {"clip": calibration.clip},
            "figures": figures,
            "recipe": recipe,
            "files": {
                path.name: {"sha256": sha256_of(path), "bytes": path.stat().st_size}
                for path in (safetensors, onnx)
            },
        }
        text = json.dumps(manifest, indent=2) + "\n"
        (folder / MANIFEST_NAME).write_text(text, encoding="utf-8")
    except OSError as error:
        what = error.filename or folder
        raise OutputError(
            f"{what}: weights cannot be written: {error.strerror or error}"
        ) from error


def write_onnx(network: DogsortNet, path: Path, input_size: int) -> None:
    """Write the network as ONNX: (N, size, size, 3) uint8 pixels to (N, 2) raw logits."""
    pixels = torch.zeros((2, input_size, input_size, 3), dtype=torch.uint8)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # about the exporter's own future
        torch.onnx.export(
            network,
            (pixels,),
            str(path),
            input_names=["pixels"],
            output_names=["logits"],
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            dynamic_shapes={"pixels": {0: torch.export.Dim("batch")}},
            verbose=False,
        )
    strip_traces(path)


def strip_traces(path: str | Path) -> None:
    """Remove torch's stack traces, which contain paths, from an ONNX file."""
    import onnx

    model = onnx.load(path)
    for node in model.graph.node:
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output):
        value.ClearField("metadata_props")
    onnx.save(model, path)
