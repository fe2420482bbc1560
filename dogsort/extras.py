"""The modules that extras of the package add to the default install."""

from __future__ import annotations

from importlib.util import find_spec

from dogsort.errors import MissingExtra

__all__ = ["check_extra", "missing"]

GPU = ("torch", "torchvision", "safetensors")

#: The modules of each extra, as in pyproject.toml.
EXTRAS = {
    "gpu": GPU,
    "train": (*GPU, "onnx", "onnxscript"),
    "parquet": ("pyarrow",),
    "report": ("matplotlib",),
}


def missing(extra: str) -> str | None:
    """Return the first module of an extra that is not installed, or None, without importing any."""
    return next((name for name in EXTRAS[extra] if find_spec(name) is None), None)


def check_extra(extra: str, purpose: str) -> None:
    """Raise MissingExtra if a module of the extra that ``purpose`` needs is not installed."""
    module = missing(extra)
    if module is not None:
        raise MissingExtra(f"{purpose} needs {module}: pip install 'dogsort[{extra}]'")
