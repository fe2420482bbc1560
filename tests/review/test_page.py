"""The page in a real browser, as a person uses it."""

from __future__ import annotations

import csv
import os
import re
import shutil
import time
from typing import Any

import browsing
import pytest
from browsing import COLUMNS, labels_in, make_album
from conftest import EXAMPLES, files_below
from served import served
from trees import stop

browser, open_page, table = browsing.browser, browsing.open_page, browsing.album_table

SAVED = "#state.saved"


def press(page: Any, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def active(page: Any) -> str:
    """Return the name of the active photo."""
    return page.locator(".tile.active .name").text_content()


def names(page: Any, which: str = ".tile") -> list[str]:
    """Return the names of photos, in the order of the grid."""
    return page.eval_on_selector_all(
        which,
        "tiles => tiles.sort((a, b) => a.ariaPosInSet - b.ariaPosInSet)"
        ".map(tile => tile.querySelector('.name').textContent)",
    )


def until(page: Any, condition: str) -> None:
    """Wait until JavaScript is true; the page's policy forbids Playwright's own way."""
    end = time.monotonic() + 30
    while not page.evaluate(condition):
        assert time.monotonic() < end, condition
        page.wait_for_timeout(20)


def show(page: Any, name: str) -> None:
    page.locator(f"#filters label.{name}").click()


def middle(page: Any, position: int) -> tuple[float, float]:
    box = page.locator(f"#tile{position}").bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_corrects_ten_by_keys_a_range_and_undoes_two(table, open_page):
    before = labels_in(table)
    with served(table) as server:
        page = open_page(server.address)
        assert page.locator("#filters label:has(:checked)").inner_text().split() == ["Unsure", "10"]
        assert active(page) == "00.jpg"  # the least sure one
        press(page, "d", "c", "n", "u", "r", "d", "d", "c", "ArrowLeft", "n", "d", "c")
        page.locator(SAVED).wait_for()
        ten = ["dog", "cat", "neither", "unsure", "unsure", "dog", "dog", "neither", "dog", "cat"]
        assert list(labels_in(table).values())[:10] == ten
        show(page, "dog")
        press(page, "ArrowRight", "Shift+ArrowRight", "Shift+ArrowRight", "n")
        page.locator(SAVED).wait_for()
        assert list(labels_in(table).values())[10:15] == ["dog", *["neither"] * 3, "dog"]
        press(page, "Control+z", "Control+z")
        page.get_by_text("Undone: 1 photo").wait_for()
        ten[9] = "unsure"
        assert list(labels_in(table).values())[:15] == [*ten, *["dog"] * 5]
        assert page.locator("#tally").inner_text() == "9 of 40 reviewed, 7 changed"
        show(page, "cat")
        press(page, "r", "d")  # of two that the network had labelled, one was wrong
        page.locator(SAVED).wait_for()
        tally = page.locator("#tally")
        assert tally.inner_text() == "11 of 40 reviewed, 8 changed"
        assert "2 photos that you" in tally.get_attribute("title")
        assert "1 had a wrong label: 50%, with a 95% interval of 9.5% to 90.5%" in (
            tally.get_attribute("title")
        )
        press(page, *["Control+z"] * 15)
        page.get_by_text("Nothing to undo").wait_for()
    assert labels_in(table) == before


@pytest.mark.slow
def test_all_shown_are_right_confirms_a_screen_and_goes_on(table, open_page):
    with served(table) as server:
        page = open_page(server.address, viewport={"width": 900, "height": 700})
        show(page, "all")
        seen = page.evaluate(
            "() => { const box = document.querySelector('#grid').getBoundingClientRect();"
            " return [...document.querySelectorAll('.tile')].filter(tile => {"
            " const { top, bottom } = tile.getBoundingClientRect();"
            " return top > box.top - 9 && bottom < box.bottom + 9; }).length }"
        )
        assert 4 < seen < 20
        press(page, "Shift+A")
        page.locator(SAVED).wait_for()
        assert page.locator("#count-looked").inner_text() == str(seen)
        assert page.locator(".tile.active").get_attribute("aria-posinset") == str(seen + 1)
        press(page, "s")  # reviewed photos go to the end
        assert names(page)[0] == f"{seen:02}.jpg"
        # A whole list, by two keys and a button.
        press(page, "Control+a")
        page.get_by_text("40 selected").wait_for()
        page.locator("footer [data-set=cat]").click()
        page.locator(SAVED).wait_for()
        assert set(labels_in(table).values()) == {"cat"}
        press(page, "Control+z")
        page.get_by_text("Undone: 40 photos").wait_for()


@pytest.mark.slow
def test_filters_search_order_and_slider(table, open_page):
    os.utime(table.parent / "garden" / "21.jpg", (1, 1))
    with served(table) as server:
        page = open_page(server.address)
        show(page, "cat")
        assert len(names(page)) == 10
        show(page, "all")
        press(page, "/")
        page.keyboard.type("House")
        page.get_by_text("20 photos").first.wait_for()
        press(page, "d", "Escape")  # letters typed in the field set no label
        page.get_by_text("No photos here").wait_for()
        page.locator("#search").fill("")
        assert labels_in(table)["00.jpg"] == "unsure"
        page.locator("#upTo").fill("1")
        assert page.locator("#upToValue").inner_text() == "up to 60%"
        assert names(page) == [f"{n:02}.jpg" for n in range(11)]
        page.locator("#upTo").fill("12")
        page.locator("#order").select_option("path")
        assert names(page)[:2] == ["01.jpg", "03.jpg"]
        page.locator("#order").select_option("old")
        until(page, "document.querySelector('#tile0 .name').textContent === '21.jpg'")
        page.locator("#order").select_option("young")
        until(page, "document.querySelector('#tile39 .name').textContent === '21.jpg'")
        columns = "getComputedStyle(document.querySelector('.tile')).width"
        width = page.evaluate(columns)
        page.locator("#grid").focus()
        press(page, "-", "-")
        assert page.evaluate(columns) != width


@pytest.mark.parametrize("width", [390, 1200])
def test_view_closes_with_escape_and_a_click_elsewhere(table, open_page, width):
    with served(table) as server:
        page = open_page(server.address, viewport={"width": width, "height": 800})
        view, controls = page.locator("#more"), page.locator("#controls")
        press(page, "Control+a")
        view.click()
        controls.locator("#order").focus()
        press(page, "Escape")
        assert not controls.is_visible()
        assert view.evaluate("button => button === document.activeElement")
        assert names(page, ".selected")
        view.click()
        page.locator("#search").click()
        page.keyboard.type("0")
        assert controls.is_visible()
        page.locator("h1").click()
        assert not controls.is_visible()
        view.click()
        view.click()
        assert not controls.is_visible()


def test_the_large_view_labels_and_goes_on(table, open_page):
    with served(table) as server:
        page = open_page(server.address)
        press(page, "Enter")
        viewer = page.locator("#viewer")
        viewer.get_by_text("JPEG").wait_for()
        assert "JPEG" in viewer.locator(".facts").inner_text()
        until(page, "document.querySelector('.stage img').src.includes('/photo/')")
        width = "document.querySelector('.stage img').getBoundingClientRect().width"
        whole = page.evaluate(width)
        press(page, "+", "+", "Shift+ArrowRight")
        assert page.evaluate(width) > 1.9 * whole
        assert page.evaluate("document.querySelector('.stage').scrollLeft") > 0
        page.mouse.move(300, 300)
        page.mouse.wheel(0, 2000)
        until(page, f"{width} < {whole} + 1")
        press(page, "d", "ArrowRight", "n")
        assert viewer.locator(".place").inner_text() == "4 of 10"
        press(page, "ArrowLeft")
        viewer.get_by_text("set by you · dogsort said unsure").wait_for()
        press(page, "Control+z")
        viewer.locator(".chip", has_text="unsure").wait_for()
        press(page, "Escape")
        assert not viewer.is_visible()
        assert active(page) == "02.jpg"
        assert list(labels_in(table).values())[:4] == ["dog", "unsure", "unsure", "unsure"]


def test_press_and_drag_selects_and_a_click_with_shift_too(table, open_page):
    with served(table) as server:
        page = open_page(server.address)
        show(page, "all")
        page.mouse.move(*middle(page, 1))
        page.mouse.down()
        page.mouse.move(*middle(page, 2), steps=3)
        page.mouse.move(*middle(page, 4), steps=3)
        page.mouse.up()
        assert names(page, ".selected") == ["01.jpg", "02.jpg", "03.jpg", "04.jpg"]
        page.locator("#tile2").click()  # deselects it
        page.locator("#tile5").click(modifiers=["Shift"])
        assert names(page, ".selected") == [f"0{n}.jpg" for n in range(1, 6)]
        press(page, "Escape")
        page.locator("#tile0").click(modifiers=["Control"])
        page.locator("#tile3 .tick").click()
        assert names(page, ".selected") == ["00.jpg", "03.jpg"]
        press(page, "Escape")
        page.locator("#tile3").dblclick()
        assert page.locator("#viewer .path").inner_text().endswith("03.jpg")


def test_a_finger_holds_and_drags_to_select_and_taps_to_look(table, open_page):
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    with served(table) as server:
        page = open_page(server.address, **phone)
        show(page, "all")
        session = page.context.new_cdp_session(page)

        def touch(kind: str, *at: float) -> None:
            points = [{"x": at[0], "y": at[1]}] if at else []
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

        touch("touchStart", *middle(page, 1))
        page.locator("#tile1.selected").wait_for()
        touch("touchMove", *middle(page, 2))
        touch("touchMove", *middle(page, 4))
        page.locator("#tile4.selected").wait_for()
        touch("touchEnd")
        assert names(page, ".selected") == ["01.jpg", "02.jpg", "03.jpg", "04.jpg"]
        assert page.evaluate("document.querySelector('#grid').scrollTop") == 0
        page.locator("footer [data-set=dog]").tap()
        page.locator(SAVED).wait_for()
        assert list(labels_in(table).values())[:6] == ["unsure", *["dog"] * 4, "unsure"]
        x, y = middle(page, 4)  # a finger that moves at once scrolls
        touch("touchStart", x, y)
        for step in range(1, 6):
            touch("touchMove", x, y - 40 * step)
        touch("touchEnd")
        until(page, "document.querySelector('#grid').scrollTop > 20")
        assert not names(page, ".selected")
        page.locator(".tile.active").tap()
        assert page.locator("#viewer").is_visible()


@pytest.mark.slow
def test_a_reload_in_the_middle_goes_on_there(table, open_page):
    with served(table) as server:
        page = open_page(server.address)
        show(page, "dog")
        page.locator("#order").select_option("path")
        press(page, "ArrowRight", "ArrowRight", "n")
        here = active(page)
        page.reload()
        page.locator(".tile.active").wait_for()
        assert active(page) == here
        assert page.locator("#filters label:has(:checked)").inner_text().split() == ["Dog", "9"]
        assert page.locator("#order").input_value() == "path"
        press(page, "Control+z")
        page.get_by_text("Undone: 1 photo").wait_for()
        assert "neither" not in list(labels_in(table).values())[10:20]


@pytest.mark.slow
def test_two_pages_on_one_table_see_each_other(table, open_page):
    with served(table) as server:
        one, other = (open_page(server.address) for _ in range(2))
        press(one, "d")
        other.locator("#tile0.dog.by-you").wait_for()
        press(other, "ArrowRight", "c")
        one.locator("#tile1.cat.by-you").wait_for()
        press(one, "Control+z")  # the last correction, whoever made it
        other.locator("#tile1.unsure:not(.by-you)").wait_for()
        assert list(labels_in(table).values())[:3] == ["dog", "unsure", "unsure"]


SLOW = ("range", "all shown", "undo")


@pytest.mark.parametrize(
    "kind", ["one", *(pytest.param(kind, marks=pytest.mark.slow) for kind in SLOW)]
)
def test_a_killed_server_loses_nothing_that_was_shown_as_saved(table, open_page, kind):
    keys = {
        "one": ["d"],
        "range": ["Shift+ArrowRight", "Shift+ArrowDown", "c"],
        "all shown": ["Shift+A"],
        "undo": ["d", "n", "Control+z"],
    }
    with served(table) as server:
        page = open_page(server.address)
        press(page, *keys[kind])
        page.locator(SAVED).wait_for()
        shown = page.evaluate(
            "[...document.querySelectorAll('.tile')]"
            ".sort((a, b) => a.ariaPosInSet - b.ariaPosInSet)"
            ".map(tile => tile.className.split(' ')[1] + (tile.matches('.by-you') ? '+' : ''))"
        )
        server.kill()
        page.get_by_text(re.compile("dogsort has stopped.*is in .*predictions.csv")).wait_for()
        press(page, "ArrowRight", "n")
        page.get_by_text("Not saved: 1 photo").wait_for()
    table_now = table.read_text().splitlines()
    columns = table_now[0].split(",")
    rows = [dict(zip(columns, line.split(","), strict=True)) for line in table_now[1:]]
    saved = [row["label"] + ("+" if row["network_label"] else "") for row in rows]
    assert shown == saved[:10]


@pytest.mark.slow
def test_what_could_not_be_sent_is_sent_again(table, open_page):
    with served(table) as server:
        page = open_page(server.address)
        page.route("**/labels", lambda route: route.abort())
        press(page, "d")
        page.get_by_text("Not saved: 1 photo").wait_for()
        press(page, "c")
        page.get_by_text("Not saved: 2 photos").wait_for()
        assert list(labels_in(table).values())[:2] == ["unsure", "unsure"]
        page.unroute("**/labels")
        page.locator(SAVED).wait_for()
        page.locator("#notice").wait_for(state="hidden")
        assert list(labels_in(table).values())[:2] == ["dog", "cat"]


@pytest.mark.slow
def test_another_program_changes_the_table_and_the_page_goes_on(table, open_page):
    with served(table) as server:
        page = open_page(server.address)
        press(page, "d", "ArrowRight")
        page.locator(SAVED).wait_for()
        head, *lines = table.read_text().splitlines(keepends=True)
        table.write_text("".join([head, *lines[5:10], *lines[:5], *lines[10:-1]]))
        page.get_by_text("Another program changed the table").wait_for()
        page.locator(".tile.active").wait_for()
        assert page.locator("#count-all").inner_text() == "39"
        assert active(page) == "02.jpg"
        press(page, "n")
        page.locator(SAVED).wait_for()
        labels = labels_in(table)
        assert (labels["00.jpg"], labels["02.jpg"], labels["03.jpg"]) == (
            "dog",
            "neither",
            "unsure",
        )


@pytest.mark.slow
def test_photos_appear_while_they_are_classified(album, open_page):
    shutil.copy(EXAMPLES / "ORIGINS.md", album / "broken.jpg")
    with served(album) as server:
        page = open_page(server.address)
        until(page, "document.querySelector('#count-all').textContent === '7'")
        page.locator("#progress").wait_for(state="hidden")
        counts = {name: page.locator(f"#count-{name}").inner_text() for name in ("dog", "cat")}
        assert counts == {"dog": "1", "cat": "2"}
        show(page, "failed")
        failed = page.locator("#tile0")
        assert "not an image in a known format" in failed.get_attribute("aria-label")
        page.locator("#done").click()
        page.get_by_text("You can close this page").wait_for()
        assert server.wait() == 0


AWKWARD = (
    "<img src=x onerror=alert(1)>.jpg",
    "</script><script>alert(2)<script>.jpg",
    "line\nbreak.jpg",
    "\u202egpj.exe.jpg",
    "שלום עולם.jpg",
    "caf\udce9.jpg",
    "%2e%2e%2fpasswd?size=1#.jpg",
    "a" * 200 + ".jpg",
    "  spaces  .jpg",
)


@pytest.mark.slow
def test_names_can_be_anything(tmp_path, open_page):
    table = make_album(tmp_path / "al\udcffbum", dict.fromkeys(AWKWARD, ("unsure", 0.5)))
    with served(table, cwd=tmp_path) as server:
        page = open_page(server.address)
        page.on("dialog", lambda dialog: pytest.fail(dialog.message))
        until(page, "document.querySelectorAll('.tile.ready').length === 9")
        shown = names(page)
        assert AWKWARD[0] in shown
        assert AWKWARD[1].split("/")[-1] in shown
        assert {"line\\u000abreak.jpg", "\\u202egpj.exe.jpg", "caf\\udce9.jpg"} <= set(shown)
        press(page, "Control+a", "d")
        page.locator(SAVED).wait_for()
        press(page, "Home", "Enter")
        page.locator("#viewer").get_by_text("JPEG").wait_for()
        assert page.evaluate("document.scripts.length") == 1
    assert set(labels_in(table).values()) == {"dog"}


@pytest.mark.slow
def test_a_large_album_is_in_the_page_only_around_what_is_seen(tmp_path, open_page):
    table = tmp_path / "large.csv"
    rows = (f"{tmp_path}/{n % 100:03}/{n:06}.jpg,dog,0.99,0.99,0.9,\n" for n in range(20_000))
    table.write_text(",".join(COLUMNS) + "\n" + "".join(rows))
    with served(table) as server:
        page = open_page(server.address)
        assert page.locator(".tile").count() < 200
        press(page, "End")
        assert page.locator(".tile.active").get_attribute("aria-posinset") == "20000"
        assert page.locator(".tile").count() < 200
        assert not page.evaluate(_BLANK)
        page.evaluate("document.querySelector('#grid').scrollTop = 200000")
        until(page, f"!({_BLANK})()")


#: Whether any place of the grid shows no tile.
_BLANK = """() => {
  const { left, top, width, height } = document.querySelector('#grid').getBoundingClientRect();
  return [0.1, 0.5, 0.9].some(y =>
    !document.elementFromPoint(left + 0.1 * width, top + y * height).closest('.tile'));
}"""


def test_files_and_undoes(table, open_page):
    before = files_below(table.parent)
    with served(table, "--photos", table.parent) as server:
        page = open_page(server.address)
        press(page, "d", "c")
        page.locator("#file").click()
        filing = page.locator("#filing")
        filing.get_by_text("11 photos to").first.wait_for()
        filing.get_by_text("Neither", exact=True).click()
        filing.get_by_text("10 photos to").wait_for()
        filing.get_by_text("Neither", exact=True).click()
        filing.get_by_role("button", name="Move 22 photos").click()
        undo = filing.get_by_role("button", name="Undo the last filing (22 photos)")
        undo.wait_for()
        filing.get_by_text("Moved 22 photos.").wait_for()
        assert len(list((table.parent / "dog").iterdir())) == 11
        filing.get_by_role("button", name="Close").click()
        show(page, "dog")
        page.locator("#tile0.ready").wait_for()  # from where it is now
        assert page.locator("#tile0 .chip").inner_text().endswith("· in dog/")
        assert page.locator("#tile0").get_attribute("aria-label").endswith(", in dog/")
        press(page, "Enter")
        page.locator("#viewer").get_by_text(re.compile(r"in dog/\d\d.jpg")).wait_for()
        press(page, "Escape")
        page.locator("#file").click()
        filing.get_by_text("There is nothing to file").wait_for()
        undo.wait_for()
        filing.get_by_role("button", name="Close").click()
    with served(table, "--photos", table.parent) as server:
        page = open_page(server.address)
        page.locator("#file").click()
        filing = page.locator("#filing")
        filing.get_by_role("button", name="Undo the last filing (22 photos)").click()
        filing.get_by_text("Put back 22 photos.").wait_for()
        assert not filing.get_by_role("button", name="Undo").is_visible()
        filing.get_by_role("button", name="Close").click()
    now = files_below(table.parent)
    assert sorted(now.values()) != sorted(before.values())  # the table changed
    del now[table.name], before[table.name]
    assert sorted(now.values()) == sorted(before.values())


@pytest.mark.slow
def test_what_was_filed_is_counted_and_failures_apart(table, open_page):
    (table.parent / "house" / "10.jpg.xmp").write_text("sidecar")
    with served(table, "--photos", table.parent) as server:
        page = open_page(server.address)
        page.locator("#file").click()
        filing = page.locator("#filing")
        go = filing.get_by_role("button", name="Copy 20 photos")
        filing.get_by_text("Copy into").click()
        go.wait_for()
        (table.parent / "house" / "12.jpg").unlink()
        go.click()
        copied = "Copied 19 photos and 1 sidecar file."
        filing.get_by_text(copied).wait_for()
        filing.get_by_text("Failed: 1 file.").wait_for()
        filing.get_by_role("button", name="Undo the last filing").click()
        filing.get_by_text("Removed the copies of 19 photos and 1 sidecar file.").wait_for()
        filing.get_by_role("button", name="Close").click()
        page.locator("#file").click()
        filing.get_by_role("button", name="Copy 19 photos").click()
        filing.get_by_text(copied).wait_for()
        filing.get_by_role("button", name="Close").click()
        page.locator("#done").click()
        page.get_by_text(f"{copied} To undo that, run: dogsort undo {table.parent}").wait_for()


def file_and_wait(server: Any) -> dict[str, Any]:
    """File all photos without the page; return the finished job."""
    server.post("/file", {"generation": server.album()["generation"], "action": "move"})
    while not (job := server.album()["job"])["finished"]:
        time.sleep(0.01)
    return job


def test_a_run_that_was_killed_is_finished_and_the_page_says_so(table, open_page):
    places = {path.name: path for path in table.parent.glob("*/*.jpg")}
    with served(table, "--photos", table.parent) as server:
        file_and_wait(server)
    stop(table.parent)
    for path in [*table.parent.glob("dog/*"), *table.parent.glob("cat/*")]:
        path.rename(places[path.name])  # it was killed before the first
    with served(table, "--photos", table.parent) as server:
        page = open_page(server.address)
        page.locator("#file").click()
        filing = page.locator("#filing")
        filing.get_by_role("button", name="Move 20 photos").click()
        filing.get_by_text("was interrupted; now finished: 20 files filed").wait_for()
        assert not filing.get_by_text("Moved").is_visible()
        filing.get_by_role("button", name="Undo the last filing (20 photos)").click()
        filing.get_by_text("Put back 20 photos.").wait_for()


@pytest.mark.slow
def test_answers_that_come_late_do_not_hide_the_job(table, open_page):
    with served(table, "--photos", table.parent) as server:
        page = open_page(server.address)
        filing = page.locator("#filing")
        undo = filing.get_by_role("button", name="Undo the last filing (20 photos)")

        def later(route: Any) -> None:
            answer = route.fetch()
            page.wait_for_timeout(2500)
            route.fulfill(response=answer)

        def after_the_job(route: Any) -> None:
            route.fetch()
            page.wait_for_timeout(2500)
            route.fulfill(status=202, json=server.album()["job"])

        # The job ends before the server answers that it has begun.
        page.route("**/file", after_the_job)
        page.locator("#file").click()
        filing.get_by_role("button", name="Move 20 photos").click()
        undo.wait_for()
        page.wait_for_timeout(4000)
        assert filing.get_by_text("Moved 20 photos.").is_visible()
        # A plan that comes after the undo has begun.
        filing.get_by_role("button", name="Close").click()
        page.locator("#file").click()
        filing.get_by_text("There is nothing to file").wait_for()
        page.unroute("**/file")
        page.route("**/plan", later)
        filing.get_by_text("Copy into").click()
        undo.click()
        page.wait_for_timeout(4000)
        assert filing.get_by_text("Put back 20 photos.").is_visible()
        # News from before the job.
        page.unroute("**/plan")
        filing.get_by_role("button", name="Close").click()
        page.locator("#file").click()
        page.route("**/changes*", later)
        page.wait_for_timeout(1500)
        filing.get_by_role("button", name=re.compile("(Move|Copy) 20 photos")).click()
        filing.get_by_text(re.compile("(Moved|Copied) 20 photos.")).wait_for()
        assert not filing.get_by_text("Put back").is_visible()
        page.wait_for_timeout(3000)
        assert filing.get_by_text(re.compile("(Moved|Copied) 20 photos.")).is_visible()
        page.unroute_all(behavior="wait")


@pytest.mark.slow
def test_a_server_that_dies_while_it_files_leaves_no_dialog(table, open_page):
    photos = {f"dog{number}.jpg": ("dog", 0.9) for number in range(20_000)}
    table = make_album(table.parent.parent / "many", photos)
    with served(table, "--photos", table.parent) as server:
        page = open_page(server.address)
        page.locator("#file").click()
        filing = page.locator("#filing")
        filing.get_by_role("button", name="Move 20,000 photos").click()
        filing.get_by_role("button", name="Stop").wait_for()
        server.kill()
        filing.wait_for(state="hidden")
        page.get_by_text("dogsort has stopped").wait_for()


@pytest.mark.slow
def test_a_messy_folder_is_sorted_through_the_page_as_its_truth_says(tmp_path, data, open_page):
    album = tmp_path / "photos"
    shutil.copytree(data / "photos", album)
    before = files_below(album)
    with open(data / "photos_truth.csv", newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["truth"] != "ignored"]
    truth = {row["path"]: row["truth"] for row in rows}
    keys = {"dog": "d", "cat": "c", "neither": "n", "both": "u", "error": "ArrowRight"}
    with served(album) as server:
        page = open_page(server.address)
        page.locator("#progress").wait_for(state="hidden", timeout=200_000)
        show(page, "all")
        page.locator("#order").select_option("path")
        press(page, "Home")
        total = int(page.locator("#count-all").inner_text())
        for _ in range(total):
            title = page.locator(".tile.active").get_attribute("title")
            press(page, keys[truth[title.removeprefix(f"{album}/")]])
        page.locator(SAVED).wait_for()
        page.locator("#file").click()
        filing = page.locator("#filing")
        filing.get_by_role("button", name=re.compile(r"Move \d+ photos")).click()
        filing.get_by_role("button", name="Undo the last filing").wait_for()
        there = files_below(album)
        for path, kind in truth.items():
            moved = before[path] in (
                content for name, content in there.items() if name.startswith(f"{kind}/")
            )
            stayed = there.get(path) == before[path]
            assert moved or stayed, path
            # Of two identical photos, one is filed.
            assert stayed != (kind in ("dog", "cat")) or path.startswith("dup/"), path
        filing.get_by_role("button", name="Undo the last filing").click()
        filing.get_by_text("Put back").wait_for()
        now = files_below(album)
        assert now.pop("dogsort-review.csv")
        assert now == before
