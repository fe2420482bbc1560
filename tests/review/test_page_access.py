"""The page for everyone: by keyboard, with a screen reader, in either scheme, on any screen."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import browsing
import pytest
from served import served

browser, open_page, table = browsing.browser, browsing.open_page, browsing.album_table

GRAVE = ("serious", "critical")


def complaints(page: Any) -> list[str]:
    """Return what axe-core finds serious."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    found = axe.Axe().run(page).response
    assert found["passes"]
    return [
        f"{one['id']}: {node['html']} {node['failureSummary']}"
        for one in found["violations"]
        if one["impact"] in GRAVE
        for node in one["nodes"]
    ]


def look_everywhere(page: Any, table: Path) -> None:
    page.locator("#tile0.ready").wait_for()
    assert not complaints(page)
    for key in ("d", "Shift+ArrowRight", "Shift+ArrowRight"):
        page.keyboard.press(key)
    page.locator("#state.saved").wait_for()
    assert not complaints(page)
    page.keyboard.press("Enter")
    page.locator("#viewer").get_by_text("JPEG").wait_for()
    assert not complaints(page)
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    assert not complaints(page)
    page.keyboard.press("Escape")
    if not page.locator("#more").is_hidden():
        page.locator("#more").click()
        assert not complaints(page)
        page.locator("#more").click()
    page.locator("#file").click()
    page.get_by_role("button", name=re.compile("Move")).wait_for()
    assert not complaints(page)
    page.keyboard.press("Escape")
    page.locator("#search").evaluate("field => field.value = 'no such name'")
    page.locator("#search").dispatch_event("input")
    page.get_by_text("No photos here").wait_for()
    assert not complaints(page)


@pytest.mark.parametrize(
    ("scheme", "size"),
    [
        ("light", (1440, 900)),
        pytest.param("dark", (1440, 900), marks=pytest.mark.slow),
        pytest.param("light", (320, 640), marks=pytest.mark.slow),
        pytest.param("dark", (3840, 2160), marks=pytest.mark.slow),
    ],
)
def test_axe_finds_nothing_serious(table, open_page, scheme, size):
    with served(table, "--photos", table.parent) as server:
        viewport = {"width": size[0], "height": size[1]}
        page = open_page(server.address, color_scheme=scheme, viewport=viewport)
        look_everywhere(page, table)


@pytest.mark.slow
@pytest.mark.parametrize("width", [320, 390, 820, 1024, 1280, 1440, 1920, 3840])
def test_everything_fits(table, open_page, width):
    with served(table) as server:
        page = open_page(server.address, viewport={"width": width, "height": max(600, width // 2)})
        beyond = page.evaluate(
            "() => [...document.querySelectorAll('header *, footer *')].filter(one => {"
            " const { left, right, width } = one.getBoundingClientRect();"
            " return width > 1 && !one.closest('#filters, [popover], .unseen') &&"
            " (left < 0 || right > innerWidth); }).map(one => one.outerHTML)"
        )
        assert not beyond
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        grid = page.locator("#grid").bounding_box()
        assert grid["height"] > page.viewport_size["height"] / 2


def test_the_keyboard_reaches_everything_and_says_what_is_there(table, open_page):
    with served(table) as server:
        page = open_page(server.address)
        snapshot = page.locator("body").aria_snapshot()
        for part in ('listbox "Photos"', 'radio "Unsure 10"', 'button "File photos"', "combobox"):
            assert part in snapshot
        photos = page.get_by_role("listbox")
        assert photos.get_by_role("option", selected=False).count() == 10
        first = photos.get_by_role("option").first
        assert first.get_attribute("aria-label").startswith("00.jpg, unsure (dog 50%)")
        assert first.get_attribute("aria-setsize") == "10"
        reached = set()
        for _ in range(30):
            page.keyboard.press("Tab")
            reached.add(
                page.evaluate("document.activeElement.id || document.activeElement.dataset.set")
            )
        expected = {"search", "undo", "help", "file", "done", "order", "upTo", "tileSize", "fit"}
        assert expected | {"grid", "dog", "cat", "neither", "unsure", "allRight"} <= reached
        # Keyboard users stay where they are; letters outside the grid do nothing.
        page.locator("#fit").focus()
        page.keyboard.press("Space")
        assert page.evaluate("document.activeElement.id") == "fit"
        page.keyboard.press("d")
        assert page.locator("#count-looked").inner_text() == "0"
        page.locator("#grid").focus()
        page.keyboard.press("c")
        page.get_by_role("status").get_by_text("00.jpg: cat").wait_for()
        assert first.get_attribute("aria-label") == "00.jpg, cat, set by you"
        assert page.locator("#grid").get_attribute("aria-activedescendant") == "tile1"
        # After a click, keys go to the grid.
        page.locator("[data-set=dog]").first.click()
        page.keyboard.press("n")
        assert page.locator("#count-looked").inner_text() == "3"
        page.locator("#filters label.unsure").click()  # which is already chosen
        page.keyboard.press("u")
        assert page.locator("#count-looked").inner_text() == "4"


def test_the_page_needs_no_other_host(table, open_page):
    with served(table) as server:
        page = open_page(server.address)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        refused: list[str] = []
        page.on("console", lambda message: refused.append(message.text))
        page.reload()
        page.locator("#tile0.ready").wait_for()
        page.keyboard.press("Enter")
        page.locator("#viewer").get_by_text("JPEG").wait_for()
        assert {url.split("/")[2] for url in asked} == {f"127.0.0.1:{server.port}"}
        assert not refused
