"""Keep freed memory in the process, because training on a CPU needs it again at once."""

from __future__ import annotations

import ctypes
import sys

__all__ = ["keep_freed_memory"]

# Names and numbers of glibc's malloc.h.
M_TRIM_THRESHOLD = -1
M_MMAP_MAX = -4
NEVER = 2**31 - 1


def keep_freed_memory() -> None:
    """Stop glibc's malloc from returning large blocks to the system; elsewhere, do nothing.

    A training step frees and allocates hundreds of megabytes of feature maps. Getting fresh, zeroed
    pages for them each time takes longer than some of the layers.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have none
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, NEVER)
