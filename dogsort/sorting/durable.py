"""Names that outlive a power cut."""

from __future__ import annotations

import os
from contextlib import suppress

__all__ = ["sync_folder"]


def sync_folder(folder: str) -> None:
    """Put a folder's names on disk, where the system knows how."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
