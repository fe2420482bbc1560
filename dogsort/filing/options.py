"""The options of filing."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from dogsort.records import Label

__all__ = ["FILED", "Action", "FilingOptions"]

Action: TypeAlias = Literal["move", "copy", "link", "hardlink"]

#: The labels that are filed by default, into folders with their name.
FILED: tuple[Label, ...] = ("dog", "cat")


@dataclass(frozen=True, slots=True)
class FilingOptions:
    """What to do with photos.

    Attributes:
        action: how to file them.
        folder: the folder that gets the folders ``dog`` and ``cat``.
        unsure_to, neither_to: names of the folders for photos labelled unsure and neither; None
            leaves them where they are.
        keep_tree: the folders whose subfolders are kept below the label; None files all photos of
            a label into one folder.
    """

    action: Action
    folder: str
    unsure_to: str | None = None
    neither_to: str | None = None
    keep_tree: Sequence[str] | None = None

    def folders(self) -> dict[Label, str]:
        """Return the folder of each label that is filed."""
        names: dict[Label, str | None] = {label: label for label in FILED}
        names |= {"unsure": self.unsure_to, "neither": self.neither_to}
        return {label: os.path.join(self.folder, name) for label, name in names.items() if name}
