"""Compare dogsort's speed with ordinary scripts, on the same folder, alternately.

    python tests/benchmarks/compare.py FOLDER --rounds 3

Each way is a separate command, timed from start to end.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import pandas as pd

from dogsort.bench import machine, versions
from dogsort.photos.scan import Scan

HERE = Path(__file__).parent

OURS = "dogsort"

FINE = (0, 3)  # dogsort's exit codes when the table is there


def ways(folder: str, output: str) -> dict[str, list[str]]:
    """Return the commands, in the order of a round."""
    python = sys.executable
    commands = {"torchvision": [python, str(HERE / "ordinary_way.py"), folder, output]}
    if find_spec("timm") is not None:
        commands["timm"] = [python, str(HERE / "timm_way.py"), folder, output]
    return commands | {OURS: [python, "-m", "dogsort", folder, "-o", output, "--no-cache", "-q"]}


def run(command: list[str]) -> float:
    """Return how many seconds a command takes."""
    start = time.perf_counter()
    done = subprocess.run(command, check=False)
    seconds = time.perf_counter() - start
    if done.returncode not in FINE:
        sys.exit(f"failed with exit code {done.returncode}: {' '.join(command)}")
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare dogsort's speed with other ways.")
    parser.add_argument("folder", help="a folder of photos")
    parser.add_argument("--rounds", type=int, default=3, help="how often each runs (3)")
    given = parser.parse_args()
    if not os.path.isdir(given.folder) or not any(Scan([given.folder])) or given.rounds < 1:
        parser.error("give a folder with photos, and 1 round or more")
    if find_spec("timm") is None:
        print("timm is not installed, so its way is left out")
    times: dict[str, list[float]] = {}
    rows: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as place:
        output = os.path.join(place, "rows.csv")
        for number in range(given.rounds):
            for name, command in ways(given.folder, output).items():
                times.setdefault(name, []).append(run(command))
                rows[name] = len(pd.read_csv(output))
                print(f"round {number + 1}: {name} {times[name][-1]:.2f} s", flush=True)
    here = machine()
    print(f"\n{here['cpu']}, {here['cores']} cores; {date.today()}")
    print(", ".join(f"{name} {version}" for name, version in versions().items()))
    print(f"\n{'':14}{'seconds':>9}{'rows':>8}{'photos/s':>10}{'times ours':>12}")
    for name, seconds in times.items():
        middle = median(seconds)
        # Pairs of the same round, because other work of the machine then affects both.
        ratio = median(other / ours for other, ours in zip(seconds, times[OURS], strict=True))
        rate = rows[name] / middle
        print(f"{name:14}{middle:>9.2f}{rows[name]:>8}{rate:>10.1f}{ratio:>12.2f}")
    if len(set(rows.values())) > 1:
        print("not the same photos were looked at: these ratios are not fair")


if __name__ == "__main__":
    main()
