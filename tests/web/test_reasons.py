"""The map of reasons: pixels told apart by why they got their label."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any
from urllib.parse import urljoin

import numpy as np
import pytest

from .conftest import Console, Site, wait_for_map
from .test_explorer import api, ask, by_id, image_ids, point, question, text
from .test_regions import until

pytestmark = pytest.mark.browser


def reasons_of(page: Any, site: Site, layer: str) -> tuple[np.ndarray[Any, Any], dict[str, Any]]:
    """Return the server's groups, and what describes them."""
    address = urljoin(site.address, f"api/images/{image_ids(page, site)['farm0.png']}/reasons")
    with np.load(BytesIO(api(page, address, {"layer": layer, "clusters": 6}).body())) as file:
        return file["groups"], json.loads(file["description.json"])


def show(page: Any, layer: str = "smooth") -> None:
    by_id(page, "layer").select_option(layer)
    wait_for_map(page)
    by_id(page, "mask-reasons").click()
    by_id(page, "reason-0").wait_for()


def colour_at(page: Any, row: int, column: int) -> list[int]:
    """Return the colour of the mask picture at a pixel of the image."""
    x, y = point(page, "mask", row, column)
    found = page.evaluate(
        """([x, y]) => {
            const canvas = document.querySelector('[data-testid=picture-mask-viewport] canvas');
            const box = canvas.getBoundingClientRect();
            const scale = canvas.width / box.width;
            return [...canvas.getContext('2d').getImageData((x - box.x) * scale, (y - box.y) * scale, 1, 1).data];
        }""",
        [x, y],
    )
    assert isinstance(found, list)
    return found[:3]


def test_each_group_has_a_colour_a_share_and_channels(page: Any, site: Site) -> None:
    show(page)
    groups, description = reasons_of(page, site, "smooth")
    assert page.locator('[data-testid="reasons-legend"] [data-testid^="reason-"]').count() >= len(description["groups"])
    for index, group in enumerate(description["groups"]):
        name, share = next(iter(group["classes"].items()))
        shown = text(page, f"reason-{index}")
        assert shown.startswith(f"Reason {index + 1} {name}")
        assert f"{round(share * 100)} %" in shown or "100 %" in shown or "." in shown
        by_id(page, f"reason-{index}").hover()
        channels = ", ".join(str(channel["channel"]) for channel in group["channels"])
        until(page, f"document.querySelector('[data-testid=reason-channels]').innerText.includes('{channels}')")
    page.mouse.move(2, 2)
    until(page, "document.querySelector('[data-testid=reason-channels]').innerText.startsWith('Point')")
    first, second = (np.argwhere(groups == label)[0] for label in (0, 1))
    assert colour_at(page, *map(int, first)) != colour_at(page, *map(int, second))


def test_reason_is_asked_about_by_a_click(page: Any, site: Site) -> None:
    show(page)
    groups, _ = reasons_of(page, site, "smooth")
    sent = ask(page, lambda: by_id(page, "reason-1").click())
    runs = sent["region"]["runs"]
    assert sent["region"]["kind"] == "mask"
    marks = np.repeat(np.arange(len(runs)) % 2, runs)
    expected = (groups == 1).ravel().astype(int)
    assert np.array_equal(np.pad(marks, (0, expected.size - marks.size)), expected)
    page.keyboard.press("Control+z")
    assert question(page)["region"]["kind"] == "predicted"


def test_reasons_by_keyboard_alone_and_from_a_link(page: Any, site: Site) -> None:
    by_id(page, "mask-errors").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    by_id(page, "reason-0").focus()
    until(page, "document.querySelector('[data-testid=reason-channels]').innerText.includes('channel')")
    sent = ask(page, lambda: page.keyboard.press("Enter"))
    assert sent["region"]["kind"] == "mask"
    until(page, "location.hash.includes('mask=reasons') && location.hash.includes('region=')")
    page.reload()
    by_id(page, "reason-0").wait_for()
    assert by_id(page, "mask-reasons").get_attribute("aria-pressed") == "true"
    by_id(page, "mask-prediction").click()
    by_id(page, "legend").wait_for()


def test_reasons_follow_the_layer_and_are_cancelled(page: Any) -> None:
    show(page)
    page.route("**/reasons", lambda _: None)
    by_id(page, "layer").select_option("classifier")
    by_id(page, "reasons-cancel").click()
    by_id(page, "reasons-cancelled").wait_for()
    assert by_id(page, "reason-0").count() == 0
    page.unroute("**/reasons")
    by_id(page, "reasons-retry").click()
    by_id(page, "reason-0").wait_for()


def test_saved_figure_keeps_to_the_classes(page: Any) -> None:
    show(page)
    by_id(page, "export-open").click()
    by_id(page, "export-preview").wait_for()


def test_failure_says_what_to_do(page: Any, console: Console) -> None:
    console.expected.append("500")
    body = json.dumps({"error": {"code": "server-failed", "message": "This failed, as it was meant to."}})
    page.route("**/reasons", lambda route: route.fulfill(status=500, content_type="application/json", body=body))
    by_id(page, "mask-reasons").click()
    by_id(page, "reasons-error").wait_for()
    assert "as it was meant to" in text(page, "reasons-error")
