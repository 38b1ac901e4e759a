"""The compare panel in a real browser: pins, two layers side by side, and a grid of classes × layers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from .conftest import Console, wait_for_map

pytestmark = pytest.mark.browser

ROWS = ("sky", "barn", "lawn")
COLUMNS = ("smooth", "relu", "classifier")


def count_requests(page: Any, resource: str) -> list[str]:
    """Return a list that grows with each question to a resource."""
    asked: list[str] = []

    def note(request: Any) -> None:
        if request.method == "POST" and request.url.endswith(f"/{resource}"):
            asked.append(request.post_data)

    page.on("request", note)
    return asked


def hold(page: Any, pattern: str) -> list[Any]:
    """Leave requests unanswered, and return a list that grows with each."""
    held: list[Any] = []

    def keep(route: Any) -> None:
        held.append(route)

    page.route(pattern, keep)
    return held


def show(page: Any, view: str) -> None:
    page.get_by_test_id(f"compare-{view}").click()
    page.get_by_test_id("compare").scroll_into_view_if_needed()


def step(page: Any, key: str) -> None:
    """Press a key that changes the question, and wait for its map."""
    before = page.get_by_test_id("importance").get_attribute("data-key")
    page.keyboard.press(key)
    page.wait_for_function(
        "old => { const { dataset } = document.querySelector('[data-testid=importance]');"
        " return dataset.state === 'ready' && dataset.key !== old; }",
        arg=before,
    )


def pin_two(page: Any) -> None:
    """Pin the map at two layers."""
    page.keyboard.press("c")
    step(page, "[")
    page.keyboard.press("c")


def cards(page: Any, count: int) -> Any:
    """Return the pins as soon as there are so many, each with its map."""
    ready = page.locator('[data-testid="pin-card"][data-state="ready"]')
    page.wait_for_function(
        "count => document.querySelectorAll('[data-testid=pin-card][data-state=ready]').length === count", arg=count
    )
    return ready


def number(text: str) -> float:
    """Read a value as the page writes it: “0.043”, “6.3×10⁻³”."""
    plain = text.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹−", "-0123456789-"))
    return float(plain.replace("×10", "e") or "nan")


def limits(page: Any) -> list[str]:
    return [text.strip() for text in page.get_by_test_id("pin-limit").all_inner_texts()]


def colours(page: Any, selector: str) -> list[list[int]]:
    """Return a few pixels of every canvas that a selector finds."""
    return page.locator(selector).evaluate_all(
        "nodes => nodes.map(node => [...node.getContext('2d').getImageData(0, node.height / 2, node.width, 1).data])"
    )


def wait_for_address(page: Any, *parts: str) -> str:
    for part in parts:
        page.wait_for_function("part => decodeURIComponent(location.hash).includes(part)", arg=part)
    return str(page.url)


def test_panel_says_how_to_begin(page: Any) -> None:
    page.get_by_test_id("compare").scroll_into_view_if_needed()
    assert "Pin a map with C" in page.get_by_test_id("pins-empty").inner_text()
    page.get_by_test_id("pin-first").click()
    assert cards(page, 1).count() == 1


def test_pin_keeps_its_question_and_is_not_asked_again(page: Any) -> None:
    asked = count_requests(page, "attribution")
    pin_two(page)
    assert len(asked) == 1
    page.get_by_test_id("compare").scroll_into_view_if_needed()
    pins = cards(page, 2)
    page.wait_for_timeout(400)
    assert len(asked) == 1
    assert pins.nth(0).locator(".words p").all_inner_texts()[1] == "relu"
    assert pins.nth(1).locator(".words p").all_inner_texts()[1:] == [
        "smooth",
        "Grad-CAM",
        "predicted pixels",
        "farm0.png",
    ]
    pins.nth(0).locator("[data-open]").click()
    wait_for_map(page)
    assert page.get_by_test_id("layer").input_value() == "relu"
    assert page.get_by_test_id("pin").get_attribute("aria-pressed") == "true"


def test_pin_is_taken_off_by_the_same_key(page: Any) -> None:
    page.keyboard.press("c")
    assert page.get_by_test_id("pins-count").inner_text() == "1 pin ↓"
    page.keyboard.press("c")
    assert page.get_by_test_id("pins-count").count() == 0


def test_going_back_takes_back_a_pin(page: Any) -> None:
    wait_for_address(page, "layer=relu")
    page.keyboard.press("c")
    wait_for_address(page, "pin=")
    page.go_back()
    page.wait_for_function("() => document.querySelector('[data-testid=pins-count]') === null")
    page.go_forward()
    page.get_by_test_id("pins-count").wait_for()


def test_pins_share_a_scale_where_wanted_and_say_its_range(page: Any) -> None:
    pin_two(page)
    page.get_by_test_id("compare").scroll_into_view_if_needed()
    cards(page, 2)
    assert "its largest" in page.get_by_test_id("compare-scale").inner_text()
    own = colours(page, '[data-testid="pin-card"] canvas')
    page.get_by_test_id("compare-scale-shared").click()
    largest = max(limits(page), key=number)
    page.wait_for_function(
        "text => document.querySelector('[data-testid=compare-scale]').innerText.includes(text)", arg=largest
    )
    shared = colours(page, '[data-testid="pin-card"] canvas')
    same = [before == after for before, after in zip(own, shared, strict=True)]
    assert same == [text == largest for text in limits(page)]


def test_signed_maps_share_a_scale_around_zero_and_a_mixture_is_named(page: Any) -> None:
    page.keyboard.press("c")
    page.get_by_test_id("method").select_option("input-x-gradient")
    page.get_by_test_id("layer").select_option("relu")
    wait_for_map(page)
    page.keyboard.press("c")
    page.get_by_test_id("pin").focus()
    page.get_by_test_id("compare").scroll_into_view_if_needed()
    cards(page, 2)
    page.get_by_test_id("compare-scale-shared").click()
    low, high = page.get_by_test_id("compare-scale").locator("span:not(.bar)").all_inner_texts()
    assert low == f"−{high}"
    assert page.get_by_test_id("pins-mixed").is_visible()


def test_link_reproduces_the_pins(page: Any, new_page: Callable[..., Any]) -> None:
    pin_two(page)
    page.keyboard.press("p")
    wait_for_map(page)
    page.keyboard.press("c")
    page.get_by_test_id("compare").scroll_into_view_if_needed()
    cards(page, 3)
    page.get_by_test_id("compare-scale-shared").click()
    address = wait_for_address(page, "compare-scale=shared", "region.pixel:")
    other = new_page()
    other.goto(address)
    wait_for_map(other)
    other.get_by_test_id("compare").scroll_into_view_if_needed()
    cards(other, 3)
    assert limits(other) == limits(page)
    assert (
        other.locator("[data-testid=pin-card]").all_inner_texts()
        == page.locator("[data-testid=pin-card]").all_inner_texts()
    )
    assert colours(other, '[data-testid="pin-card"] canvas') == colours(page, '[data-testid="pin-card"] canvas')


def test_pins_obey_the_keys(page: Any) -> None:
    pin_two(page)
    page.get_by_test_id("pins-count").focus()
    page.keyboard.press("Enter")
    cards(page, 2)
    layers = page.locator("[data-testid=pin-card] .words p:nth-child(2)")
    assert layers.all_inner_texts() == ["relu", "smooth"]
    assert page.evaluate("document.activeElement.id") == "compare-toggle"
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("'open' in document.activeElement.dataset"):
            break
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowLeft")
    page.wait_for_function(
        "() => document.querySelector('[data-testid=pin-card] .words p:nth-child(2)').innerText === 'smooth'"
    )
    assert layers.all_inner_texts() == ["smooth", "relu"]
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    wait_for_map(page)
    assert page.get_by_test_id("layer").input_value() == "relu"
    page.keyboard.press("Delete")
    page.wait_for_function("() => document.querySelectorAll('[data-testid=pin-card]').length === 1")
    assert layers.all_inner_texts() == ["smooth"]
    assert page.evaluate("'open' in document.activeElement.dataset")


def test_pins_that_cannot_be_answered_say_why(page: Any, new_page: Callable[..., Any], console: Console) -> None:
    console.expected.append("status of 4")
    page.keyboard.press("c")
    address = wait_for_address(page, "pin=")
    pin = re.search(r"pin=([^&]*)", address)
    assert pin is not None
    image, name, *_ = pin[1].split("~")
    other = new_page()
    other.goto(f"{address}&pin={image}~{name}~nowhere~grad-cam&pin=gone~{name}~relu~grad-cam&pin=nonsense")
    wait_for_map(other)
    other.get_by_test_id("compare").scroll_into_view_if_needed()
    other.wait_for_function(
        "() => document.querySelectorAll('[data-testid=pin-card]:not([data-state=waiting])').length === 3"
    )
    texts = other.get_by_test_id("pin-card").all_inner_texts()
    assert "nowhere" in texts[1].split("\n")[0]
    assert "have the image" in texts[2]
    assert other.get_by_test_id("pin-retry").count() == 1


def test_two_layers_are_seen_side_by_side(page: Any, new_page: Callable[..., Any]) -> None:
    show(page, "layers")
    pair = '[data-testid="pair"][data-state="ready"]'
    page.wait_for_selector(pair)
    assert page.get_by_test_id("beside").input_value() == "smooth"
    page.get_by_test_id("beside").select_option("classifier")
    page.wait_for_selector(pair)
    step(page, "[")
    page.wait_for_selector(pair)
    assert page.get_by_test_id("beside-main").input_value() == "smooth"
    assert page.get_by_test_id("beside").input_value() == "classifier"
    page.get_by_test_id("pair-beside-viewport").hover()
    values = [page.get_by_test_id(f"pair-{side}-value").inner_text() for side in ("main", "beside")]
    assert values[0] == page.get_by_test_id("readout-importance").inner_text()
    page.get_by_test_id("beside-swap").click()
    page.wait_for_function(
        "() => ['importance', 'pair'].every("
        "name => document.querySelector(`[data-testid=${name}]`).dataset.state === 'ready')"
    )
    page.get_by_test_id("pair-beside-viewport").hover()
    assert [page.get_by_test_id(f"pair-{side}-value").inner_text() for side in ("beside", "main")] == values
    page.get_by_test_id("compare-scale-shared").click()
    page.wait_for_function(
        "() => new Set(['main', 'beside'].map("
        "side => document.querySelector(`[data-testid=pair-${side}-scale]`).ariaLabel)).size === 1"
    )
    page.get_by_test_id("pair-main-viewport").focus()
    page.keyboard.press("+")
    assert page.get_by_text("150 %").is_visible()
    other = new_page()
    other.goto(wait_for_address(page, "compare=layers", "beside=smooth", "view="))
    wait_for_map(other)
    other.get_by_test_id("compare").scroll_into_view_if_needed()
    other.wait_for_selector(pair)
    canvases = '[data-testid="pair"] canvas'
    assert colours(other, canvases)[1] == colours(page, canvases)[1]


def wait_for_grid(page: Any, rows: int = len(ROWS), columns: int = len(COLUMNS)) -> None:
    page.wait_for_function(
        "count => document.querySelectorAll("
        "'[data-testid=map-grid] [role=gridcell][data-state=ready]').length === count",
        arg=rows * columns,
    )


def test_grid_has_a_map_for_every_class_and_layer(page: Any) -> None:
    asked = count_requests(page, "layers")
    show(page, "grid")
    wait_for_grid(page)
    classes = [body["class"] for body in map(json.loads, asked) if body["size"] == 80]
    assert classes == list(ROWS)
    assert page.get_by_role("rowheader").all_inner_texts() == list(ROWS)
    cell = page.get_by_test_id("cell-lawn-classifier")
    cell.click()
    wait_for_map(page)
    assert page.get_by_test_id("class").input_value() == "lawn"
    assert page.get_by_test_id("layer").input_value() == "classifier"
    assert cell.get_attribute("aria-selected") == "true"
    page.wait_for_timeout(300)
    assert len([body for body in map(json.loads, asked) if body["size"] == 80]) == len(ROWS)
    page.get_by_test_id("scale-held").click()
    assert page.get_by_test_id("scale-held").inner_text() == f"Shared, to {cell.locator('.limit').inner_text()}"


def test_grid_obeys_the_keys(page: Any) -> None:
    show(page, "grid")
    wait_for_grid(page)
    image = page.get_by_test_id("image-list").locator('[aria-selected="true"]').inner_text()
    start = page.locator('[data-testid="map-grid"] [tabindex="0"]')
    assert start.get_attribute("data-testid") == f"cell-{page.get_by_test_id('class').input_value()}-relu"
    start.focus()
    for key in ("ArrowUp", "ArrowUp", "ArrowDown", "End"):
        page.keyboard.press(key)
    assert page.evaluate("document.activeElement.dataset.testid") == "cell-barn-classifier"
    page.keyboard.press("Enter")
    wait_for_map(page)
    assert page.get_by_test_id("class").input_value() == "barn"
    assert page.get_by_test_id("layer").input_value() == "classifier"
    assert page.get_by_test_id("image-list").locator('[aria-selected="true"]').inner_text() == image


def test_grid_scales_and_axes_are_chosen_and_kept_in_the_link(page: Any, new_page: Callable[..., Any]) -> None:
    show(page, "grid")
    wait_for_grid(page)
    page.get_by_test_id("grid-columns").click()
    page.get_by_test_id("grid-columns-smooth").uncheck()
    page.keyboard.press("Escape")
    page.get_by_test_id("grid-rows").click()
    page.get_by_test_id("grid-rows-sky").uncheck()
    page.get_by_test_id("grid-rows-ground").check()
    page.keyboard.press("Escape")
    wait_for_grid(page, 2, 2)
    none = page.get_by_test_id("cell-ground-relu")
    assert none.get_attribute("data-state") == "none"
    assert "No pixel predicted as ground" in none.get_attribute("title")
    page.get_by_test_id("compare-scale-shared").click()
    largest = max(filter(None, page.locator('[data-testid="map-grid"] .limit').all_inner_texts()), key=number)
    assert largest in page.get_by_test_id("compare-scale").inner_text()
    page.get_by_test_id("compare-scale-row").click()
    assert re.search(r"0 … \d", page.get_by_role("rowheader", name="barn").inner_text())
    other = new_page()
    other.goto(
        wait_for_address(page, "compare=grid", "compare-scale=row", "rows=ground~barn~lawn", "columns=relu~classifier")
    )
    wait_for_map(other)
    other.get_by_test_id("compare").scroll_into_view_if_needed()
    wait_for_grid(other, 2, 2)
    assert other.get_by_test_id("map-grid").inner_text() == page.get_by_test_id("map-grid").inner_text()


def test_grid_can_be_cancelled_and_taken_up_again(page: Any) -> None:
    hold(page, "**/layers")
    show(page, "grid")
    page.get_by_test_id("grid-cancel").click()
    assert page.locator('[data-testid="map-grid"] [data-state="none"]').count() == len(ROWS) * len(COLUMNS)
    page.unroute("**/layers")
    page.get_by_test_id("grid-resume").click()
    wait_for_grid(page)


def test_grid_waits_for_the_main_map_and_drops_what_is_superseded(page: Any) -> None:
    show(page, "grid")
    wait_for_grid(page)
    held = hold(page, "**/attribution")
    asked = count_requests(page, "layers")
    page.keyboard.press("w")
    page.wait_for_timeout(500)
    assert len(held) == 1
    assert asked == []
    assert page.locator('[data-testid="map-grid"] [data-state="waiting"]').count() == len(ROWS) * len(COLUMNS)
    held[0].continue_()
    page.unroute("**/attribution")
    wait_for_grid(page)
    regions = [body["region"]["kind"] for body in map(json.loads, asked) if body["size"] == 80]
    assert regions == ["everywhere"] * len(ROWS)


def test_grid_says_what_failed(page: Any, console: Console) -> None:
    console.expected.append("500")
    error = json.dumps({"error": {"code": "cannot-explain", "message": "Not today."}})
    page.route("**/layers", lambda route: route.fulfill(status=500, content_type="application/json", body=error))
    show(page, "grid")
    page.get_by_test_id("grid-error").wait_for()
    assert "Not today." in page.get_by_test_id("grid-error").inner_text()
    page.unroute("**/layers")
    page.get_by_test_id("grid-retry").click()
    wait_for_grid(page)


def test_panel_folds_away_and_asks_nothing_then(page: Any) -> None:
    page.get_by_test_id("compare-toggle").click()
    assert page.get_by_test_id("pins-empty").count() == 0
    page.reload()
    wait_for_map(page)
    asked = count_requests(page, "layers")
    assert page.get_by_test_id("compare-toggle").get_attribute("aria-expanded") == "false"
    page.get_by_test_id("compare").scroll_into_view_if_needed()
    page.wait_for_timeout(300)
    assert [body for body in map(json.loads, asked) if body["size"] == 80] == []
