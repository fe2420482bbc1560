"""Folders that belong to programs and systems: moving files out of one may break it."""

from __future__ import annotations

import os

__all__ = ["is_program_folder"]

NAMES = frozenset(
    (
        ".thumbnails",
        # Network storage: thumbnails, bins and snapshots.
        *("@eadir", "#recycle", "@recycle", "#snapshot", "@recently-snapshot"),
        # Systems: bins, and files found by a disk check.
        *("$recycle.bin", "recycler", "system volume information", "lost+found", "lost.dir"),
        *("network trash folder", "__macosx", "photo booth library"),
    )
)

#: Libraries and catalogs that look like one file, or hold a program's previews.
SUFFIXES = frozenset(
    (
        *(".photoslibrary", ".photolibrary", ".migratedphotolibrary", ".aplibrary"),
        *(".lrlibrary", ".lrdata", ".lrcat-data", ".cocatalog", ".cocatalogdb"),
        *(".imovielibrary", ".fcpbundle", ".tvlibrary", ".app"),
    )
)


def is_program_folder(name: str) -> bool:
    """Tell whether a folder of this name belongs to a program or a system."""
    name = name.casefold()
    return name in NAMES or name.startswith(".trash") or os.path.splitext(name)[1] in SUFFIXES
