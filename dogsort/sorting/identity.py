"""Is this still the file that was filed?"""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass

__all__ = ["Identity", "leads_to"]

BLOCK = 1 << 20  # bytes read at a time


@dataclass(frozen=True, slots=True)
class Identity:
    """What a file was when it was filed.

    Attributes:
        size: in bytes.
        mtime_ns: when it was last changed, in nanoseconds since 1970.
        sha256: of its content, in hexadecimal.
    """

    size: int
    mtime_ns: int
    sha256: str

    @classmethod
    def of(cls, path: str) -> Identity:
        """Read a file's, following links.

        Raises:
            OSError: if it cannot be read.
        """
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            digest = hashlib.sha256()
            while block := file.read(BLOCK):
                digest.update(block)
        return cls(status.st_size, status.st_mtime_ns, digest.hexdigest())

    def is_of(self, path: str) -> bool:
        """Tell whether a path is a file, not a link, with this size, time and content."""
        try:
            status = os.lstat(path)
            if not stat.S_ISREG(status.st_mode):
                return False
            # Cheap things first. Some file systems keep times to two seconds only.
            if status.st_size != self.size or abs(status.st_mtime_ns - self.mtime_ns) > 2e9:
                return False
            return Identity.of(path).sha256 == self.sha256
        except OSError:
            return False


def leads_to(link: str, path: str) -> bool:
    """Tell whether a path is a symbolic link that leads where another path does."""
    return os.path.islink(link) and os.path.realpath(link) == os.path.realpath(path)
