"""Ctrl-C, SIGTERM and a closed terminal: the run ends, and says what it keeps."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from types import FrameType

__all__ = ["stop_gently"]

STILL_AT_IT = b"dogsort: finishing the current step; interrupt again to stop at once\n"


def stop_gently() -> None:
    """Let SIGTERM and SIGHUP interrupt as Ctrl-C does; none interrupts the clean-up that follows.

    Signals that are already ignored, as under nohup, stay ignored.
    """
    expected = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    if sys.platform != "win32":
        expected[signal.SIGHUP] = signal.SIG_DFL
    ours = [number for number, usual in expected.items() if signal.getsignal(number) == usual]

    def stop(first: int, _frame: FrameType | None) -> None:
        for number in ours:
            signal.signal(number, wait)
        if first not in (signal.SIGINT, signal.SIGTERM):
            signal.signal(first, signal.SIG_IGN)  # the shell and the system both send SIGHUP
        raise KeyboardInterrupt

    def wait(_number: int, _frame: FrameType | None) -> None:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)
        with suppress(OSError):  # nobody reads it any more
            os.write(sys.stderr.fileno(), STILL_AT_IT)

    for number in ours:
        signal.signal(number, stop)
