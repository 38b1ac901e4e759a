"""Pixels and areas in a real browser: each tool, by pointer and by keys."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from io import BytesIO
from typing import Any
from urllib.parse import urljoin

import numpy as np
import pytest
from skimage.measure import label

from .conftest import CLASSES, Site, photograph, wait_for_map
from .test_explorer import api, ask, by_id, image_ids, plain_number, point, question, text

pytestmark = pytest.mark.browser

Way = list[tuple[int, int]]


def drag(page: Any, way: Way, *, picture: str = "input", remove: bool = False) -> None:
    """Draw along some pixels, with Alt to remove."""
    if remove:
        page.keyboard.down("Alt")
    page.mouse.move(*point(page, picture, *way[0]))
    page.mouse.down()
    for place in way[1:]:
        page.mouse.move(*point(page, picture, *place), steps=3)
    page.mouse.up()
    if remove:
        page.keyboard.up("Alt")


def marked(sent: dict[str, Any], shape: tuple[int, int] = (120, 160)) -> np.ndarray[Any, Any]:
    """Return the pixels of a region that travelled as a mask."""
    region = sent["region"]
    assert region["kind"] == "mask"
    assert tuple(region["size"]) == shape
    runs = region["runs"]
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(shape)


def until(page: Any, expression: str) -> None:
    """Wait until JavaScript says so; the page itself is forbidden to evaluate text again and again."""
    deadline = time.monotonic() + 30
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, expression
        page.wait_for_timeout(20)


def pixels_shown(page: Any) -> int:
    return int(text(page, "region-count").split()[0].replace(",", ""))


def pixels_answered(page: Any, site: Site, sent: dict[str, Any]) -> int:
    """Return how many pixels the server counts in the region of a question."""
    address = urljoin(site.address, f"api/images/{image_ids(page, site)['farm0.png']}/attribution")
    header = api(page, address, sent).headers["x-segscope-attribution"]
    return int(json.loads(header)["region_pixels"])


def predicted_mask(page: Any, site: Site) -> np.ndarray[Any, Any]:
    address = urljoin(site.address, f"api/images/{image_ids(page, site)['farm0.png']}/mask")
    return np.load(BytesIO(api(page, address).body()))


def barn() -> tuple[int, int]:
    """Return a pixel in the middle of the barn."""
    _, truth = photograph(0)
    rows, columns = np.nonzero(truth == 2)
    return int(rows.mean()), int(columns.mean())


def test_brush_paints_what_it_passes(page: Any, site: Site) -> None:
    by_id(page, "tool-brush").click()
    by_id(page, "brush-size").fill("9")
    sent = ask(page, lambda: drag(page, [(40, 30), (40, 70)]))
    pixels = marked(sent)
    assert pixels[40, 30:71].all()
    assert pixels[37:44, 50].all()
    assert not pixels[:34].any()
    assert not pixels[47:].any()
    assert pixels_shown(page) == pixels.sum() == pixels_answered(page, site, sent)


def test_strokes_add_and_alt_removes(page: Any) -> None:
    by_id(page, "tool-brush").click()
    first = marked(ask(page, lambda: drag(page, [(40, 30), (40, 70)])))
    both = marked(ask(page, lambda: drag(page, [(80, 30), (80, 70)])))
    assert both[first].all()
    assert both[80, 30:71].all()
    less = marked(ask(page, lambda: drag(page, [(20, 50), (100, 50)], remove=True)))
    assert not less[:, 50].any()
    assert less[40, 32]
    assert less[80, 68]
    by_id(page, "operation-remove").click()
    least = marked(ask(page, lambda: drag(page, [(80, 20), (80, 90)])))
    assert not least[80].any()
    by_id(page, "operation-replace").click()
    anew = marked(ask(page, lambda: drag(page, [(100, 100), (100, 110)])))
    assert not anew[:90].any()


def test_lasso_takes_what_it_encircles(page: Any, site: Site) -> None:
    page.keyboard.press("l")
    sent = ask(page, lambda: drag(page, [(20, 30), (20, 90), (70, 90), (70, 30)]))
    assert sent["region"]["kind"] == "polygon"
    assert 4 <= len(sent["region"]["points"]) <= 8
    assert pixels_shown(page) == pixels_answered(page, site, sent)
    assert pixels_shown(page) == pytest.approx(50 * 60, rel=0.05)


def test_lasso_is_cornered_by_clicks(page: Any, site: Site) -> None:
    by_id(page, "tool-lasso").click()

    def corners() -> None:
        for place in ((20, 30), (20, 90), (70, 60), (20, 30)):
            page.mouse.click(*point(page, "mask", *place))

    sent = ask(page, corners)
    assert sent["region"] == {"kind": "polygon", "points": [[20.5, 30.5], [20.5, 90.5], [70.5, 60.5]]}
    assert pixels_shown(page) == pixels_answered(page, site, sent)


def test_segment_is_what_hangs_together(page: Any, site: Site) -> None:
    mask = predicted_mask(page, site)
    row, column = barn()
    by_id(page, "tool-segment").click()
    sent = ask(page, lambda: page.mouse.click(*point(page, "mask", row, column)))
    assert sent["region"] == {"kind": "segment", "row": row, "column": column}
    parts = label(mask == mask[row, column], connectivity=2)
    assert pixels_shown(page) == (parts == parts[row, column]).sum() == pixels_answered(page, site, sent)


def test_superpixels_are_added(page: Any, site: Site) -> None:
    by_id(page, "tool-superpixel").click()
    wait_for_map(page)
    sent = ask(page, lambda: page.mouse.click(*point(page, "input", 60, 60)))
    assert sent["region"] == {"kind": "superpixel", "row": 60, "column": 60, "count": 200}
    one = pixels_shown(page)
    assert 20 < one < 500
    assert one == pixels_answered(page, site, sent)
    sent = ask(page, lambda: page.mouse.click(*point(page, "input", 20, 120)))
    assert [part["kind"] for part in sent["region"]["regions"]] == ["superpixel", "superpixel"]
    assert pixels_shown(page) == pixels_answered(page, site, sent) > one


@pytest.mark.parametrize("error", ["false-positive", "false-negative"])
def test_errors_of_either_kind_are_asked_about(page: Any, site: Site, error: str) -> None:
    mask = predicted_mask(page, site)
    _, truth = photograph(0)
    wrong = {
        name: (mask == i) & (truth != i) if error == "false-positive" else (mask != i) & (truth == i)
        for i, name in enumerate(CLASSES)
    }
    class_ = max(wrong, key=lambda name: int(wrong[name].sum()))
    if question(page)["class"] != class_:
        ask(page, lambda: by_id(page, f"class-{class_}").click())
    sent = ask(page, lambda: by_id(page, f"tool-{error}").click())
    assert sent["region"] == {"kind": "errors", "class": class_, "error": error}
    assert pixels_shown(page) == wrong[class_].sum() > 0


def test_errors_need_a_true_mask(page: Any) -> None:
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    until(page, "document.querySelector('[data-testid=tool-false-positive]').disabled")
    assert by_id(page, "tool-false-negative").is_disabled()
    wait_for_map(page)


def test_box_is_cut_out_of_the_class(page: Any, site: Site) -> None:
    ask(page, lambda: by_id(page, "class-barn").click())
    row, column = barn()
    before = pixels_shown(page)
    by_id(page, "tool-box").click()
    sent = ask(page, lambda: drag(page, [(row - 5, column - 5), (row + 5, column + 5)], remove=True))
    assert sent["region"]["kind"] == "and"
    assert sent["region"]["regions"][0] == {"kind": "predicted", "class": "barn"}
    assert sent["region"]["regions"][1]["region"]["kind"] == "box"
    assert pixels_shown(page) == before - 11 * 11 == pixels_answered(page, site, sent)


def test_pixels_are_added_undone_redone_and_cleared(page: Any) -> None:
    start = question(page)["region"]
    by_id(page, "tool-pixel").click()
    assert by_id(page, "region-redo").is_disabled()
    first = ask(page, lambda: page.mouse.click(*point(page, "input", 70, 41)))["region"]
    second = ask(page, lambda: page.mouse.click(*point(page, "input", 30, 41)))["region"]
    assert second == {"kind": "or", "regions": [first, {"kind": "pixel", "row": 30, "column": 41}]}
    assert pixels_shown(page) == 2
    assert ask(page, lambda: page.keyboard.press("Control+z"))["region"] == first
    assert ask(page, lambda: by_id(page, "region-undo").click())["region"] == start
    assert by_id(page, "region-undo").is_disabled()
    assert ask(page, lambda: page.keyboard.press("Control+Shift+z"))["region"] == first
    assert ask(page, lambda: by_id(page, "region-redo").click())["region"] == second
    assert ask(page, lambda: page.keyboard.press("Delete"))["region"] == start
    assert ask(page, lambda: page.keyboard.press("Control+z"))["region"] == second


def test_steps_end_with_the_image(page: Any) -> None:
    by_id(page, "tool-pixel").click()
    ask(page, lambda: page.mouse.click(*point(page, "input", 70, 41)))
    ask(page, lambda: page.keyboard.press("ArrowRight"))
    assert by_id(page, "region-undo").is_disabled()
    assert question(page)["region"]["kind"] == "predicted"


def test_link_holds_what_was_drawn(page: Any, new_page: Callable[..., Any]) -> None:
    by_id(page, "tool-brush").click()
    ask(page, lambda: drag(page, [(40, 30), (60, 70), (30, 100)]))
    by_id(page, "tool-box").click()
    ask(page, lambda: drag(page, [(30, 60), (70, 80)], remove=True))
    shown, count = question(page), pixels_shown(page)
    until(page, "location.hash.includes('-box:')")
    assert len(page.url) < 600
    assert "%" not in page.url.split("#")[1]
    other = new_page()
    other.goto(page.url)
    assert question(other) == shown
    assert pixels_shown(other) == count
    assert by_id(other, "tool-box").get_attribute("aria-pressed") == "true"


def test_live_map_belongs_to_where_the_pointer_is(page: Any, site: Site) -> None:
    ask(page, lambda: by_id(page, "method").select_option("hires-cam"))
    chosen = question(page)
    page.keyboard.press("v")
    assert by_id(page, "live").get_attribute("aria-pressed") == "true"
    for step in range(40):
        page.mouse.move(*point(page, "input", 20 + 2 * step, 30 + 2 * step))
    until(page, "(document.querySelector('[data-testid=importance]').dataset.key ?? '').includes('\"row\":98')")
    live = json.loads(by_id(page, "importance").get_attribute("data-key").split(" ", 1)[1])
    assert live["region"] == {"kind": "pixel", "row": 98, "column": 108}
    assert pixels_shown(page) == 1
    until(page, "document.querySelector('[data-testid=region]').selectedOptions[0].innerText.includes('98, 108')")
    address = urljoin(site.address, f"api/images/{image_ids(page, site)['farm0.png']}/attribution")
    values = np.load(BytesIO(api(page, address, live).body()))
    number = plain_number(text(page, "readout-importance").removeprefix("importance").strip())
    assert number == pytest.approx(float(values[98, 108]), rel=0.01, abs=1e-9)
    page.mouse.move(2, 2)
    assert question(page) == chosen
    page.keyboard.press("v")
    page.mouse.move(*point(page, "input", 50, 50))
    assert question(page) == chosen


def test_live_asks_two_things_at_a_time_at_most(page: Any) -> None:
    """However fast the pointer moves, one question is answered while the answer before it is drawn."""
    page.evaluate(
        """() => {
            const ask = window.fetch;
            window.busy = window.most = window.asked = 0;
            window.fetch = async (address, ...rest) => {
                if (!String(address).endsWith("/attribution")) return ask(address, ...rest);
                window.asked += 1;
                window.most = Math.max(window.most, ++window.busy);
                try { return await ask(address, ...rest); } finally { window.busy -= 1; }
            };
        }"""
    )
    page.keyboard.press("v")
    for step in range(60):
        page.mouse.move(*point(page, "mask", 20 + step, 30 + 2 * step))
    wait_for_map(page, "live")
    until(page, "window.busy === 0")
    assert page.evaluate("window.most") <= 2
    assert page.evaluate("window.asked") > 1


def test_live_segment_is_asked_once_while_the_pointer_stays_in_it(page: Any) -> None:
    row, column = barn()
    page.keyboard.press("g")
    page.keyboard.press("v")
    page.mouse.move(*point(page, "mask", row, column))
    wait_for_map(page, "live")
    shown = by_id(page, "importance").get_attribute("data-key")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if request.url.endswith("/attribution") else None)
    for step in range(10):
        page.mouse.move(*point(page, "mask", row + step % 4, column + step))
    page.wait_for_timeout(200)
    assert asked == []
    assert by_id(page, "importance").get_attribute("data-key") == shown
    assert '"kind":"segment"' in shown


def test_region_is_outlined_on_all_three_pictures(page: Any) -> None:
    pictures = [by_id(page, f"picture-{name}-viewport") for name in ("input", "mask", "importance")]
    by_id(page, "tool-box").click()
    ask(page, lambda: drag(page, [(20, 20), (60, 60)]))
    page.mouse.move(2, 2)
    before = [picture.screenshot() for picture in pictures[:2]]
    ask(page, lambda: drag(page, [(70, 90), (100, 140)], picture="importance"))
    page.mouse.move(2, 2)
    assert all(picture.screenshot() != old for picture, old in zip(pictures[:2], before, strict=True))


@pytest.mark.parametrize(("key", "kind"), [("p", "pixel"), ("g", "segment"), ("u", "superpixel")])
def test_places_are_added_and_removed_by_keys(page: Any, key: str, kind: str) -> None:
    by_id(page, "picture-input-viewport").focus()
    page.keyboard.press("ArrowDown")
    sent = ask(page, lambda: page.keyboard.press(key))
    assert sent["region"]["kind"] == kind
    # The place that the tool put forward gives way to the first that is set.
    page.keyboard.press("Shift+ArrowUp")
    page.keyboard.press("Shift+ArrowUp")
    first = ask(page, lambda: page.keyboard.press("Enter"))["region"]
    assert (first["kind"], first["row"]) == (kind, 40)
    for _ in range(6):
        page.keyboard.press("Shift+ArrowDown")
    both = ask(page, lambda: page.keyboard.press("Enter"))["region"]
    assert [part["row"] for part in both["regions"]] == [40, 100]
    less = ask(page, lambda: page.keyboard.press("Alt+Enter"))["region"]
    assert less == {"kind": "and", "regions": [both, {"kind": "not", "region": both["regions"][1]}]}


def test_areas_are_drawn_by_keys(page: Any) -> None:
    by_id(page, "picture-mask-viewport").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("l")

    def corner(*keys: str) -> None:
        for key in keys:
            page.keyboard.press(f"Shift+Arrow{key}")
        page.keyboard.press("Enter")

    def lasso() -> None:
        corner()
        corner("Right", "Right")
        corner("Down", "Down")
        page.keyboard.press("Enter")

    sent = ask(page, lasso)
    assert sent["region"] == {"kind": "polygon", "points": [[60.5, 80.5], [60.5, 100.5], [80.5, 100.5]]}
    page.keyboard.press("r")
    page.keyboard.press(".")
    sent = ask(page, lambda: corner("Up", "Up", "Up", "Up"))
    assert [part["kind"] for part in sent["region"]["regions"]] == ["polygon", "mask"]
    page.keyboard.press("x")
    assert by_id(page, "operation-remove").get_attribute("aria-pressed") == "true"
    sent = ask(page, corner)
    assert sent["region"]["kind"] == "and"
    page.keyboard.press("b")
    corner()
    page.keyboard.press("Escape")
    before = question(page)
    page.keyboard.press("ArrowUp")
    assert question(page) == before


def test_tools_have_names_and_say_which_is_in_hand(page: Any) -> None:
    for tool in ("pixel", "segment", "superpixel", "box", "lasso", "brush"):
        button = by_id(page, f"tool-{tool}")
        button.click()
        assert button.get_attribute("aria-pressed") == "true"
        assert button.inner_text().strip()
    for name in ("Undo (Ctrl+Z)", "Redo (Ctrl+Shift+Z)", "Clear the region (Delete)", "Live"):
        assert page.get_by_role("button", name=name).count() == 1
    assert page.get_by_role("slider", name="Width of the brush in pixels").count() == 1
    wait_for_map(page)
