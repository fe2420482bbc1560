"""What each choice that makes dogsort fast gains: with and without it, alternately.

    python tests/benchmarks/choices.py FOLDER

``taskset -c 0 python tests/benchmarks/choices.py FOLDER`` measures it on one core.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from datetime import date
from functools import partial
from itertools import islice
from multiprocessing import get_context
from statistics import median
from time import perf_counter
from typing import TypeVar

import numpy as np
import onnxruntime
import torch
from PIL import Image

from dogsort import Classifier
from dogsort.bench import machine, take_sample, versions
from dogsort.network.cores import cores
from dogsort.network.weights import ONNX_NAME, load_network
from dogsort.photos.decode import Pixels, decode_file
from dogsort.photos.scan import Scan
from dogsort.records import Photo

ROUNDS = 5
MOST = 200  # photos

T = TypeVar("T")
Way = Callable[[], object]


def plainly(path: str, size: int) -> Pixels:
    """Read a photo as most scripts do: first all its pixels."""
    image = Image.open(path).convert("RGB").resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(image)


def consume(items: Iterable[object]) -> None:
    """Consume all items."""
    for _ in items:
        pass


def in_batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield lists of this many items."""
    remaining = iter(items)
    while some := list(islice(remaining, size)):
        yield some


def ways(classifier: Classifier, paths: list[str]) -> Iterator[tuple[str, Way, Way]]:
    """Yield the name of each choice, the work without it, and the work with it."""
    size, batch_size = classifier.weights.input_size, classifier.batch_size
    engine = classifier.engine
    ours = partial(decode_file, size=size)
    threads = ThreadPoolExecutor(cores())
    yield (
        "JPEGs made smaller while they are decoded",
        lambda: consume(plainly(path, size) for path in paths),
        lambda: consume(map(ours, paths)),
    )
    yield (
        f"decoding on threads ({cores()}), not on one",
        lambda: consume(map(ours, paths)),
        lambda: consume(threads.map(ours, paths)),
    )
    processes: Executor = ProcessPoolExecutor(cores(), get_context("spawn"))
    consume(processes.map(ours, paths[: 2 * cores()]))  # so that they have started
    yield (
        f"decoding on threads, not in processes ({cores()})",
        lambda: consume(processes.map(ours, paths, chunksize=8)),
        lambda: consume(threads.map(ours, paths)),
    )
    processes.shutdown()
    batches = [np.stack(pixels) for pixels in in_batches(map(ours, paths), batch_size)]
    network = load_network(classifier.weights).eval()
    torch.set_num_threads(cores())

    @torch.inference_mode()
    def eagerly() -> None:
        for batch in batches:
            network(torch.from_numpy(batch))

    def by_engine() -> None:
        for batch in batches:
            engine.probabilities(batch)

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = cores()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        str(classifier.weights.checked_file(ONNX_NAME)), options, ["CPUExecutionProvider"]
    )
    name = session.get_inputs()[0].name
    yield (
        "ONNX Runtime, not eager torch",
        eagerly,
        lambda: consume(session.run(None, {name: batch}) for batch in batches),
    )
    yield (
        "each core with photos of its own, not all with one batch",
        lambda: consume(session.run(None, {name: batch}) for batch in batches),
        by_engine,
    )
    yield (
        "bytes into the network, which scales them itself",
        lambda: consume(
            np.ascontiguousarray((batch.astype(np.float32) / 127.5 - 1).transpose(0, 3, 1, 2))
            for batch in batches
        ),
        lambda: None,
    )

    def one_after_the_other() -> None:
        for some in in_batches(paths, batch_size):
            engine.probabilities(np.stack(list(threads.map(ours, some))))

    yield (
        "decoding ahead while the network computes",
        one_after_the_other,
        lambda: consume(classifier.predict_photos(map(Photo, paths))),
    )


def start_of(code: str) -> Way:
    """Run code in a fresh Python."""
    return lambda: subprocess.run([sys.executable, "-c", code], check=True)


def seconds(way: Way) -> float:
    """Return the seconds of one call."""
    start = perf_counter()
    way()
    return perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what each choice gains.")
    parser.add_argument("folder", help="photos")
    given = parser.parse_args()
    classifier = Classifier(device="cpu")
    photos = [photo for photo in Scan([given.folder]) if isinstance(photo, Photo)]
    paths = [photo.path for photo in take_sample(classifier, photos).photos[:MOST]]
    if not paths:
        parser.error("give a folder with photos that can be read")
    print(f"{machine()['cpu']}, {cores()} cores; {date.today()}; {len(paths)} photos")
    print(", ".join(f"{name} {version}" for name, version in versions().items()))
    print(f"\n{'ms a photo':58}{'without':>9}{'with':>9}{'times':>8}")
    for choice, without, with_it in ways(classifier, paths):
        pairs = [(seconds(without), seconds(with_it)) for _ in range(ROUNDS)]
        before, after = (1000 * median(column) / len(paths) for column in zip(*pairs, strict=True))
        times = f"{median(one / other for one, other in pairs):.2f}" if after > 0.01 else ""
        print(f"{choice:58}{before:>9.2f}{after:>9.2f}{times:>8}", flush=True)
    both = [
        (
            seconds(start_of("import torch")),
            seconds(start_of("import dogsort; dogsort.Classifier()")),
        )
        for _ in range(ROUNDS)
    ]
    torch_alone, ready = (median(column) for column in zip(*both, strict=True))
    print(f"\nseconds to import torch {torch_alone:.2f}, to a network ready without it {ready:.2f}")


if __name__ == "__main__":
    main()
