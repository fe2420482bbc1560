"""How many CPU cores dogsort may use: in a container, often fewer than the machine has.

More threads than that would only wait for each other.
"""

from __future__ import annotations

import math
import os
from contextlib import suppress
from pathlib import Path

__all__ = ["cores", "group_limit"]

#: Where Linux lists control groups, and the groups of this process.
GROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


def cores() -> int:
    """Return how many CPU cores this process may use, at least 1.

    This is the lowest of: the CPU affinity or the machine's cores, the limit of the control groups
    (such as a container's), and ``OMP_NUM_THREADS``.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    available = len(affinity(0)) if affinity else os.cpu_count() or 1
    return min(available, group_limit() or available, _asked_for() or available)


def group_limit(groups: Path = GROUPS, membership: Path = MEMBERSHIP) -> int | None:
    """Return how many cores Linux's control groups allow, rounded up.

    Args:
        groups: the folder of all groups.
        membership: a file with a line such as ``0::/path`` for each hierarchy.

    Returns:
        The lowest limit of the group and those above it; None if there is no limit.
    """
    try:
        lines = os.fsdecode(membership.read_bytes()).splitlines()
    except OSError:  # not Linux, or not readable
        return None
    shares = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        top = groups / "cpu" if controllers else groups  # version 1, or version 2, which names none
        # In a container, the path may be the host's. Groups that do not exist set no limit.
        group = top / path.lstrip("/")
        while group.is_relative_to(top):
            shares.append(_share(group))
            group = group.parent
    return min((math.ceil(share) for share in shares if share), default=None)


def _share(group: Path) -> float | None:
    """Return a group's CPU quota divided by its period; None (``max`` or -1) means no limit."""
    for names in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):  # versions 2 and 1
        with suppress(OSError, ValueError, ZeroDivisionError):
            quota, period = " ".join((group / name).read_text() for name in names).split()
            if int(quota) > 0:
                return int(quota) / int(period)
    return None


def _asked_for() -> int | None:
    """Read ``OMP_NUM_THREADS``, the usual variable to limit threads."""
    # It may be a list for nested threads; the first number is for the outermost level.
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(first) or None if first.isdecimal() else None
