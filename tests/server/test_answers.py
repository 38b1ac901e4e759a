"""What the server says is what the library says."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import segscope
from segscope.server import Gallery, create_app
from segscope.server.session import Session
from segscope.server.summary import class_iou

from .conftest import Client, error_of, npy

PIXELS = {"kind": "pixel", "row": 3, "column": 5}
PATCH = {"kind": "superpixel", "row": 3, "column": 5}
REGIONS: list[dict[str, Any] | None] = [
    None,
    {"kind": "everywhere"},
    {"kind": "predicted"},
    PIXELS,
    {"kind": "box", "top": 2, "left": 3, "bottom": 20, "right": 30},
    {"kind": "polygon", "points": [[2, 2], [30.5, 4], [20, 40]]},
    {"kind": "true", "class": "root"},
    {"kind": "errors", "class": "root"},
    {"kind": "errors", "class": "root", "error": "false-negative"},
    {"kind": "segment", "row": 3, "column": 5},
    PATCH | {"count": 12},
    {"kind": "superpixel", "row": 39, "column": 55},
    {"kind": "or", "regions": [PIXELS, {"kind": "box", "top": 0, "left": 0, "bottom": 2, "right": 2}]},
    {"kind": "and", "regions": [{"kind": "everywhere"}, {"kind": "not", "region": PIXELS}]},
    {"kind": "mask", "size": [40, 56], "runs": [100, 40, 2000, 100]},
]


@pytest.fixture
def truth(folder: Path) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(folder / "masks" / "image2.png"))


@pytest.fixture
def expected(model: segscope.SegmentationModel, folder: Path) -> segscope.Prediction:
    return model.predict(folder / "images" / "image2.png", truth=folder / "masks" / "image2.png")


def ask(client: Client, image_id: str, **question: Any) -> Any:
    return client.post(f"/api/images/{image_id}/attribution", json=question)


def largest_class(prediction: segscope.Prediction) -> str:
    return prediction.model.classes[int(np.bincount(prediction.mask.ravel()).argmax())]


def test_model_lists_classes_and_methods(client: Client, model: segscope.SegmentationModel) -> None:
    body = client.get("/api/model").json()
    assert [entry["name"] for entry in body["classes"]] == list(model.classes)
    assert [entry["color"] for entry in body["classes"]] == list(model.colors)
    assert [entry["index"] for entry in body["classes"]] == [0, 1, 2, 3]
    known = segscope.methods.all_methods()
    assert [entry["name"] for entry in body["methods"]] == list(known)
    for entry in body["methods"]:
        assert [parameter["name"] for parameter in entry["parameters"]] == [
            p.name for p in known[entry["name"]].parameters
        ]


def test_model_without_class_names_gets_them_from_the_first_image(network: torch.nn.Module, gallery: Gallery) -> None:
    client = Client(create_app(segscope.SegmentationModel(network), gallery))
    assert [entry["name"] for entry in client.get("/api/model").json()["classes"]] == [f"class {i}" for i in range(4)]


def test_prediction_is_what_the_library_says(
    client: Client, ids: dict[str, str], expected: segscope.Prediction, truth: np.ndarray[Any, Any]
) -> None:
    body = client.get(f"/api/images/{ids['image2.png']}/prediction").json()
    assert body["image"]["id"] == ids["image2.png"]
    assert body["default_layer"] == expected.default_layer
    assert [layer["name"] for layer in body["layers"]] == list(expected.layers)
    assert body["confidence"] == pytest.approx(float(expected.probabilities.max(axis=0).mean()), rel=1e-5)
    for entry in body["classes"]:
        predicted, true = expected.mask == entry["index"], truth == entry["index"]
        assert entry["share"] == pytest.approx(predicted.mean())
        assert entry["iou"] == pytest.approx((predicted & true).sum() / (predicted | true).sum())


def test_confidence_is_in_bytes(client: Client, ids: dict[str, str], expected: segscope.Prediction) -> None:
    found = npy(client.get(f"/api/images/{ids['image2.png']}/confidence"))
    assert found.dtype == np.uint8
    assert found.shape == expected.mask.shape
    np.testing.assert_allclose(found / 255, expected.probabilities.max(axis=0), atol=0.5 / 255 + 1e-5)


def test_confidence_of_one_channel_is_of_the_class_that_won(gallery: Gallery, ids: dict[str, str]) -> None:
    torch.manual_seed(2)
    client = Client(create_app(segscope.SegmentationModel(torch.nn.Conv2d(3, 1, 1), classes=("sea", "land")), gallery))
    found = npy(client.get(f"/api/images/{ids['image2.png']}/confidence"))
    assert found.min() >= 127


def test_prediction_without_truth_has_no_iou(client: Client, ids: dict[str, str]) -> None:
    body = client.get(f"/api/images/{ids['image10.png']}/prediction").json()
    assert [entry["iou"] for entry in body["classes"]] == [None] * 4
    assert sum(entry["share"] for entry in body["classes"]) == pytest.approx(1)


def test_masks_are_what_the_library_says(
    client: Client, ids: dict[str, str], expected: segscope.Prediction, truth: np.ndarray[Any, Any]
) -> None:
    mask = npy(client.get(f"/api/images/{ids['image2.png']}/mask"))
    assert mask.dtype == np.uint8
    assert (mask == expected.mask).all()
    true = npy(client.get(f"/api/images/{ids['image2.png']}/truth"))
    assert true.dtype == np.uint8
    assert (true == truth).all()


@pytest.mark.parametrize("count", [None, 7, 300])
def test_superpixels_are_what_the_library_says(
    client: Client, ids: dict[str, str], expected: segscope.Prediction, count: int | None
) -> None:
    query = "" if count is None else f"?count={count}"
    patches = npy(client.get(f"/api/images/{ids['image2.png']}/superpixels{query}"))
    assert patches.dtype in (np.uint8, np.uint16)
    assert (patches == expected.superpixels(count or 200)).all()


def test_impossible_number_of_superpixels_is_refused(client: Client, ids: dict[str, str]) -> None:
    assert client.get(f"/api/images/{ids['image2.png']}/superpixels?count=0").status_code == 422


def test_truth_that_is_not_there_is_404(client: Client, ids: dict[str, str]) -> None:
    response = client.get(f"/api/images/{ids['image10.png']}/truth")
    assert response.status_code == 404
    assert "no true mask" in error_of(response)["message"]


@pytest.mark.parametrize("region", REGIONS, ids=lambda region: "none" if region is None else str(region["kind"]))
def test_attribution_is_what_the_library_says(
    client: Client, ids: dict[str, str], expected: segscope.Prediction, region: dict[str, Any] | None
) -> None:
    class_ = largest_class(expected)
    if region == {"kind": "predicted"}:
        region = {"kind": "predicted", "class": class_}
    response = ask(client, ids["image2.png"], **{"class": class_, "region": region, "method": "hires-cam"})
    given = None if region is None else segscope.Region.from_dict(region)
    attribution = expected.explain(class_, given, method="hires-cam")
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/x-npy"
    values = npy(response)
    assert values.dtype == np.float32
    assert values.shape == expected.size
    np.testing.assert_allclose(values, attribution.values, rtol=1e-5, atol=1e-7)
    header = json.loads(response.headers["X-Segscope-Attribution"])
    assert header["class"] == class_
    assert header["layer"] == expected.default_layer
    assert (header["map_height"], header["map_width"]) == attribution.map.shape
    assert header["region_pixels"] == (attribution.region_weights > 0).sum()
    assert header["score_value"] == pytest.approx(attribution.score, rel=1e-5)
    assert header["milliseconds"] >= 0


def test_attribution_takes_every_option(client: Client, ids: dict[str, str], expected: segscope.Prediction) -> None:
    layer = next(iter(expected.layers))
    options: dict[str, Any] = {"layer": layer, "method": "grad-cam", "against": "stem", "score": "probability"}
    everywhere = {"kind": "everywhere"}
    question = {"class": "root", "region": everywhere, "parameters": {"relu": False}, **options}
    response = ask(client, ids["image2.png"], **question)
    attribution = expected.explain("root", segscope.Region.everywhere(), relu=False, **options)
    np.testing.assert_allclose(npy(response), attribution.values, rtol=1e-4, atol=1e-9)
    assert json.loads(response.headers["X-Segscope-Attribution"])["signed"] is True


@pytest.mark.parametrize("method", list(segscope.methods.all_methods()))
def test_every_method_answers(client: Client, ids: dict[str, str], method: str) -> None:
    response = ask(client, ids["upright.jpg"], **{"class": 2, "region": {"kind": "everywhere"}, "method": method})
    assert response.status_code == 200, response.text
    assert npy(response).shape == (56, 40)


@pytest.mark.parametrize(
    ("question", "code", "words"),
    [
        ({"class": "leef"}, "unknown-name", "'leaf'"),
        ({"class": 17}, "unknown-name", "17"),
        ({"class": True}, "invalid-input", "class"),
        ({"class": "leaf", "layer": "nowhere"}, "unknown-name", "nowhere"),
        ({"class": "leaf", "method": "gradcam"}, "unknown-name", "'grad-cam'"),
        ({"class": "leaf", "score": "odds"}, "invalid-input", "score"),
        ({"class": "leaf", "against": "leaf"}, "invalid-input", "against itself"),
        ({"class": "leaf", "parameters": {"relv": True}}, "unknown-name", "'relu'"),
        ({"class": "leaf", "parameters": {"layer": 1}}, "unknown-name", "layer"),
        ({"class": "leaf", "parameters": {"self": 1}}, "unknown-name", "self"),
        ({"class": "leaf", "parameters": {"relu": "perhaps"}}, "invalid-input", "perhaps"),
        ({"class": "leaf", "region": {"kind": "circle"}}, "invalid-input", "circle"),
        ({"class": "leaf", "region": {"kind": "pixel", "row": 40, "column": 0}}, "invalid-region", "40"),
        (
            {
                "class": "leaf",
                "region": {"kind": "or", "regions": [{**PATCH, "count": count} for count in (9, 10, 11)]},
            },
            "invalid-region",
            "2 counts",
        ),
        ({"class": "leaf", "region": {"kind": "segment", "row": 0, "column": 56}}, "invalid-region", "56"),
        ({"class": "leaf", "region": {"kind": "superpixel", "row": -1, "column": 0}}, "invalid-region", "-1"),
        (
            {"class": "leaf", "region": {"kind": "superpixel", "row": 0, "column": 0, "count": 5001}},
            "invalid-input",
            "5000",
        ),
        (
            {"class": "leaf", "region": {"kind": "box", "top": 5, "left": 0, "bottom": 5, "right": 9}},
            "invalid-region",
            "",
        ),
        ({"class": "leaf", "region": {"kind": "polygon", "points": [[0, 0], [1, 1]]}}, "invalid-input", "points"),
        ({"class": "leaf", "region": {"kind": "mask", "size": [4, 5], "runs": [20]}}, "invalid-region", "40×56"),
        ({"class": "leaf", "region": {"kind": "mask", "size": [40, 56], "runs": [20]}}, "invalid-region", "20"),
        ({"class": "leaf", "region": {"kind": "mask", "size": [40, 56], "runs": [2240]}}, "empty-region", ""),
        (
            {"class": "leaf", "region": {"kind": "mask", "size": [10**9, 10**9], "runs": [0, 10**15]}},
            "invalid-region",
            "",
        ),
        ({"class": "leaf", "region": {"kind": "or", "regions": [PIXELS] * 65}}, "invalid-input", "regions"),
        (
            {"class": "leaf", "region": {"kind": "or", "regions": [{"kind": "or", "regions": [PIXELS] * 33}] * 2}},
            "invalid-region",
            "64 parts",
        ),
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


def test_true_region_without_truth_says_so(client: Client, ids: dict[str, str]) -> None:
    response = ask(client, ids["image10.png"], **{"class": "leaf", "region": {"kind": "true", "class": "leaf"}})
    assert response.status_code == 422
    assert "true mask" in error_of(response)["message"]


def test_picture_shows_what_the_network_sees(client: Client, ids: dict[str, str], image: np.ndarray[Any, Any]) -> None:
    response = client.get(f"/api/images/{ids['image10.png']}/picture")
    assert response.headers["content-type"] == "image/png"
    assert (np.asarray(Image.open(BytesIO(response.content))) == image).all()


def test_picture_of_a_turned_photograph_is_upright(client: Client, ids: dict[str, str]) -> None:
    response = client.get(f"/api/images/{ids['upright.jpg']}/picture")
    assert response.headers["content-type"] == "image/jpeg"
    shown = Image.open(BytesIO(response.content))
    assert (shown.width, shown.height) == (40, 56)
    assert not shown.getexif()
    record = next(entry for entry in client.get("/api/images").json()["images"] if entry["name"] == "upright.jpg")
    assert (record["width"], record["height"], record["has_truth"]) == (40, 56, True)


def test_thumbnail_is_a_small_jpeg(model: segscope.SegmentationModel, tmp_path: Path) -> None:
    Image.new("RGB", (900, 300), "red").save(tmp_path / "wide.png")
    gallery = Gallery(tmp_path)
    response = Client(create_app(model, gallery)).get(f"/api/images/{gallery.images()[0].id}/thumbnail")
    assert response.headers["content-type"] == "image/jpeg"
    assert Image.open(BytesIO(response.content)).size == (192, 64)


def test_picture_that_the_browser_has_is_not_sent_again(client: Client, ids: dict[str, str]) -> None:
    address = f"/api/images/{ids['image2.png']}/picture"
    tag = client.get(address).headers["etag"]
    again = client.get(address, headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")


def test_one_forward_pass_serves_all_questions_about_an_image(
    client: Client, ids: dict[str, str], network: torch.nn.Module
) -> None:
    calls: list[int] = []
    handle = network.register_forward_pre_hook(lambda *_: calls.append(1))
    for resource in ("prediction", "mask", "prediction"):
        client.get(f"/api/images/{ids['image2.png']}/{resource}")
    for class_ in ("leaf", "root"):
        ask(client, ids["image2.png"], **{"class": class_, "region": {"kind": "everywhere"}})
    handle.remove()
    assert len(calls) == 1


def test_memory_of_predictions_is_bounded(model: segscope.SegmentationModel, gallery: Gallery) -> None:
    # The first pass finds out which activations must be copied, and takes more than those that follow.
    one = [model.predict(gallery.read(gallery.images()[0])).nbytes for _ in range(2)][1]
    # Some of it is for long work.
    session = Session(model, gallery, memory=int(3.6 * one))
    for image in gallery.images():
        session.summary(image)
    assert len(session.predictions) == 2
    assert session.predictions.nbytes <= session.predictions.max_bytes < 2.6 * one
    session.close()


def test_class_iou_leaves_out_pixels_of_no_class() -> None:
    truth = np.array([[0, 0, 1, 255]], dtype=np.int32)
    mask = np.array([[0, 1, 1, 1]], dtype=np.int32)
    assert class_iou(truth, mask, classes=3) == [0.5, 0.5, None]
