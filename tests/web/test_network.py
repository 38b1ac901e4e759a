"""The network panel in a real browser: the data flow, a map for every layer, folding, and the keys."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import CLASSES, Console, Site, photograph, serving, wait_for_map

pytestmark = pytest.mark.browser

NESTED = """
from collections import OrderedDict

import torch
from torch import nn


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(8, 8, 3, padding=1)
        self.act = nn.Tanh()

    def forward(self, x):
        return x + self.act(self.conv(x))


def build():
    torch.manual_seed(0)
    stem = nn.Conv2d(3, 8, 3, stride=4, padding=1)
    body = nn.Sequential(*(Block() for _ in range(12)))
    return nn.Sequential(OrderedDict(stem=stem, body=body, head=nn.Conv2d(8, 4, 1)))
"""


@pytest.fixture(scope="module")
def nested(tmp_path_factory: pytest.TempPathFactory, browser: Any) -> Iterator[Site]:
    folder: Path = tmp_path_factory.mktemp("nested")
    (folder / "network.py").write_text(NESTED)
    (folder / "classes.txt").write_text("\n".join(CLASSES))
    (folder / "images").mkdir()
    photograph(0)[0].save(folder / "images" / "farm0.png")
    with serving(folder, "serve", "network.py:build", "--images", "images", "--classes", "classes.txt") as site:
        yield site


def show(page: Any) -> Any:
    """Bring the panel in sight, with its maps, and return its list of layers."""
    page.get_by_test_id("network").scroll_into_view_if_needed()
    page.wait_for_selector('[data-testid="graph"] [data-state="ready"]')
    return page.get_by_test_id("graph")


def layer(page: Any) -> str:
    return page.get_by_test_id("layer").input_value()


def test_network_shows_every_layer_with_its_map_and_size(page: Any) -> None:
    show(page)
    cells = page.get_by_test_id("graph").get_by_role("option")
    assert cells.evaluate_all("nodes => nodes.map(node => node.dataset.layer)") == [
        "input",
        "smooth",
        "relu",
        "classifier",
    ]
    assert cells.nth(1).inner_text().split("\n")[-1] == "6 · 60×80"
    colours = (
        page.get_by_test_id("cell-relu")
        .locator("canvas")
        .evaluate("node => new Set(node.getContext('2d').getImageData(0, 0, node.width, node.height).data).size")
    )
    assert colours > 8


def test_network_asks_once_for_all_layers_and_only_after_the_map(new_page: Callable[..., Any], site: Site) -> None:
    page = new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.rsplit("/", 1)[-1]))
    page.on("requestfinished", lambda request: asked.append("done " + request.url.rsplit("/", 1)[-1]))
    page.goto(site.address)
    wait_for_map(page)
    show(page)
    assert asked.count("layers") == 1
    assert asked.index("layers") > asked.index("done attribution")
    page.get_by_test_id("cell-smooth").click()
    wait_for_map(page)
    page.wait_for_timeout(400)
    assert asked.count("layers") == 1


def test_network_keys_step_along_the_graph(page: Any) -> None:
    show(page).focus()
    assert layer(page) == "relu"
    page.keyboard.press("ArrowRight")
    assert layer(page) == "classifier"
    page.keyboard.press("End")
    assert layer(page) == "classifier"
    page.keyboard.press("Home")
    assert layer(page) == "input"
    page.keyboard.press("ArrowRight")
    assert layer(page) == "smooth"
    assert page.get_by_test_id("cell-smooth").get_attribute("aria-selected") == "true"
    assert page.get_by_test_id("image-list").get_by_role("option", selected=True).count() == 1


def test_network_modules_fold_and_unfold(new_page: Callable[..., Any], nested: Site) -> None:
    page = new_page()
    page.goto(nested.address)
    wait_for_map(page)
    graph = show(page)
    assert graph.get_by_role("option").count() == 15
    page.get_by_test_id("unfold-body.3").click()
    assert graph.get_by_role("option").count() == 17
    page.get_by_test_id("cell-body.3.act").click()
    assert layer(page) == "body.3.act"
    graph.focus()
    page.keyboard.press("Backspace")
    assert graph.get_by_role("option").count() == 15
    hiding = graph.get_by_role("option", selected=True)
    assert "body.3" in hiding.get_attribute("data-testid")
    assert "act" in hiding.inner_text()
    page.keyboard.press("Enter")
    assert graph.get_by_role("option").count() == 17
    page.keyboard.press("Space")
    assert graph.get_by_role("option").count() == 15
    page.keyboard.press("Space")
    assert graph.get_by_role("option").count() == 17
    assert layer(page) == "body.3.act"
    page.get_by_test_id("fold-all").click()
    assert graph.get_by_role("option").count() == 4
    page.get_by_test_id("unfold-all").click()
    assert graph.get_by_role("option").count() == 39


def test_help_tells_of_the_networks_keys(page: Any) -> None:
    page.keyboard.press("?")
    told = page.get_by_test_id("help").inner_text()
    for words in ("Focus on the network", "Home  End", "Enter, Space", "Ctrl Z", "Wheel", "Alt"):
        assert " ".join(words.split()) in " ".join(told.split())
    page.keyboard.press("Escape")
    page.get_by_test_id("help").wait_for(state="hidden")


def test_network_folds_away_and_says_what_failed(new_page: Callable[..., Any], site: Site, console: Console) -> None:
    page = new_page()
    console.expected.append("500")
    error = json.dumps({"error": {"code": "cannot-explain", "message": "Not today."}})
    page.route("**/layers", lambda route: route.fulfill(status=500, content_type="application/json", body=error))
    page.goto(site.address)
    wait_for_map(page)
    page.get_by_test_id("network").scroll_into_view_if_needed()
    page.get_by_test_id("network-maps-error").wait_for()
    assert "Not today." in page.get_by_test_id("network-maps-error").inner_text()
    page.unroute("**/layers")
    page.get_by_test_id("network-maps-retry").click()
    show(page)
    page.get_by_test_id("network-toggle").click()
    assert page.get_by_test_id("graph").count() == 0
    page.reload()
    wait_for_map(page)
    assert page.get_by_test_id("graph").count() == 0
