"""What the network would gain and lose in 8 bits: time, accuracy and log loss of both.

    python tests/benchmarks/eight_bits.py PHOTOS LABELLED

PHOTOS, such as training photos, give the ranges of values (static quantisation, signed weights per
channel). Both networks are measured on LABELLED, folders as for `dogsort eval`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from dogsort import Classifier
from dogsort.bench import machine, take_sample
from dogsort.evaluation.labelled import find_labelled
from dogsort.evaluation.metrics import log_loss
from dogsort.network.cores import cores
from dogsort.network.engines import OnnxEngine, probabilities_of
from dogsort.network.weights import ONNX_NAME
from dogsort.photos.decode import Pixels
from dogsort.photos.scan import Scan
from dogsort.records import Photo
from dogsort.training.dataset import DecodedPhotos, decode_photos

#: The first layers lose too much in 8 bits, because their ranges differ most between channels.
FIRST_LAYERS = 5

ROUNDS = 15
PART = OnnxEngine.PART

Network = Callable[[Pixels], npt.NDArray[np.float32]]


class Batches(CalibrationDataReader):  # type: ignore[misc]
    """Pixels, as the quantiser reads them."""

    def __init__(self, name: str, batches: list[Pixels]) -> None:
        self.feeds: Iterator[dict[str, Pixels]] = iter([{name: batch} for batch in batches])

    def get_next(self) -> dict[str, Pixels] | None:
        return next(self.feeds, None)


def quantised(source: Path, folder: Path, batches: list[Pixels]) -> Path:
    """Write the network in 8 bits."""
    prepared, result = folder / "prepared.onnx", folder / "eight_bits.onnx"
    quant_pre_process(str(source), str(prepared))
    graph = onnx.load(str(prepared)).graph
    layers = [node.name for node in graph.node if node.op_type == "Conv"]
    quantize_static(
        str(prepared),
        str(result),
        Batches(graph.input[0].name, batches),
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
        calibrate_method=CalibrationMethod.Percentile,
        nodes_to_quantize=layers[FIRST_LAYERS:],
    )
    return result


def opened(file: Path) -> Network:
    """Load a network as dogsort's engine does."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(file), options, ["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    threads = ThreadPoolExecutor(cores())

    def logits(pixels: Pixels) -> npt.NDArray[np.float32]:
        parts = [pixels[first : first + PART] for first in range(0, len(pixels), PART)]
        return np.concatenate(
            list(threads.map(lambda part: session.run(None, {name: part})[0], parts))
        )

    return logits


def milliseconds(network: Network, pixels: Pixels) -> float:
    """Return the median time per photo."""
    times = []
    for _ in range(ROUNDS):
        start = perf_counter()
        network(pixels)
        times.append(perf_counter() - start)
    return 1000 * median(times) / len(pixels)


def figures(network: Network, photos: DecodedPhotos, classifier: Classifier) -> str:
    """Measure on labelled photos, with the calibration of the weights."""
    weights = classifier.weights
    logits = np.concatenate([network(batch) for batch in photos.batches()])
    rows = probabilities_of(logits, weights.scaling)
    is_dog, is_pet = photos.labels()
    p_dog, p_pet = rows.astype(np.float64).T
    right = ((p_dog > 0.5) == is_dog)[is_pet].mean()
    loss = log_loss(p_dog[is_pet], is_dog[is_pet], weights.clip)
    pet_loss = log_loss(p_pet, is_pet, weights.clip)
    return f"{right:9.2%} {loss:9.4f} {pet_loss:12.4f}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare the network with itself in 8 bits.")
    parser.add_argument("photos", help="a folder of photos, for the ranges of values")
    parser.add_argument("labelled", nargs="+", help="folders of labelled photos")
    given = parser.parse_args()
    # The quantiser keeps all maps of all photos: four batches take gigabytes.
    classifier = Classifier(device="cpu", batch_size=32)
    photos = [photo for photo in Scan([given.photos]) if isinstance(photo, Photo)]
    batches = take_sample(classifier, photos).batches
    if not batches:
        sys.exit(f"{given.photos}: no photos that can be read")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        size, file = classifier.weights.input_size, folder / "pixels.npy"
        *_, labelled = decode_photos(find_labelled(given.labelled)[0], size, file)
        assert isinstance(labelled, DecodedPhotos)
        ours = classifier.weights.checked_file(ONNX_NAME)
        networks = {
            "as it is": opened(ours),
            "in 8 bits": opened(quantised(ours, folder, batches)),
        }
        print(f"\n{machine()['cpu']}, {cores()} cores; {date.today()}; {len(labelled)} photos")
        print(f"{'':10} {'ms a photo':>10} {'right':>9} {'log loss':>9} {'of pet or not':>12}")
        for name, network in networks.items():
            time = milliseconds(network, batches[0])
            print(f"{name:10} {time:10.2f} {figures(network, labelled, classifier)}")


if __name__ == "__main__":
    main()
