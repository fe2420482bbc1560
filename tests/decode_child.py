"""Decode the files named on stdin, in a process that may die, and print a line of JSON for each.

A fault that Python sees is in the line. A crash, or a hang that the alarm ends, shows in how the
process died.
"""

from __future__ import annotations

import faulthandler
import json
import os
import re
import resource
import signal
import sys
import time
import traceback

import numpy as np

from dogsort.errors import UnreadablePhoto
from dogsort.photos.decode import decode_file, readable_formats

SIZE = 256  # as for the network: it determines how much decoding shrinks
ALARM = 10.0  # seconds of CPU time, because a busy machine is not a failure
WALL_ALARM = 100.0  # seconds of real time, for hangs that use no CPU time

#: Address space for one file, to protect the machine. It must exceed GROWTH: if a C library gets no
#: memory, it says that the file is damaged, and the growth cannot be measured.
GUARD = 4 * 10**9
GROWTH = 10**9


def main() -> None:
    """Answer until stdin ends."""
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Decoders start a thread per core, each with its stack.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
    readable_formats()
    for line in sys.stdin:
        print(json.dumps(_attempt(line.rstrip("\n"))), flush=True)


def _attempt(path: str) -> dict[str, object]:
    _reset_resident_peak()
    before = _memory()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (before["VmSize"] + GUARD, hard))
    signal.setitimer(signal.ITIMER_PROF, ALARM)
    signal.setitimer(signal.ITIMER_REAL, WALL_ALARM)
    start = time.monotonic()
    outcome, text = _decode(path)
    seconds = time.monotonic() - start
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.setitimer(signal.ITIMER_REAL, 0)
    resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
    after = _memory()
    # The peak cannot be reset, so it shows a file only if it took more than all before it.
    growth = after["VmPeak"] - before["VmSize"] if after["VmPeak"] > before["VmPeak"] else 0
    resident = after["VmHWM"] - before["VmRSS"]
    if max(growth, resident) > GROWTH and outcome != "fault":
        outcome, text = "fault", f"took {max(growth, resident) / 1e9:.2f} GB; {outcome}: {text}"
    return {
        "outcome": outcome,
        "text": text,
        "seconds": seconds,
        "resident": resident,
        "address_space": growth,
    }


def _decode(path: str) -> tuple[str, str]:
    try:
        pixels = decode_file(path, SIZE)
    except UnreadablePhoto as error:
        # A C library that got no memory says so in its own words, if at all.
        refused = re.search("out of memory|allocation(?!.*limit)", str(error))
        if isinstance(error.__cause__, MemoryError) or refused:
            return "fault", f"was refused memory: {error}"
        if not str(error) or "\n" in str(error):
            return "fault", f"a reason that is not one line: {error!r}"
        return "reason", str(error)
    except BaseException:
        return "fault", traceback.format_exc()
    if pixels.shape != (SIZE, SIZE, 3) or pixels.dtype != np.uint8:
        return "fault", f"pixels of {pixels.shape}, {pixels.dtype}"
    return "pixels", ""


def _reset_resident_peak() -> None:
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def _memory() -> dict[str, int]:
    """Return the current and peak bytes of address space and memory."""
    with open("/proc/self/status") as file:
        found = re.findall(r"^(VmPeak|VmSize|VmHWM|VmRSS):\s+(\d+) kB", file.read(), re.MULTILINE)
    return {name: int(kilobytes) * 1024 for name, kilobytes in found}


if __name__ == "__main__":
    main()
