"""ONNX Runtime without telemetry: dogsort works offline."""

from __future__ import annotations

import os
from typing import Any

__all__ = ["onnx_runtime"]

#: ONNX Runtime 1.29 and later reads this when it is loaded. Without it, it writes a machine
#: identifier to the user's home, and sends it out.
OPT_OUT = "ORT_DISABLE_TELEMETRY"


def onnx_runtime() -> Any:
    """Import ONNX Runtime with its telemetry off; always import it from here."""
    os.environ[OPT_OUT] = "1"
    import onnxruntime

    onnxruntime.disable_telemetry_events()  # if it was loaded before, and on Windows
    return onnxruntime
