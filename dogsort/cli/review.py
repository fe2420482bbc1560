"""``dogsort review``: a page in the browser to look, correct and file."""

from __future__ import annotations

import os

import click

from dogsort.cli.console import Console, console_options_with
from dogsort.cli.options import FILE, FOLDER, command, number
from dogsort.photos.scan import check_paths

__all__ = ["review"]


@command(
    "review",
    "dogsort review photos",
    "dogsort review predictions.csv",
    short_help="Look at photos in the browser, correct and file them.",
)
@click.argument("paths", nargs=-1, required=True, type=FILE, metavar="TABLE | PATH...")
@click.option(
    "--photos",
    type=FOLDER,
    help="With a TABLE: the folder that holds the photos [default: the table's folder].",
)
@click.option("--port", type=number(1, 65535), help="Port of the page [default: a free one].")
@click.option("--no-browser", is_flag=True, help="Do not open the browser.")
@console_options_with("Also show the engine and the weights.")
def review(
    paths: tuple[str, ...],
    photos: str | None,
    port: int | None,
    no_browser: bool,
    console: Console,
) -> int:
    """Look at photos in the browser as they were decided, correct and file them."""
    from dogsort.review.album import Album
    from dogsort.review.app import make_app
    from dogsort.review.bounds import Bounds
    from dogsort.review.server import Server
    from dogsort.review.stored import StoredTable

    check_paths(paths)
    table = paths[0]
    album = Album(StoredTable(table), Bounds(photos or os.path.dirname(table) or os.curdir))
    server = Server(make_app(album), "127.0.0.1", port or 0)
    console.warn(server.address)
    server.run()
    return 0
