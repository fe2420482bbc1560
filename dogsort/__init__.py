"""dogsort finds dogs and cats in folders of photos, in batches and offline.

from dogsort import Classifier

for record in Classifier().predict("photos"):
    print(record)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dogsort.errors import DogsortError
from dogsort.records import Failure, Prediction

if TYPE_CHECKING:
    from dogsort.classifier import Classifier

__all__ = ["Classifier", "DogsortError", "Failure", "Prediction", "__version__"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # The classifier imports numpy, which `dogsort --help` does not need.
    if name == "Classifier":
        from dogsort.classifier import Classifier

        return Classifier
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
