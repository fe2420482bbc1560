"""How many cores dogsort may use: affinity, control groups, OMP_NUM_THREADS."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from dogsort.network.cores import cores, group_limit

COUNT = "from dogsort.network.cores import cores; print(cores())"


def count(code: str, **env: str) -> int:
    run = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **env}, capture_output=True, check=True
    )
    return int(run.stdout)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_affinity():
    one = min(os.sched_getaffinity(0))
    assert count(f"import os; os.sched_setaffinity(0, {{{one}}}); {COUNT}") == 1


def test_openmp_threads(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    ours = cores()
    assert 1 <= ours <= (os.cpu_count() or 1)
    assert count(COUNT, OMP_NUM_THREADS="1") == 1
    assert count(COUNT, OMP_NUM_THREADS="1,4") == 1
    for value in ("", "0", "-1", "many", "4096"):
        assert count(COUNT, OMP_NUM_THREADS=value) == ours


def test_the_command_keeps_to_it(dogsort_process):
    assert "1 threads" in dogsort_process("info", OMP_NUM_THREADS="1").stdout.decode()


@pytest.mark.parametrize(
    ("files", "membership", "limit"),
    [
        # version 2: in the group itself, above it, and at the top, as in a container
        ({"a/b/cpu.max": "200000 100000\n"}, "0::/a/b\n", 2),
        ({"a/b/cpu.max": "max 100000\n", "a/cpu.max": "150000 100000\n"}, "0::/a/b\n", 2),
        ({"a/b/cpu.max": "400000 100000\n", "a/cpu.max": "50000 100000\n"}, "0::/a/b\n", 1),
        ({"cpu.max": "300000 100000\n"}, "0::/\n", 3),
        ({"cpu.max": "300000 100000\n"}, "0::/docker/0123abcd\n", 3),
        ({"cpu.max": "300000 100000\n"}, "0::/../../seen/from/elsewhere\n", 3),
        # no limit; another group's limit; an unrelated file
        ({"a/cpu.max": "max 100000\n"}, "0::/a\n", None),
        ({"b/cpu.max": "100000 100000\n"}, "0::/a\n", None),
        ({"a/cpu.max": "\n"}, "0::/a\n", None),
        ({}, "0::/a:with:colons\n", None),
        # version 1, alone and beside version 2
        (
            {"cpu/a/cpu.cfs_quota_us": "250000\n", "cpu/a/cpu.cfs_period_us": "100000\n"},
            "5:memory:/m\n4:cpu,cpuacct:/a/b\n",
            3,
        ),
        (
            {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"},
            "4:cpu:/\n0::/\n",
            None,
        ),
        ({"cpuset/cpu.max": "100000 100000\n"}, "3:cpuset:/\n1:name=systemd:/\n", None),
    ],
)
def test_control_groups(tmp_path, files, membership, limit):
    groups = tmp_path / "cgroup"
    groups.mkdir()
    for name, text in files.items():
        (groups / name).parent.mkdir(parents=True, exist_ok=True)
        (groups / name).write_text(text)
    (tmp_path / "membership").write_text(membership)
    assert group_limit(groups, tmp_path / "membership") == limit


def test_a_system_without_control_groups(tmp_path):
    assert group_limit(tmp_path, tmp_path / "none") is None
