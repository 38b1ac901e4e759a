"""Every pixel at once: with a layer's table there, the page answers by itself what the server would have answered."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import BytesIO
from typing import Any
from urllib.parse import urljoin

import numpy as np
import pytest

from .conftest import Console, Site, photograph, wait_for_image, wait_for_map
from .test_explorer import api, by_id, image_ids, plain_number, point, question, text
from .test_regions import until

pytestmark = pytest.mark.browser

# Float16's share of the largest value.
TOLERANCE = 2e-3
# The page writes three digits.
DIGITS = 5e-3
PLACES = ((70, 41), (20, 100), (55, 80), (100, 20))


def wait_for_table(page: Any, state: str = "ready") -> None:
    page.wait_for_selector(f'[data-testid="table-mode"][data-state="{state}"]')


def asked(page: Any) -> list[str]:
    """Return the list that grows by each map that the server is asked for."""
    addresses: list[str] = []
    page.on("request", lambda request: addresses.append(request.url) if request.url.endswith("/attribution") else None)
    return addresses


def expect_servers_answer(page: Any, site: Site, shown: dict[str, Any]) -> None:
    """Compare what the page shows at some pixels with what the server answers."""
    address = urljoin(site.address, f"api/images/{image_ids(page, site)['farm0.png']}/attribution")
    answer = api(page, address, shown)
    values = np.load(BytesIO(answer.body()))
    header = json.loads(answer.headers["x-segscope-attribution"])
    largest = float(np.abs(values).max())
    assert largest > 0
    for row, column in PLACES:
        page.mouse.move(*point(page, "mask", row, column))
        until(page, f"document.querySelector('[data-testid=readout-row]').innerText.endsWith('{row}')")
        until(page, f"document.querySelector('[data-testid=readout-column]').innerText.endsWith('{column}')")
        number = plain_number(text(page, "readout-importance").removeprefix("importance").strip())
        expected = float(values[row, column])
        assert abs(number - expected) <= TOLERANCE * largest + DIGITS * abs(expected)
    assert plain_number(text(page, "score-value")) == pytest.approx(header["score_value"], rel=DIGITS)
    assert text(page, "map-size").startswith(f"{header['map_height']} × {header['map_width']}")


@pytest.mark.parametrize(
    ("method", "layer"), [("grad-cam", "smooth"), ("grad-cam", "input"), ("xgrad-cam", "smooth"), ("hires-cam", "relu")]
)
def test_table_shows_what_the_server_would(new_page: Callable[..., Any], site: Site, method: str, layer: str) -> None:
    page = new_page()
    page.goto(f"{site.address}#class=barn&method={method}&layer={layer}&method.relu=false")
    wait_for_map(page)
    by_id(page, "table").click()
    wait_for_table(page)
    assert text(page, "table-status") == "live: instant"
    requests = asked(page)
    for class_, against, region in (("sky", None, (30, 60)), ("lawn", "barn", (100, 120)), ("barn", "sky", None)):
        by_id(page, "against").select_option("")
        by_id(page, f"class-{class_}").click()
        if against:
            by_id(page, "against").select_option(against)
        if region:
            by_id(page, "operation-replace").click()
            by_id(page, "tool-pixel").click()
            page.mouse.click(*point(page, "input", *region))
        else:
            by_id(page, "tool-predicted").click()
        until(page, f"(document.querySelector('[data-testid=importance]').dataset.key ?? '').includes('{class_}')")
        shown = question(page)
        assert (shown["class"], shown["against"]) == (class_, against)
        expect_servers_answer(page, site, shown)
    assert requests == []


def test_live_mode_builds_the_table_and_then_asks_nothing(page: Any, site: Site) -> None:
    by_id(page, "layer").select_option("smooth")
    wait_for_map(page)
    page.keyboard.press("v")
    wait_for_table(page)
    assert by_id(page, "table").get_attribute("aria-pressed") == "true"
    requests = asked(page)
    for step in range(20):
        page.mouse.move(*point(page, "input", 20 + 2 * step, 30 + 2 * step))
    until(page, "(document.querySelector('[data-testid=importance]').dataset.key ?? '').includes('\"row\":58')")
    assert by_id(page, "importance").get_attribute("data-state") == "live"
    # The text beside the map follows a little later.
    until(page, "document.querySelector('[data-testid=region]').selectedOptions[0].innerText.includes('58, 68')")
    image, _, shown = by_id(page, "importance").get_attribute("data-key").partition(" ")
    answer = api(page, urljoin(site.address, f"api/images/{image}/attribution"), json.loads(shown))
    header = json.loads(answer.headers["x-segscope-attribution"])
    assert plain_number(text(page, "score-value")) == pytest.approx(header["score_value"], rel=DIGITS)
    assert requests == []
    # Nothing of it is in the address: whoever opens the link builds a table if they go live.
    assert "table" not in page.url


def test_numbers_follow_the_pointer_at_a_pace_at_which_they_can_be_read(page: Any) -> None:
    by_id(page, "layer").select_option("smooth")
    wait_for_map(page)
    page.keyboard.press("v")
    wait_for_table(page)
    read = {
        "region": "document.querySelector('[data-testid=region]').selectedOptions[0].innerText",
        "readout-column": "document.querySelector('[data-testid=readout-column]').innerText",
    }
    page.mouse.move(*point(page, "input", 20, 30))
    until(page, f"{read['region']}.includes('20, 30')")
    page.evaluate(
        f"""() => {{
            window.seen = {{ map: new Set(), {", ".join(f"'{name}': new Set()" for name in read)} }};
            new MutationObserver(() => {{
                seen.map.add(document.querySelector('[data-testid=importance]').dataset.key);
                {"".join(f"seen['{name}'].add({value});" for name, value in read.items())}
            }}).observe(document, {{ subtree: true, attributes: true, attributeFilter: ["data-key"] }});
        }}"""
    )
    for step in range(20):
        page.mouse.move(*point(page, "input", 20 + 2 * step, 40 + 2 * step))
    until(page, f"{read['region']}.includes('58, 78')")
    until(page, f"{read['readout-column']} === '78'")
    for name in read:
        assert page.evaluate("name => seen[name].size < seen.map.size", name), name


def test_building_is_cancelled_and_begun_again(page: Any) -> None:
    page.route("**/table", lambda _: None)
    page.keyboard.press("v")
    by_id(page, "table-cancel").wait_for()
    until(page, "document.querySelector('[data-testid=table-progress]').ariaValueNow === '0'")
    by_id(page, "table-cancel").click()
    wait_for_table(page, "cancelled")
    assert by_id(page, "table").get_attribute("aria-pressed") == "false"
    page.unroute("**/table")
    by_id(page, "table").click()
    wait_for_table(page)
    page.keyboard.press("v")
    wait_for_table(page, "off")


def test_table_says_where_there_is_none(page: Any, console: Console) -> None:
    console.expected.append("422")
    by_id(page, "method").select_option("hires-cam")
    by_id(page, "layer").select_option("input")
    wait_for_map(page)
    by_id(page, "table").click()
    wait_for_table(page, "refused")
    assert text(page, "table-status") == "not at this layer"
    by_id(page, "method").select_option("saliency")
    wait_for_table(page, "unavailable")
    assert by_id(page, "table").is_disabled()
    assert "Grad-CAM" in by_id(page, "table").get_attribute("title")


def test_large_table_is_answered_from_beside_the_page(busy_page: Any) -> None:
    page = busy_page
    image, _ = photograph(5, height=800, width=1000)
    file = BytesIO()
    image.save(file, "JPEG", quality=80)
    upload = {"name": "large.jpg", "mimeType": "image/jpeg", "buffer": file.getvalue()}
    by_id(page, "upload-file").set_input_files(upload)
    wait_for_image(page, "large.jpg")
    by_id(page, "layer").select_option("smooth")
    wait_for_map(page)
    with page.expect_worker():
        by_id(page, "table").click()
    wait_for_table(page)
    before = text(page, "score-value")
    requests = asked(page)
    by_id(page, "tool-everywhere").click()
    until(page, f"document.querySelector('[data-testid=score-value]').innerText !== {json.dumps(before)}")
    wait_for_map(page)
    assert "from its table" in text(page, "map-size")
    assert requests == []


def test_table_by_keyboard_alone(page: Any) -> None:
    by_id(page, "layer").select_option("smooth")
    by_id(page, "live").focus()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.dataset.testid") == "table"
    page.keyboard.press("Enter")
    wait_for_table(page)
    page.keyboard.press("Enter")
    wait_for_table(page, "off")
