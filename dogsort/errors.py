"""The tree of errors: what can go wrong, and the exit code that each one means.

DogsortError            1  the job could not be done
├── UsageError          2  the call itself was wrong
│   └── PathNotFound    2  a PATH that does not exist
├── WeightsError        1  weights missing, damaged or of another format
├── DeviceError         1  the device asked for is not there
├── OutputError         1  a result could not be written
├── FilingError         1  photos could not be moved, copied or linked
├── MissingExtra        1  a library that the default install does without is not there
├── DataError           1  photos that nothing can be learned or measured on
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
    """The call was wrong: nothing was begun."""

    exit_code = 2


class PathNotFound(UsageError):
    """A PATH named by the user does not exist."""


class WeightsError(DogsortError):
    """A weights file is missing, damaged or of another format."""


class DeviceError(DogsortError):
    """The device asked for cannot be used on this machine."""


class OutputError(DogsortError):
    """A result could not be written."""


class FilingError(DogsortError):
    """Photos could not be moved, copied or linked."""


class MissingExtra(DogsortError):
    """What was asked for needs a library that an extra of the package brings."""


class DataError(DogsortError):
    """Photos that cannot be used for training, evaluation or a benchmark."""


class UnreadablePhoto(DogsortError):
    """One photo could not be read; the message says why in a few words, without the path."""

    exit_code = 3
