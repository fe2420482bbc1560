"""ONNX Runtime, kept from reporting to its makers: dogsort works offline."""

from __future__ import annotations

import os
from typing import Any

__all__ = ["onnx_runtime"]

#: Read by ONNX Runtime, from 1.29 on, when it is loaded: otherwise it makes an identifier of the
#: machine in the user's home, and sends it out.
OPT_OUT = "ORT_DISABLE_TELEMETRY"


def onnx_runtime() -> Any:
    """Import ONNX Runtime, its telemetry switched off; the one place to get it from."""
    os.environ[OPT_OUT] = "1"
    import onnxruntime

    onnxruntime.disable_telemetry_events()  # for who had loaded it before, and for Windows
    return onnxruntime
