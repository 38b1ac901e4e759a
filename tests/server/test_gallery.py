"""The folder of images: what is listed, in which order, and what is left out and why."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segscope import InvalidInput
from segscope.server import Gallery

from .conftest import Client


def names(gallery: Gallery) -> list[str]:
    return [image.name for image in gallery.images()]


def picture(path: Path, size: tuple[int, int] = (9, 6)) -> None:
    Image.new("RGB", size).save(path)


def test_images_are_listed_in_natural_order(tmp_path: Path) -> None:
    for name in ("b.png", "a10.jpg", "a9.png", "A1.bmp", "a1b.tif", "C.webp"):
        picture(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "folder.png").mkdir()
    assert names(Gallery(tmp_path)) == ["A1.bmp", "a1b.tif", "a9.png", "a10.jpg", "b.png", "C.webp"]


def test_ids_are_opaque_and_stay(tmp_path: Path) -> None:
    for name in ("one.png", "two.png"):
        picture(tmp_path / name)
    first, second = Gallery(tmp_path).images(), Gallery(tmp_path).images()
    assert [image.id for image in first] == [image.id for image in second]
    assert len({image.id for image in first}) == 2
    assert all("one" not in image.id and "/" not in image.id for image in first)


def test_file_that_cannot_be_read_is_a_problem(tmp_path: Path, client: Client) -> None:
    picture(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"no image")
    (tmp_path / "empty.jpg").write_bytes(b"")
    gallery = Gallery(tmp_path)
    client.app.state.session.gallery = gallery
    body = client.get("/api/images").json()
    assert [entry["name"] for entry in body["images"]] == ["good.png"]
    assert [entry["name"] for entry in body["problems"]] == ["bad.png", "empty.jpg"]
    assert "isn't an image" in body["problems"][0]["message"]


def test_image_that_is_damaged_further_on_is_a_clear_error(tmp_path: Path, client: Client) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (60, 60, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "cut.png")
    whole = (tmp_path / "cut.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[:3000])
    gallery = Gallery(tmp_path)
    client.app.state.session.gallery = gallery
    for resource in ("prediction", "mask", "thumbnail"):
        response = client.get(f"/api/images/{gallery.images()[0].id}/{resource}")
        assert response.status_code == 422
        assert "'cut.png' is damaged" in response.json()["error"]["message"]


def test_file_that_goes_away_is_a_clear_error(tmp_path: Path, client: Client) -> None:
    picture(tmp_path / "gone.png")
    gallery = Gallery(tmp_path)
    client.app.state.session.gallery = gallery
    (tmp_path / "gone.png").unlink()
    response = client.get(f"/api/images/{gallery.images()[0].id}/picture")
    assert response.status_code == 422
    assert "no longer there" in response.json()["error"]["message"]


def test_mask_of_another_size_is_a_problem(folder: Path) -> None:
    Image.new("L", (5, 5)).save(folder / "masks" / "image10.png")
    gallery = Gallery(folder / "images", masks=folder / "masks")
    assert [problem.name for problem in gallery.problems()] == ["image10.png"]
    assert "5×5" in gallery.problems()[0].message
    assert "40×56" in gallery.problems()[0].message
    assert [image.has_truth for image in gallery.images()] == [True, False, True]


@pytest.mark.parametrize("damage", ["cut", "colours"])
def test_mask_that_turns_out_unusable_is_a_problem(folder: Path, client: Client, damage: str) -> None:
    path = folder / "masks" / "image2.png"
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:300])
    else:
        Image.open(path).convert("RGB").save(path)
    gallery = Gallery(folder / "images", masks=folder / "masks")
    client.app.state.session.gallery = gallery
    image = gallery.images()[0]
    assert image.has_truth
    body = client.get(f"/api/images/{image.id}/prediction").json()
    assert body["image"]["has_truth"] is False
    assert [entry["iou"] for entry in body["classes"]] == [None] * 4
    assert [problem.name for problem in gallery.problems()] == ["image2.png"]
    assert str(folder) not in gallery.problems()[0].message
    assert client.get(f"/api/images/{image.id}/truth").status_code == 404


def test_mask_may_have_indices_beyond_the_classes(folder: Path, client: Client) -> None:
    values = np.full((40, 56), 1000, dtype=np.uint16)
    values[:20] = 2
    Image.fromarray(values).save(folder / "masks" / "image2.png")
    gallery = Gallery(folder / "images", masks=folder / "masks")
    client.app.state.session.gallery = gallery
    body = client.get(f"/api/images/{gallery.images()[0].id}/prediction").json()
    assert body["image"]["has_truth"] is True
    assert body["classes"][2]["iou"] is not None
    assert client.get(f"/api/images/{gallery.images()[0].id}/truth").status_code == 200


@pytest.mark.parametrize("kind", ["missing", "file", "empty", "unreadable"])
def test_folder_that_cannot_be_used_is_a_clear_error(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "images"
    if kind == "file":
        folder.write_text("")
    elif kind != "missing":
        folder.mkdir()
    if kind == "unreadable":
        (folder / "a.png").write_bytes(b"no image")
    words = {
        "missing": "is not there",
        "file": "is a file",
        "empty": "holds no image",
        "unreadable": "None of the 1 images",
    }
    with pytest.raises(InvalidInput, match=words[kind]):
        Gallery(folder)


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="file names are bytes on Linux only")
def test_name_that_is_not_utf8_can_be_sent(tmp_path: Path, client: Client) -> None:
    try:
        picture_path = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png")
        Image.new("RGB", (4, 4)).save(picture_path)
    except (OSError, UnicodeError):
        pytest.skip("this file system takes UTF-8 names only")
    client.app.state.session.gallery = Gallery(tmp_path)
    entry = client.get("/api/images").json()["images"][0]
    assert entry["name"] == "caf\ufffd.png"
    assert client.get(f"/api/images/{entry['id']}/picture").status_code == 200
