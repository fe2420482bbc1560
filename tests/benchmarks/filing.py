"""Time of filing compared with plain renames, and its memory; run it by hand.

``python tests/benchmarks/filing.py`` makes files in the current folder, and alternately moves them
with ``os.rename`` and back, and with ``dogsort file TABLE --move`` and ``undo``. Each job runs in a
separate process, after a sync, and is timed without the start. It prints the medians, the ratios,
and the peak memory. ``--files``, ``--large``, ``--folders`` and ``--rounds`` make it shorter.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from statistics import median
from typing import NamedTuple

LARGE_BYTES = 5_000_000

COLUMNS = (
    *("what", "files", "renames", "move", "times", "again"),
    *("back", "undo", "times", "MB move", "MB undo"),
)


class Case(NamedTuple):
    """Files to move.

    Attributes:
        name: for the output.
        count: of files.
        bytes: of each.
        source: returns the path of a file, by its number.
        target: returns where it goes.
    """

    name: str
    count: int
    bytes: int
    source: Callable[[int], str]
    target: Callable[[int], str]


def cases(files: int, large: int, folders: int) -> list[Case]:
    """Return the cases to measure."""

    def name(number: int) -> str:
        return f"IMG_{number:06}.jpg"

    def filed(number: int) -> str:
        return os.path.join("dog", name(number))

    def in_folder(number: int) -> str:
        return os.path.join(f"{number:06}", "IMG.jpg")

    def numbered(number: int) -> str:
        return os.path.join("dog", f"IMG ({number + 1}).jpg" if number else "IMG.jpg")

    return [
        Case("small files", files, 100, name, filed),
        Case("files of 5 MB", large, LARGE_BYTES, name, filed),
        Case("folders, one name", folders, 100, in_folder, numbered),
    ]


def plant(case: Case) -> None:
    """Make the files of a case in the current folder, all different, and their table."""
    block = os.urandom(case.bytes - 6)
    with open("p.csv", "w") as table:
        table.write("path,label\n")
        for number in range(case.count):
            path = case.source(number)
            os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
            with open(path, "wb") as file:
                file.write(b"%06d" % number + block)
            table.write(f"{path},dog\n")


def rename(case: Case) -> None:
    """Move files like a script that takes no care."""
    os.makedirs("dog", exist_ok=True)
    for number in range(case.count):
        os.rename(case.source(number), case.target(number))


def rename_back(case: Case) -> None:
    """Move them back in the same way."""
    for number in range(case.count):
        os.rename(case.target(number), case.source(number))
    os.rmdir("dog")


def command(*arguments: str) -> Callable[[Case], None]:
    """Return a function that runs a command of dogsort."""

    def run(_case: Case) -> None:
        from dogsort.cli.main import COMMANDS

        assert COMMANDS[arguments[0]].main([*arguments[1:], "--quiet"], standalone_mode=False) == 0

    return run


JOBS: dict[str, Callable[[Case], None]] = {
    "renames": rename,
    "back": rename_back,
    "move": command("file", "p.csv", "--move", "--to", "."),
    "again": command("file", "p.csv", "--move", "--to", "."),
    "undo": command("undo"),
}

ROUND = (("renames", "back"), ("move", "again", "undo"))


def do_job(job: str, case: Case) -> None:
    """Do a job; print its seconds, and the peak memory of this process in MB."""
    # Do not time imports.
    import filelock  # noqa: F401
    import platformdirs  # noqa: F401

    import dogsort.cli.main  # noqa: F401

    os.sync()
    started = time.perf_counter()
    JOBS[job](case)
    seconds = time.perf_counter() - started
    print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def measure(case: Case, place: int, arguments: list[str], rounds: int) -> dict[str, list[float]]:
    """Do all jobs of a case, round after round, with dogsort first in every second round."""
    found: dict[str, list[float]] = defaultdict(list)
    before = os.getcwd()
    for number in range(rounds):
        with tempfile.TemporaryDirectory(dir=os.curdir) as folder:
            os.chdir(folder)
            try:
                plant(case)
                for jobs in ROUND[:: 1 if number % 2 else -1]:
                    for job in jobs:
                        child = [sys.executable, __file__, *arguments, "--job", job, str(place)]
                        run = subprocess.run(child, stdout=subprocess.PIPE, check=True)
                        seconds, megabytes = map(float, run.stdout.split())
                        found[job].append(seconds)
                        found[f"MB {job}"].append(megabytes)
            finally:
                os.chdir(before)
    return found


def row(case: Case, found: dict[str, list[float]]) -> Iterator[str]:
    """Return the cells of a case."""
    seconds = {job: f"{median(found[job]):.2f} s" for job in JOBS}
    memory = [f"{max(found[f'MB {job}']):.0f}" for job in ("move", "undo")]
    times = [
        f"{median(ours / plain for ours, plain in zip(found[job], found[by], strict=True)):.1f}"
        for job, by in (("move", "renames"), ("undo", "back"))
    ]
    yield from (case.name, f"{case.count:,}", seconds["renames"], seconds["move"], times[0])
    yield from (seconds["again"], seconds["back"], seconds["undo"], times[1], *memory)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--files", type=int, default=200_000)
    parser.add_argument("--large", type=int, default=600, help="files of 5 MB")
    parser.add_argument("--folders", type=int, default=2_000, help="each with a file of one name")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--job", nargs=2, help=argparse.SUPPRESS)  # as a child process
    options = parser.parse_args()
    all_cases = cases(options.files, options.large, options.folders)
    if options.job is not None:
        do_job(options.job[0], all_cases[int(options.job[1])])
        return
    counts = ["--files", options.files, "--large", options.large, "--folders", options.folders]
    rows = [
        list(row(case, measure(case, place, list(map(str, counts)), options.rounds)))
        for place, case in enumerate(all_cases)
        if case.count
    ]
    widths = [max(map(len, column)) for column in zip(COLUMNS, *rows, strict=True)]
    for cells in (list(COLUMNS), ["-" * width for width in widths], *rows):
        print("| " + " | ".join(map(str.ljust, cells, widths)) + " |")


if __name__ == "__main__":
    main()
