"""Photos -> pictures for the page, made by the decoder that the network uses.

What the page asks for comes first. In between, small pictures are made in advance and cached.
"""

from __future__ import annotations

import io
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from pathlib import Path

from PIL import Image

from dogsort.errors import UnreadablePhoto
from dogsort.network.cores import cores
from dogsort.photos.decode import decode_within, decoder_version
from dogsort.photos.facts import date_of, read_facts
from dogsort.photos.memory import Budget, return_freed_memory
from dogsort.pictures.cache import PictureCache
from dogsort.results.cache import stamp_of

__all__ = ["LARGE", "SIDES", "Dates", "Thumbnails", "jpeg_of"]

#: The longer sides of small pictures, and the longest side of a large one, in pixels.
SIDES = (160, 320, 640)
LARGE = 4096
#: A large picture may be shrunk to this shorter side while it is decoded. A phone's 48 megapixels
#: then take the time and memory of its usual 12.
ENOUGH = 3024

SMALL_QUALITY, LARGE_QUALITY = 80, 90  # of JPEG

#: Most memory for photos that are unpacked at the same time, in bytes; one that needs more is
#: unpacked alone. A HEIC of 24 megapixels, as new phones take them, needs 206 million.
MEMORY = 220_000_000

#: Most pictures made in advance; with more, the cache would drop the first before they are seen.
MOST_AHEAD = 40_000

#: Where an ICC profile names its colour space.
PROFILE_COLORS = slice(16, 20)


def jpeg_of(image: Image.Image, quality: int = SMALL_QUALITY) -> bytes:
    """Return an RGB picture as JPEG, with its colour profile and nothing else about it."""
    profile = image.info.get("icc_profile") or b""
    if profile[PROFILE_COLORS] != b"RGB ":
        profile = b""  # it describes the CMYK or grey original
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality, icc_profile=profile, comment=b"")
    return file.getvalue()


class Thumbnails:
    """Makes pictures on threads.

    Args:
        folder: where the cache is; None for the user's cache folder.
        wanted: whether to cache small pictures.
    """

    def __init__(self, folder: Path | None = None, wanted: bool = True) -> None:
        self._cache = PictureCache(folder, wanted)
        self._decoder = decoder_version()
        self._pool = ThreadPoolExecutor(cores(), thread_name_prefix="dogsort-picture")
        return_freed_memory()
        self._memory = Budget(MEMORY)
        self._quiet = threading.Condition()
        self._asked = 0  # pictures that the page is waiting for
        self._walk: Iterator[str] | None = None

    def small(self, path: str, side: int) -> Future[bytes]:
        """Return a small picture of a photo, as JPEG.

        The future raises UnreadablePhoto with the reason if there is none.

        Args:
            path: the photo.
            side: the longer side of the picture; one of ``SIDES``.
        """
        return self._submit(self._small, path, side)

    def large(self, path: str) -> Future[bytes]:
        """Return a photo as JPEG at its own size, or ``LARGE`` if it is larger; see ``small``."""
        return self._submit(self._large, path)

    def make_ahead(self, paths: Iterable[str], side: int) -> None:
        """Make small pictures in the background, while the page asks for none, until the next call.

        Args:
            paths: the photos, in order; consumed lazily by other threads.
            side: the longer side of the pictures.
        """
        self._walk = walk = islice(paths, MOST_AHEAD)
        for _ in range(cores()):
            threading.Thread(target=self._make, args=(walk, side), daemon=True).start()

    def close(self) -> None:
        """Stop making pictures."""
        with self._quiet:
            self._walk = None
            self._quiet.notify_all()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _submit(self, make: Callable[..., bytes], *args: object) -> Future[bytes]:
        future = self._pool.submit(make, *args)
        with self._quiet:
            self._asked += 1
        future.add_done_callback(self._answered)
        return future

    def _answered(self, _future: object) -> None:
        with self._quiet:
            self._asked -= 1
            self._quiet.notify_all()

    def _make(self, walk: Iterator[str], side: int) -> None:
        _yield_to_others()
        while (path := self._next(walk)) is not None:
            if self._cache.lacks(self._key(path, side)):
                with suppress(UnreadablePhoto):
                    self._small(path, side)

    def _next(self, walk: Iterator[str]) -> str | None:
        """Wait until the page asks for nothing; return None at the end, or for an old walk."""
        with self._quiet:
            self._quiet.wait_for(lambda: not self._asked or self._walk is not walk)
            return next(walk, None) if self._walk is walk else None

    def _small(self, path: str, side: int) -> bytes:
        key = self._key(path, side)
        picture = self._cache.get(key)
        if picture is None:
            picture = jpeg_of(self._decoded(path, side))
            self._cache.put(key, picture)
        return picture

    def _large(self, path: str) -> bytes:
        return jpeg_of(self._decoded(path, LARGE, ENOUGH), LARGE_QUALITY)

    def _decoded(self, path: str, side: int, enough: int | None = None) -> Image.Image:
        needed = 0.0
        with suppress(UnreadablePhoto):  # the decoder reports it, unless it can read the photo
            needed = read_facts(path).memory
        if enough:
            needed *= 2  # for the original pixels and the resized ones
        with self._memory.reserved(needed):
            return decode_within(path, side, enough)

    def _key(self, path: str, side: int) -> str:
        """Return a key that changes whenever a photo's small picture may."""
        return f"{os.path.realpath(path)} {stamp_of(path)} {side} {self._decoder}"


class Dates:
    """The dates of the photos in an album, read in the background.

    Args:
        file: returns the file of a path in the album; None if it must not be read.
    """

    def __init__(self, file: Callable[[str], str | None]) -> None:
        self._file = file
        self._known: list[float | None] = []
        self._reader: threading.Thread | None = None

    def of(self, paths: Sequence[str]) -> tuple[list[float | None], bool]:
        """Return the dates known so far, and whether these are all; read the others meanwhile.

        Args:
            paths: all photos of the album, which may have grown since the last call.

        Returns:
            A date for each path, as from ``date_of``; None if unknown.
        """
        known = self._known[: len(paths)]
        rest = len(paths) - len(known)
        if rest and (self._reader is None or not self._reader.is_alive()):
            self._reader = threading.Thread(target=self._read, args=(paths,), daemon=True)
            self._reader.start()
        return known + [None] * rest, not rest

    def _read(self, paths: Sequence[str]) -> None:
        _yield_to_others()
        for path in paths[len(self._known) :]:
            self._known.append(date_of(self._file(path) or ""))


def _yield_to_others() -> None:
    """Let other threads and programs go first, on systems where threads have priorities."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
