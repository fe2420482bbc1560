"""The user's own runs that filed photos from outside the folder filed into.

Undoing such a run puts files into any folder that its journal names, and a journal may come with an
album that somebody else made. dogsort trusts it only if the run is recorded here.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

__all__ = ["is_own", "remember_own"]

#: What may be raised where runs are noted: the last, if nobody knows where the user is at home.
UNKNOWN = (OSError, RuntimeError)


def is_own(token: str, folder: str) -> bool:
    """Tell whether this user began a run, in the folder that it is in now."""
    with suppress(*UNKNOWN):
        return f"{token} {folder!a}" in _file().read_text(encoding="ascii").splitlines()
    return False


def remember_own(token: str, folder: str) -> None:
    """Record that this user began a run; if that fails, undo will ask."""
    if is_own(token, folder):
        return
    with suppress(*UNKNOWN):
        _file().parent.mkdir(parents=True, exist_ok=True)
        with _file().open("a", encoding="ascii") as file:
            file.write(f"{token} {folder!a}\n")


def _file() -> Path:
    from platformdirs import user_state_path

    return user_state_path("dogsort", appauthor=False) / "runs.txt"
