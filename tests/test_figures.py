"""The numbers and pictures in the documentation are those that the program makes."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "tutorial" / "what-each-layer-contributes.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def figures() -> ModuleType:
    spec = importlib.util.spec_from_file_location("figures", ROOT / "docs" / "figures.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rows(method: str) -> dict[str, list[str]]:
    """Return the cells of a method's table on the page, by layer."""
    found = re.search(rf"<!-- table of {method} -->\n\n(.*?)\n\n<!-- end -->", PAGE, re.DOTALL)
    assert found
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in found[1].splitlines()[2:]]
    return {layer.strip("`"): cells for layer, *cells in lines}


def test_table_holds_what_is_measured(figures: ModuleType) -> None:
    layer = "psp_level6_conv"
    for method in figures.METHODS:
        assert list(rows(method)) == list(figures.LAYERS)
    measured = figures.measure(figures.measured_images(), "grad-cam", [layer])[layer]
    *shares, gini, spread, count = rows("grad-cam")[layer]
    assert [float(share.removesuffix(" %")) / 100 for share in shares] == pytest.approx(measured[:3], abs=0.006)
    assert float(gini) == pytest.approx(measured[3], abs=0.006)
    assert float(spread) == pytest.approx(measured[4], abs=0.0006)
    assert int(count) == measured[5] == len(figures.measured_images())


@pytest.mark.parametrize("method", ["grad-cam", "hires-cam"])
def test_sentence_on_the_ring_is_measured(figures: ModuleType, method: str) -> None:
    sentence = {
        "grad-cam": r"Grad-CAM has (\d+) % of its importance on the cap there and (\d+) % on the ring",
        "hires-cam": r"By HiResCAM it is (\d+) % and (\d+) %;",
    }
    text = " ".join(PAGE.split())
    found, images = re.search(sentence[method], text), re.search(r"over the (\d+) images with a ring", text)
    assert found
    assert images
    measured = figures.measure(figures.measured_images(), method, ["block5_conv3"], class_="ring")["block5_conv3"]
    assert [float(share) / 100 for share in found.groups()] == pytest.approx([measured[0], measured[2]], abs=0.006)
    assert int(images[1]) == measured[5]


@pytest.mark.parametrize("name", ["layers-grad-cam.png", "layers-hires-cam.png", "compare-methods.png"])
def test_figures_are_small_and_shown(name: str) -> None:
    path = ROOT / "docs" / "images" / name
    assert path.stat().st_size <= 150_000
    with Image.open(path) as picture:
        assert picture.width >= 800
    pages = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs").rglob("*.md"))
    assert f"../images/{name})" in pages
