"""The explorer out of a running program: it answers, may be framed by a notebook, and ends."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from PIL import Image

import segscope
from segscope import InvalidImage, InvalidInput
from segscope.server.viewer import Viewer


@pytest.fixture
def show() -> Iterator[Callable[..., Viewer]]:
    shown: list[Viewer] = []

    def start(*arguments: Any, **options: Any) -> Viewer:
        shown.append(segscope.show(*arguments, **options))
        return shown[-1]

    yield start
    for viewer in shown:
        viewer.close()


def names(viewer: Viewer) -> list[str]:
    return [image["name"] for image in httpx.get(f"{viewer.url}api/images").json()["images"]]


def test_show_is_public() -> None:
    assert "show" in segscope.__all__
    assert segscope.show.__module__ == "segscope.server.viewer"


def test_folder_is_shown_with_its_masks(show: Any, model: segscope.SegmentationModel, folder: Path) -> None:
    viewer = show(model, folder / "images", masks=folder / "masks")
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", viewer.url)
    images = httpx.get(f"{viewer.url}api/images").json()["images"]
    assert [(image["name"], image["has_truth"]) for image in images] == [
        ("image2.png", True),
        ("image10.png", False),
        ("upright.jpg", True),
    ]
    body = httpx.get(f"{viewer.url}api/images/{images[0]['id']}/prediction").json()
    assert [entry["name"] for entry in body["classes"]] == list(model.classes)


def test_images_of_any_kind_are_shown(
    show: Any, network: torch.nn.Module, folder: Path, image: np.ndarray[Any, Any]
) -> None:
    path = folder / "images" / "image2.png"
    viewer = show(network, [path, str(folder / "images" / "upright.jpg"), image, Image.fromarray(255 - image)])
    assert names(viewer) == ["image2.png", "upright.jpg", "image 2", "image 3"]
    records = httpx.get(f"{viewer.url}api/images").json()["images"]
    assert [(record["width"], record["height"]) for record in records] == [(56, 40), (40, 56), (56, 40), (56, 40)]
    picture = httpx.get(f"{viewer.url}api/images/{records[2]['id']}/picture").read()
    (folder / "picture").write_bytes(picture)
    np.testing.assert_array_equal(np.asarray(Image.open(folder / "picture")), image)


def test_notebook_on_this_machine_may_frame_the_page(show: Any, model: Any, image: Any) -> None:
    viewer = show(model, [image], height=640)
    markup = viewer._repr_html_()
    assert f'src="{viewer.url}"' in markup
    assert 'height="640"' in markup
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "iframe", "Sec-Fetch-Mode": "navigate"}
    for path in ("", "nothing"):
        policy = httpx.get(viewer.url + path, headers=headers).headers["Content-Security-Policy"]
        assert policy.endswith("frame-ancestors 'self' http://localhost:* http://127.0.0.1:*")
    assert httpx.get(f"{viewer.url}api/images", headers=headers).status_code == 403
    assert httpx.get(f"{viewer.url}api/images", headers={"Host": "evil.example"}).status_code == 403


def test_closing_ends_the_server_and_its_thread(show: Any, model: Any, image: Any) -> None:
    before = set(threading.enumerate())
    viewer = show(model, [image])
    assert not viewer.closed
    assert viewer.url in repr(viewer)
    names(viewer)
    viewer.close()
    viewer.close()
    assert viewer.closed
    assert repr(viewer) == "Viewer(closed)"
    assert "iframe" not in viewer._repr_html_()
    with pytest.raises(httpx.ConnectError):
        httpx.get(viewer.url)
    assert not [thread for thread in set(threading.enumerate()) - before if thread.name == "segscope explorer"]
    with model.predict(image) as prediction:
        assert prediction.layers  # the model itself goes on


def test_several_at_once(show: Any, model: Any, image: Any) -> None:
    with show(model, [image]) as one, show(model, [255 - image, image]) as other:
        assert one.url != other.url
        assert (len(names(one)), len(names(other))) == (1, 2)
    assert one.closed
    assert other.closed


@pytest.mark.parametrize(
    ("images", "options", "error", "words"),
    [
        ([], {}, InvalidInput, "no images to show"),
        (["missing.png"], {}, InvalidInput, "'missing.png' can't be read"),
        ("missing", {}, InvalidInput, "is not there"),
        ([np.zeros((4, 4, 3), np.uint8)], {"masks": "masks"}, InvalidInput, "give a folder for both"),
        ([np.zeros((4, 4, 3), np.uint8)], {"height": 0}, InvalidInput, "height is 0"),
        ([np.zeros((4, 4, 3), np.uint8)], {"memory": 0}, InvalidInput, "bound"),
        ([np.zeros(4, np.uint8)], {}, InvalidImage, "shape"),
    ],
)
def test_what_can_not_be_shown_is_a_clear_error(model: Any, images: Any, options: Any, error: Any, words: str) -> None:
    with pytest.raises(error, match=words):
        segscope.show(model, images, **options)
