"""What figures of speed depend on: the machine, and the versions of what works on it."""

from __future__ import annotations

import platform
from contextlib import suppress
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import dogsort
from dogsort.extras import missing
from dogsort.network.cores import cores
from dogsort.network.gpu import may_have_gpu

__all__ = ["machine", "today", "versions"]

LIBRARIES = ("torch", "onnxruntime", "pillow")

CPU_INFO = Path("/proc/cpuinfo")


def machine() -> dict[str, str | int | None]:
    """Return the CPU's model, the cores that may be used, and the name of a GPU or None."""
    return {"cpu": _cpu_model(), "cores": cores(), "gpu": _gpu_name()}


def versions() -> dict[str, str]:
    """Return the versions of dogsort, of Python and of the libraries that do the work."""
    found = {"dogsort": dogsort.__version__, "python": platform.python_version()}
    for name in LIBRARIES:
        with suppress(PackageNotFoundError):  # torch comes with an extra
            found[name] = version(name)
    return found


def today() -> str:
    """Return the date, such as 2026-01-31."""
    return date.today().isoformat()


def _cpu_model() -> str:
    # Linux, on which Python's own answer is empty or the architecture.
    if CPU_INFO.exists():
        for line in CPU_INFO.read_text(errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def _gpu_name() -> str | None:
    if missing("gpu") or not may_have_gpu():
        return None
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return "Apple GPU" if torch.backends.mps.is_available() else None
