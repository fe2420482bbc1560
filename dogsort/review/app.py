"""The routes of the page: each calls the album, the thumbnails or the filer, and no more."""

from __future__ import annotations

import asyncio
import functools
import json
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeAlias

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from dogsort.errors import (
    DataError,
    DogsortError,
    FilingError,
    OutputError,
    UnreadablePhoto,
    UsageError,
)
from dogsort.filing.job import Busy
from dogsort.photos.facts import read_facts
from dogsort.pictures.thumbnails import SIDES, Dates, Thumbnails
from dogsort.records import LABELS
from dogsort.results.reading import Row
from dogsort.review.album import Album, OldGeneration

__all__ = ["Page"]

Given: TypeAlias = dict[str, Any]

CONFIRM = "confirm"

#: Requests that are answered before the work is done.
JOBS = ("/file", "/file/undo")

#: A picture's address includes the generation, so it never shows another photo.
IMMUTABLE = {"Cache-Control": "private, max-age=86400, immutable"}

STATIC = os.path.join(os.path.dirname(__file__), "static")

#: HTTP statuses of errors; all others are the server's fault.
STATUSES: dict[type[Exception], int] = {
    UsageError: 400,
    FilingError: 400,
    Busy: 409,
    UnreadablePhoto: 404,
    OldGeneration: 409,
    DataError: 507,
    OutputError: 507,
}


class Page:
    """Serves the page in the browser.

    Args:
        album: the photos and their labels.
        thumbnails: makes pictures.
        stop: set when a person ends the server from the page.

    Attributes:
        app: the ASGI application.
    """

    def __init__(self, album: Album, thumbnails: Thumbnails, stop: threading.Event) -> None:
        self._album, self._filer = album, album.filer
        self._thumbnails, self._stop = thumbnails, stop
        self._dates = album.generation, Dates(album.place)
        self._side = 0  # of the pictures that are made in advance
        row = "{generation:int}/{row:int}"
        gets = {
            "/": _index,
            "/album": self._all,
            "/changes": self._changes,
            f"/thumbnail/{row}": self._small,
            f"/photo/{row}": self._large,
            f"/facts/{row}": self._facts,
            "/dates/{generation:int}": self._all_dates,
        }
        posts = {
            "/labels": self._label,
            "/undo": self._undo,
            "/plan": self._plan,
            "/file": self._file,
            "/file/undo": self._undo_filing,
            "/file/stop": self._stop_filing,
            "/done": self._done,
        }
        self.app = Starlette(
            routes=[
                *(Route(path, answer) for path, answer in gets.items()),
                *(
                    Route(path, functools.partial(_post, answer, path in JOBS), methods=["POST"])
                    for path, answer in posts.items()
                ),
                Mount("/static", StaticFiles(directory=STATIC)),
            ],
            exception_handlers=dict.fromkeys((DogsortError, HTTPException, Exception), _refuse),
        )

    def _all(self, _: Request) -> Response:
        found = self._album.columns()
        paths = found["columns"]["path"]
        self._filer.locate(paths)  # another program may have moved some
        filed = self._filer.filed
        places = {row: filed[path] for row, path in enumerate(paths) if path in filed}
        return _json({**found, **self._state(), "table": self._album.name, "filed": places})

    def _changes(self, request: Request) -> Response:
        self._album.notice()
        self._filer.notice(self._album.table.paths)
        if moved := self._filer.take_moved():
            self._album.touch(moved)
            self._side = 0  # make pictures in advance from where the photos are now
        found = self._album.changes(_number(request, "since"))
        if _number(request, "generation") != found["generation"]:
            return _json({"generation": found["generation"]})
        for row in found["rows"]:
            row.append(self._filer.filed.get(row[1]))
        return _json({**found, **self._state()})

    def _state(self) -> dict[str, Any]:
        album = self._album
        return {
            "folder": ", ".join(map(os.path.realpath, album.bounds.roots)),
            "running": album.running,
            "expected": album.expected,
            "read_only": album.read_only,
            "trouble": album.trouble,
            "job": self._filer.job,
        }

    def _label(self, given: Given) -> Any:
        rows, label = given.get("rows"), given.get("label")
        if not isinstance(rows, list) or not all(type(row) is int for row in rows):
            raise UsageError("rows must be a list of numbers")
        if label not in (*LABELS, CONFIRM):
            raise UsageError("there is no such label")
        chosen = None if label == CONFIRM else label
        return {"version": self._album.label(given.get("generation"), rows, chosen)}

    def _undo(self, given: Given) -> Any:
        version, rows = self._album.undo(given.get("generation"))
        return {"version": version, "rows": rows}

    def _plan(self, given: Given) -> Any:
        return self._filer.plan(*self._what_to_file(given))

    def _file(self, given: Given) -> Any:
        self._filer.file(*self._what_to_file(given))
        return self._filer.job

    def _undo_filing(self, _: Given) -> Any:
        self._filer.undo(self._album.rows())
        return self._filer.job

    def _stop_filing(self, _: Given) -> Any:
        self._filer.stop()

    def _what_to_file(self, given: Given) -> tuple[list[Row], str, bool, bool]:
        if self._album.running:
            raise Busy("wait until all photos are classified")
        self._album.check(given.get("generation"))
        rows = self._album.rows()
        self._album.bounds.check(rows)  # a folder may have become a link since
        return rows, str(given.get("action")), bool(given.get("neither")), bool(given.get("unsure"))

    def _done(self, _: Given) -> Any:
        self._stop.set()

    async def _small(self, request: Request) -> Response:
        side = _number(request, "size")
        if side not in SIDES:
            raise UsageError(f"size must be one of {', '.join(map(str, SIDES))}")
        _, file = await run_in_threadpool(self._photo, request)
        if side != self._side and not self._album.running:
            self._side = side
            self._thumbnails.make_ahead(self._album.least_sure_first(), side)
        return await _picture(request, self._thumbnails.small(file, side))

    async def _large(self, request: Request) -> Response:
        _, file = await run_in_threadpool(self._photo, request)
        return await _picture(request, self._thumbnails.large(file))

    def _facts(self, request: Request) -> Response:
        path, file = self._photo(request)
        facts = read_facts(file)
        return _json(
            {
                "path": path,
                "filed": self._filer.filed.get(path),
                "width": facts.width,
                "height": facts.height,
                "bytes": facts.bytes,
                "date": facts.taken and f"{facts.taken:%Y-%m-%d %H:%M}",
                "format": facts.format,
            }
        )

    def _all_dates(self, request: Request) -> Response:
        generation, paths = self._album.generation, list(self._album.table.paths)
        if request.path_params["generation"] != generation:
            raise OldGeneration
        if self._dates[0] != generation:
            self._dates = generation, Dates(self._album.place)
        dates, complete = self._dates[1].of(paths)
        return _json({"dates": dates, "complete": complete})

    def _photo(self, request: Request) -> tuple[str, str]:
        return self._album.photo(request.path_params["generation"], request.path_params["row"])


def _index(_: Request) -> Response:
    return FileResponse(os.path.join(STATIC, "index.html"))


async def _picture(request: Request, making: Future[bytes]) -> Response:
    """Answer with a picture, unless the browser no longer waits for it."""
    picture, gone = asyncio.wrap_future(making), asyncio.ensure_future(_disconnected(request))
    await asyncio.wait((picture, gone), return_when=asyncio.FIRST_COMPLETED)
    gone.cancel()
    if not picture.done():
        picture.cancel()
        return Response(status_code=204)
    return Response(picture.result(), media_type="image/jpeg", headers=IMMUTABLE)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _post(answer: Callable[[Given], Any], begins_job: bool, request: Request) -> Response:
    """Answer a request whose content is a JSON object."""
    # A page elsewhere must ask before it sends this type, and the guard refuses that.
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise HTTPException(415, "the content must be application/json")
    try:
        given = json.loads(await request.body())
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        raise UsageError("the content must be a JSON object")
    return _json(await run_in_threadpool(answer, given), 202 if begins_job else 200)


def _number(request: Request, name: str) -> int:
    try:
        return int(request.query_params[name])
    except (KeyError, ValueError):
        raise UsageError(f"{name} must be a number") from None


def _json(content: Any, status: int = 200) -> Response:
    # In ASCII, because file names may not be valid UTF-8.
    text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    return Response(text, status, media_type="application/json")


def _refuse(_: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        return _json({"error": error.detail}, error.status_code)
    text = str(error)
    if not isinstance(error, DogsortError):
        text = f"this should not happen, please report it: {type(error).__name__}: {text}"
    return _json({"error": text}, STATUSES.get(type(error), 500))
