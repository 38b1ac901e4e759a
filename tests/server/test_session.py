"""What the server begins with by itself."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from fastapi import FastAPI

from segscope.server import Gallery, create_app
from segscope.server.gallery import GalleryImage


def start_and_stop(app: FastAPI, until: threading.Event) -> None:
    async def live() -> None:
        async with app.router.lifespan_context(app):
            assert await asyncio.to_thread(until.wait, 20)

    asyncio.run(live())


def test_first_image_is_predicted_before_anyone_asks(
    model: Any, gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = create_app(model, gallery)
    summary, seen = app.state.session.summary, []
    begun = threading.Event()

    def watch(image: GalleryImage) -> Any:
        seen.append(image.id)
        begun.set()
        return summary(image)

    monkeypatch.setattr(app.state.session, "summary", watch)
    start_and_stop(app, begun)
    assert seen == [gallery.images()[0].id]


def test_damaged_first_image_doesnt_keep_the_server_from_starting(
    model: Any, gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = create_app(model, gallery)
    begun = threading.Event()

    def fail(image: GalleryImage) -> Any:
        begun.set()
        raise OSError(image.name)

    monkeypatch.setattr(app.state.session, "summary", fail)
    start_and_stop(app, begun)
