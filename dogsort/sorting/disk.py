"""What the disk answers to a planner."""

from __future__ import annotations

import filecmp
import os
import stat
from collections.abc import Collection

__all__ = ["Disk"]


class Disk:
    """Looks, and changes nothing."""

    def lexists(self, path: str) -> bool:
        """Tell whether something has this name, if only a broken link."""
        return os.path.lexists(path)

    def islink(self, path: str) -> bool:
        """Tell whether it is a symbolic link."""
        return os.path.islink(path)

    def realpath(self, path: str) -> str:
        """Return the absolute path with all links resolved."""
        return os.path.realpath(path)

    def same_content(self, first: str, second: str) -> bool:
        """Tell whether the first, perhaps a link to one, and the second are files of same bytes."""
        try:
            modes = os.stat(first).st_mode, os.lstat(second).st_mode
            if not all(map(stat.S_ISREG, modes)):
                return False
            return filecmp.cmp(first, second, shallow=False)
        except OSError:
            return False

    def links(self, folder: str, names: Collection[str]) -> list[str]:
        """Return those of some names in a folder that are links, in their order."""
        try:
            with os.scandir(folder or os.curdir) as listing:
                links = {entry.name for entry in listing if entry.is_symlink()}
        except OSError:  # a folder that may be passed through, and not listed
            return [name for name in names if os.path.islink(os.path.join(folder, name))]
        return [name for name in names if name in links]

    def names(self, folder: str) -> list[str]:
        """Return the names of the files in a folder, but not of links; none if it is gone."""
        try:
            with os.scandir(folder or os.curdir) as listing:
                return [entry.name for entry in listing if entry.is_file(follow_symlinks=False)]
        except OSError:
            return []
