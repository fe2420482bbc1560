"""How much longer filing takes than plain renames, and how much memory: run it by hand.

``python tests/benchmarks/filing.py`` moves small files in one folder with ``os.rename``, and as
many by planning and carrying out as ``dogsort file`` does, in turn. It prints the median times,
their ratio, and the peak memory at a tenth of the files and at all of them.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from dogsort.sorting.disk import Disk
from dogsort.sorting.lock import at_work
from dogsort.sorting.plan import Planner, Wishes
from dogsort.sorting.runs import carry_out, filing_into

FILES = 20_000
ROUNDS = 5


def plant(folder: Path, count: int) -> list[str]:
    """Make small files; return their paths."""
    paths = [str(folder / f"IMG_{number:05}.jpg") for number in range(count)]
    for path in paths:
        Path(path).write_text(path)
    return paths


def rename(folder: Path, paths: list[str]) -> None:
    """Move files as a script would that takes no care."""
    (folder / "dog").mkdir()
    for path in paths:
        os.rename(path, folder / "dog" / os.path.basename(path))


def file(folder: Path, paths: list[str]) -> None:
    """Move files as dogsort does."""
    planner = Planner(Wishes("move", str(folder)), Disk())
    for path in paths:
        planner.add(path, "dog")
    with at_work(str(folder)), filing_into(str(folder), "move") as journal:
        for _, error in carry_out(planner.filings(), journal):
            if error is not None:
                raise error


def seconds(move: Callable[[Path, list[str]], None], count: int) -> float:
    """Return how long it takes to move so many files."""
    with tempfile.TemporaryDirectory(dir=os.curdir) as place:
        paths = plant(Path(place), count)
        os.sync()
        started = time.monotonic()
        move(Path(place), paths)
        return time.monotonic() - started


def peak_megabytes(count: int) -> float:
    """Return the peak memory of a process that files so many."""
    command = [sys.executable, __file__, str(count)]
    return float(subprocess.run(command, capture_output=True, check=True).stdout)


def main() -> None:
    """Measure and print."""
    if len(sys.argv) > 1:
        seconds(file, int(sys.argv[1]))
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return
    # First, since a child's peak counts from what its parent has when it starts it.
    few, many = peak_megabytes(FILES // 10), peak_megabytes(FILES)
    print(f"peak memory: {few:.0f} MB with {FILES // 10} files, {many:.0f} MB with {FILES}")
    times = [(seconds(rename, FILES), seconds(file, FILES)) for _ in range(ROUNDS)]
    renames, filings = (statistics.median(column) for column in zip(*times, strict=True))
    ratio = statistics.median(filing / renaming for renaming, filing in times)
    print(f"{FILES} files: renames {renames:.2f} s, filing {filings:.2f} s, {ratio:.1f} times")


if __name__ == "__main__":
    main()
