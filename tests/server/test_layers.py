"""The network's graph, and the small maps of all its layers."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

import segscope
from segscope.geometry import resize
from segscope.server import Gallery, create_app
from tests.networks import ZOO

from .conftest import Client, error_of

EVERYWHERE = {"kind": "everywhere"}


@pytest.fixture
def expected(model: segscope.SegmentationModel, folder: Path) -> segscope.Prediction:
    return model.predict(folder / "images" / "image2.png", truth=folder / "masks" / "image2.png")


def ask(client: Client, image_id: str, **question: Any) -> Any:
    return client.post(f"/api/images/{image_id}/layers", json=question)


def read(response: Any) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """Return the maps of an answer, and what describes them."""
    assert response.status_code == 200, response.text
    with np.load(BytesIO(response.content), allow_pickle=False) as file:
        assert file.files == ["maps", "description.json"]
        return file["maps"], json.loads(file["description.json"])


def client_of(network: torch.nn.Module, folder: Path) -> tuple[Client, str]:
    model = segscope.SegmentationModel(network, classes=("background", "leaf", "stem", "root"))
    gallery = Gallery(folder / "images")
    return Client(create_app(model, gallery)), gallery.images()[0].id


@pytest.mark.parametrize("case", [case for case in ZOO if case.name in ("unet", "transformer", "pspnet")], ids=str)
def test_graph_is_the_flow_of_data(case: Any, folder: Path) -> None:
    network = case.build()
    client, image_id = client_of(network, folder)
    body = client.get(f"/api/images/{image_id}/graph").json()
    prediction = client.app.state.session.prediction(client.app.state.session.gallery.find(image_id))
    names = [node["name"] for node in body["nodes"]]
    assert names == ["input", *prediction.layers]
    assert body["nodes"][0] == {"name": "input", "type": "Input", "channels": 3, "height": 40, "width": 56}
    assert body["edges"] == [list(edge) for edge in prediction.edges]
    assert ["input", names[1]] in body["edges"]
    assert all(names.index(source) < names.index(target) for source, target in body["edges"])
    assert {target for _, target in body["edges"]} == set(names[1:])


def test_module_named_input_is_one_node(folder: Path) -> None:
    network = torch.nn.Sequential()
    network.add_module("input", torch.nn.Conv2d(3, 8, 3, padding=1))
    network.add_module("head", torch.nn.Conv2d(8, 4, 1))
    client, image_id = client_of(network, folder)
    body = client.get(f"/api/images/{image_id}/graph").json()
    assert [(node["name"], node["channels"]) for node in body["nodes"]] == [("input", 8), ("head", 4)]


@pytest.mark.parametrize(
    "region", [EVERYWHERE, {"kind": "segment", "row": 3, "column": 5}], ids=lambda body: body["kind"]
)
@pytest.mark.parametrize("method", ["grad-cam", "saliency"])
def test_maps_are_those_of_the_library(
    client: Client, ids: dict[str, str], expected: segscope.Prediction, region: dict[str, Any], method: str
) -> None:
    question = {"class": 2, "region": region, "method": method, "size": 28, "against": "root"}
    response = ask(client, ids["image2.png"], **question)
    assert response.headers["content-type"] == "application/x-npz"
    maps, header = read(response)
    assert (header["class"], header["method"]) == ("stem", method)
    assert header["signed"] == segscope.methods.find_method(method).signed
    assert header["milliseconds"] > 0
    assert [layer["name"] for layer in header["layers"]] == list(expected.layers)
    assert maps.shape == (len(expected.layers), 20, 28)
    assert maps.dtype == np.float32
    given = segscope.Region.from_dict(region)
    for values, layer in zip(maps, header["layers"], strict=True):
        attribution = expected.explain(2, given, layer=layer["name"], method=method, against="root")
        assert layer["reason"] is None
        assert layer["limit"] == pytest.approx(attribution.limit, rel=1e-5)
        small = resize(torch.from_numpy(attribution.values), (20, 28)).numpy()
        np.testing.assert_allclose(values, small, rtol=1e-4, atol=1e-6 * layer["limit"])


def test_layer_without_influence_gives_the_reason(folder: Path) -> None:
    class TwoHeads(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = torch.nn.Conv2d(3, 6, 3, padding=1)
            self.even = torch.nn.Conv2d(6, 2, 1)
            self.odd = torch.nn.Conv2d(6, 2, 1)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            maps = self.stem(images)
            return torch.cat([self.even(maps), self.odd(maps)], 1)

    client, image_id = client_of(TwoHeads(), folder)
    response = ask(client, image_id, **{"class": "leaf", "region": EVERYWHERE, "parameters": {"relu": False}})
    maps, description = read(response)
    layers = description["layers"]
    assert [layer["name"] for layer in layers] == ["stem", "even", "odd"]
    assert np.isfinite(maps[:2]).all()
    assert np.isnan(maps[2]).all()
    assert layers[2]["limit"] is None
    assert "doesn't influence this score" in layers[2]["reason"]


def test_network_of_600_layers_is_described_in_the_body(folder: Path) -> None:
    depth = 600
    network = torch.nn.Sequential(*(torch.nn.Conv2d(3, 3, 1) for _ in range(depth - 1)), torch.nn.Conv2d(3, 4, 1))
    client, image_id = client_of(torch.nn.Sequential(torch.nn.Sequential(network)), folder)
    assert len(client.get(f"/api/images/{image_id}/graph").json()["edges"]) == depth
    response = ask(client, image_id, **{"class": "leaf", "region": EVERYWHERE, "size": 16})
    maps, description = read(response)
    assert maps.shape == (depth, 11, 16)
    assert len({layer["name"] for layer in description["layers"]}) == depth
    # Browsers and proxies refuse answers whose headers are longer than some kilobytes.
    assert sum(len(name) + len(value) for name, value in response.headers.items()) < 4096


def test_one_backward_pass_serves_all_layers(
    client: Client, ids: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    grad = torch.autograd.grad

    def counted(*arguments: Any, **options: Any) -> Any:
        calls.append(1)
        return grad(*arguments, **options)

    monkeypatch.setattr(torch.autograd, "grad", counted)
    assert ask(client, ids["image2.png"], **{"class": "leaf", "region": EVERYWHERE}).status_code == 200
    assert len(calls) == 1


@pytest.mark.parametrize(("size", "shape"), [(16, (1, 16)), (64, (2, 64)), (128, (4, 128))])
def test_size_keeps_the_proportions(
    model: segscope.SegmentationModel, tmp_path: Path, size: int, shape: tuple[int, int]
) -> None:
    wide: NDArray[np.uint8] = np.random.default_rng(0).integers(0, 256, (10, 320, 3), np.uint8)
    Image.fromarray(wide).save(tmp_path / "wide.png")
    gallery = Gallery(tmp_path)
    client = Client(create_app(model, gallery))
    response = ask(client, gallery.images()[0].id, **{"class": "leaf", "region": EVERYWHERE, "size": size})
    assert read(response)[0].shape[1:] == shape


@pytest.mark.parametrize(
    ("question", "code", "words"),
    [
        ({"class": "leaf", "size": 15}, "invalid-input", "size"),
        ({"class": "leaf", "size": 129}, "invalid-input", "size"),
        ({"class": "leaf", "layer": "head"}, "invalid-input", "layer"),
        ({"class": "leef"}, "unknown-name", "'leaf'"),
        ({"class": "leaf", "parameters": {"layers": 1}}, "unknown-name", "layers"),
        ({"class": "leaf", "region": {"kind": "mask", "size": [40, 56], "runs": [2240]}}, "empty-region", ""),
    ],
)
def test_bad_question_is_a_clear_error(
    client: Client, ids: dict[str, str], question: dict[str, Any], code: str, words: str
) -> None:
    response = ask(client, ids["image2.png"], **question)
    assert response.status_code == 422
    error = error_of(response)
    assert error["code"] == code, error
    assert words in error["message"]
