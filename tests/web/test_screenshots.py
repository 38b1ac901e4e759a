"""Pictures of the main views, kept in build/screenshots for people to look at; a test only that none is blank."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segscope.demo import DATA

from .conftest import Site, serving, wait_for_map
from .test_accessibility import Step, choose, click, compare, press, table, wait_for

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not (DATA / "pspnet-vgg16-mushrooms.safetensors").is_file(), reason="the shipped weights aren't here"
    ),
]

FOLDER = Path(__file__).parents[2] / "build" / "screenshots"
SIZES = [(1280, 720), (1920, 1080), (700, 900)]
LEAST_COLOURS = 64
VIEWS: dict[str, list[Step]] = {
    "first": [],
    "errors": [click("mask-errors")],
    "reasons": [click("mask-reasons"), wait_for("reason-0")],
    "every-pixel": [press("v"), table("ready")],
    "signed": [choose("method", "input-x-gradient")],
    "same-for-every-region": [press("b"), wait_for("sameness")],
    "filters": [click("filter-toggle"), wait_for("filter-name")],
    "plot": [click("overview-toggle"), wait_for("plot-x")],
    "pins": [press("c"), compare("pins"), wait_for("pin-card")],
    "two-layers": [compare("layers"), choose("beside", "block5_conv3"), wait_for("pair")],
    "grid": [compare("grid"), wait_for("map-grid")],
    "export": [click("export-open"), wait_for("export-preview"), wait_for("export-python")],
    "help": [press("?"), wait_for("help")],
}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, browser: Any) -> Iterator[Site]:  # no server without it
    with serving(tmp_path_factory.mktemp("screenshots"), "demo") as site:
        yield site


@pytest.mark.parametrize("view", VIEWS)
def test_view_is_not_blank(new_page: Callable[..., Any], demo: Site, view: str) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    page = new_page(viewport={"width": SIZES[0][0], "height": SIZES[0][1]})
    page.goto(demo.address)
    wait_for_map(page)
    for step in VIEWS[view]:
        step(page)
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            wait_for_map(page)
            assert colours(page.screenshot(path=FOLDER / f"{view}-{width}-{scheme}.png")) > LEAST_COLOURS


def colours(data: bytes) -> int:
    """Return how many colours a picture has."""
    with Image.open(io.BytesIO(data)) as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(np.uint32)
    return len(np.unique(pixels @ np.array([1 << 16, 1 << 8, 1], dtype=np.uint32)))
