"""Tables on the wire: what the page makes of them is what the server would have answered."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import segscope
from segscope.server import Gallery, create_app
from segscope.server.kept import KeptBytes
from segscope.server.tables import TABLED, encode_table
from tests.table_fixture import fixture_text

from .conftest import Client, error_of

FIXTURE = Path(__file__).parents[2] / "web" / "src" / "table" / "fixture.json"
TOLERANCE = 2e-3


def ask(client: Client, image_id: str, **question: Any) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Return the arrays of a table, their scales undone, and what describes them."""
    response = client.post(f"/api/images/{image_id}/table", json=question)
    assert response.status_code == 200, response.text
    return read(response.content)


def read(content: bytes) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    with np.load(BytesIO(content), allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files if name != "description.json"}
        description = json.loads(file["description.json"])
    found = {"logits": arrays["logits"]}
    for name, scales in (("values", "scales"), ("activation", "activation_scales")):
        if scales not in arrays:
            assert name not in arrays or arrays[name].dtype == np.float32
            found |= {name: arrays[name]} if name in arrays else {}
        else:
            assert arrays[name].dtype == np.float16
            shape = (-1, *[1] * (arrays[name].ndim - 1))
            found[name] = arrays[name].astype(np.float64) / arrays[scales].reshape(shape)
    return found, description


def map_of(arrays: dict[str, NDArray[Any]], class_: int, against: int, row: int, column: int) -> NDArray[np.float64]:
    """Return the signed map of one logit against another's: each logit is a pixel of its own here."""
    values = arrays["values"][..., class_, row, column] - arrays["values"][..., against, row, column]
    if "activation" in arrays:
        return np.asarray(np.einsum("c,crs->rs", values, arrays["activation"]))
    found = np.zeros(arrays["values"].shape[1:])
    found[row, column] = values
    return found


@pytest.mark.parametrize("method", TABLED)
def test_table_answers_what_the_server_would(client: Client, ids: dict[str, str], method: str) -> None:
    image_id = ids["image2.png"]
    session = client.app.state.session
    prediction = session.prediction(session.gallery.find(image_id))
    layer = list(prediction.layers)[-2]
    arrays, description = ask(client, image_id, layer=layer, method=method)
    assert description["kind"] == ("contributions" if method == "hires-cam" else "weights")
    assert (description["layer"], description["method"]) == (layer, method)
    assert description["image"] == list(prediction.size)
    assert np.array_equal(arrays["logits"], prediction.logits)
    for row, column in ((3, 4), (20, 30)):
        found = map_of(arrays, 1, 2, row, column)
        region = segscope.Region.pixel(row, column)
        expected = prediction.explain(1, region, against=2, layer=layer, method=method, relu=False).map
        assert expected.any()
        assert np.abs(found - expected).max() <= TOLERANCE * np.abs(expected).max()


def test_small_channels_keep_their_digits() -> None:
    last = torch.nn.Conv2d(2, 2, 1)
    last.weight.data[:, 0] *= 1e-9
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 1), last)
    with segscope.SegmentationModel(network).predict(torch.rand(3, 4, 5)) as prediction:
        arrays, _ = read(encode_table(prediction, "0", "grad-cam", None))
        expected = prediction.table("0").values.numpy()
    np.testing.assert_allclose(arrays["values"], expected, rtol=1e-3)
    assert expected[0].any()


def test_table_is_made_once_and_dropped_with_its_image_and_for_newer_ones(folder: Path) -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(4, 2, 1))
    gallery = Gallery(folder / "images")
    client = Client(create_app(segscope.SegmentationModel(network), gallery))
    session = client.app.state.session
    image = gallery.images()[0]
    first = client.post(f"/api/images/{image.id}/table", json={"layer": "1"}).content
    key = (image.id, image.version, "1", "grad-cam")
    assert session.tables.find(key) == first
    session.predictions.clear()
    assert client.post(f"/api/images/{image.id}/table", json={"layer": "1"}).content == first
    assert len(session.predictions) == 0


def test_kept_bytes_hold_to_their_bound() -> None:
    kept = KeptBytes(10)
    kept.keep("a", b"12345")
    kept.keep("b", b"1234")
    assert kept.find("a") == b"12345"
    kept.keep("c", b"12345")
    assert ("a" in kept, "b" in kept, "c" in kept) == (True, False, True)
    kept.keep("large", b"x" * 11)
    assert "large" not in kept
    assert kept.nbytes <= 10


@pytest.mark.parametrize(
    ("question", "code"),
    [
        ({"layer": "nowhere"}, "unknown-name"),
        ({"layer": "0", "method": "saliency"}, "unknown-name"),
        ({"layer": "0", "more": 1}, "invalid-input"),
        ({}, "invalid-input"),
    ],
)
def test_table_that_there_cannot_be_is_refused(
    client: Client, ids: dict[str, str], question: dict[str, Any], code: str
) -> None:
    response = client.post(f"/api/images/{ids['image2.png']}/table", json=question)
    assert response.status_code == 422
    assert error_of(response)["code"] == code


def test_pages_numbers_are_current() -> None:
    command = "python -m tests.table_fixture > web/src/table/fixture.json"
    assert json.loads(FIXTURE.read_text(encoding="utf-8")) == json.loads(fixture_text()), f"run: {command}"
