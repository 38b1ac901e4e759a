"""A small gallery, a server over it, and a client without a network in between."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from PIL import Image

from segscope.server import Gallery, create_app

ADDRESS = "http://127.0.0.1:8642"


class Client:
    """Sends requests to an app; a failure inside it comes back as the response that a browser would get."""

    def __init__(self, app: FastAPI, **headers: str) -> None:
        self.app = app
        self.headers = headers

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        return asyncio.run(self._request(method, path, options))

    async def _request(self, method: str, path: str, options: dict[str, Any]) -> httpx.Response:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=ADDRESS, headers=self.headers) as client:
            return await client.request(method, path, **options)

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.request("POST", path, **options)

    def upload(self, data: bytes, name: str = "photo.png", kind: str = "image/png") -> httpx.Response:
        return self.post("/api/images", params={"name": name}, content=data, headers={"Content-Type": kind})


def encode(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def npy(response: httpx.Response) -> np.ndarray[Any, Any]:
    array = np.load(BytesIO(response.content), allow_pickle=False)
    assert isinstance(array, np.ndarray)
    return array


def error_of(response: httpx.Response) -> dict[str, str]:
    """Return the error of a response, once its body has the one shape."""
    assert response.headers["content-type"] == "application/json", response.text
    body = response.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"code", "message"}
    assert body["error"]["code"] == body["error"]["code"].lower().replace("_", "-").replace(" ", "-")
    assert body["error"]["message"].endswith((".", "?"))
    assert "Traceback" not in response.text
    return body["error"]


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder that isn't the user's own."""
    place = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("SEGSCOPE_CACHE", str(place))
    return place


@pytest.fixture
def folder(tmp_path: Path, image: np.ndarray[Any, Any]) -> Path:
    """Three images, two of them with a mask: image2, image10 (no mask), upright (a turned photograph)."""
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    picture = Image.fromarray(image)
    picture.save(tmp_path / "images" / "image10.png")
    picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "images" / "image2.png")
    turned = Image.Exif()
    turned[0x0112] = 6
    picture.save(tmp_path / "images" / "upright.jpg", exif=turned)
    truth = np.random.default_rng(1).integers(0, 4, image.shape[:2], dtype=np.uint8)
    mask = Image.fromarray(truth).convert("P")
    mask.putpalette([9, 9, 9, 200, 0, 0, 0, 200, 0, 0, 0, 200])
    mask.save(tmp_path / "masks" / "image2.png")
    Image.fromarray(truth.T.copy()).save(tmp_path / "masks" / "upright.png")
    return tmp_path


@pytest.fixture
def gallery(folder: Path) -> Gallery:
    return Gallery(folder / "images", masks=folder / "masks")


@pytest.fixture
def app(model: Any, gallery: Gallery) -> Iterator[FastAPI]:
    app = create_app(model, gallery)
    yield app
    app.state.session.close()


@pytest.fixture
def client(app: FastAPI) -> Client:
    return Client(app)


@pytest.fixture
def ids(gallery: Gallery) -> dict[str, str]:
    return {image.name: image.id for image in gallery.images()}
