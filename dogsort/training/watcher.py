"""What training tells while it runs, for a terminal to show."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

__all__ = ["Watcher"]

T = TypeVar("T")


class Watcher:
    """What training tells while it runs; this one keeps silent."""

    def say(self, text: str) -> None:
        """Take a line of text."""

    def warn(self, text: str) -> None:
        """Take a line about something that did not go as asked."""

    def track(self, items: Iterable[T], total: int, what: str) -> Iterable[T]:
        """Pass items on, counting them."""
        return items
