"""What the default install does without, and which extra of the package brings it."""

from __future__ import annotations

from importlib.util import find_spec

from dogsort.errors import MissingExtra

__all__ = ["check_extra", "missing"]

GPU = ("torch", "torchvision", "safetensors")

#: The modules that each extra brings, as pyproject.toml has it.
EXTRAS = {
    "gpu": GPU,
    "train": (*GPU, "onnx", "onnxscript"),
    "parquet": ("pyarrow",),
    "report": ("matplotlib",),
}


def missing(extra: str) -> str | None:
    """Return the first module of an extra that is not installed, or None; imports none."""
    return next((name for name in EXTRAS[extra] if find_spec(name) is None), None)


def check_extra(extra: str, purpose: str) -> None:
    """Raise MissingExtra, before any work, if ``purpose`` lacks a module of an extra."""
    module = missing(extra)
    if module is not None:
        raise MissingExtra(f"{purpose} needs {module}: pip install 'dogsort[{extra}]'")
