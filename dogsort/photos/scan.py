"""Paths -> photos: lazily, sorted, each once, and nothing skipped silently."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from dogsort.errors import FilingError, PathNotFound
from dogsort.photos.program_folders import is_program_folder
from dogsort.records import Failure, Photo

__all__ = ["PHOTO_SUFFIXES", "Scan", "check_paths", "is_photo_name"]

#: Suffixes of the files that a folder is searched for. A file named by itself is always taken.
PHOTO_SUFFIXES = frozenset(
    (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".gif", ".bmp", ".dib"),
        *(".tif", ".tiff", ".avif", ".avifs", ".heic", ".heics", ".heif", ".heifs", ".hif"),
    )
)

#: Other files that cameras make. They are skipped.
VIDEO_SUFFIXES = frozenset(
    (
        *(".mov", ".mp4", ".m4v", ".avi", ".mkv", ".webm", ".3gp", ".mts", ".m2ts", ".mpg"),
        *(".mpeg", ".wmv", ".flv", ".insv"),
    )
)
RAW_SUFFIXES = frozenset(
    (
        *(".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".sr2", ".srf", ".orf", ".rw2"),
        *(".raf", ".pef", ".srw", ".raw", ".3fr", ".iiq", ".erf", ".mrw", ".x3f", ".gpr"),
    )
)


#: Tables of dogsort that are not whole yet: who writes one into the album knows of it.
PARTIAL_TABLE = re.compile(r".+\.\d+\.partial", re.DOTALL)


def is_photo_name(name: str) -> bool:
    """Tell whether a scan takes a file of this name: a photo's suffix, not hidden."""
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in PHOTO_SUFFIXES


def check_paths(paths: Iterable[str]) -> None:
    """Raise PathNotFound for the first path that does not exist (a broken link does exist)."""
    for path in paths:
        if not os.path.lexists(path):
            raise PathNotFound(f"{path}: no such file or folder")


class Scan:
    """Walks files and folders for photos; afterwards it knows what it skipped.

    Folders are walked recursively, with the names in each in sorted order and its photos before
    its subfolders. Skipped are hidden files and folders, folders that belong to programs, such as
    ``@eaDir`` or a ``.photoslibrary``, and names without a photo's suffix. A path given by itself
    is always taken. If paths overlap, a file is taken only once. Links to files are followed;
    links to folders are not, because filing would then reach outside the folder named.

    Iterating lazily yields a Photo for each file to classify, and a Failure for each path that
    cannot be followed (gone, no permission, a loop of links) or for which ``pass_over`` fails.

    Args:
        paths: files and folders, in the order to walk them; consumed lazily.
        pass_over: called with each folder walked; returns the folders below it to skip. If it
            raises FilingError, the folder is not walked either.
        exclude: called with each path below one of the paths, relative to it, with slashes;
            returns whether to skip it. Folders end in a slash, and are skipped with their content.

    Attributes:
        links: links to folders, which were not followed.
        program_folders: folders that belong to programs.
        passed_over: folders that ``pass_over`` said to skip.
        excluded: how many files and folders ``exclude`` skipped.
        ignored: how many files of each kind were skipped, such as ``video`` or ``.txt``.
    """

    def __init__(
        self,
        paths: Iterable[str],
        pass_over: Callable[[str], Iterable[str]] | None = None,
        exclude: Callable[[str], bool] | None = None,
    ) -> None:
        self._paths = paths
        self._pass_over, self._exclude = pass_over, exclude
        self._root_length = 0
        self._not_below: set[str] = set()  # real paths to skip below the path being walked
        self._folders_seen: set[tuple[int, int]] = set()  # (device, inode)
        self._files_given: set[tuple[tuple[int, int], str]] = set()  # (folder as above, name)
        self.links: list[str] = []
        self.program_folders: list[str] = []
        self.passed_over: list[str] = []
        self.excluded = 0
        self.ignored: Counter[str] = Counter()

    def __iter__(self) -> Iterator[Photo | Failure]:
        for path in self._paths:
            yield from self._start(path)

    def _start(self, path: str) -> Iterator[Photo | Failure]:
        outer, name = os.path.split(path)
        try:
            is_folder = stat.S_ISDIR(os.stat(path).st_mode)
            folder = _identity(outer or os.curdir)
        except OSError as error:
            yield Failure(path, _reason(error))
            return
        except ValueError:
            yield Failure(path, "the name contains a NUL; if names end in NUL, use --null")
            return
        if is_folder:
            yield from self._walk(path)
            return
        is_walked = is_photo_name(name) and folder in self._folders_seen
        if not is_walked and (folder, name) not in self._files_given:
            self._files_given.add((folder, name))
            yield Photo(path)

    def _walk(self, path: str) -> Iterator[Photo | Failure]:
        """Walk a folder and those below it, with a stack, so that any depth of nesting works."""
        self._not_below.clear()  # a folder that is named is walked in any case
        self._root_length = len(os.path.join(path, ""))
        waiting = [path]
        while waiting:
            below: list[str] = []
            yield from self._folder(waiting.pop(), below)
            waiting.extend(reversed(below))

    def _folder(self, path: str, below: list[str]) -> Iterator[Photo | Failure]:
        """Yield a folder's photos, and add its subfolders to ``below``."""
        try:
            identity = _identity(path)
            if identity in self._folders_seen:
                return
            names, no_files = _listed(path)
            if self._pass_over is not None:
                self._not_below.update(map(os.path.realpath, self._pass_over(path)))
        except OSError as error:
            yield Failure(path, _reason(error))
            return
        except FilingError as error:
            yield Failure(path, str(error))
            return
        self._folders_seen.add(identity)
        for name in names:
            found = os.path.join(path, name)
            entry = no_files.get(name)
            try:
                if self._is_excluded(found, entry):
                    self.excluded += 1
                elif entry is not None and entry.is_dir(follow_symlinks=False):
                    self._add_folder(found, below)
                elif entry is not None and entry.is_symlink() and entry.is_dir():
                    self.links.append(found)
                elif not is_photo_name(name):
                    if not PARTIAL_TABLE.fullmatch(name):
                        self.ignored[_kind_of(name)] += 1
                elif (identity, name) not in self._files_given:
                    yield Photo(found)
            except OSError as error:
                yield Failure(found, _reason(error))

    def _is_excluded(self, path: str, entry: os.DirEntry[str] | None) -> bool:
        if self._exclude is None:
            return False
        below = path[self._root_length :].replace(os.sep, "/")
        is_folder = entry is not None and entry.is_dir(follow_symlinks=False)
        return self._exclude(below + "/" * is_folder)

    def _add_folder(self, path: str, below: list[str]) -> None:
        if is_program_folder(os.path.basename(path)):
            self.program_folders.append(path)
        elif self._not_below and os.path.realpath(path) in self._not_below:
            self.passed_over.append(path)
        else:
            below.append(path)


def _identity(folder: str) -> tuple[int, int]:
    status = os.stat(folder)
    return status.st_dev, status.st_ino


def _listed(folder: str) -> tuple[list[str], dict[str, os.DirEntry[str]]]:
    """Return what is in a folder and not hidden: sorted names, and the entries of non-files.

    Of files it keeps only the names, because there may be a million of them.
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
    except OSError:  # reported when its turn comes
        return False


def _kind_of(name: str) -> str:
    suffix = os.path.splitext(name)[1].lower()
    if suffix in VIDEO_SUFFIXES:
        return "video"
    return "raw file" if suffix in RAW_SUFFIXES else suffix or "file without a suffix"


def _reason(error: OSError) -> str:
    if error.errno == errno.ENOENT:
        return "no such file"
    if error.errno in (errno.EACCES, errno.EPERM):
        return "no permission to open it"
    if error.errno == errno.ELOOP:
        return "a loop of links"
    return f"cannot be opened: {error.strerror or error}"
