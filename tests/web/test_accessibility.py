"""The page as axe-core sees it: no serious or critical violation, in whatever state it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import Console, Site, wait_for_map

pytestmark = pytest.mark.browser

AXE = Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
CONFIGURATION = {"resultTypes": ["violations"]}

Step = Callable[[Any], object]


def click(name: str) -> Step:
    """Return the step of a click on what has this test id."""
    return lambda page: page.get_by_test_id(name).first.click()


def press(*keys: str) -> Step:
    return lambda page: [page.keyboard.press(key) for key in keys]


def wait_for(name: str) -> Step:
    return lambda page: page.get_by_test_id(name).first.wait_for()


def choose(name: str, option: str) -> Step:
    return lambda page: page.get_by_test_id(name).select_option(option)


def see_network(page: Any) -> None:
    page.get_by_test_id("network").scroll_into_view_if_needed()
    page.wait_for_selector('[data-testid="graph"] [data-state="ready"]')


def compare(view: str) -> Step:
    """Return the step to one view of the compare panel."""

    def step(page: Any) -> None:
        page.get_by_test_id("compare").scroll_into_view_if_needed()
        page.get_by_test_id(f"compare-{view}").click()

    return step


def close_clipboard(page: Any) -> None:
    page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")


def see_methods(page: Any) -> None:
    page.get_by_test_id("agreement").scroll_into_view_if_needed()
    page.wait_for_selector('[data-testid="map-grid"] [data-state="ready"]')
    page.wait_for_function("() => Number(document.querySelector('[data-testid=agreement]').dataset.count) > 1")


def fill(name: str, value: str) -> Step:
    return lambda page: page.get_by_test_id(name).fill(value)


def table(state: str) -> Step:
    return lambda page: page.wait_for_selector(f'[data-testid="table-mode"][data-state="{state}"]')


def hold(pattern: str) -> Step:
    """Return the step after which nothing at these addresses is answered."""
    return lambda page: page.route(pattern, lambda route: None)


def resize(width: int, height: int) -> Step:
    return lambda page: page.set_viewport_size({"width": width, "height": height})


def fail(pattern: str, code: str = "server-failed") -> Step:
    """Return the step after which the server fails at these addresses; the page is loaded anew."""
    body = json.dumps({"error": {"code": code, "message": "This failed, as it was meant to."}})

    def route(page: Any) -> None:
        page.route(pattern, lambda route: route.fulfill(status=500, content_type="application/json", body=body))
        page.reload()

    return route


# What is looked at: a name, and the steps that lead there from the first view.
STATES: list[tuple[str, list[Step]]] = [
    ("first view", []),
    ("help", [press("?"), wait_for("help")]),
    ("settings of the method", [choose("method", "layer-cam"), click("method-settings")]),
    ("true mask", [click("mask-truth")]),
    ("errors of the mask", [click("mask-errors")]),
    ("pixel", [press("p")]),
    ("brush that removes", [press("r", "x")]),
    ("live", [press("v")]),
    ("map alone", [click("map-alone")]),
    ("network", [see_network]),
    ("focus on the network", [see_network, lambda page: page.get_by_test_id("graph").focus()]),
    ("network folded away", [click("network-toggle")]),
    ("filters of the images", [click("filter-toggle"), wait_for("filter-name")]),
    ("plot of the images", [click("overview-toggle"), wait_for("plot-x")]),
    ("threshold", [lambda page: page.get_by_test_id("threshold").fill("0.4")]),
    ("the same for every region", [press("b"), wait_for("sameness")]),
    ("nothing pinned", [compare("pins"), wait_for("pins-empty")]),
    ("pins", [press("c"), compare("pins"), wait_for("pin-card")]),
    ("two layers", [compare("layers"), choose("beside", "smooth"), wait_for("pair")]),
    ("classes × layers", [compare("grid"), wait_for("map-grid")]),
    ("export", [click("export-open"), wait_for("export-preview"), wait_for("export-python")]),
    ("link to share", [close_clipboard, click("share"), wait_for("share-link")]),
    ("grid of methods", [click("compare-methods"), see_methods]),
    ("grid of methods for classes", [click("compare-methods"), click("methods-across-classes"), see_methods]),
    ("choice of methods", [click("compare-methods"), see_methods, click("methods-rows")]),
    ("no method fits", [click("compare-methods"), fill("methods-find", "nothing"), wait_for("methods-none")]),
    ("narrow window with methods", [resize(700, 900), click("compare-methods"), see_methods]),
    ("every pixel at once", [choose("layer", "smooth"), click("table"), table("ready")]),
    (
        "no table at this layer",
        [choose("method", "hires-cam"), choose("layer", "input"), click("table"), table("refused")],
    ),
    ("no table by this method", [choose("method", "saliency"), table("unavailable")]),
    ("a table under way", [hold("**/table"), click("table"), table("building"), wait_for("table-cancel")]),
    ("reasons", [choose("layer", "smooth"), click("mask-reasons"), wait_for("reason-0")]),
    (
        "focus on a reason",
        [click("mask-reasons"), wait_for("reason-0"), lambda page: page.get_by_test_id("reason-0").focus()],
    ),
    ("reasons under way", [hold("**/reasons"), click("mask-reasons"), wait_for("reasons-cancel")]),
    ("no reasons", [fail("**/reasons"), wait_for_map, click("mask-reasons"), wait_for("reasons-retry")]),
    ("narrow window", [resize(700, 900), see_network]),
    ("narrow window with help", [resize(700, 900), press("?"), wait_for("help")]),
    ("no map", [fail("**/attribution"), wait_for("importance-error")]),
    ("no prediction", [fail("**/prediction"), wait_for("mask-error")]),
    ("no images", [fail("**/api/images"), wait_for("gallery-error")]),
    ("no network", [fail("**/graph"), lambda page: page.get_by_test_id("network-error").scroll_into_view_if_needed()]),
]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("name", "steps"), STATES, ids=[name for name, _ in STATES])
def test_no_serious_violation(
    new_page: Callable[..., Any], site: Site, console: Console, name: str, steps: list[Step], scheme: str
) -> None:
    if not AXE.is_file():
        pytest.skip("axe-core isn't installed; run npm ci in web/")
    console.expected += ["500", "422"]
    page = new_page(color_scheme=scheme)
    page.goto(site.address)
    wait_for_map(page)
    for step in steps:
        step(page)
    grave = grave_violations(page)
    assert not grave, "\n".join(grave)


def grave_violations(page: Any) -> list[str]:
    """Return what axe-core finds serious or critical in a page as it is now."""
    # Not a script of the page: its policy wouldn't let it in.
    page.evaluate(AXE.read_text(encoding="utf-8"))
    # What was disabled a moment ago may still have the look of it, in the frame that is being drawn.
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    page.evaluate(
        """() => Promise.all(document.getAnimations()
            .filter(each => Number.isFinite(each.effect.getComputedTiming().endTime))
            .map(each => each.finished.catch(() => {})))"""
    )
    violations = page.evaluate("options => axe.run(document, options).then(found => found.violations)", CONFIGURATION)
    return [
        f"{found['id']} ({found['impact']}): {found['help']}\n  "
        + "\n  ".join(f"{node['html'][:160]}\n    {node['failureSummary']}" for node in found["nodes"][:4])
        for found in violations
        if found["impact"] in ("serious", "critical")
    ]
