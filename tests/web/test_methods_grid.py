"""Slow methods in the page, and the grid that sets methods side by side."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import FARM, Console, Site, serving, wait_for_map
from .test_accessibility import AXE, grave_violations
from .test_compare import count_requests, show, wait_for_address

pytestmark = pytest.mark.browser

# What another package adds by an entry point: a method that takes as many moments as it is told, and one that refuses.
SLOW = """
import time

from segscope.errors import CannotExplain
from segscope.methods import Parameter, place_method

from network import build

ABOUT = {"citation": "Nobody 2026", "url": "https://example.org", "cannot": "It says nothing.", "signed": False}
MOMENTS = Parameter(name="moments", kind="int", default=4, minimum=1, maximum=10_000, description="How many it takes.")


@place_method(name="patience", title="Patience", summary="Waits.", at="layer", family="perturbation",
              parameters=(MOMENTS,), **ABOUT)
def patience(place, *, moments):
    place.progress.expect(moments)
    for _ in range(moments):
        time.sleep(0.05)
        place.score(place.values[None])
    return place.values.abs().sum(0)


@place_method(name="refusal", title="Refusal", summary="Refuses.", at="layer", family="attention", **ABOUT)
def refusal(place):
    raise CannotExplain("It needs tokens, and this network has none.")
"""

LONG = "method=patience&method.moments=9000"


@pytest.fixture(scope="module")
def slow_site(farm: Path, tmp_path_factory: pytest.TempPathFactory, browser: Any) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("slow") / "farm"
    shutil.copytree(farm, folder)
    (folder / "slow.py").write_text(SLOW)
    with serving(folder, "serve", "slow.py:build", *FARM[1:]) as site:
        yield site


@pytest.fixture
def open_slow(new_page: Callable[..., Any], slow_site: Site) -> Callable[..., Any]:
    """Open the page on the server with slow methods, at some place of its address."""

    def open_page(place: str = "", **options: Any) -> Any:
        page = new_page(**options)
        page.goto(f"{slow_site.address}#{place}")
        page.get_by_test_id("question").wait_for()
        return page

    return open_page


def text(page: Any, name: str) -> str:
    return str(page.get_by_test_id(name).first.inner_text())


def wait_for_text(page: Any, name: str, pattern: str) -> None:
    page.wait_for_function(
        "([name, pattern]) => new RegExp(pattern).test("
        "document.querySelector(`[data-testid='${name}']`)?.innerText ?? '')",
        arg=[name, pattern],
    )


def cell(page: Any, method: str, column: str) -> Any:
    return page.get_by_test_id(f"cell-{method}-{column}")


def wait_for_cell(page: Any, method: str, column: str, state: str = "ready") -> None:
    page.wait_for_selector(f'[data-testid="cell-{method}-{column}"][data-state="{state}"]')


def rows(page: Any) -> list[str]:
    names = page.locator('[data-testid="map-grid"] [role="rowheader"] .name').all_inner_texts()
    return [name.strip() for name in names]


def tick(page: Any, *names: str) -> None:
    page.get_by_test_id("methods-rows").click()
    for name in names:
        page.get_by_test_id(f"methods-rows-{name}").check()
    page.keyboard.press("Escape")


# In the main view.


def test_methods_are_grouped_and_slow_ones_are_marked(open_slow: Callable[..., Any]) -> None:
    page = open_slow()
    wait_for_map(page)
    groups = page.get_by_test_id("method").locator("optgroup")
    labels = [group.get_attribute("label") for group in groups.all()]
    assert labels[0] == "Class activation maps"
    assert {"Gradients", "Perturbation", "Attention"} <= set(labels)
    option = page.locator('[data-testid="method"] option[value="patience"]')
    assert option.inner_text() == "Patience (slow)"
    page.get_by_test_id("method").select_option("patience")
    wait_for_map(page)
    page.wait_for_function("() => /\\(0\\.\\d s\\)/.test(document.querySelector('option[value=patience]').textContent)")
    page.get_by_test_id("method-settings").click()
    assert "the last time" in text(page, "method-cost")
    assert "4 passes" in text(page, "method-cost")


def test_slow_map_tells_how_far_it_is_and_can_be_cancelled(open_slow: Callable[..., Any]) -> None:
    page = open_slow("method=patience&method.moments=600")
    wait_for_text(page, "importance-waiting", r"(^|\s)[1-9]\d* %")
    meter = page.get_by_test_id("importance-waiting").get_by_role("progressbar")
    assert int(meter.get_attribute("aria-valuenow")) >= 1
    page.get_by_test_id("importance-cancel").click()
    page.get_by_test_id("importance-cancelled").wait_for()
    # Nothing of it goes on: another slow one has the server to itself.
    page.get_by_test_id("method").select_option("grad-cam")
    page.get_by_test_id("method").select_option("patience")
    wait_for_map(page)


def test_quick_questions_of_others_are_answered_meanwhile(open_slow: Callable[..., Any]) -> None:
    waiting = open_slow(LONG)
    wait_for_text(waiting, "importance-waiting", r"\d %")
    other = open_slow("method=hires-cam")
    wait_for_map(other)
    # And of the same visitor: the network's small maps, by a method that stands in.
    waiting.get_by_test_id("network").scroll_into_view_if_needed()
    waiting.wait_for_selector('[data-testid="graph"] [data-state="ready"]')
    assert "by Grad-CAM, since Patience would take minutes for all layers" in text(waiting, "network-summary")
    assert waiting.get_by_test_id("importance").get_attribute("data-state") == "loading"
    waiting.get_by_test_id("method").select_option("grad-cam")
    wait_for_map(waiting)


def test_changing_the_question_ends_the_slow_one(open_slow: Callable[..., Any]) -> None:
    page = open_slow(LONG)
    wait_for_text(page, "importance-waiting", r"\d %")
    left: list[str] = []
    page.on("requestfailed", lambda request: left.append(request.url))
    page.keyboard.press("3")
    page.wait_for_timeout(100)
    assert any(url.endswith("/attribution") for url in left)
    page.get_by_test_id("method").select_option("saliency")
    wait_for_map(page)


def test_live_mode_refuses_slow_methods(open_slow: Callable[..., Any]) -> None:
    page = open_slow("method=patience")
    wait_for_map(page)
    page.keyboard.press("v")
    wait_for_text(page, "live-refused", "Patience is too slow to follow the pointer")
    page.get_by_test_id("method").select_option("hires-cam")
    page.get_by_test_id("live-refused").wait_for(state="detached")


def test_reason_stands_in_place_of_the_map(open_slow: Callable[..., Any], console: Console) -> None:
    console.expected.append("422")
    page = open_slow("method=refusal")
    page.get_by_test_id("importance-none").wait_for()
    assert "No map by Refusal here" in text(page, "importance-none")
    assert "this network has none" in text(page, "importance-none")
    assert page.get_by_test_id("importance-retry").count() == 0


# The grid.


def test_grid_shows_quick_methods_at_a_few_layers(open_slow: Callable[..., Any]) -> None:
    page = open_slow()
    wait_for_map(page)
    show(page, "methods")
    for column in ("input", "smooth", "relu"):
        wait_for_cell(page, "grad-cam", column)
    assert "Patience" not in rows(page)
    assert rows(page)[0] == "Grad-CAM"
    head = page.locator('[data-testid="map-grid"] [role="rowheader"]').first.inner_text()
    assert "1 pass" in head
    assert " s" in head
    assert cell(page, "grad-cam", "relu").get_attribute("aria-selected") == "true"


def test_slow_rows_are_added_computed_last_and_told_of(open_slow: Callable[..., Any], console: Console) -> None:
    console.expected.append("422")
    page = open_slow("compare=methods&methods-layers=smooth~relu")
    wait_for_map(page)
    asked = count_requests(page, "attribution")
    page.get_by_test_id("compare").scroll_into_view_if_needed()
    tick(page, "patience", "refusal")
    wait_for_cell(page, "patience", "smooth")
    wait_for_cell(page, "refusal", "relu", "none")
    assert "it needs tokens" in cell(page, "refusal", "relu").get_attribute("aria-label").lower()
    order = ["patience" in body or "refusal" in body for body in asked]
    assert order == sorted(order)
    # The column of the question goes first.
    assert '"layer":"relu"' in next(body for body in asked if "patience" in body)
    wait_for_address(page, "methods=", "patience", "methods-layers=smooth~relu")


def test_long_row_shows_its_progress_and_is_cancelled(open_slow: Callable[..., Any]) -> None:
    page = open_slow("compare=methods&methods=patience~saliency&methods-layers=relu&" + LONG)
    page.get_by_test_id("compare").scroll_into_view_if_needed()
    wait_for_cell(page, "saliency", "relu")
    wait_for_cell(page, "patience", "relu", "running")
    assert cell(page, "patience", "relu").get_by_role("progressbar").count() == 1
    page.get_by_test_id("methods-cancel").click()
    wait_for_cell(page, "patience", "relu", "none")
    assert "not computed" in cell(page, "patience", "relu").inner_text()
    assert page.get_by_test_id("methods-resume").is_visible()


def test_cell_opens_in_the_main_view_without_waiting_again(open_slow: Callable[..., Any]) -> None:
    page = open_slow("compare=methods&methods=patience~grad-cam&methods-layers=smooth~relu")
    wait_for_map(page)
    page.get_by_test_id("compare").scroll_into_view_if_needed()
    wait_for_cell(page, "patience", "smooth")
    cell(page, "patience", "smooth").click()
    wait_for_map(page)
    assert page.get_by_test_id("method").input_value() == "patience"
    assert page.get_by_test_id("layer").input_value() == "smooth"
    assert cell(page, "patience", "smooth").get_attribute("aria-selected") == "true"
    assert cell(page, "grad-cam", "relu").get_attribute("data-state") == "ready"


def test_keys_alone_go_through_grid_and_matrix(open_slow: Callable[..., Any]) -> None:
    page = open_slow("compare=methods&methods=saliency~grad-cam&methods-layers=smooth~relu")
    wait_for_map(page)
    page.get_by_test_id("compare").scroll_into_view_if_needed()
    wait_for_cell(page, "saliency", "relu")
    cell(page, "grad-cam", "relu").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowLeft")
    assert "Saliency, smooth" in text(page, "map-grid-told")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelector('[data-testid=method]').value === 'saliency'")
    assert page.get_by_test_id("layer").input_value() == "smooth"
    page.get_by_test_id("agreement-grad-cam-grad-cam").focus()
    page.keyboard.press("ArrowRight")
    assert "Grad-CAM and Saliency: ρ" in text(page, "agreement-told")


def test_agreement_is_symmetric_and_belongs_to_its_column(open_slow: Callable[..., Any]) -> None:
    page = open_slow("compare=methods&methods=saliency~grad-cam~hires-cam&methods-layers=smooth~relu")
    wait_for_map(page)
    page.get_by_test_id("agreement").scroll_into_view_if_needed()
    page.wait_for_selector('[data-testid="agreement"][data-count="3"]')
    assert page.get_by_test_id("agreement-among").input_value() == "relu"
    one = text(page, "agreement-grad-cam-saliency")
    assert one == text(page, "agreement-saliency-grad-cam")
    assert 0.8 < float(text(page, "agreement-grad-cam-hires-cam")) < 1
    page.get_by_test_id("agreement-among").select_option("smooth")
    wait_for_address(page, "methods-among=smooth")


def test_rows_are_sorted_and_filtered(open_slow: Callable[..., Any]) -> None:
    page = open_slow("compare=methods&methods=saliency~grad-cam~patience&methods-layers=relu")
    wait_for_map(page)
    page.get_by_test_id("compare").scroll_into_view_if_needed()
    wait_for_cell(page, "patience", "relu")
    assert rows(page) == ["Grad-CAM", "Saliency", "Patience"]
    page.get_by_test_id("methods-sort").select_option("agreement")
    assert "ρ 1.00" in cell(page, "grad-cam", "relu").inner_text()
    assert rows(page)[0] == "Grad-CAM"
    page.get_by_test_id("methods-sort").select_option("time")
    assert rows(page)[-1] == "Patience"
    page.get_by_test_id("methods-sort").select_option("share")
    assert "%" in cell(page, "patience", "relu").inner_text()
    page.get_by_test_id("methods-family").select_option("perturbation")
    assert rows(page) == ["Patience"]
    page.get_by_test_id("methods-family").select_option("any")
    page.get_by_test_id("methods-find").fill("cam")
    assert rows(page) == ["Grad-CAM"]
    page.get_by_test_id("methods-find").fill("nothing like it")
    page.get_by_test_id("methods-none").wait_for()
    page.get_by_test_id("methods-unfilter").click()
    assert len(rows(page)) == 3
    # What was hidden is still there.
    assert cell(page, "saliency", "relu").get_attribute("data-state") == "ready"
    wait_for_address(page, "methods-sort=share")


def test_classes_are_columns_each_method_at_its_usual_place(open_slow: Callable[..., Any]) -> None:
    page = open_slow("compare=methods&methods-across=classes&methods=saliency~grad-cam&rows=sky~barn")
    wait_for_map(page)
    asked = count_requests(page, "attribution")
    page.get_by_test_id("compare").scroll_into_view_if_needed()
    for method in ("saliency", "grad-cam"):
        for column in ("sky", "barn"):
            wait_for_cell(page, method, column)
    layers = {body.split('"layer":"')[1].split('"')[0] for body in asked if '"saliency"' in body}
    assert layers == {"input"}
    cell(page, "saliency", "barn").click()
    wait_for_map(page)
    assert page.get_by_test_id("class").input_value() == "barn"
    assert page.get_by_test_id("layer").input_value() == "input"
    assert cell(page, "grad-cam", "sky").get_attribute("data-state") == "ready"


def test_link_brings_the_grid_back(open_slow: Callable[..., Any], new_page: Callable[..., Any]) -> None:
    page = open_slow("compare=methods")
    wait_for_map(page)
    page.get_by_test_id("compare").scroll_into_view_if_needed()
    page.get_by_test_id("methods-across-classes").click()
    page.get_by_test_id("methods-at").select_option("smooth")
    page.get_by_test_id("methods-find").fill("cam")
    page.get_by_test_id("compare-scale-shared").click()
    address = wait_for_address(page, "methods-across=classes", "methods-at=smooth", "methods-find=cam", "shared")
    other = new_page()
    other.goto(address)
    wait_for_map(other)
    other.get_by_test_id("compare").scroll_into_view_if_needed()
    wait_for_cell(other, "grad-cam", "sky")
    assert other.get_by_test_id("methods-at").input_value() == "smooth"
    assert "Saliency" not in rows(other)
    assert other.get_by_test_id("methods-mixed").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_waiting_and_reasons_are_accessible(open_slow: Callable[..., Any], console: Console, scheme: str) -> None:
    if not AXE.is_file():
        pytest.skip("axe-core isn't installed; run npm ci in web/")
    console.expected.append("422")
    place = "compare=methods&methods=refusal~saliency&methods-layers=smooth~relu&"
    page = open_slow(place + LONG, color_scheme=scheme)
    wait_for_text(page, "importance-waiting", r"\d %")
    page.get_by_test_id("compare").scroll_into_view_if_needed()
    wait_for_cell(page, "refusal", "smooth", "none")
    tick(page, "patience")
    wait_for_cell(page, "patience", "relu", "running")
    assert grave_violations(page) == []
