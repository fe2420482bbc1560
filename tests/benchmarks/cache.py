"""Time and memory of a run whose photos are all in the cache; run it by hand.

``python tests/benchmarks/cache.py`` makes files in a folder inside the current one, writes rows for
them into a cache, and times ``dogsort photos -o p.csv`` in separate processes, start included; then
the same with one photo. It prints the medians and the peak memory. ``--files``, ``--folders`` and
``--rounds`` make it shorter.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from statistics import median

PHOTO = Path(__file__).parents[2] / "examples" / "photos" / "kitten.jpeg"

COMMAND = [sys.executable, "-m", "dogsort"]

COLUMNS = ("photos", "seconds", "of them on a core", "MB")

ADD = """
INSERT OR REPLACE INTO photos (folder, name, engine, stamp, p_dog, p_pet)
VALUES ((SELECT folder FROM folders WHERE path = ?), ?, 1, ?, ?, ?)
"""


def plant(files: int, folders: int, cache: Path) -> None:
    """Make files below ``photos``, with different names and times, and their rows in the cache."""
    shutil.copy(PHOTO, "one.jpg")
    subprocess.run([*COMMAND, "one.jpg", "--quiet"], stdout=subprocess.DEVNULL, check=True)
    with closing(sqlite3.connect(cache / "predictions.db")) as database, database:
        for folder in range(folders):
            place = os.path.join("photos", f"{folder:04}")
            os.makedirs(place)
            real = os.fsencode(os.path.realpath(place))
            database.execute("INSERT INTO folders (path) VALUES (?)", (real,))
            for number in range(folder, files, folders):
                name = f"IMG_{number:06}.jpg"
                path = os.path.join(place, name)
                with open(path, "wb") as file:
                    file.write(b"%06d" % number)
                stamp = f"6 {os.stat(path).st_mtime_ns}"
                values = (real, name.encode(), stamp, number / files, 1 - number / files)
                database.execute(ADD, values)


def timed(path: str) -> tuple[float, float]:
    """Run the command; return its seconds of real time and of CPU time."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([*COMMAND, path, "-o", "p.csv", "--quiet"], check=True)
    seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--files", type=int, default=200_000)
    parser.add_argument("--folders", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=os.curdir) as folder:
        os.chdir(folder)
        try:
            os.environ["DOGSORT_CACHE"] = os.path.realpath("cache")
            plant(options.files, options.folders, Path("cache"))
            rows = [COLUMNS, tuple("-" * len(name) for name in COLUMNS)]
            for count, path in ((1, "one.jpg"), (options.files, "photos")):
                times = zip(*(timed(path) for _ in range(options.rounds)), strict=True)
                assert Path("p.csv").read_bytes().count(b"\n") == count + 1
                peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
                rows.append((f"{count:,}", *(f"{median(one):.2f}" for one in times), f"{peak:.0f}"))
        finally:
            os.chdir("..")
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("| " + " | ".join(map(str.ljust, row, widths)) + " |")


if __name__ == "__main__":
    main()
