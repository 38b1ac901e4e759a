"""What can be read off the pictures: whether a map answers at all, where importance lies, how sure the network is."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any
from urllib.parse import urljoin

import numpy as np
import pytest

from .conftest import CLASSES, Site, wait_for_map
from .test_explorer import api, ask, by_id, image_ids, pixel_colour, plain_number, point, question, text
from .test_regions import until

pytestmark = pytest.mark.browser

BOX = "region=box:50,40,80,90"


@pytest.fixture
def open_link(new_page: Callable[..., Any], site: Site) -> Callable[[str], Any]:
    """Open the page at a link, and wait for its map."""

    def open_it(link: str) -> Any:
        page = new_page()
        page.goto(f"{site.address}#{link}")
        wait_for_map(page)
        return page

    return open_it


def fetch(page: Any, site: Site, resource: str, body: dict[str, Any] | None = None) -> np.ndarray[Any, Any]:
    """Return an array that the server has for the first image."""
    address = urljoin(site.address, f"api/images/{image_ids(page, site)['farm0.png']}/{resource}")
    array = np.load(BytesIO(api(page, address, body).body()))
    assert isinstance(array, np.ndarray)
    return array


def measured(page: Any, change: Callable[[], object]) -> dict[str, Any]:
    """Change something, and return what the server then says about the way of asking."""
    with page.expect_response(lambda response: response.url.endswith("/sameness")) as answered:
        change()
    finding = answered.value.json()
    assert isinstance(finding, dict)
    page.wait_for_timeout(100)
    return finding


def settle(page: Any) -> None:
    """Wait longer than the page rests before it has a way of asking measured."""
    page.wait_for_timeout(1000)


def test_a_map_that_every_region_gets_says_so_and_what_answers_is_a_click_away(open_link: Callable[[str], Any]) -> None:
    page = open_link(f"class=barn&method=grad-cam&layer=relu&{BOX}")
    by_id(page, "sameness").wait_for()
    assert "Grad-CAM at relu" in text(page, "sameness")
    sent = ask(page, lambda: by_id(page, "sameness-hires-cam").click())
    assert (sent["method"], sent["layer"]) == ("hires-cam", "relu")
    assert sent["region"]["kind"] == "box"
    settle(page)
    assert by_id(page, "sameness").count() == 0
    assert by_id(page, "sameness-remark").count() == 0


def test_hires_cam_tells_regions_apart(new_page: Callable[..., Any], site: Site) -> None:
    page = new_page()
    link = f"{site.address}#class=barn&method=hires-cam&layer=relu&{BOX}"
    assert measured(page, lambda: page.goto(link)) == {"same": False, "alternatives": []}
    assert by_id(page, "sameness").count() == 0
    assert by_id(page, "sameness-remark").count() == 0


@pytest.mark.parametrize("way", ["button", "browser"])
def test_a_suggestion_is_taken_back(open_link: Callable[[str], Any], way: str) -> None:
    page = open_link(f"class=barn&method=grad-cam&layer=relu&{BOX}")
    ask(page, lambda: by_id(page, "sameness-hires-cam").click())
    until(page, "location.hash.includes('method=hires-cam')")
    sent = ask(page, lambda: by_id(page, "sameness-back").click() if way == "button" else page.go_back())
    assert (sent["method"], sent["layer"], sent["region"]["kind"]) == ("grad-cam", "relu", "box")
    by_id(page, "sameness").wait_for()


def test_suggestion_and_way_back_by_keys(open_link: Callable[[str], Any]) -> None:
    page = open_link(f"class=barn&method=grad-cam&layer=relu&{BOX}")
    by_id(page, "sameness-hires-cam").focus()
    assert ask(page, lambda: page.keyboard.press("Enter"))["method"] == "hires-cam"
    until(page, "document.activeElement.dataset.testid === 'sameness-back'")
    assert ask(page, lambda: page.keyboard.press("Enter"))["method"] == "grad-cam"
    until(page, "document.activeElement.dataset.testid === 'picture-importance-viewport'")


def test_the_whole_class_gets_a_remark_only(open_link: Callable[[str], Any]) -> None:
    page = open_link("class=barn&method=grad-cam&layer=relu")
    by_id(page, "sameness-remark").wait_for()
    assert by_id(page, "sameness").count() == 0
    by_id(page, "sameness-remark").click()
    assert by_id(page, "sameness").is_visible()
    by_id(page, "sameness-hide").click()
    assert by_id(page, "sameness").count() == 0
    # Who hid it about this method and layer isn't told again.
    ask(page, lambda: by_id(page, "tool-box").click())
    settle(page)
    assert by_id(page, "sameness").count() == 0
    assert by_id(page, "sameness-remark").get_attribute("aria-expanded") == "false"


def test_it_is_measured_once_and_never_for_a_moving_pointer(page: Any) -> None:
    settle(page)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if request.url.endswith("/sameness") else None)
    ask(page, lambda: by_id(page, "tool-pixel").click())
    page.keyboard.press("v")
    for column in (20, 60, 100, 140):
        page.mouse.move(*point(page, "input", 60, column))
        page.wait_for_timeout(200)
    by_id(page, "layer").select_option("smooth")
    page.mouse.move(*point(page, "input", 60, 70))
    settle(page)
    assert asked == []


def test_importance_is_divided_among_the_classes(page: Any, site: Site) -> None:
    sent = ask(page, lambda: by_id(page, "class-lawn").click())
    values, mask, truth = (
        fetch(page, site, "attribution", sent), fetch(page, site, "mask"), fetch(page, site, "truth")
    )  # fmt: skip
    assert shares_shown(page) == pytest.approx(divided(values, mask), abs=0.51)
    assert "predicted class" in text(page, "importance-shares-label")
    by_id(page, "mask-truth").click()
    assert "true class" in text(page, "importance-shares-label")
    assert shares_shown(page) == pytest.approx(divided(values, truth), abs=0.51)
    assert divided(values, mask) != divided(values, truth)


def test_negative_importance_is_left_out_and_named(open_link: Callable[[str], Any], site: Site) -> None:
    page = open_link("class=barn&against=lawn&method=hires-cam&layer=relu&region=everywhere&method.relu=false")
    values = fetch(page, site, "attribution", question(page))
    assert values.min() < 0 < values.max()
    assert shares_shown(page) == pytest.approx(divided(values, fetch(page, site, "mask")), abs=0.51)
    negative = 100 * -values[values < 0].sum() / np.abs(values).sum()
    assert f"{negative:.{1 if negative < 10 else 0}f} %" in text(page, "negative-share")


def divided(values: np.ndarray[Any, Any], mask: np.ndarray[Any, Any]) -> dict[str, float]:
    positive = np.maximum(values.astype(float), 0)
    return {name: float(100 * positive[mask == index].sum() / positive.sum()) for index, name in enumerate(CLASSES)}


def shares_shown(page: Any) -> dict[str, float]:
    return {name: float(text(page, f"importance-{name}").rstrip(" %")) for name in CLASSES}


def test_small_importance_is_hidden(open_link: Callable[[str], Any], site: Site) -> None:
    page = open_link("class=sky&method=hires-cam&layer=relu&map=alone")
    values = fetch(page, site, "attribution", question(page))
    row, column = (int(place) for place in np.unravel_index(np.argmin(values), values.shape))
    high = tuple(int(place) for place in np.unravel_index(np.argmax(values), values.shape))
    before, peak = pixel_colour(page, "importance", row, column), pixel_colour(page, "importance", *high)
    by_id(page, "threshold").fill("0.5")
    limit = float(np.abs(values).max()) / 2
    assert plain_number(text(page, "threshold-value")) == pytest.approx(limit, rel=0.05)
    assert plain_number(text(page, "scale-threshold") + text(page, "scale-power")) == pytest.approx(limit, rel=0.05)
    assert pixel_colour(page, "importance", row, column) != before
    assert pixel_colour(page, "importance", *high) == peak
    until(page, "location.hash.includes('threshold=0.5')")


def test_threshold_is_set_by_keys_on_the_scale_and_kept_by_a_link(open_link: Callable[[str], Any]) -> None:
    page = open_link("class=barn&threshold=0.3")
    assert by_id(page, "threshold").input_value() == "0.3"
    handle = by_id(page, "scale-handle")
    handle.focus()
    page.keyboard.press("ArrowUp")
    assert by_id(page, "threshold").input_value() == "0.31"
    page.keyboard.press("End")
    assert by_id(page, "threshold").input_value() == "0.99"
    page.keyboard.press("Home")
    assert by_id(page, "threshold").input_value() == "0"
    assert by_id(page, "scale-threshold").count() == 0
    until(page, "!location.hash.includes('threshold')")


def test_threshold_is_dragged_on_the_scale(page: Any) -> None:
    bar = by_id(page, "scale").bounding_box()
    x = bar["x"] + bar["width"] / 2
    page.mouse.move(x, bar["y"] + bar["height"])
    page.mouse.down()
    page.mouse.move(x, bar["y"] + bar["height"] / 2, steps=4)
    page.mouse.up()
    assert float(by_id(page, "threshold").input_value()) == pytest.approx(0.5, abs=0.02)


def test_probability_of_the_predicted_class_is_read_out(page: Any, site: Site) -> None:
    sure = fetch(page, site, "confidence")
    row, column = (int(place) for place in np.unravel_index(np.argmin(sure), sure.shape))
    for place in ((row, column), (5, 5)):
        page.mouse.move(*point(page, "input", *place))
        percent = round(sure[place] / 2.55)
        expected = "> 99 %" if percent == 100 else f"{percent} %"
        until(page, f"document.querySelector('[data-testid=readout-confidence]').textContent === '{expected}'")
    assert sure.min() < 200


def test_what_a_relu_cut_off_is_a_click_away(open_link: Callable[[str], Any]) -> None:
    """No pixel is predicted as ground, and nothing but its bias speaks for it over the others."""
    page = open_link("class=ground&against=lawn&method=hires-cam&layer=relu&region=everywhere")
    by_id(page, "importance-zero").wait_for()
    sent = ask(page, lambda: by_id(page, "importance-signed").click())
    assert sent["parameters"] == {"relu": False}
    assert by_id(page, "importance-zero").count() == 0
    assert "none, all is negative" in text(page, "negative-share")
