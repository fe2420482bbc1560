"""The tree of errors, each with its exit code.

DogsortError            1  the job could not be done
├── UsageError          2  the call was wrong
│   └── PathNotFound    2  a PATH does not exist
├── WeightsError        1  weights are missing, damaged or in another format
├── DeviceError         1  the requested device cannot be used
├── OutputError         1  a result could not be written
├── FilingError         1  photos could not be moved, copied or linked
├── MissingExtra        1  a library from an extra is not installed
├── DataError           1  photos or tables cannot be used for the job
└── UnreadablePhoto     3  one photo could not be read; becomes a Failure record
"""

from __future__ import annotations

__all__ = [
    "DataError",
    "DeviceError",
    "DogsortError",
    "FilingError",
    "MissingExtra",
    "OutputError",
    "PathNotFound",
    "UnreadablePhoto",
    "UsageError",
    "WeightsError",
]


class DogsortError(Exception):
    """The job could not be done; the message is one line that a user can act on."""

    exit_code = 1


class UsageError(DogsortError):
    """The call was wrong, and nothing was done."""

    exit_code = 2


class PathNotFound(UsageError):
    """A PATH does not exist."""


class WeightsError(DogsortError):
    """A weights file is missing, damaged or in another format."""


class DeviceError(DogsortError):
    """The requested device cannot be used on this machine."""


class OutputError(DogsortError):
    """A result could not be written."""


class FilingError(DogsortError):
    """Photos could not be moved, copied or linked."""


class MissingExtra(DogsortError):
    """The job needs a library from an extra that is not installed."""


class DataError(DogsortError):
    """Photos or tables cannot be used for the job."""


class UnreadablePhoto(DogsortError):
    """One photo could not be read; the message says why in a few words, without the path."""

    exit_code = 3
