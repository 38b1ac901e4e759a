"""What people come for, each with the mouse and by keyboard alone, on the network that comes with segscope."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from segscope.demo import DATA

from .conftest import Site, serving, wait_for_map
from .test_explorer import api, ask, by_id, question, text

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not (DATA / "pspnet-vgg16-mushrooms.safetensors").is_file(), reason="the shipped weights aren't here"
    ),
]

MOST_TABS = 120


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, browser: Any) -> Iterator[Site]:  # no server without it
    with serving(tmp_path_factory.mktemp("stories"), "demo") as site:
        yield site


@pytest.fixture
def page(new_page: Callable[..., Any], demo: Site) -> Any:
    page = new_page()
    page.goto(demo.address)
    wait_for_map(page)
    return page


@pytest.fixture(params=["mouse", "keyboard"])
def hand(request: pytest.FixtureRequest, page: Any) -> Hand:
    return Hand(page) if request.param == "mouse" else Keyboard(page)


class Hand:
    """Someone with a mouse."""

    def __init__(self, page: Any) -> None:
        self.page = page

    def press(self, name: str) -> None:
        by_id(self.page, name).click()

    def choose(self, name: str, value: str) -> None:
        by_id(self.page, name).select_option(value)

    def choose_class(self, name: str) -> None:
        self.press(f"class-{name}")

    def open_first_image(self) -> None:
        self.page.locator("[data-testid='image-list'] [aria-posinset='1']").click()

    def pin(self) -> None:
        self.press("pin")


class Keyboard(Hand):
    """Someone who has no mouse."""

    def press(self, name: str) -> None:
        self.reach(name)
        self.page.keyboard.press("Enter")

    def choose(self, name: str, value: str) -> None:
        self.reach(name)
        options = by_id(self.page, name).locator("option")
        values = [options.nth(number).get_attribute("value") for number in range(options.count())]
        self.page.keyboard.press("Home")
        for _ in values:
            if by_id(self.page, name).input_value() == value:
                return
            self.page.keyboard.press("ArrowDown")
        assert by_id(self.page, name).input_value() == value

    def choose_class(self, name: str) -> None:
        self.page.keyboard.press(str(classes(self.page).index(name) + 1))

    def open_first_image(self) -> None:
        self.reach("image-list")
        self.page.keyboard.press("Home")

    def reach(self, name: str) -> None:
        """Press Tab until something has the focus."""
        for _ in range(MOST_TABS):
            if self.page.evaluate("document.activeElement?.dataset?.testid ?? ''") == name:
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"{name} can't be reached by Tab")


def classes(page: Any) -> list[str]:
    return list(by_id(page, "class").locator("option").all_inner_texts())


def answer(page: Any, resource: str, body: dict[str, Any] | None = None) -> bytes:
    """Return what the server says about the selected image."""
    address = f"{page.url.split('#')[0]}api/images/{selected(page)}/{resource}"
    return bytes(api(page, address, body).body())


def explain(page: Any) -> bytes:
    """Return the map that the page's question gets, asked for once more."""
    return answer(page, "attribution", question(page))


def statistics(page: Any) -> dict[str, Any]:
    """Return the numbers of all images, once all are measured."""
    by_id(page, "measure-progress").wait_for(state="detached", timeout=120_000)
    return {row["id"]: row for row in page.request.get(f"{page.url.split('#')[0]}api/statistics").json()["rows"]}


def most_confused(page: Any) -> tuple[str, str]:
    """Return the class that was predicted wrongly on most pixels of one true class, and that one."""
    mask, truth = (np.load(io.BytesIO(answer(page, resource))) for resource in ("mask", "truth"))
    names = classes(page)
    pairs = Counter(zip(mask[mask != truth].tolist(), truth[mask != truth].tolist(), strict=True))
    (predicted, true), _ = next(pair for pair in pairs.most_common() if max(pair[0]) < len(names))
    return names[predicted], names[true]


def selected(page: Any) -> str:
    option = page.locator("[data-testid='image-list'] [aria-selected='true']")
    return str(option.get_attribute("data-testid")).removeprefix("image-")


def test_what_a_layer_contributes_to_a_class(page: Any, hand: Hand) -> None:
    """Network architecture: level 1 of the pyramid knows one number for the whole image."""
    if question(page)["class"] != "cap":
        ask(page, lambda: hand.choose_class("cap"))
    hand.choose("layer", "psp_level1_conv")
    by_id(page, "map-size").filter(has_text="1 × 1").wait_for()
    wait_for_map(page)
    assert question(page)["layer"] == "psp_level1_conv"
    # What is said is what the map holds: nothing that speaks for the class, or all of it shared out.
    values = np.load(io.BytesIO(explain(page)))
    assert by_id(page, "importance-zero").is_visible() == (not values.any())
    hand.choose("layer", "block5_conv3")
    by_id(page, "map-size").filter(has_text="28 × 28").wait_for()
    values = np.load(io.BytesIO(explain(page)))
    mask = np.load(io.BytesIO(answer(page, "mask")))
    share = round(100 * values[mask == classes(page).index("cap")].sum() / values.sum())
    assert re.search(rf"cap {share} %", by_id(page, "importance-shares").get_attribute("aria-label"))


def test_on_which_images_a_class_fails(page: Any, hand: Hand) -> None:
    """Images: the one on which *ring* is missed most comes first."""
    hand.choose("sort", "iou.ring")
    rows = statistics(page)
    ring = classes(page).index("ring")
    hand.open_first_image()
    wait_for_map(page)
    known = [row["iou"][ring] for row in rows.values() if row["iou"][ring] is not None]
    assert rows[selected(page)]["iou"][ring] == min(known) < max(known)


def test_why_an_area_was_labelled_wrongly(page: Any, hand: Hand) -> None:
    """Pixels and areas: why the wrong class, and not the true one."""
    hand.choose("sort", "iou")
    statistics(page)
    hand.open_first_image()
    wait_for_map(page)
    hand.press("mask-errors")
    wrong, true = most_confused(page)
    if question(page)["class"] != wrong:
        ask(page, lambda: hand.choose_class(wrong))
    asked = ask(page, lambda: hand.press("tool-false-positive"))
    assert (asked["region"]["kind"], asked["region"]["error"]) == ("errors", "false-positive")
    hand.choose("against", true)
    assert (question(page)["class"], question(page)["against"]) == (wrong, true)
    # The network prefers the wrong class there, which the score says: the mean logit of one less that of the other.
    assert float(text(page, "score-value").replace("−", "-")) > 0


def test_maps_are_pinned_and_the_link_shows_them_again(page: Any, hand: Hand, new_page: Callable[..., Any]) -> None:
    """Compare: what one sees can be shown to somebody else."""
    hand.pin()
    hand.choose("layer", "block5_conv3")
    wait_for_map(page)
    assert question(page)["layer"] == "block5_conv3"
    hand.pin()
    by_id(page, "pin-card").nth(1).wait_for()
    # The address follows a moment later.
    page.wait_for_url(re.compile(r"pin=.*pin="))
    other = new_page()
    other.goto(page.url)
    wait_for_map(other)
    by_id(other, "pin-card").nth(1).wait_for()
    assert by_id(other, "pin-card").count() == 2
    assert question(other) == question(page)
