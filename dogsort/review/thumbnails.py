"""Photos -> pictures for the page, made by the decoder that the network uses.

What the page asks for goes first. Meanwhile, small pictures are made ahead and kept in a cache.
"""

from __future__ import annotations

import io
import os
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from PIL import Image

from dogsort.errors import UnreadablePhoto
from dogsort.network.cores import cores
from dogsort.photos.decode import decode_within, decoder_version
from dogsort.photos.facts import read_facts
from dogsort.results.cache import stamp_of
from dogsort.review.memory import Budget, return_freed_memory
from dogsort.review.picture_cache import MOST_BYTES, PictureCache

__all__ = ["LARGE", "SIDES", "Dates", "Thumbnails", "jpeg_of"]

#: The longer sides of small pictures, and the most of a large one, in pixels.
SIDES = (160, 320, 640)
LARGE = 4096
#: The shorter side of a large picture that may be shrunk while it is decoded: a telephone's 48
#: megapixels then take the time and memory of its usual 12.
ENOUGH = 3024

SMALL_QUALITY, LARGE_QUALITY = 80, 90  # of JPEG

#: Most memory for pictures that are unpacked at the same time, in bytes; one that needs more is
#: unpacked alone. A HEIC of 24 megapixels, as new telephones take them, needs 206 million.
MEMORY = 220_000_000

#: An ICC profile says at this place which colours it is for.
PROFILE_COLORS = slice(16, 20)

DATE = "date"  # the kind of dates in the cache


def jpeg_of(image: Image.Image, quality: int = SMALL_QUALITY) -> bytes:
    """Return an RGB picture as JPEG, with its colour profile and nothing else about it."""
    profile = image.info.get("icc_profile") or b""
    if profile[PROFILE_COLORS] != b"RGB ":
        profile = b""  # of the CMYK or grey that the picture was made from
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality, icc_profile=profile, comment=b"")
    return file.getvalue()


class Thumbnails:
    """Makes pictures on threads.

    Args:
        folder: where the cache is; None for the user's cache folder.
        wanted: whether small pictures are kept there.
    """

    def __init__(self, folder: Path | None = None, wanted: bool = True) -> None:
        self._cache = PictureCache(folder, wanted)
        self._decoder = decoder_version()
        self._pool = ThreadPoolExecutor(cores(), thread_name_prefix="dogsort-picture")
        return_freed_memory()
        self._memory = Budget(MEMORY)
        self._unreadable: dict[str, tuple[str, str]] = {}  # stamp and reason, by path
        self._quiet = threading.Condition()
        self._asked = 0  # pictures that the page waits for
        self._walk: object | None = None

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
        return self._submit(self._large, path, LARGE)

    def make_ahead(self, paths: Iterable[str], side: int) -> None:
        """Make small pictures in the background until told otherwise by another call.

        Args:
            paths: the photos in the order of making; consumed as it goes, by other threads.
            side: the longer side of the pictures.
        """
        self._walk = walk = _Walk(paths)
        if self._cache.keeps:
            for _ in range(cores()):
                threading.Thread(target=self._make, args=(walk, side), daemon=True).start()

    def date(self, path: str) -> float | None:
        """Return when a photo was taken, or else last changed: seconds since 1970.

        None if the file is gone. It reads the file's header, unless the date is in the cache.
        """
        stamp = self._stamp(path)
        if not stamp:
            return None
        real = os.path.realpath(path)
        with suppress(TypeError, ValueError):  # unknown, or from a damaged cache
            return float(self._cache.get(real, DATE, stamp) or "")
        date: float | None = None
        with suppress(OSError):
            date = os.stat(path).st_mtime
        with suppress(OSError, OverflowError, ValueError, UnreadablePhoto):
            if taken := read_facts(path).taken:
                date = taken.timestamp()
        if date is not None:
            self._cache.put(real, DATE, stamp, repr(date).encode())
        return date

    def close(self) -> None:
        """Stop making pictures."""
        with self._quiet:
            self._walk = None
            self._quiet.notify_all()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._cache.close()

    def _submit(self, make: Callable[[str, int], bytes], path: str, side: int) -> Future[bytes]:
        with self._quiet:
            self._asked += 1
        try:
            future = self._pool.submit(make, path, side)
        except RuntimeError:  # closed
            self._answered()
            raise
        future.add_done_callback(self._answered)
        return future

    def _answered(self, _future: object = None) -> None:
        with self._quiet:
            self._asked -= 1
            self._quiet.notify_all()

    def _make(self, walk: _Walk, side: int) -> None:
        """Make small pictures while the page asks for none."""
        _yield_to_others()
        for path in walk:
            with self._quiet:
                self._quiet.wait_for(lambda: not self._asked or self._walk is not walk)
            # Beyond half of the cache, it would soon drop what it has just made.
            if self._walk is not walk or walk.bytes > MOST_BYTES // 2:
                return
            stamp = self._stamp(path)
            if not self._cache.has(os.path.realpath(path), str(side), stamp):
                with suppress(UnreadablePhoto):
                    walk.bytes += len(self._small(path, side))

    def _small(self, path: str, side: int) -> bytes:
        real, stamp = os.path.realpath(path), self._stamp(path)
        known = self._cache.get(real, str(side), stamp) if stamp else None
        if known is not None and known.startswith(b"\xff\xd8") and known.endswith(b"\xff\xd9"):
            return known
        if stamp and (failure := self._unreadable.get(path, ("", "")))[0] == stamp:
            raise UnreadablePhoto(failure[1])
        try:
            picture = jpeg_of(self._decoded(path, side))
        except UnreadablePhoto as error:
            self._unreadable[path] = stamp, str(error)
            raise
        if stamp:
            self._cache.put(real, str(side), stamp, picture)
        return picture

    def _large(self, path: str, side: int) -> bytes:
        return jpeg_of(self._decoded(path, side, ENOUGH), LARGE_QUALITY)

    def _decoded(self, path: str, side: int, enough: int | None = None) -> Image.Image:
        needed = 0.0
        with suppress(UnreadablePhoto):  # the decoder will tell, or know better
            needed = read_facts(path).memory
        if enough:
            needed *= 2  # for the pixels as they are, and as they are shown
        with self._memory.reserved(needed):
            return decode_within(path, side, enough)

    def _stamp(self, path: str) -> str:
        """Return what changes whenever a photo's pictures may; empty if the file is gone."""
        stamp = stamp_of(path)
        return f"{stamp} {self._decoder}" if stamp else ""


class Dates:
    """The dates of the photos in an album, read in the background.

    Args:
        thumbnails: gives the date of a photo.
    """

    def __init__(self, thumbnails: Thumbnails) -> None:
        self._thumbnails = thumbnails
        self._known: list[float | None] = []
        self._reader: threading.Thread | None = None

    def of(self, paths: Sequence[str]) -> tuple[list[float | None], bool]:
        """Return the dates that are known so far, and whether all are; read on for the others.

        Args:
            paths: all photos of the album; more than last time if it has grown.

        Returns:
            A date for each path, as from ``Thumbnails.date``; None if it is unknown.
        """
        known = self._known[: len(paths)]
        if len(known) < len(paths) and (self._reader is None or not self._reader.is_alive()):
            self._reader = threading.Thread(target=self._read, args=(paths,), daemon=True)
            self._reader.start()
        rest = len(paths) - len(known)
        return known + [None] * rest, not rest

    def _read(self, paths: Sequence[str]) -> None:
        _yield_to_others()
        for path in paths[len(self._known) :]:
            self._known.append(self._thumbnails.date(path))


class _Walk:
    """Paths for several threads; each goes to one of them.

    Attributes:
        bytes: the size of the pictures made on it.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self._paths = iter(paths)
        self._lock = threading.Lock()
        self.bytes = 0

    def __iter__(self) -> _Walk:
        return self

    def __next__(self) -> str:
        with self._lock:
            return next(self._paths)


def _yield_to_others() -> None:
    """Let other threads and programs go first, where a thread has a priority of its own."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
