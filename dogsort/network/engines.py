"""A batch of pixels -> probabilities, with ONNX Runtime on the CPU or torch on a GPU.

On the CPU, ONNX Runtime is several times faster than eager torch for this network; on a GPU,
torch is the natural choice. Both compute the same numbers.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from dogsort.errors import DeviceError, WeightsError
from dogsort.extras import check_extra, missing
from dogsort.network.cores import cores
from dogsort.network.gpu import cuda_devices, may_have_gpu
from dogsort.network.runtime import onnx_runtime
from dogsort.network.weights import ONNX_NAME, Scaling, Weights, load_network
from dogsort.records import DEVICES

__all__ = ["Engine", "OnnxEngine", "TorchEngine", "open_engine", "probabilities_of", "torch_device"]

#: Batch size on a CPU with few cores: large enough that no core idles for long at its end.
LEAST_BATCH = 32

Batch = npt.NDArray[np.uint8]  # (N, H, W, 3)
Probabilities = npt.NDArray[np.float32]  # (N, 2), columns p_dog and p_pet


class Engine(Protocol):
    """Runs the network."""

    name: str  # the library that computes, and its version
    device: str  # cpu, cuda or mps, with the GPU's name if there is one
    reason: str  # why this device was chosen
    advice: str  # how to make it faster; empty if unknown
    batch_size: int  # the batch size that suits it

    def probabilities(self, pixels: Batch) -> Probabilities:
        """Compute probabilities (N, 2) from pixels (N, H, W, 3), uint8."""
        ...


def probabilities_of(logits: npt.NDArray[np.floating[Any]], scaling: Scaling) -> Probabilities:
    """Turn raw logits (N, 2) into probabilities (N, 2): divide by temperatures, shift, sigmoid."""
    temperatures = np.array([scaling.temperature_dog, scaling.temperature_pet])
    scaled = logits.astype(np.float64) / temperatures + [scaling.bias_dog, 0.0]
    # exp(-log(1 + exp(-x))) is the sigmoid without overflow.
    result: Probabilities = np.exp(-np.logaddexp(0.0, -scaled)).astype(np.float32)
    return result


def open_engine(weights: Weights, device: str = "auto") -> Engine:
    """Choose a device and load the network there.

    Args:
        weights: the network to load.
        device: one of ``DEVICES``; ``auto`` takes CUDA, else MPS, else the CPU. Without torch, it
            takes the CPU.

    Raises:
        DeviceError: if the device does not exist or cannot be used.
        MissingExtra: if it is a GPU and torch is not installed.
        WeightsError: if the weights are missing or damaged.
    """
    if device not in DEVICES:
        raise DeviceError(f"unknown device {device!r}; choose one of {', '.join(DEVICES)}")
    if device == "auto" and missing("gpu"):
        engine = OnnxEngine(weights, reason="a GPU needs torch, which is not installed")
        if cuda_devices() > 0:
            engine.advice = (
                "the network runs on the CPU; to use this machine's NVIDIA GPU: "
                "pip install 'dogsort[gpu]'"
            )
        return engine
    chosen = torch_device(device)
    asked = "asked for" if device != "auto" else ""
    if chosen == "cpu":
        return OnnxEngine(weights, asked or "no GPU that torch can use was found")
    return TorchEngine(weights, chosen, asked or "the first GPU that torch found")


def torch_device(device: str) -> str:
    """Resolve ``auto`` to CUDA, else MPS, else the CPU; check that a named GPU exists.

    Raises:
        DeviceError: if it does not exist.
        MissingExtra: if torch is needed for the check and is not installed.
    """
    if device == "cpu" or (device == "auto" and not may_have_gpu()):
        return "cpu"
    check_extra("gpu", f"device {device}")
    import torch

    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device == "auto":
        return next((name for name in there if there[name]), "cpu")
    if not there[device]:
        raise DeviceError(
            f"device {device}: torch finds no such device on this machine; use --device cpu"
        )
    return device


class OnnxEngine:
    """ONNX Runtime on all the CPU cores that this process may use.

    Each core computes its own photos. Cores that share a layer would wait for each other at its
    end, especially while other threads decode. A forked process must open its own engine.
    """

    #: Maximum photos that a core computes at a time: their maps stay in its cache.
    PART = 4
    device = "cpu"
    advice = ""

    def __init__(self, weights: Weights, reason: str) -> None:
        onnxruntime = onnx_runtime()
        path = weights.checked_file(ONNX_NAME)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3  # errors only: its warnings are about its tuning
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its errors have no public base class
            raise WeightsError(f"{path}: ONNX Runtime cannot load it: {error}") from error
        (pixels,) = self._session.get_inputs()
        size, takes = weights.input_size, pixels.shape[1:]
        if takes != [size, size, 3]:
            raise WeightsError(f"{path}: takes {takes}, but the manifest says {size} x {size}")
        self._input = pixels.name
        self._scaling = weights.scaling
        self._cores = cores()
        self._threads = ThreadPoolExecutor(self._cores, thread_name_prefix="dogsort-infer")
        self.batch_size = max(LEAST_BATCH, 2 * self.PART * self._cores)
        self.name = f"ONNX Runtime {onnxruntime.__version__}"
        self.reason = reason

    def probabilities(self, pixels: Batch) -> Probabilities:
        """See ``Engine.probabilities``."""
        if not len(pixels):
            return np.empty((0, 2), np.float32)
        part = min(self.PART, math.ceil(len(pixels) / self._cores))
        parts = (pixels[first : first + part] for first in range(0, len(pixels), part))
        logits = np.concatenate(list(self._threads.map(self._logits, parts)))
        return probabilities_of(logits, self._scaling)

    def _logits(self, pixels: Batch) -> npt.NDArray[np.float32]:
        (logits,) = self._session.run(None, {self._input: pixels})
        result: npt.NDArray[np.float32] = logits
        return result


class TorchEngine:
    """Torch on a GPU, channels last; in half precision on CUDA."""

    batch_size = 256
    advice = ""

    def __init__(self, weights: Weights, device: str, reason: str) -> None:
        import torch
        from torch.nn.utils import convert_conv2d_weight_memory_format

        # CUDA's tensor cores are built for half precision. Neither its gain nor its error has
        # been measured on a GPU yet; MPS keeps full precision until it has.
        dtype = torch.float16 if device == "cuda" else torch.float32
        try:
            network = load_network(weights).to(device, dtype)
        except RuntimeError as error:
            raise DeviceError(f"device {device} cannot be used: {error}") from error
        self._network = convert_conv2d_weight_memory_format(network, torch.channels_last)
        self._scaling = weights.scaling
        self._device = device
        self.device = f"cuda ({torch.cuda.get_device_name()})" if device == "cuda" else device
        self.name = f"torch {torch.__version__}"
        self.reason = reason

    def probabilities(self, pixels: Batch) -> Probabilities:
        """See ``Engine.probabilities``; a batch too large for memory is split in halves.

        Raises:
            DeviceError: if there is too little memory for a single photo.
        """
        import torch

        try:
            return probabilities_of(self._logits(pixels), self._scaling)
        except torch.OutOfMemoryError as error:
            if len(pixels) == 1:
                raise DeviceError(
                    f"device {self.device}: too little memory; free some or use --device cpu"
                ) from error
        # Outside the block above, because its error holds on to memory.
        torch.cuda.empty_cache()  # does nothing on other devices
        middle = (len(pixels) + 1) // 2
        halves = (pixels[:middle], pixels[middle:])
        return np.concatenate([self.probabilities(half) for half in halves])

    def _logits(self, pixels: Batch) -> npt.NDArray[np.float32]:
        import torch

        with torch.inference_mode():
            logits = self._network(torch.from_numpy(pixels).to(self._device))
        values: npt.NDArray[np.float32] = logits.float().cpu().numpy()
        return values
