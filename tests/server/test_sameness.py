"""Where a method can't tell regions apart, the answer says so, and finding out costs little."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import segscope
from segscope.demo.pspnet import PSPNetVGG16
from segscope.server import Gallery, create_app
from segscope.server.sameness import alike, other_region
from tests.conftest import CLASSES

from .conftest import Client

PIXEL = {"kind": "pixel", "row": 20, "column": 30}
CORNER = {"kind": "box", "top": 0, "left": 0, "bottom": 30, "right": 30}
SIGNED = {"relu": False}


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Ask a small network of the example's structure; return the finding and how many backward passes it took."""
    torch.manual_seed(5)
    network = PSPNetVGG16(classes=len(CLASSES), width=1 / 8).eval()
    pixels = np.random.default_rng(0).integers(0, 256, (96, 96, 3), np.uint8)
    for name in ("one", "two"):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    gallery = Gallery(tmp_path)
    client = Client(create_app(segscope.SegmentationModel(network, classes=CLASSES), gallery))
    passes: list[int] = []
    grad = torch.autograd.grad

    def counted(*arguments: Any, **options: Any) -> Any:
        passes.append(1)
        return grad(*arguments, **options)

    monkeypatch.setattr(torch.autograd, "grad", counted)

    def ask(*, image: int = 0, **question: Any) -> tuple[bool | None, int]:
        passes.clear()
        body = {"class": "leaf", "region": CORNER, "parameters": SIGNED, "layer": "aggregation_conv", **question}
        response = client.post(f"/api/images/{gallery.images()[image].id}/attribution", json=body)
        assert response.status_code == 200, response.text
        return json.loads(response.headers["X-Segscope-Attribution"])["same_for_every_region"], len(passes)

    return ask


@pytest.mark.parametrize("region", [PIXEL, CORNER, {"kind": "everywhere"}], ids=lambda region: region["kind"])
@pytest.mark.parametrize("against", [None, "root"])
def test_grad_cam_before_the_classifier_is_the_same_for_every_region(asked: Any, region: Any, against: Any) -> None:
    assert asked(region=region, against=against)[0] is True
    assert asked(region=region, against=against, parameters={})[0] is True
    assert asked(region=region, against=against, method="hires-cam")[0] is False
    assert asked(region=region, against=against, method="layer-cam")[0] is False
    assert asked(region=region, against=against, layer="block4_conv3")[0] is False


def test_it_is_measured_once_for_each_way_of_asking(asked: Any) -> None:
    assert asked() == (True, 2)
    for column in range(20):
        assert asked(region={**PIXEL, "column": column}) == (True, 1)
    further: list[dict[str, Any]] = [
        {"class": "root"},
        {"against": "root"},
        {"layer": "block5_conv3"},
        {"method": "hires-cam"},
        {"parameters": {"relu": True}},
        {"score": "probability"},
        {"image": 1},
    ]
    for change in further:
        assert asked(**change)[1] == 2, change
        assert asked(**change, region=PIXEL)[1] == 1, change


def test_names_and_indices_are_one_way_of_asking(asked: Any) -> None:
    assert asked(**{"class": "leaf"})[1] == 2
    assert asked(**{"class": 1})[1] == 1


def test_other_region_is_elsewhere() -> None:
    weights = np.zeros((7, 9), np.float32)
    for row, column in ((0, 0), (6, 8), (0, 8), (6, 0)):
        weights[:] = 0
        weights[row, column] = 1
        region = other_region(weights)
        assert region is not None
        box = region.to_dict()
        assert not weights[box["top"] : box["bottom"], box["left"] : box["right"]].any()
    assert other_region(np.ones((1, 5), np.float32)) == segscope.Region.box(0, 0, 1, 3)
    assert other_region(np.ones((1, 1), np.float32)) is None


def test_maps_are_alike_up_to_scale_only() -> None:
    maps = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)
    assert alike(maps, maps * 1e-12)
    assert not alike(maps, -maps)
    assert not alike(maps, maps + np.eye(5, 6, dtype=np.float32) * 0.2)
    assert not alike(maps, np.zeros_like(maps))
    assert not alike(np.zeros_like(maps), np.zeros_like(maps))


def test_what_can_not_be_measured_is_null(folder: Path) -> None:
    Image.new("RGB", (1, 1)).save(folder / "images" / "dot.png")
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 1), torch.nn.ReLU(), torch.nn.Conv2d(8, 4, 1))
    gallery = Gallery(folder / "images")
    client = Client(create_app(segscope.SegmentationModel(network, classes=CLASSES), gallery))
    ids = {image.name: image.id for image in gallery.images()}
    body = {"class": "leaf", "region": {"kind": "everywhere"}, "layer": "0", "parameters": SIGNED}

    def same(name: str) -> Any:
        response = client.post(f"/api/images/{ids[name]}/attribution", json=body)
        return json.loads(response.headers["X-Segscope-Attribution"])["same_for_every_region"]

    assert same("image2.png") is not None
    assert same("dot.png") is None
