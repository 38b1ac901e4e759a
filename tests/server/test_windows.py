"""Images that the network sees in windows, over HTTP."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

import segscope
from segscope.server import Gallery, create_app
from segscope.windows import Windows
from tests.networks import ZOO

from .conftest import ADDRESS, Client, error_of, npy
from .test_statistics import finished

NAME = "a" * 32
WINDOWS = Windows(32, overlap=0.25)
QUESTION = {"class": "class 1", "region": {"kind": "box", "top": 20, "left": 20, "bottom": 40, "right": 50}}


@pytest.fixture
def model() -> segscope.SegmentationModel:
    return segscope.SegmentationModel(ZOO[0].build(), windows=WINDOWS)


@pytest.fixture
def client(tmp_path: Path, model: segscope.SegmentationModel) -> Iterator[Client]:
    generator = np.random.default_rng(0)
    for name, size in (("large", (60, 70)), ("small", (30, 32))):
        Image.fromarray(generator.integers(0, 256, (*size, 3), dtype=np.uint8)).save(tmp_path / f"{name}.png")
    app = create_app(model, Gallery(tmp_path))
    yield Client(app)
    app.state.session.close()


@pytest.fixture
def ids(client: Client) -> dict[str, str]:
    return {image["name"]: image["id"] for image in client.get("/api/images").json()["images"]}


def test_answers_are_those_of_python(
    client: Client, ids: dict[str, str], model: segscope.SegmentationModel, tmp_path: Path
) -> None:
    summary = client.get(f"/api/images/{ids['large.png']}/prediction").json()
    assert summary["windows"] == 9
    assert client.get(f"/api/images/{ids['small.png']}/prediction").json()["windows"] == 1
    prediction = model.predict(tmp_path / "large.png")
    np.testing.assert_array_equal(npy(client.get(f"/api/images/{ids['large.png']}/mask")), prediction.mask)
    asked: list[tuple[str, dict[str, Any]]] = [("grad-cam", {}), ("occlusion", {"size": 0.3})]
    for method, parameters in asked:
        question = QUESTION | {"method": method, "parameters": parameters}
        answer = client.post(f"/api/images/{ids['large.png']}/attribution", json=question)
        assert answer.status_code == 200, answer.text
        expected = prediction.explain("class 1", segscope.Region.box(20, 20, 40, 50), method=method, **parameters)
        np.testing.assert_allclose(npy(answer), expected.values, atol=1e-5 * expected.limit)


def test_many_at_once_predict_it_once(client: Client, ids: dict[str, str], monkeypatch: Any) -> None:
    session = client.app.state.session
    made = []
    predict = session._predict

    def counted(*given: Any) -> Any:
        made.append(given)
        return predict(*given)

    monkeypatch.setattr(session, "_predict", counted)
    image = f"/api/images/{ids['large.png']}"

    async def ask() -> list[httpx.Response]:
        transport = httpx.ASGITransport(client.app)
        async with httpx.AsyncClient(transport=transport, base_url=ADDRESS) as browser:
            return await asyncio.gather(
                *(browser.get(f"{image}/{what}") for what in ("prediction", "mask", "confidence", "graph")),
                *(browser.post(f"{image}/{what}", json=QUESTION) for what in ("attribution", "layers", "sameness")),
            )

    assert [answer.status_code for answer in asyncio.run(ask())] == [200] * 7
    assert len(made) == 1


def test_it_tells_how_far_it_is(client: Client, ids: dict[str, str], model: segscope.SegmentationModel) -> None:
    session = client.app.state.session
    looks: list[Any] = []
    forward, reached, go_on = model.network.forward, threading.Event(), threading.Event()

    def slow(images: Any) -> Any:
        work = session.work.progress(NAME)
        if work is not None and work.share > 0.4 and not reached.is_set():
            reached.set()
            go_on.wait(20)
        return forward(images)

    model.network.forward = slow

    async def look() -> None:
        transport = httpx.ASGITransport(client.app)
        async with httpx.AsyncClient(transport=transport, base_url=ADDRESS) as browser:
            asked = asyncio.ensure_future(
                browser.get(f"/api/images/{ids['large.png']}/prediction", headers={"X-Segscope-Work": NAME})
            )
            await asyncio.to_thread(reached.wait, 20)
            looks.append((await browser.get(f"/api/work/{NAME}")).json())
            go_on.set()
            assert (await asked).status_code == 200

    asyncio.run(look())
    assert looks[0]["state"] == "running"
    assert 0.4 < looks[0]["share"] < 1


@pytest.mark.parametrize("what", ["table", "reasons"])
def test_what_needs_one_pass_is_refused_with_the_reason(client: Client, ids: dict[str, str], what: str) -> None:
    answer = client.post(f"/api/images/{ids['large.png']}/{what}", json={"layer": "1"})
    assert answer.status_code == 422
    assert "60×70 pixels in 9 windows of 32×32" in error_of(answer)["message"]


def test_statistics_leave_them_to_whoever_opens_them(client: Client, ids: dict[str, str]) -> None:
    overview = finished(client)
    assert (overview["done"], overview["failed"]) == (1, 1)
    assert "in 9 windows, which takes too long" in overview["failures"][0]["message"]


def test_classes_are_learned_from_one_window(client: Client) -> None:
    assert client.get("/api/model").json()["classes"]
    assert len(client.app.state.session.predictions) == 0
