"""``dogsort review``: a page in the browser to look at photos, correct and file them."""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack, closing, suppress
from typing import TYPE_CHECKING

import click

from dogsort.cli.console import Console, console_options_with
from dogsort.cli.filing import PAST, counted
from dogsort.cli.options import (
    FILE,
    FOLDER,
    EngineOptions,
    cache_option,
    command,
    engine_options,
    exclude_option,
    excluding,
    min_confidence_option,
    number,
    report_cache,
)
from dogsort.errors import DogsortError, OutputError, UsageError
from dogsort.filing.bounds import Bounds, place_of
from dogsort.filing.from_table import folders_of
from dogsort.photos.scan import Scan, check_paths
from dogsort.results.cache import Cache
from dogsort.results.tables import TABLE_SUFFIXES, check_table_name
from dogsort.results.text import printable, quoted, scan_lines

if TYPE_CHECKING:
    from dogsort.filing.job import Filer
    from dogsort.review.album import Album
    from dogsort.review.classifying import Classifying
    from dogsort.review.server import Server

__all__ = ["review"]

#: The table of a folder, unless -o names one.
TABLE_NAME = "dogsort-review.csv"

THIS_MACHINE = "127.0.0.1"


@command(
    "review",
    "dogsort review photos",
    "dogsort review predictions.csv",
    short_help="Look at photos in the browser, correct and file them.",
)
@click.argument("paths", nargs=-1, required=True, type=FILE, metavar="TABLE | PATH...")
@click.option(
    "-o",
    "--output",
    type=FILE,
    metavar="TABLE",
    help=f"With PATH: the table of labels [default: PATH/{TABLE_NAME}].",
)
@click.option(
    "--photos",
    type=FOLDER,
    help="With TABLE: the folder that holds the photos [default: the table's folder].",
)
@click.option("--port", type=number(1, 65535), help="Port of the page [default: a free one].")
@click.option(
    "--host",
    default=THIS_MACHINE,
    metavar="ADDRESS",
    show_default=True,
    help="Address to listen at; any but the default lets other machines in.",
)
@click.option("--no-browser", is_flag=True, help="Only print the address of the page.")
@min_confidence_option
@exclude_option
@cache_option
@engine_options
@console_options_with("Also show the engine and the weights.")
def review(
    paths: tuple[str, ...],
    output: str | None,
    photos: str | None,
    port: int | None,
    host: str,
    no_browser: bool,
    min_confidence: float | None,
    exclude: tuple[str, ...],
    no_cache: bool,
    engine: EngineOptions,
    console: Console,
) -> int:
    """Look at photos in the browser, least sure first, correct the labels, and file the photos.

    TABLE comes from dogsort PATH... -o TABLE. PATH is a file or a folder: its photos are classified
    while the page is open, unless its table already lists them. Paths in that table are absolute.
    Each correction is saved at once. The page is for this machine only, unless --host says
    otherwise. Ctrl-C stops it.
    """
    from dogsort.pictures.thumbnails import Thumbnails
    from dogsort.results.stored import StoredTable, served_once
    from dogsort.review.album import Album
    from dogsort.review.app import Page
    from dogsort.review.classifying import Classifying
    from dogsort.review.server import Server

    check_paths(paths if photos is None else [*paths, photos])
    is_table = len(paths) == 1 and _is_table(paths[0])
    _check_options(is_table, output, exclude, photos)
    table = paths[0] if is_table else _table_of(paths, output)
    # The table may be used from another folder later, so its paths are absolute.
    roots = [photos or os.path.dirname(table) or os.curdir] if is_table else _absolute(paths)
    is_excluded, stop = excluding(exclude), threading.Event()
    with ExitStack() as stack:
        address = stack.enter_context(served_once(table))
        filer = stack.enter_context(closing(_filer(table, roots, photos, is_table)))
        album = Album(StoredTable(table), Bounds(roots, is_table), filer)
        classifying = None
        if not is_table:
            if album.read_only is not None:
                raise OutputError(f"{album.read_only}; name another table with -o")
            scan = Scan(roots, exclude=is_excluded)
            classifying = Classifying(
                album,
                engine.open(console, min_confidence),
                (scan, Scan(roots, exclude=is_excluded)),
                filer.filed.values(),
                not no_cache,
                stop,
            )
            _note_folders(table, paths)
        thumbnails = stack.enter_context(closing(Thumbnails(wanted=not no_cache)))
        server = Server(Page(album, thumbnails, stop), host, port or 0, stop)
        if address is not None:
            address.touch(0o600)
            address.write_text(server.address)
        _greet(album, server, host, console)
        if not no_browser:
            _open_browser(server.address_for_once)
        if classifying is not None:
            classifying.start()
        server.run()
        stop.set()
        if classifying is not None:
            _wait_for(classifying, scan, console)
        _end_job(filer, console)
        _part(album, filer, photos if is_table else _photos_option(table, roots), console)
    return 0


def _is_table(path: str) -> bool:
    return os.path.splitext(path)[1].lower() in TABLE_SUFFIXES and not os.path.isdir(path)


def _check_options(
    is_table: bool, output: str | None, exclude: Sequence[str], photos: str | None
) -> None:
    """Raise UsageError for an option that belongs with the other kind of argument."""
    if is_table and (output is not None or exclude):
        name = "--exclude" if output is None else "--output"
        raise UsageError(f"{name} is for a PATH that is classified, not for a TABLE")
    if not is_table and photos is not None:
        raise UsageError("--photos is for a TABLE; photos are looked for in each PATH")


def _table_of(paths: Sequence[str], output: str | None) -> str:
    """Return the table for photos to be classified.

    Raises:
        UsageError: if it is not clear which, or its suffix is not that of a table.
    """
    if output is not None:
        check_table_name(output)
        if os.path.isdir(output):
            raise UsageError(f"{output}: a folder; name a table")
        return output
    if len(paths) == 1 and os.path.isdir(paths[0]):
        return os.path.join(paths[0], TABLE_NAME)
    raise UsageError("needs -o TABLE unless the only PATH is a folder or a table")


def _filer(table: str, roots: Sequence[str], photos: str | None, is_table: bool) -> Filer:
    """Return a Filer that files photos where ``dogsort file`` or ``dogsort PATH`` would."""
    from dogsort.filing.job import Filer

    if not is_table:
        folders = [root for root in roots if os.path.isdir(root)]
        return Filer(folders[0] if len(roots) == len(folders) == 1 else None, folders)
    with closing(Cache()) as cache:
        folders = folders_of(table, roots[0], cache)
    return Filer(folders[0] if len(folders) == 1 else photos, folders or roots)


def _absolute(paths: Sequence[str]) -> list[str]:
    return [os.path.realpath(path) if os.path.isdir(path) else place_of(path) for path in paths]


def _note_folders(table: str, paths: Sequence[str]) -> None:
    """Tell ``dogsort file`` where the photos are; with no digest, nothing overwrites the table."""
    with closing(Cache()) as cache:
        known = cache.table(table)
        digest = "" if known is None else known.digest
        cache.note_table(table, digest, [path for path in paths if os.path.isdir(path)])


def _greet(album: Album, server: Server, host: str, console: Console) -> None:
    count, (looked_at, _) = len(album.table), album.table.looked_at()
    if count:
        known = f", {looked_at} of them reviewed" if looked_at else ""
        console.say(f"{album.name}: {count} photos{known}")
    if album.read_only is not None:
        console.warn(f"{album.read_only}, so you can look but not correct")
    else:
        console.say(f"corrections go to {album.name}")
    if not server.is_local:
        console.warn(
            f"{host}: other machines can reach the page; anyone with the address can see and "
            "change everything; it is not encrypted"
        )
    console.warn(f"open {server.address}")
    if server.is_local:
        name = f"[{host}]" if ":" in host else host
        console.say(
            f"from another machine: ssh -L {server.port}:{name}:{server.port} "
            f"{socket.gethostname()}, then open the same address there"
        )
    console.say("press Ctrl-C to stop")


def _open_browser(address: str) -> None:
    """Open the browser, but never one that runs in this terminal."""
    import webbrowser

    has_display = any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY")))
    if sys.platform in ("win32", "darwin") or has_display:
        threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()


def _wait_for(classifying: Classifying, scan: Scan, console: Console) -> None:
    """Wait until the thread has ended, and report.

    Raises:
        DogsortError: if it failed.
    """
    with console.status("finishing ..."):
        classifying.join()
    if classifying.error is not None:
        raise classifying.error
    if not classifying.is_complete:
        console.say("some photos are not classified yet; run the same command to continue")
    console.say(*scan_lines(scan))
    report_cache(classifying.cache, console)


def _end_job(filer: Filer, console: Console) -> None:
    """End the job in progress, and say how far it got."""
    if filer.job is None or filer.job["finished"]:
        return
    with console.status("finishing ..."):
        filer.close()
    job = filer.job
    kind = "filing" if job["kind"] == "file" else "undo"
    failed = f", {job['failures']} of them failed" if job["failures"] else ""
    said = f"{kind}: {job['done']} of {job['total']} files{failed}"
    console.say(f"{said}; {job['message'] or 'finished'}")


def _photos_option(table: str, roots: Sequence[str]) -> str | None:
    """Return what ``dogsort file`` needs as --photos; None if the photos are below the table."""
    below = os.path.join(os.path.dirname(os.path.realpath(table)), "")
    if all(os.path.join(root, "").startswith(below) for root in roots):
        return None
    with suppress(ValueError):  # from different drives
        around = os.path.commonpath(roots)
        return around if os.path.isdir(around) else os.path.dirname(around)
    return None


def _part(album: Album, filer: Filer, photos: str | None, console: Console) -> None:
    """Save what is unsaved, and say what was done.

    Raises:
        OutputError: if it cannot be saved.
    """
    try:
        album.save()
    except DogsortError as error:
        raise OutputError(f"{error}; the last changes are lost") from error
    looked_at, changed = album.table.looked_at()
    said = [f"reviewed {looked_at}, changed {changed}"] if looked_at else []
    has_filed = filer.job is not None and filer.job["kind"] == "file"
    if has_filed and (filed := filer.undoable()) is not None:
        said.append(f"{PAST[filed['action']]}: {counted(filed['counts'])}")
        said.append(f"to undo: {filed['command']}")
    elif looked_at:
        words = ["dogsort", "file", album.name, *(["--photos", photos] if photos else []), "--move"]
        said.append("to file the photos: " + " ".join(quoted(printable(word)) for word in words))
    if said:
        console.say("; ".join(said))
