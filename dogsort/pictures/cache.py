"""The cache of small pictures: files in the user's cache folder.

It never fails: a picture that cannot be read or written is made again.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import threading
from contextlib import suppress
from pathlib import Path

from dogsort.results.cache import users_folder

__all__ = ["PictureCache"]

FOLDER_NAME = "pictures"

#: Beyond this many bytes, the oldest are deleted. This holds the pictures of 100,000 photos.
MOST_BYTES = 2_000_000_000

#: One addition in so many checks the size, which takes a second for 100,000 pictures.
ADDITIONS = 2000

JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"


class PictureCache:
    """JPEG pictures by any key; safe for several threads and programs at once.

    Args:
        folder: where to create its folder; None for the user's cache folder.
        wanted: False for a cache that stays empty.
    """

    def __init__(self, folder: Path | None = None, wanted: bool = True) -> None:
        self._folder: Path | None = None
        if wanted:
            with suppress(OSError, RuntimeError):  # RuntimeError: the user has no home
                made = (folder or users_folder()) / FOLDER_NAME
                # The photos may be private.
                made.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._folder = made

    def get(self, key: str) -> bytes | None:
        """Return a picture; None if there is none."""
        with suppress(OSError):
            if (file := self._file(key)) is not None:
                picture = file.read_bytes()
                if picture.startswith(JPEG_START) and picture.endswith(JPEG_END):
                    return picture
        return None

    def lacks(self, key: str) -> bool:
        """Tell whether a picture is missing but could be stored."""
        return (file := self._file(key)) is not None and not file.exists()

    def put(self, key: str, picture: bytes) -> None:
        """Store a picture."""
        with suppress(OSError):
            if (file := self._file(key)) is not None:
                file.parent.mkdir(exist_ok=True)
                partial = file.with_name(f"{file.name}.{threading.get_native_id()}")
                partial.write_bytes(picture)
                partial.replace(file)
                if secrets.randbelow(ADDITIONS) == 0:
                    self.forget_oldest()

    def forget_oldest(self, most: int = MOST_BYTES) -> None:
        """Delete the oldest pictures until the rest take at most ``most`` bytes."""
        if self._folder is None:
            return
        with suppress(OSError):
            files = [entry for below in os.scandir(self._folder) for entry in os.scandir(below)]
            files.sort(key=lambda entry: entry.stat().st_mtime_ns)
            size = sum(entry.stat().st_size for entry in files)
            for entry in files:
                if size <= most:
                    break
                os.unlink(entry)
                size -= entry.stat().st_size

    def _file(self, key: str) -> Path | None:
        name = hashlib.sha256(os.fsencode(key)).hexdigest()
        return self._folder and self._folder / name[:2] / name
