"""The explorer in a real browser, on the network and images that come with segscope."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from segscope.demo import DATA
from segscope.methods import all_methods

from .conftest import Site, serving, wait_for_image, wait_for_map
from .test_explorer import ask, by_id, text

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not (DATA / "pspnet-vgg16-mushrooms.safetensors").is_file(), reason="the shipped weights aren't here"
    ),
]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, browser: Any) -> Iterator[Site]:  # no server without it
    with serving(tmp_path_factory.mktemp("demo"), "demo") as site:
        yield site


@pytest.fixture
def page(new_page: Callable[..., Any], demo: Site) -> Any:
    page = new_page()
    page.goto(demo.address)
    wait_for_map(page)
    return page


def test_demo_opens_on_mushrooms(page: Any) -> None:
    assert "mushrooms" in text(page, "model-name")
    assert int(text(page, "image-count")) == len(list((DATA / "images").iterdir()))
    for name in ("background", "volva", "gills", "stipe", "ring", "cap"):
        assert by_id(page, f"class-{name}").is_visible()
    assert by_id(page, "layer").input_value() == "aggregation_conv"


def test_cap_is_explained_from_deep_to_early_layers(page: Any) -> None:
    ask(page, lambda: by_id(page, "tool-everywhere").click())
    if by_id(page, "class").input_value() != "cap":
        ask(page, lambda: by_id(page, "class-cap").click())
    heights = {"block5_conv3": 28, "psp_level1_conv": 1, "psp_level6_conv": 6, "block1_conv2": 224}
    for layer, height in heights.items():
        assert ask(page, partial(by_id(page, "layer").select_option, layer))["class"] == "cap"
        assert re.match(rf"{height} × {height}\b", text(page, "map-size"))
        # One cell for the whole image holds either evidence for the class or, cut off at zero, none.
        zero = layer == "psp_level1_conv" and by_id(page, "importance-zero").is_visible()
        assert zero or re.search(r"\d", by_id(page, "scale").get_attribute("aria-label"))


def test_every_quick_method_answers_on_every_tenth_image(page: Any) -> None:
    methods = [name for name, method in all_methods().items() if method.quick]
    ask(page, lambda: by_id(page, "tool-everywhere").click())
    images = by_id(page, "image-list")
    count = int(images.locator("[role=option]").first.get_attribute("aria-setsize"))
    for number in range(0, count, 10):
        images.evaluate("(list, top) => { list.scrollTop = top; }", 64 * number)
        images.locator(f"[aria-posinset='{number + 1}']").click()
        wait_for_map(page)
        for method in methods:
            if by_id(page, "method").input_value() != method:
                ask(page, partial(by_id(page, "method").select_option, method))
        assert by_id(page, "importance-error").count() == 0


def test_photograph_of_a_telephone_is_explained(page: Any, tmp_path: Path) -> None:
    from PIL import Image

    with Image.open(min((DATA / "images").iterdir())) as shipped:
        exif = Image.Exif()
        exif[0x0112] = 6
        large = shipped.convert("RGB").resize((1600, 1200)).transpose(Image.Transpose.ROTATE_90)
        large.save(tmp_path / "IMG_0001.jpg", quality=90, exif=exif)
    by_id(page, "upload-file").set_input_files(tmp_path / "IMG_0001.jpg")
    wait_for_image(page, "IMG_0001.jpg")
    chosen = by_id(page, "image-list").locator("[aria-selected=true]")
    assert "1600 × 1200" in chosen.get_attribute("aria-label")
