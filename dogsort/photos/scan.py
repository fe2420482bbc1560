"""Paths -> photos: lazily, sorted, each once, and nothing passed over in silence."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator

from dogsort.errors import FilingError, PathNotFound
from dogsort.photos.program_folders import is_program_folder
from dogsort.records import Failure, Photo

__all__ = ["PHOTO_SUFFIXES", "check_paths", "is_photo_name", "scan"]

#: Names in a folder that are looked at. A file named by itself is always looked at.
PHOTO_SUFFIXES = frozenset(
    (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".gif", ".bmp", ".dib"),
        *(".tif", ".tiff", ".avif", ".avifs", ".heic", ".heics", ".heif", ".heifs", ".hif"),
    )
)


def is_photo_name(name: str) -> bool:
    """Tell whether a file of this name in a folder is looked at: a photo's suffix, not hidden."""
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in PHOTO_SUFFIXES


def check_paths(paths: Iterable[str]) -> None:
    """Raise PathNotFound for the first path that does not exist (a broken link does exist)."""
    for path in paths:
        if not os.path.lexists(path):
            raise PathNotFound(f"{path}: no such file or folder")


def scan(
    paths: Iterable[str],
    on_skipped_link: Callable[[str], None] | None = None,
    pass_over: Callable[[str], Iterable[str]] | None = None,
    on_passed_over: Callable[[str], None] | None = None,
    on_program_folder: Callable[[str], None] | None = None,
) -> Iterator[Photo | Failure]:
    """Walk files and folders.

    Folders are walked recursively: the names in each in sorted order, its photos before its
    sub-folders. Hidden files and folders, folders that belong to programs, such as ``@eaDir`` or
    a ``.photoslibrary``, and names without a photo's suffix, are left out; a path given by itself
    is always taken. What was reached once is not taken again when paths overlap. Links to files
    are followed; links to folders are not, since filing would then reach outside the folder named.

    Args:
        paths: files and folders, in the order to be walked; consumed lazily.
        on_skipped_link: called with the path of each link to a folder that was not followed.
        pass_over: called with each folder walked; tells which folders below it are not to be.
            If it raises FilingError, for it cannot tell, the folder is not walked either.
        on_passed_over: called with the path of each folder that was not walked for that.
        on_program_folder: called with the path of each folder that belongs to a program.

    Yields:
        A Photo for each file to look at; a Failure for each path that cannot be followed
        (gone, no permission, a loop of links) or of which ``pass_over`` cannot tell.
    """
    walk = _Walk(
        on_skipped_link or _say_nothing,
        pass_over or _nowhere,
        on_passed_over or _say_nothing,
        on_program_folder or _say_nothing,
    )
    for path in paths:
        yield from walk.start(path)


class _Walk:
    """One scan: remembers the folders walked and the files given, to take each path once."""

    def __init__(
        self,
        on_skipped_link: Callable[[str], None],
        pass_over: Callable[[str], Iterable[str]],
        on_passed_over: Callable[[str], None],
        on_program_folder: Callable[[str], None],
    ) -> None:
        self.on_skipped_link, self.on_passed_over = on_skipped_link, on_passed_over
        self.on_program_folder = on_program_folder
        self.pass_over = pass_over
        self.passed_over: set[str] = set()  # without links; below the path that is walked now
        self.folders_seen: set[tuple[int, int]] = set()  # (device, inode)
        self.files_given: set[tuple[str, str]] = set()  # real folder, name

    def start(self, path: str) -> Iterator[Photo | Failure]:
        try:
            is_folder = stat.S_ISDIR(os.stat(path).st_mode)
        except OSError as error:
            yield Failure(path, _reason(error))
            return
        except ValueError:
            yield Failure(path, "a name with a NUL in it; names that end in NUL need --null")
            return
        if is_folder:
            yield from self.folders(path)
            return
        place = self.place(path)
        if place not in self.files_given and not self.shown(path):
            self.files_given.add(place)
            yield Photo(path)

    def folders(self, path: str) -> Iterator[Photo | Failure]:
        """Walk a folder and those below it; a list instead of recursion, however deep they nest."""
        self.passed_over.clear()  # who names such a folder wants it walked
        waiting = [path]
        while waiting:
            below: list[str] = []
            yield from self.folder(waiting.pop(), below)
            waiting.extend(reversed(below))

    def folder(self, path: str, below: list[str]) -> Iterator[Photo | Failure]:
        """Yield a folder's photos, and add its sub-folders to ``below``."""
        try:
            status = os.stat(path)
            identity = (status.st_dev, status.st_ino)
            if identity in self.folders_seen:
                return
            names, no_files = _listed(path)
            self.passed_over.update(map(os.path.realpath, self.pass_over(path)))
        except OSError as error:
            yield Failure(path, _reason(error))
            return
        except FilingError as error:
            yield Failure(path, str(error))
            return
        self.folders_seen.add(identity)
        real = os.path.realpath(path) if self.files_given else ""
        for name in names:
            found = os.path.join(path, name)
            entry = no_files.get(name)
            try:
                if entry is not None and entry.is_dir(follow_symlinks=False):
                    if is_program_folder(name):
                        self.on_program_folder(found)
                    elif self.passed_over and os.path.realpath(found) in self.passed_over:
                        self.on_passed_over(found)
                    else:
                        below.append(found)
                elif entry is not None and entry.is_symlink() and entry.is_dir():
                    yield from self.link_to_folder(found)
                elif is_photo_name(name) and (real, name) not in self.files_given:
                    yield Photo(found)
            except OSError as error:
                yield Failure(found, _reason(error))

    def link_to_folder(self, path: str) -> Iterator[Failure]:
        here = os.path.realpath(os.path.dirname(path))
        target = os.path.realpath(path)
        if here == target or here.startswith(os.path.join(target, "")):
            yield Failure(path, "a loop of links")
        else:
            self.on_skipped_link(path)

    @staticmethod
    def place(path: str) -> tuple[str, str]:
        """Return what a file is known by, whatever links led to its folder."""
        folder, name = os.path.split(path)
        return os.path.realpath(folder or os.curdir), name

    def shown(self, path: str) -> bool:
        """Tell whether a folder walked earlier has shown this file."""
        folder, name = os.path.split(path)
        try:
            status = os.stat(folder or os.curdir)
        except OSError:
            return False
        return is_photo_name(name) and (status.st_dev, status.st_ino) in self.folders_seen


def _listed(folder: str) -> tuple[list[str], dict[str, os.DirEntry[str]]]:
    """Return what is in a folder and not hidden: names, sorted, and entries of what is no file.

    Of files, nothing else is kept: there may be a million of them.
    """
    names: list[str] = []
    no_files: dict[str, os.DirEntry[str]] = {}
    with os.scandir(folder) as listing:
        for entry in listing:
            if not entry.name.startswith("."):
                names.append(entry.name)
                if not _is_file(entry):
                    no_files[entry.name] = entry
    return sorted(names), no_files


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file(follow_symlinks=False)
    except OSError:  # which is told when its turn comes
        return False


def _say_nothing(path: str) -> None:
    pass


def _nowhere(folder: str) -> Iterable[str]:
    return ()


def _reason(error: OSError) -> str:
    if error.errno == errno.ENOENT:
        return "no such file"
    if error.errno in (errno.EACCES, errno.EPERM):
        return "no permission to look into it"
    if error.errno == errno.ELOOP:
        return "a loop of links"
    return f"cannot be looked at: {error.strerror or error}"
