"""Images of one, four and twelve bands, and a network of two inputs, in a real browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from .conftest import Console, Site, photograph, serving, wait_for_image, wait_for_map
from .test_explorer import api, ask, by_id, image_ids, pixel_colour, question, text

pytestmark = pytest.mark.browser

FOLDER = Path(__file__).parents[2] / "build" / "screenshots"
BANDS = {"one": 1, "four": 4, "twelve": 12}

# Sky is where blue outshines red; of one band, where blue is bright.
NETWORKS = """
import segscope
import torch
from torch import nn

def make(bands, *, blue, red=None, depth=None, scale=65535 / 11 / 255):
    network = nn.Sequential(nn.Conv2d(bands, 2, 3, padding=1), nn.ReLU(), nn.Conv2d(2, 2, 1))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        for channel, band, share in ((0, red, 1), (1, blue, 1), (1, depth, 0.1)):
            if band is not None:
                network[0].weight[channel, band, 1, 1] = share * scale
        network[2].weight[:, :, 0, 0] = 9 * torch.eye(2)
        network[2].bias[0] = 4.5 if red is None else 1.3
    return network

CLASSES = ("ground", "sky")

def one():
    return segscope.SegmentationModel(make(1, blue=0, scale=65535 / 250 / 255), classes=CLASSES)

def four():
    return segscope.SegmentationModel(make(4, blue=2, red=0), classes=CLASSES)

def twelve():
    return segscope.SegmentationModel(make(12, blue=1, red=3), classes=CLASSES)

class Fusion(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = make(4, blue=2, red=0, depth=3)
    def forward(self, image, depth):
        return self.body(torch.cat([image, depth], 1))

def fusion():
    return segscope.SegmentationModel(segscope.SeveralInputs(Fusion(), {"image": 3, "depth": 1}), classes=CLASSES)
"""


def scene(bands: int, seed: int = 0) -> NDArray[np.uint16]:
    """A farm as a satellite sees it: reflectances up to 3000, of which red, green and blue are bands 3, 2 and 1 of 12."""
    pixels = np.asarray(photograph(seed)[0]).astype(np.uint16)
    if bands == 1:
        return pixels[..., 2:] * 250
    if bands == 4:
        return np.dstack([pixels, 255 - pixels[..., 0]]) * 11
    noise = np.random.default_rng(seed).integers(0, 255, (*pixels.shape[:2], 12), dtype=np.uint16)
    noise[..., [3, 2, 1]] = pixels
    return noise * 11


@pytest.fixture(scope="module")
def land(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("land")
    (folder / "nets.py").write_text(NETWORKS)
    for name, bands in BANDS.items():
        (folder / name).mkdir()
        np.save(folder / name / "scene0.npy", scene(bands))
        tifffile.imwrite(
            folder / name / "scene1.tif", np.moveaxis(scene(bands, 1), 2, 0).squeeze(), photometric="minisblack"
        )
    return folder


@pytest.fixture
def open_at(land: Path, new_page: Callable[..., Any]) -> Iterator[Callable[..., tuple[Any, Site]]]:
    """Serve a network on a folder, and open the page."""
    with ExitStack() as opened:

        def open_it(network: str, *options: str, folder: str | None = None, link: str = "") -> tuple[Any, Site]:
            arguments = (f"nets.py:{network}", "--images", folder or network, *options)
            site = opened.enter_context(serving(land, "serve", *arguments))
            page = new_page()
            opened.callback(page.context.close)  # before its server ends
            page.goto(site.address + link)
            wait_for_map(page)
            return page, site

        yield open_it


def input_colour(page: Any, row: int, column: int) -> tuple[int, int, int]:
    page.locator('[data-testid="picture-input"][aria-busy="true"]').wait_for(state="detached")
    page.wait_for_timeout(300)
    return pixel_colour(page, "input", row, column)


def keep(page: Any, name: str) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=FOLDER / f"{name}.png")


@pytest.mark.parametrize("name", BANDS)
def test_from_file_to_map(open_at: Callable[..., tuple[Any, Site]], name: str) -> None:
    page, site = open_at(name)
    for image in ("scene0.npy", "scene1.tif"):
        by_id(page, "image-list").locator("[role=option]", has_text=image).click()
        wait_for_image(page, image)
        assert 20 < float(text(page, "share-sky").rstrip(" %")) < 80
        other = "sky" if question(page)["class"] == "ground" else "ground"
        assert ask(page, by_id(page, f"class-{other}").click)["class"] == other
        address = urljoin(site.address, f"api/images/{image_ids(page, site)[image]}/mask")
        mask = np.load(BytesIO(api(page, address).body()))
        assert mask[:20].mean() > 0.9
        assert mask[-10:].mean() < 0.1
    assert (by_id(page, "band-red").count() == 1) == (BANDS[name] > 3)
    keep(page, f"bands-{name}")


def test_bands_are_chosen_in_the_page(open_at: Callable[..., tuple[Any, Site]]) -> None:
    page, site = open_at("twelve", "--bands", "3,2,1")
    assert [by_id(page, f"band-{colour}").input_value() for colour in ("red", "green", "blue")] == ["3", "2", "1"]
    red, _, blue = input_colour(page, 8, 80)
    assert blue > red + 40  # the sky
    keep(page, "bands-chosen-by-command")
    with page.expect_request(lambda request: request.url.endswith("/picture?bands=1,2,1")):
        by_id(page, "band-red").select_option("1")
    with page.expect_request(lambda request: request.url.endswith("/picture?bands=1,2,3")) as sent:
        by_id(page, "band-blue").select_option("3")
    assert sent.value.response().status == 200
    red, _, blue = input_colour(page, 8, 80)
    assert red > blue + 40
    assert "bands=1,2,3" in page.url
    keep(page, "bands-chosen-in-page")
    page.set_viewport_size({"width": 700, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.goto(f"{site.address}#bands=7")
    page.reload()
    wait_for_map(page)
    assert [by_id(page, f"band-{colour}").input_value() for colour in ("red", "green", "blue")] == ["7", "7", "7"]
    red, green, blue = input_colour(page, 8, 80)
    assert max(red, green, blue) - min(red, green, blue) < 8


@pytest.mark.parametrize("bands", ["12,0,0", "1,2", "red"])
def test_link_to_bands_that_are_not_there_shows_the_others(
    open_at: Callable[..., tuple[Any, Site]], bands: str
) -> None:
    page, _ = open_at("twelve", link=f"#bands={bands}")
    assert by_id(page, "band-red").input_value() == "0"
    assert by_id(page, "picture-error").count() == 0


@pytest.mark.parametrize("kind", ["npy", "tif"])
def test_scene_is_uploaded(open_at: Callable[..., tuple[Any, Site]], kind: str, tmp_path: Path) -> None:
    page, _ = open_at("twelve", "--bands", "3,2,1")
    path = tmp_path / f"mine.{kind}"
    if kind == "npy":
        np.save(path, scene(12, 5))
    else:
        tifffile.imwrite(path, scene(12, 5), photometric="minisblack", planarconfig="contig", compression="zlib")
    by_id(page, "upload-file").set_input_files(path)
    wait_for_image(page, path.name)
    red, _, blue = input_colour(page, 8, 80)
    assert blue > red + 40


def test_image_of_other_bands_is_refused_in_words(
    open_at: Callable[..., tuple[Any, Site]], console: Console, tmp_path: Path
) -> None:
    console.expected.append("status of 422")
    page, _ = open_at("twelve")
    photograph(3)[0].save(tmp_path / "photo.png")
    by_id(page, "upload-file").set_input_files(tmp_path / "photo.png")
    told = page.get_by_text("The image has 3 channels; the network's first convolution takes 12")
    # In more than one place, some of which may be folded away.
    told.locator("visible=true").first.wait_for()
    np.save(tmp_path / "half.npy", scene(12))
    (tmp_path / "half.npy").write_bytes((tmp_path / "half.npy").read_bytes()[:5000])
    by_id(page, "upload-file").set_input_files(tmp_path / "half.npy")
    by_id(page, "upload-error").wait_for()
    assert "'half.npy' is damaged" in text(page, "upload-error")


def test_each_of_two_inputs_is_asked_about(open_at: Callable[..., tuple[Any, Site]]) -> None:
    page, _ = open_at("fusion", folder="four")
    by_id(page, "class-sky").click()
    by_id(page, "method").select_option("saliency")
    wait_for_map(page)
    for layer in ("image", "input", "depth"):
        choose = partial(by_id(page, "layer").select_option, layer)
        assert ask(page, choose)["layer"] == layer
    keep(page, "inputs-depth")
