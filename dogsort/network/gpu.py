"""Is it worth asking torch for a GPU? Importing torch takes longer than many runs."""

from __future__ import annotations

import ctypes
import os
import platform
import sys

__all__ = ["cuda_devices", "may_have_gpu"]

#: The driver's library, as CUDA programs load it.
CUDA_DRIVER = "nvcuda.dll" if os.name == "nt" else "libcuda.so.1"

#: The device file of AMD's driver; torch calls such a GPU CUDA, too.
AMD_DEVICE = "/dev/kfd"


def may_have_gpu() -> bool:
    """Tell whether torch might find a GPU; False only if it certainly cannot."""
    if sys.platform == "darwin":
        return platform.machine() == "arm64"
    return os.path.exists(AMD_DEVICE) or cuda_devices() > 0


def cuda_devices() -> int:
    """Ask NVIDIA's driver how many GPUs this process may use; 0 without a driver."""
    try:
        driver = ctypes.CDLL(CUDA_DRIVER)
        count = ctypes.c_int(0)
        if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
            return 0
    except (OSError, AttributeError):
        return 0
    return count.value
