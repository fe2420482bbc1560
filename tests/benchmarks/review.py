"""What a page over 100,000 photos costs, in a real browser: run it by hand.

``python tests/benchmarks/review.py`` makes photos and a table in a temporary folder, serves them
with ``dogsort review``, and opens the page in Chromium. It prints how long the page takes to open;
the longest time that any part of the screen shows neither a picture nor a name while the page is
scrolled by wheel, by page and by jumps; how long pictures take to appear after a jump; how long a
correction takes to be saved; and the memory of the server and of the page's process.
"""

from __future__ import annotations

import argparse
import csv
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from PIL import Image

EXAMPLES = Path(__file__).parents[2] / "examples" / "photos"
NAMES = ("chromium", "chromium-browser", "google-chrome")
ADDRESS = re.compile(r"http://\S+token=\S+")

#: In the browser, the shared memory is its cache of decoded pictures, which it frees when memory is
#: short. The program's code is not counted.
FIELDS = ("RssAnon", "RssShmem")

#: In each frame, look at nine places of the grid; note for how long each shows no tile.
WATCH = """() => {
  const grid = document.querySelector('#grid');
  const since = new Map();
  window.blank = 0;
  window.slowest = 0;
  let before = performance.now();
  const look = () => {
    const now = performance.now();
    const { left, top, width, height } = grid.getBoundingClientRect();
    for (const x of [0.1, 0.5, 0.9]) for (const y of [0.05, 0.5, 0.95]) {
      const place = `${x} ${y}`;
      const there = document.elementFromPoint(left + x * width, top + y * height);
      if (there?.closest('.tile')) since.delete(place);
      else since.set(place, since.get(place) ?? before);
      if (since.has(place)) window.blank = Math.max(window.blank, now - since.get(place));
    }
    window.slowest = Math.max(window.slowest, now - before);
    before = now;
    requestAnimationFrame(look);
  };
  look();
}"""

#: How many of the tiles on the screen have their picture, and how many there are.
READY = """() => {
  const box = document.querySelector('#grid').getBoundingClientRect();
  const seen = [...document.querySelectorAll('.tile')].filter(tile => {
    const { top, bottom } = tile.getBoundingClientRect();
    return bottom > box.top && top < box.bottom; });
  return [seen.filter(tile => tile.matches('.ready')).length, seen.length];
}"""


def make_photos(folder: Path, count: int, different: int) -> Path:
    """Make a table of ``count`` rows, and photos: ``different`` files, and links to these."""
    pictures = [
        Image.open(EXAMPLES / name).convert("RGB").resize((1200, 900))
        for name in ("running_dog.jpeg", "kitten.jpeg", "coffee.png")
    ]
    table = folder / "predictions.csv"
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "label", "p_dog", "p_pet", "confidence", "error"))
        for number in range(count):
            photo = folder / f"{number // 1000:03}" / f"IMG_{number:06}.jpg"
            photo.parent.mkdir(exist_ok=True)
            if number < different:
                pictures[number % 3].rotate(number % 7).save(photo, quality=80)
            else:
                source = number % different
                os.link(folder / f"{source // 1000:03}" / f"IMG_{source:06}.jpg", photo)
            label = ("dog", "cat", "neither")[number % 3] if number % 40 else "unsure"
            confidence = 0.5 + number * 7919 % count / (2 * count)
            writer.writerow((photo, label, 0.9, 0.9, round(confidence, 6), ""))
    return table


def memory(process: int) -> str:
    """Return the private and the shared memory of a process."""
    status = Path(f"/proc/{process}/status").read_text()
    own, shared = (int(re.search(rf"{name}:\s+(\d+)", status)[1]) // 1000 for name in FIELDS)
    return f"{own} MB private, {shared} MB shared"


def wait(page: Any, condition: str) -> float:
    """Wait until JavaScript is true; return the seconds."""
    start = time.perf_counter()
    while not page.evaluate(condition):
        time.sleep(0.005)
    return time.perf_counter() - start


def blank(page: Any) -> str:
    longest, slowest = page.evaluate("[window.blank, window.slowest]")
    page.evaluate("window.blank = window.slowest = 0")
    return f"longest blank {longest / 1000:.2f} s, longest frame {slowest / 1000:.2f} s"


def measure(page: Any, address: str) -> None:
    start = time.perf_counter()
    page.goto(address)
    page.locator(".tile").first.wait_for()
    print(f"open, with names: {time.perf_counter() - start:.2f} s")
    wait(page, f"({READY})().every((one, _, both) => one === both[1])")
    print(f"open, with pictures: {time.perf_counter() - start:.2f} s")
    page.locator("#filters label.all").click()
    page.evaluate(f"({WATCH})()")
    box = page.locator("#grid").bounding_box()
    page.mouse.move(box["x"] + 200, box["y"] + 200)
    for _ in range(200):
        page.mouse.wheel(0, 240)
        page.wait_for_timeout(16)
    print(f"wheel, 3,000 pixels a second: {blank(page)}")
    for _ in range(60):
        page.mouse.wheel(0, 3000)
        page.wait_for_timeout(16)
    print(f"wheel, 180,000 pixels a second: {blank(page)}")
    for _ in range(40):
        page.keyboard.press("PageDown")
        page.wait_for_timeout(100)
    print(f"ten pages a second: {blank(page)}")
    seconds = []
    for number in range(1, 20):
        page.evaluate(
            "share => { const grid = document.querySelector('#grid');"
            " grid.scrollTop = grid.scrollHeight * share; }",
            number * 7 % 20 / 20,
        )
        seconds.append(wait(page, f"({READY})().every((one, _, both) => one === both[1])"))
    print(f"jumps: {blank(page)}; pictures after {sorted(seconds)[10]:.2f} s (median)")
    seconds = []
    for key in "dcnu" * 5:
        start = time.perf_counter()
        page.keyboard.press(key)
        wait(page, "document.querySelector('#state').className === 'saved'")
        seconds.append(time.perf_counter() - start)
    print(f"a correction is saved after {sorted(seconds)[10]:.3f} s (median)")
    start = time.perf_counter()
    page.keyboard.press("Control+a")
    page.keyboard.press("d")
    wait(page, "document.querySelector('#state').className === 'saved'")
    print(f"all at once: {time.perf_counter() - start:.2f} s")
    start = time.perf_counter()
    page.keyboard.press("Control+z")
    page.locator("#said", has_text="Undone").wait_for()
    print(f"undone: {time.perf_counter() - start:.2f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=100_000)
    parser.add_argument("--different", type=int, default=2000, help="files; the others are links")
    options = parser.parse_args()
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "album")
        folder.mkdir()
        table = make_photos(folder, options.photos, options.different)
        environment = {**os.environ, "DOGSORT_CACHE": f"{place}/cache", "XDG_STATE_HOME": place}
        command = [sys.executable, "-m", "dogsort", "review", str(table), "--no-browser"]
        start = time.perf_counter()
        with (
            subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as server,
            sync_playwright() as playwright,
        ):
            address = next(found[0] for line in server.stderr if (found := ADDRESS.search(line)))
            print(f"{options.photos} photos; server up: {time.perf_counter() - start:.2f} s")
            executable = next(filter(None, map(shutil.which, NAMES)))
            browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1920, "height": 1080})
            try:
                measure(page, address)
                print(f"server: {memory(server.pid)}")
                for process in renderer_processes():
                    with suppress(OSError, TypeError):  # it has just ended
                        print(f"page: {memory(process)}")
            finally:
                server.terminate()


def renderer_processes() -> list[int]:
    """Return the processes of all browsers here that draw pages; some have no page."""
    return [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and b"--type=renderer" in _words(entry)
    ]


def _words(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""


if __name__ == "__main__":
    main()
