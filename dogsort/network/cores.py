"""How many CPU cores are ours to use: fewer than the machine has, in a container or beside others.

Threads for more than that would only wait for each other.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

__all__ = ["cores", "group_limit"]

#: Where Linux shows control groups, and which of them this process is in.
GROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


def cores() -> int:
    """Return how many CPU cores this process may use.

    The least of what the machine has or the process is bound to, what its control groups (those
    of its container) allow, and ``OMP_NUM_THREADS``; at least 1.
    """
    if hasattr(os, "sched_getaffinity"):
        available = len(os.sched_getaffinity(0))
    else:
        available = os.cpu_count() or 1
    limits = (group_limit(), _asked_for())
    return max(1, min([available, *(limit for limit in limits if limit is not None)]))


def group_limit(groups: Path = GROUPS, membership: Path = MEMBERSHIP) -> int | None:
    """Return how many cores Linux's control groups allow, a part of one counted whole.

    Args:
        groups: the folder of all groups.
        membership: a file with a line such as ``0::/path`` for each hierarchy.

    Returns:
        The least that the group or one above it allows; None if there is no limit.
    """
    try:
        lines = os.fsdecode(membership.read_bytes()).splitlines()
    except OSError:  # no Linux, or nothing to be seen of it
        return None
    shares = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":  # version 2, alone or beside version 1
            read, top = _share, groups
        elif "cpu" in controllers.split(","):
            read, top = _share_of_version_1, groups / "cpu"
        else:
            continue
        # In a container, the path may be the one seen from outside: what is not there says nothing.
        group = top / path.lstrip("/")
        while group.is_relative_to(top):
            shares.append(read(group))
            group = group.parent
    return min((math.ceil(share) for share in shares if share is not None), default=None)


def _share(group: Path) -> float | None:
    """Read ``cpu.max``: microseconds of CPU time, or ``max``, in a period of so many."""
    try:
        quota, period = (group / "cpu.max").read_text().split()
        return int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _share_of_version_1(group: Path) -> float | None:
    """Read the same from two files, where -1 means no limit."""
    try:
        quota = int((group / "cpu.cfs_quota_us").read_text())
        share = quota / int((group / "cpu.cfs_period_us").read_text())
    except (OSError, ValueError, ZeroDivisionError):
        return None
    return share if quota > 0 else None


def _asked_for() -> int | None:
    """Read ``OMP_NUM_THREADS``, by which programs that compute are told to leave room."""
    # It may be a list, for threads within threads; the first number is that of the outermost.
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(first) if first.isdecimal() and int(first) > 0 else None
