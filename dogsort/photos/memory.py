"""Memory for unpacking photos on several threads: a budget, and freed memory is returned."""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Budget", "return_freed_memory"]

M_MMAP_THRESHOLD = -3  # its number in glibc's malloc.h
THRESHOLD = 1 << 20  # bytes; smaller blocks are reused


def return_freed_memory() -> None:
    """Let glibc's malloc return large blocks to the system at once; elsewhere, do nothing.

    Otherwise each thread keeps blocks of up to 32 MB for its next picture: 400 MB in all.
    """
    if sys.platform.startswith("linux"):
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have none
        if mallopt is not None:
            mallopt(M_MMAP_THRESHOLD, THRESHOLD)


class Budget:
    """Memory that threads share, so that only few large pictures are unpacked at once."""

    def __init__(self, most: float) -> None:
        self._most = self._free = most
        self._changed = threading.Condition()

    @contextmanager
    def reserved(self, wanted: float) -> Iterator[None]:
        """Reserve so many bytes for the block, once they are free; at most the whole budget."""
        wanted = min(wanted, self._most)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= wanted)
            self._free -= wanted
        try:
            yield
        finally:
            with self._changed:
                self._free += wanted
                self._changed.notify_all()
