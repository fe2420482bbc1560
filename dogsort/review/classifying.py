"""Classifies photos into an album while the page is open."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Collection, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from itertools import tee
from time import monotonic

from dogsort.classifier import Classifier
from dogsort.errors import DogsortError
from dogsort.photos.scan import Scan
from dogsort.records import Failure, Photo, Prediction
from dogsort.results.cache import Cache, stamp_of
from dogsort.review.album import Album

__all__ = ["Classifying"]

#: Seconds between saves. If the server is killed, the next one finds the rest in the cache.
SAVE_SECONDS = 3.0


class Classifying(threading.Thread):
    """A thread that classifies the photos that an album does not list yet.

    Args:
        album: takes the results.
        classifier: the network.
        scans: two over the same photos: one to classify them, and one to count them.
        filed: where photos of the album were filed; the scans find them there, too.
        wants_cache: whether to use the cache.
        stop: ends the thread early; set if it fails.

    Attributes:
        error: why it failed, or why the table could not be saved; None if all went well.
        is_complete: whether the scan reached its end.
        cache: the cache, for its figures afterwards.
    """

    def __init__(
        self,
        album: Album,
        classifier: Classifier,
        scans: tuple[Scan, Scan],
        filed: Collection[str],
        wants_cache: bool,
        stop: threading.Event,
    ) -> None:
        super().__init__(name="dogsort-classifying", daemon=True)
        self._album, self._classifier, self._filed = album, classifier, frozenset(filed)
        self._scans, self._wants_cache, self._stopping = scans, wants_cache, stop
        self._resolved = functools.cache(os.path.realpath)
        self._listed = {self._place(path): path for path in album.table.paths}
        self.error: Exception | None = None
        self.is_complete = False
        album.running = True

    def run(self) -> None:
        """Classify all photos."""
        threading.Thread(target=self._count_photos, daemon=True).start()
        try:
            self._classify()
        except Exception as error:  # reported by the thread that started this one
            self.error = error
            self._stopping.set()
        del self._classifier  # frees its memory, because the page may stay open for long
        self._album.running = False
        try:
            self._album.save()
        except DogsortError as error:
            self.error = self.error or error

    def _classify(self) -> None:
        saved = monotonic()
        with closing(Cache(wanted=self._wants_cache)) as self.cache:
            photos = self._unlisted(self._scans[0], self.cache)
            said, decided = tee(self.cache.predict(photos, self._classifier))
            for record, known in zip(said, self.cache.decided(decided), strict=True):
                listed = self._listed.get(self._place(record.path), record.path)
                label = known.label if isinstance(known, Prediction) and known != record else None
                self._album.put(replace(record, path=listed), label)
                if monotonic() > saved + SAVE_SECONDS:
                    with suppress(DogsortError):  # the page shows it, and the next save tries again
                        self._album.save()
                    saved = monotonic()

    def _unlisted(self, scan: Scan, cache: Cache | None = None) -> Iterator[Photo | Failure]:
        """Yield photos that the album lacks; with a cache, also those that were replaced."""
        for found in scan:
            if self._stopping.is_set():
                return
            place = self._place(found.path)
            if place in self._listed:
                # A camera that restarts its numbers may reuse the name of a moved photo.
                known = cache.stamps([found.path]).get(found.path) if cache else None
                if known not in (None, stamp_of(found.path)):
                    yield found
            elif place not in self._filed:
                yield found
        self.is_complete |= cache is not None

    def _place(self, path: str) -> str:
        """Return where a photo is, the same for all spellings of its path."""
        folder, name = os.path.split(path)
        place = os.path.join(self._resolved(folder or os.curdir), name)
        return self._album.table.path_of(place)

    def _count_photos(self) -> None:
        self._album.expected = len(self._listed) + sum(1 for _ in self._unlisted(self._scans[1]))
