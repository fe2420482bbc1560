"""Make the picture of the page in the README: dogsort review, with the example photos.

``python .github/page.py`` writes ``page.webp`` beside itself. It needs Chromium.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

HERE = Path(__file__).resolve().parent
ADDRESS = re.compile(r"http://\S+token=\S+")
SIZE = {"width": 1060, "height": 846}  # CSS pixels: two rows of three photos
SHARPNESS = 1.5  # pixels per CSS pixel
NAMES = ("chromium", "chromium-browser", "google-chrome")


def picture(address: str) -> bytes:
    """Use the page a little; return what it looks like then, as PNG."""
    with sync_playwright() as playwright:
        chromium = next(filter(None, map(shutil.which, NAMES)))
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE, device_scale_factor=SHARPNESS, color_scheme="light")
        page.goto(address)
        page.locator("#count-all", has_text="6").wait_for()
        page.locator("#progress").wait_for(state="hidden")
        page.locator("#grid").focus()
        page.locator("#tileSize").evaluate("slider => slider.value = 320")
        page.locator("#tileSize").dispatch_event("input")
        for key in ("r", "r", "ArrowRight", "Shift+ArrowRight"):
            page.keyboard.press(key)
        page.locator("#state.saved").wait_for()
        while page.locator(".tile.ready").count() < 6:
            page.wait_for_timeout(50)
        page.wait_for_timeout(500)  # until pictures have faded in
        shown = page.screenshot()
        browser.close()
        return shown


def main() -> None:
    """Serve the example photos, and draw the page."""
    with tempfile.TemporaryDirectory() as place:
        photos = Path(place, "photos")
        shutil.copytree(
            HERE.parent / "examples" / "photos", photos, ignore=lambda *_: ["ORIGINS.md"]
        )
        environment = {**os.environ, "DOGSORT_CACHE": f"{place}/cache", "XDG_STATE_HOME": place}
        command = [sys.executable, "-m", "dogsort", "review", "photos", "--no-browser"]
        with subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, env=environment, cwd=place
        ) as server:
            assert server.stderr is not None
            address = next(found[0] for line in server.stderr if (found := ADDRESS.search(line)))
            try:
                shown = picture(address)
            finally:
                server.terminate()
    Image.open(io.BytesIO(shown)).convert("RGB").save(HERE / "page.webp", quality=80, method=6)


if __name__ == "__main__":
    main()
