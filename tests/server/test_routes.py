"""Every route is described, answers, and fails in one way."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

from .conftest import Client, encode, error_of

QUESTION = {"class": "leaf", "region": {"kind": "everywhere"}}
PHOTO = {"content": encode(Image.new("RGB", (8, 8))), "headers": {"Content-Type": "image/png"}}

# For each operation: a request that it answers, the status, and one that it refuses.
OPERATIONS: dict[tuple[str, str], tuple[dict[str, Any], int, dict[str, Any] | None]] = {
    ("GET", "/api/model"): ({}, 200, None),
    ("GET", "/api/images"): ({}, 200, None),
    ("POST", "/api/images"): (PHOTO, 201, {"content": b"no image", "headers": {"Content-Type": "image/png"}}),
    ("GET", "/api/statistics"): ({}, 200, None),
    ("PUT", "/api/statistics"): ({"json": {"paused": True}}, 200, None),
    ("GET", "/api/images/{image_id}/picture"): ({}, 200, {}),
    ("GET", "/api/images/{image_id}/thumbnail"): ({}, 200, {}),
    ("GET", "/api/images/{image_id}/file"): ({}, 200, {}),
    ("GET", "/api/images/{image_id}/prediction"): ({}, 200, {}),
    ("GET", "/api/images/{image_id}/mask"): ({}, 200, {}),
    ("GET", "/api/images/{image_id}/confidence"): ({}, 200, {}),
    ("GET", "/api/images/{image_id}/truth"): ({}, 200, {}),
    ("GET", "/api/images/{image_id}/superpixels"): ({}, 200, {}),
    ("GET", "/api/images/{image_id}/graph"): ({}, 200, {}),
    ("POST", "/api/images/{image_id}/attribution"): ({"json": QUESTION}, 200, {"json": QUESTION}),
    ("GET", "/api/work/{work_name}"): ({}, 200, None),
    ("POST", "/api/images/{image_id}/sameness"): ({"json": QUESTION}, 200, {"json": QUESTION}),
    ("POST", "/api/images/{image_id}/layers"): ({"json": QUESTION}, 200, {"json": QUESTION}),
    ("POST", "/api/images/{image_id}/table"): ({"json": {"layer": "0"}}, 200, {"json": {"layer": "0"}}),
    ("POST", "/api/images/{image_id}/reasons"): ({"json": {"layer": "0"}}, 200, {"json": {"layer": "0"}}),
    ("POST", "/api/images/{image_id}/archive"): ({"json": QUESTION}, 200, {"json": QUESTION}),
    ("POST", "/api/images/{image_id}/script"): ({"json": QUESTION}, 200, {"json": QUESTION}),
}
# Its answer grows from one request to the next.
GROWING = "/api/statistics"
IDENTIFIERS = [f"{method} {path}" for method, path in OPERATIONS]


@pytest.fixture
def operations(client: Client) -> dict[tuple[str, str], dict[str, Any]]:
    paths = client.get("/openapi.json").json()["paths"]
    return {(method.upper(), path): operation for path, item in paths.items() for method, operation in item.items()}


def test_every_route_is_tested(operations: dict[tuple[str, str], dict[str, Any]]) -> None:
    assert set(operations) == set(OPERATIONS)


def test_every_route_is_documented(operations: dict[tuple[str, str], dict[str, Any]]) -> None:
    for name, operation in operations.items():
        assert operation["summary"], name
        assert operation["description"].endswith("."), name
        assert operation["tags"], name
        assert {"4XX", "5XX"} < set(operation["responses"]), name
        for status in ("4XX", "5XX"):
            schema = operation["responses"][status]["content"]["application/json"]["schema"]
            assert schema == {"$ref": "#/components/schemas/ErrorBody"}, name
        success = next(value for status, value in operation["responses"].items() if status.startswith("2"))
        assert success["content"], name


@pytest.mark.parametrize(("method", "path"), OPERATIONS, ids=IDENTIFIERS)
def test_route_answers(client: Client, ids: dict[str, str], method: str, path: str) -> None:
    options, status, _ = OPERATIONS[method, path]
    response = client.request(method, path.format(image_id=ids["image2.png"], work_name="0" * 32), **options)
    assert response.status_code == status, response.text
    assert response.content
    assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("method", "path"), [key for key, value in OPERATIONS.items() if value[2] is not None], ids=str
)
def test_route_refuses_in_one_shape(client: Client, method: str, path: str) -> None:
    options = OPERATIONS[method, path][2] or {}
    response = client.request(method, path.format(image_id="nobody", work_name="0" * 32), **options)
    assert response.status_code == (404 if "{" in path else 422)
    assert error_of(response)["code"] == ("not-found" if "{" in path else "invalid-image")


@pytest.mark.parametrize(("method", "path"), OPERATIONS, ids=IDENTIFIERS)
def test_route_answers_another_method_with_405(client: Client, ids: dict[str, str], method: str, path: str) -> None:
    response = client.request("DELETE", path.format(image_id=ids["image2.png"], work_name="0" * 32))
    assert response.status_code == 405
    assert error_of(response)["code"] == "method-not-allowed"
    assert method in response.headers["allow"]


@pytest.mark.parametrize("path", [path for method, path in OPERATIONS if method == "GET" and path != GROWING])
def test_head_is_get_without_body(client: Client, ids: dict[str, str], path: str) -> None:
    address = path.format(image_id=ids["image2.png"], work_name="0" * 32)
    head, get = client.request("HEAD", address), client.get(address)
    assert head.status_code == get.status_code == 200
    assert head.content == b""
    assert head.headers["content-length"] == get.headers["content-length"]
    assert head.headers["content-type"] == get.headers["content-type"]


@pytest.mark.parametrize(
    "path", ["/api", "/api/", "/api/nothing", "/api/model/", "/nothing", "/docs", "/redoc", "/../pyproject.toml"]
)
def test_unknown_path_is_404_in_one_shape(client: Client, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 404
    assert error_of(response)["code"] == "not-found"


def test_validation_error_names_the_place(client: Client, ids: dict[str, str]) -> None:
    body = {"class": "leaf", "region": {"kind": "pixel", "row": "first", "column": 0}, "colour": "red"}
    response = client.post(f"/api/images/{ids['image2.png']}/attribution", json=body)
    assert response.status_code == 422
    error = error_of(response)
    assert error["code"] == "invalid-input"
    assert "row" in error["message"]
    assert "colour" in error["message"]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'{"class": "leaf"', b"\xff\xfe", b'{"class":' + b"[" * 50_000]
)
def test_unreadable_body_is_a_clear_error(client: Client, ids: dict[str, str], body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    response = client.post(f"/api/images/{ids['image2.png']}/attribution", content=body, headers=headers)
    assert response.status_code in (400, 422)
    assert error_of(response)["code"] in ("invalid-body", "invalid-input")


def test_failure_of_the_server_hides_its_details(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise RuntimeError("a secret of the server")

    monkeypatch.setattr(client.app.state.session.gallery, "images", fail)
    response = client.get("/api/images")
    assert response.status_code == 500
    assert error_of(response)["code"] == "server-failed"
    assert "secret" not in response.text
    assert response.headers["x-content-type-options"] == "nosniff"


def test_schema_describes_what_comes_with_maps(client: Client) -> None:
    schema = client.get("/openapi.json").json()
    answer = schema["paths"]["/api/images/{image_id}/attribution"]["post"]["responses"]["200"]
    header = answer["headers"]["X-Segscope-Attribution"]["content"]["application/json"]["schema"]["$ref"]
    shapes = schema["components"]["schemas"]
    assert set(shapes[header.rsplit("/", 1)[-1]]["required"]) >= {"class", "layer", "signed", "milliseconds"}
    layers = schema["paths"]["/api/images/{image_id}/layers"]["post"]["responses"]["200"]
    assert list(layers["content"]) == ["application/x-npz"]
    assert "LayersDescription" in layers["description"]
    assert set(shapes["LayersDescription"]["required"]) >= {"class", "method", "signed", "layers", "milliseconds"}


def test_npy_is_little_endian_and_row_major() -> None:
    from segscope.server.npy import to_npy

    for array in (np.arange(6, dtype=">f4").reshape(2, 3).T, np.zeros((2, 0), np.uint8), np.ones((3, 2), np.uint16)):
        data = to_npy(array)
        read = np.load(BytesIO(data))
        assert (read == array).all()
        assert read.dtype == array.dtype.newbyteorder("<")
        assert b"'fortran_order': False" in data[:128]
