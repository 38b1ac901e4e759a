"""Where a method can't tell regions apart, the server says so, and what can; finding out costs little."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import segscope
from segscope import Target
from segscope.demo.pspnet import PSPNetVGG16
from segscope.methods import all_methods, backward_method, base
from segscope.server import Gallery, create_app
from segscope.server.sameness import Asked, Finding, alike, other_region
from tests.conftest import CLASSES

from .conftest import Client

PIXEL = {"kind": "pixel", "row": 20, "column": 30}
CORNER = {"kind": "box", "top": 0, "left": 0, "bottom": 30, "right": 30}
SIGNED = {"relu": False}


class Asker:
    """Asks a server about one of its images, and counts backward passes."""

    def __init__(self, client: Client, gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
        self.client = client
        self.ids = [image.id for image in gallery.images()]
        self.passes = 0
        grad = torch.autograd.grad

        def counted(*arguments: Any, **options: Any) -> Any:
            self.passes += 1
            return grad(*arguments, **options)

        monkeypatch.setattr(torch.autograd, "grad", counted)

    def post(self, resource: str, *, image: int = 0, **question: Any) -> Any:
        """Return the response; `passes` then says what it cost."""
        self.passes = 0
        body = {"class": "leaf", "region": CORNER, "parameters": SIGNED, "layer": "aggregation_conv", **question}
        response = self.client.post(f"/api/images/{self.ids[image]}/{resource}", json=body)
        assert response.status_code == 200, response.text
        return response

    def __call__(self, **question: Any) -> tuple[dict[str, Any], int]:
        """Return what was found, and how many backward passes it took."""
        return self.post("sameness", **question).json(), self.passes


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Asker:
    """Ask a small network of the example's structure."""
    torch.manual_seed(5)
    network = PSPNetVGG16(classes=len(CLASSES), width=1 / 8).eval()
    pixels = np.random.default_rng(0).integers(0, 256, (96, 96, 3), np.uint8)
    for name in ("one", "two"):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    gallery = Gallery(tmp_path)
    return Asker(
        Client(create_app(segscope.SegmentationModel(network, classes=CLASSES), gallery)), gallery, monkeypatch
    )


@pytest.mark.parametrize("region", [PIXEL, CORNER, {"kind": "everywhere"}], ids=lambda region: region["kind"])
@pytest.mark.parametrize("against", [None, "root"])
def test_grad_cam_before_the_classifier_is_the_same_for_every_region(asked: Asker, region: Any, against: Any) -> None:
    def same(**change: Any) -> Any:
        return asked(region=region, against=against, **change)[0]["same"]

    assert same() is True
    assert same(parameters={}) is True
    assert same(method="hires-cam") is False
    assert same(method="layer-cam") is False
    assert same(layer="block4_conv3") is False


def test_what_tells_regions_apart_is_measured(asked: Asker) -> None:
    method, layer = asked()[0]["alternatives"]
    assert method["layer"] == "aggregation_conv"
    assert method["method"] in {"hires-cam", "layer-cam"}
    assert layer["method"] == "grad-cam"
    assert layer["layer"] != "aggregation_conv"
    assert asked(**method, parameters={})[0] == {"same": False, "alternatives": []}
    assert asked(**layer)[0] == {"same": False, "alternatives": []}


def test_a_method_without_an_answer_here_is_not_suggested(asked: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A map of zeros differs from others, but tells nothing."""

    def nothing(activation: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(activation[0] * gradient[0])

    monkeypatch.setattr("segscope.methods.base._METHODS", dict(all_methods()))
    for name in [name for name, method in base._METHODS.items() if method.at == "layer" and name != "grad-cam"]:
        monkeypatch.delitem(base._METHODS, name)
    described = {"title": "Nothing", "summary": "-", "citation": "-", "url": "-", "cannot": "-", "signed": False}
    backward_method(name="nothing", at="layer", **described)(nothing)
    assert [entry["method"] for entry in asked()[0]["alternatives"]] == ["grad-cam"]


def test_nothing_is_suggested_where_nothing_tells_regions_apart(folder: Path) -> None:
    """After pooling over the whole image only one number is left for each channel."""
    network = torch.nn.Sequential(
        torch.nn.AdaptiveAvgPool2d(1), torch.nn.Conv2d(3, 8, 1), torch.nn.Softplus(), torch.nn.Conv2d(8, 4, 1)
    )
    gallery = Gallery(folder / "images")
    client = Client(create_app(segscope.SegmentationModel(network, classes=CLASSES), gallery))
    body = {"class": "leaf", "region": CORNER, "layer": "2", "parameters": SIGNED}
    response = client.post(f"/api/images/{gallery.images()[0].id}/sameness", json=body)
    assert response.json() == {"same": True, "alternatives": []}


def test_a_map_does_not_wait_for_it(asked: Asker) -> None:
    asked.post("attribution")
    assert asked.passes == 1


def test_it_is_measured_once_for_each_way_of_asking(asked: Asker) -> None:
    assert asked()[1] > 0
    for column in range(20):
        found, passes = asked(region={**PIXEL, "column": column})
        assert (found["same"], passes) == (True, 0)
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
        assert asked(**change)[1] >= 2, change
        assert asked(**change, region=PIXEL)[1] == 0, change


def test_others_have_their_turn_between_two_passes(asked: Asker) -> None:
    session = asked.client.app.state.session
    prediction = session.prediction(session.gallery.find(asked.ids[0]))
    question = Asked(Target("leaf"), "aggregation_conv", "grad-cam", {"relu": False})
    steps = list(session.sameness.steps(question, prediction, image="any"))
    # Two for the map itself, two for another method, two for all earlier layers.
    assert len(steps) > 6
    assert steps[:-1] == [None] * (len(steps) - 1)
    assert isinstance(steps[-1], Finding)
    assert steps[-1].same is True


def test_names_and_indices_are_one_way_of_asking(asked: Asker) -> None:
    assert asked(**{"class": "leaf"})[1] > 0
    assert asked(**{"class": 1})[1] == 0


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
        return client.post(f"/api/images/{ids[name]}/sameness", json=body).json()["same"]

    assert same("image2.png") is not None
    assert same("dot.png") is None
