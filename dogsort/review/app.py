"""The routes of the page: thin, each calls the album, thumbnails or filing."""

from __future__ import annotations

import json
import os
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from dogsort.errors import DataError, DogsortError, OutputError, UsageError
from dogsort.records import LABELS
from dogsort.review.album import Album, OldGeneration

__all__ = ["make_app"]

CONFIRM = "confirm"

#: The address of a picture names the generation, too, and so never shows another photo.
IMMUTABLE = {"Cache-Control": "private, max-age=86400, immutable"}

STATIC = os.path.join(os.path.dirname(__file__), "static")


def make_app(album: Album) -> Starlette:
    """Return the application of an album."""
    routes = [
        Route("/", _page),
        Mount("/static", StaticFiles(directory=STATIC)),
        Route("/album", _album),
        Route("/changes", _changes),
        Route("/labels", _labels, methods=["POST"]),
        Route("/undo", _undo, methods=["POST"]),
        Route("/thumbnail/{generation:int}/{row:int}", _thumbnail),
        Route("/done", _done, methods=["POST"]),
    ]
    app = Starlette(routes=routes, exception_handlers={DogsortError: _refused})
    app.state.album = album
    return app


def _page(request: Request) -> Response:
    return FileResponse(os.path.join(STATIC, "index.html"))


def _album(request: Request) -> Response:
    album: Album = request.app.state.album
    return _json({**album.columns(), **_state(album), "table": album.name})


def _changes(request: Request) -> Response:
    album: Album = request.app.state.album
    album.notice()
    generation, since = (_number(request, name) for name in ("generation", "since"))
    found = album.changes(since)
    if generation != found["generation"]:
        return _json({"generation": found["generation"]})
    return _json({**found, **_state(album)})


def _state(album: Album) -> dict[str, Any]:
    """Return what both of these tell besides rows."""
    return {
        "running": album.running,
        "expected": album.expected,
        "read_only": album.trouble or None,
        "folder": album.bounds.folder,
        "job": None,
    }


async def _labels(request: Request) -> Response:
    given = await _given(request)
    generation, rows, label = given.get("generation"), given.get("rows"), given.get("label")
    if not isinstance(rows, list) or not all(type(row) is int for row in rows):
        raise UsageError("rows must be a list of numbers")
    if label not in (*LABELS, CONFIRM):
        raise UsageError("there is no such label")
    version = await run_in_threadpool(
        request.app.state.album.label, generation, rows, None if label == CONFIRM else label
    )
    return _json({"version": version})


async def _undo(request: Request) -> Response:
    given = await _given(request)
    version, rows = await run_in_threadpool(request.app.state.album.undo, given.get("generation"))
    return _json({"version": version, "rows": rows})


def _thumbnail(request: Request) -> Response:
    import io

    from PIL import Image

    from dogsort.photos.decode import decode_whole

    pixels = decode_whole(_file(request))
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.thumbnail((_number(request, "size", 320),) * 2)
    file = io.BytesIO()
    image.save(file, "JPEG")
    return Response(file.getvalue(), media_type="image/jpeg", headers=IMMUTABLE)


def _file(request: Request) -> str:
    """Return the file of the photo that a request names by its row."""
    album: Album = request.app.state.album
    path = album.path(request.path_params["generation"], request.path_params["row"])
    file = album.bounds.file(path)
    if file is None:
        raise HTTPException(404, "a link that leads out of the folder")
    return file


async def _done(request: Request) -> Response:
    await _given(request)
    request.app.state.server.should_exit = True
    return _json({})


async def _given(request: Request) -> dict[str, Any]:
    """Return what a request gives as JSON.

    No page elsewhere can send this type without asking first, which is answered by no.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise HTTPException(415)
    try:
        given = json.loads(await request.body())
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        raise HTTPException(400)
    return given


def _number(request: Request, name: str, default: int | None = None) -> int:
    try:
        return int(request.query_params[name])
    except (KeyError, ValueError):
        if default is None:
            raise HTTPException(400, f"{name} must be a number") from None
        return default


def _json(content: Any, status: int = 200) -> Response:
    # In ASCII, because the names of files may not be UTF-8.
    text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    return Response(text, status, media_type="application/json")


def _refused(request: Request, error: Exception) -> Response:
    codes: dict[type[Exception], int] = {
        UsageError: 400,
        OldGeneration: 409,
        OutputError: 507,
        DataError: 507,
    }
    return _json({"error": str(error)}, codes.get(type(error), 500))
