"""Ctrl-C and SIGTERM: the run ends, and says what it keeps."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

__all__ = ["stop_gently"]

STILL_AT_IT = b"dogsort: finishing the current step; interrupt again to stop at once\n"


def stop_gently() -> None:
    """Let SIGTERM interrupt as Ctrl-C does; neither interrupts the clean-up that follows.

    Signals that are already ignored, as under nohup, stay ignored.
    """
    expected = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    ours = [number for number, usual in expected.items() if signal.getsignal(number) == usual]

    def stop(_number: int, _frame: FrameType | None) -> None:
        for number in ours:
            signal.signal(number, wait)
        raise KeyboardInterrupt

    def wait(_number: int, _frame: FrameType | None) -> None:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)
        if sys.stderr is not None:  # else 2 may be any file
            os.write(2, STILL_AT_IT)

    for number in ours:
        signal.signal(number, stop)
