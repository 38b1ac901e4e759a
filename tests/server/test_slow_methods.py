"""Methods that run the network many times, asked over the wire."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from fastapi import FastAPI

import segscope
from segscope.errors import CannotExplain, MissingExtra
from segscope.methods import Parameter, base, place_method
from segscope.server import Gallery, create_app

from .conftest import ADDRESS, Client, error_of, npy

NAME = "ab" * 16
QUESTION = {"class": "leaf", "region": {"kind": "everywhere"}, "method": "steps", "layer": "0"}


class Steps:
    """A slow method's inside, seen and held from outside."""

    def __init__(self) -> None:
        self.runs = 0
        self.batch = 0
        self.gate = threading.Event()
        self.gate.set()
        self.begun = threading.Event()
        self.ended = threading.Event()


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Iterator[Steps]:
    """A registered method that runs the network eight times, once in each batch."""
    seen = Steps()
    monkeypatch.setattr(base, "_METHODS", dict(base._METHODS))

    @place_method(
        name="steps",
        title="Steps",
        summary="Counts.",
        citation="Nobody 2026, Steps",
        url="https://example.org",
        cannot="It tells nothing.",
        at="layer",
        signed=True,
        parameters=(Parameter(name="count", kind="int", default=8, description="How many.", minimum=1, maximum=99),),
    )
    def explain(place: Any, *, count: int) -> torch.Tensor:
        seen.runs += 1
        seen.batch = place.batch
        place.progress.expect(count)
        try:
            for number in range(count):
                place.score(place.values[None] * number)
                if number == 1:
                    seen.begun.set()
                    assert seen.gate.wait(20)
        finally:
            seen.ended.set()
        return place.gradient.sum(0)

    yield seen
    seen.gate.set()


def failing(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    monkeypatch.setattr(base, "_METHODS", dict(base._METHODS))

    @place_method(name="steps", title="Steps", summary="", citation="", url="", cannot="", at="layer", signed=True)
    def explain(_place: Any) -> torch.Tensor:
        raise error


def header_of(response: httpx.Response) -> dict[str, Any]:
    header: dict[str, Any] = json.loads(response.headers["X-Segscope-Attribution"])
    return header


def test_model_says_which_methods_are_quick_and_what_they_are(client: Client, steps: Steps) -> None:
    methods = {method["name"]: method for method in client.get("/api/model").json()["methods"]}
    assert (methods["grad-cam"]["quick"], methods["grad-cam"]["family"]) == (True, "cam")
    assert (methods["steps"]["quick"], methods["steps"]["family"]) == (False, "other")


def test_slow_map_tells_its_cost(client: Client, ids: dict[str, str], steps: Steps) -> None:
    header = header_of(client.post(f"/api/images/{ids['image2.png']}/attribution", json=QUESTION))
    assert header["passes"] == 8
    assert header["seconds"] > 0
    quick = header_of(
        client.post(f"/api/images/{ids['image2.png']}/attribution", json=QUESTION | {"method": "grad-cam"})
    )
    assert quick["passes"] == 1


def test_slow_map_is_computed_once_for_page_and_export(client: Client, ids: dict[str, str], steps: Steps) -> None:
    address = f"/api/images/{ids['image2.png']}"
    first = client.post(f"{address}/attribution", json=QUESTION)
    again = client.post(f"{address}/attribution", json=QUESTION)
    archive = client.post(f"{address}/archive", json=QUESTION)
    assert steps.runs == 1
    assert again.content == first.content
    assert header_of(again) == header_of(first)
    assert archive.status_code == 200
    client.post(f"{address}/attribution", json=QUESTION | {"parameters": {"count": 3}})
    assert steps.runs == 2


def test_kept_map_outlives_its_prediction(client: Client, ids: dict[str, str], steps: Steps) -> None:
    first = client.post(f"/api/images/{ids['image2.png']}/attribution", json=QUESTION)
    client.app.state.session.predictions.clear()
    again = client.post(f"/api/images/{ids['image2.png']}/attribution", json=QUESTION)
    np.testing.assert_array_equal(npy(first), npy(again))
    assert steps.runs == 1


def test_progress_and_quick_answers_while_a_slow_method_runs(app: FastAPI, ids: dict[str, str], steps: Steps) -> None:
    async def scenario() -> None:
        steps.gate.clear()
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=ADDRESS, timeout=30) as browser:
            address = f"/api/images/{ids['image2.png']}/attribution"
            assert (await browser.get(f"/api/work/{NAME}")).json() == {"state": "unknown", "share": 0, "ahead": 0}
            slow = asyncio.ensure_future(browser.post(address, json=QUESTION, headers={"X-Segscope-Work": NAME}))
            assert await asyncio.to_thread(steps.begun.wait, 20)
            told = (await browser.get(f"/api/work/{NAME}")).json()
            assert (told["state"], told["share"]) == ("running", 0.25)
            quick = asyncio.ensure_future(browser.post(address, json=QUESTION | {"method": "grad-cam"}))
            await asyncio.sleep(0.02)
            assert not quick.done()
            steps.gate.set()
            assert (await quick).status_code == 200
            assert (await slow).status_code == 200
            assert (await browser.get(f"/api/work/{NAME}")).json()["state"] == "unknown"

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_slow_method_ends_when_the_connection_is_closed(app: FastAPI, ids: dict[str, str], steps: Steps) -> None:
    async def scenario() -> None:
        steps.gate.clear()
        left, sent = asyncio.Event(), []
        body = json.dumps(QUESTION | {"parameters": {"count": 99}}).encode()
        pieces = iter([{"type": "http.request", "body": body, "more_body": False}])

        async def receive() -> Any:
            piece = next(pieces, None)
            if piece is None:
                await left.wait()
                return {"type": "http.disconnect"}
            return piece

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [(b"host", b"127.0.0.1"), (b"content-type", b"application/json")]
        path = f"/api/images/{ids['image2.png']}/attribution"
        scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers}
        answer = asyncio.ensure_future(app(scope, receive, send))
        assert await asyncio.to_thread(steps.begun.wait, 20)
        left.set()
        await answer
        assert sent[0]["status"] == 499
        assert not steps.ended.is_set()
        steps.gate.set()
        assert await asyncio.to_thread(steps.ended.wait, 20)

    asyncio.run(asyncio.wait_for(scenario(), 60))
    assert len(app.state.session.answers._kept) == 0


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CannotExplain("It works on the image itself; choose the layer 'input'."), "cannot-explain"),
        (MissingExtra("LRP needs zennit; install it with: pip install 'segscope[lrp]'."), "missing-extra"),
    ],
)
def test_why_there_is_no_map_is_told(
    client: Client, ids: dict[str, str], monkeypatch: pytest.MonkeyPatch, error: Exception, code: str
) -> None:
    failing(monkeypatch, error)
    response = client.post(f"/api/images/{ids['image2.png']}/attribution", json=QUESTION)
    assert response.status_code == 422
    assert error_of(response) == {"code": code, "message": str(error)}


def test_all_layers_at_once_are_refused_to_a_slow_method(client: Client, ids: dict[str, str], steps: Steps) -> None:
    question = {key: value for key, value in QUESTION.items() if key != "layer"}
    response = client.post(f"/api/images/{ids['image2.png']}/layers", json=question)
    assert response.status_code == 422
    assert re.search("Steps runs the network many times .* quick method", error_of(response)["message"])
    assert error_of(response)["code"] == "slow-method"
    assert steps.runs == 0


@pytest.mark.parametrize("name", ["short", "g" * 32, "AB" * 16])
def test_name_that_could_be_guessed_is_refused(client: Client, ids: dict[str, str], name: str) -> None:
    assert client.get(f"/api/work/{name}").status_code == 422
    response = client.post(
        f"/api/images/{ids['image2.png']}/attribution", json=QUESTION, headers={"X-Segscope-Work": name}
    )
    assert error_of(response)["code"] == "invalid-input"


def test_memory_bounds_predictions_answers_and_batches_together(
    model: segscope.SegmentationModel, gallery: Gallery, steps: Steps, ids: dict[str, str]
) -> None:
    batches = []
    for memory in (1, 2**28, 2**40):
        app = create_app(model, gallery, memory=memory)
        session = app.state.session
        assert session.predictions.max_bytes + session.answers._max_bytes + 3 * session.model.memory <= memory
        Client(app).post(f"/api/images/{ids['image2.png']}/attribution", json=QUESTION)
        batches.append(steps.batch)
        session.close()
    assert batches[0] == 1 < batches[1] < batches[2]
    # The model that was handed in is its owner's.
    assert model.memory == 2**29
