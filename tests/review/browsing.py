"""A real browser, and albums to open in it. Modules get the fixtures by assigning them."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

EXAMPLES = Path(__file__).parents[2] / "examples" / "photos"
NAMES = ("chromium", "chromium-browser", "google-chrome")
SOURCES = ("running_dog.jpeg", "kitten.jpeg", "coffee.png")  # in the order of the labels
COLUMNS = ("path", "label", "p_dog", "p_pet", "confidence", "error")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, without a window."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = next(filter(None, map(shutil.which, NAMES)), None)
    if chromium is None:
        pytest.skip("no Chromium")
    with playwright.sync_playwright() as running:
        # Its sandbox does not work for root, and CI runs as root.
        with running.chromium.launch(executable_path=chromium, args=["--no-sandbox"]) as opened:
            yield opened


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Open a separate page; at the end, no script may have failed in any of them."""
    contexts, errors = [], []

    def open_one(address: str, **options: Any) -> Any:
        # Tests would have to wait for motion.
        usual = {"reduced_motion": "reduce", "viewport": {"width": 1440, "height": 900}}
        context = browser.new_context(**{**usual, **options})
        context.set_default_timeout(20_000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(error.stack))
        page.goto(address)
        page.locator(".tile").first.wait_for()
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert not errors, errors


def make_album(folder: Path, names: dict[str, tuple[str, float]]) -> Path:
    """Make a photo for each name, and a table with the label and confidence of each."""
    table = folder / "predictions.csv"
    folder.mkdir(parents=True, exist_ok=True)
    shown = []
    for source in SOURCES:
        picture = Image.open(EXAMPLES / source).convert("RGB")
        picture.thumbnail((240, 240))
        picture.save(folder / "shown.jpg")
        shown.append((folder / "shown.jpg").read_bytes())
    (folder / "shown.jpg").unlink()
    with table.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for name, (label, confidence) in names.items():
            photo = folder / name
            photo.parent.mkdir(parents=True, exist_ok=True)
            kind = {"dog": 0, "cat": 1}.get(label, 2)
            photo.write_bytes(shown[kind])
            numbers = (0.01 if label == "cat" else 0.99, 0.02 if label == "neither" else 0.98)
            error = "" if label else "not an image in a known format"
            given = (*numbers, confidence) if label else ("", "", "")
            writer.writerow((photo, label, *given, error))
    return table


@pytest.fixture
def album_table(tmp_path: Path) -> Path:
    """A table of 40 photos in two folders: ten each are unsure, dog, cat, neither."""
    kinds = ("unsure", "dog", "cat", "neither")
    names = {
        f"{'garden' if number % 2 else 'house'}/{number:02}.jpg": (
            kinds[number // 10],
            0.5 + number / 100,
        )
        for number in range(40)
    }
    return make_album(tmp_path / "album", names)


def labels_in(table: Path) -> dict[str, str]:
    """Return the labels on disk, by name of the photo."""
    with table.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        return {Path(row["path"]).name: row["label"] for row in csv.DictReader(file)}
