"""Uploads: what visitors may send, and what is refused before it costs anything."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI
from PIL import Image

from segscope.server import Gallery
from segscope.server.gallery import MAX_UPLOAD_BYTES

from .conftest import Client, encode, error_of, npy


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_that_claims(width: int, height: int) -> bytes:
    """A PNG of a few bytes which announces any size."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


PHOTO = encode(Image.fromarray(np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)))
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><script>alert(1)</script></svg>'
TEXT_BOMB = PHOTO[:33] + chunk(b"zTXt", b"a\0\0" + zlib.compress(b"\0" * 80_000_000)) + PHOTO[33:]

HOSTILE: dict[str, bytes] = {
    "empty": b"",
    "text": b"hello",
    "svg with script": SVG,
    "html": b"<html><script>alert(1)</script></html>",
    "pdf": b"%PDF-1.7\n" + b"\0" * 100,
    "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    "zip": b"PK\x03\x04" + b"\0" * 100,
    "gif": encode(Image.new("P", (9, 9)), "GIF"),
    "truncated png": PHOTO[: len(PHOTO) // 2],
    "truncated jpeg": encode(Image.open(BytesIO(PHOTO)), "JPEG")[:700],
    "signature alone": PHOTO[:8],
    "png of wrong checksum": PHOTO[:40] + b"\xff\xff" + PHOTO[42:],
    "png that claims a huge size": png_that_claims(50_000, 50_000),
    "png just over the limit": png_that_claims(10_000, 5_001),
    "png that claims no size": png_that_claims(0, 0),
    "text bomb in a png": TEXT_BOMB,
    "tiff of nonsense": b"II*\0\x08\0\0\0" + b"\xff" * 200,
    "bmp of nonsense": b"BM" + b"\xff" * 60,
    "webp of nonsense": b"RIFF\xff\xff\xff\x7fWEBPVP8 " + b"\xff" * 60,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_file_is_refused_clearly(client: Client, name: str) -> None:
    response = client.upload(HOSTILE[name])
    assert response.status_code in (413, 422), response.text
    error = error_of(response)
    assert error["code"] in ("too-large", "invalid-image")
    assert "photo.png" in error["message"]
    assert len(error["message"]) < 300
    assert len(client.get("/api/images").json()["images"]) == 3


def test_two_hundred_damaged_files_never_fail_the_server(client: Client) -> None:
    generator = np.random.default_rng(0)
    originals = [PHOTO, *(encode(Image.new("RGB", (40, 30), "red"), kind) for kind in ("JPEG", "WEBP", "TIFF", "BMP"))]
    for number in range(200):
        data = bytearray(originals[number % len(originals)])
        for place in generator.integers(0, len(data), 1 + number % 9):
            data[place] = generator.integers(0, 256)
        response = client.upload(bytes(data[: int(generator.integers(1, len(data) + 1))]))
        assert response.status_code in (201, 413, 422), (number, response.text)


def test_image_of_too_many_pixels_is_refused_before_decoding(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise AssertionError("it was decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", fail)
    response = client.upload(png_that_claims(8000, 8000))
    assert response.status_code == 413
    assert "50 million" in error_of(response)["message"]


@pytest.mark.parametrize("announced", [True, False])
def test_body_that_is_too_long_is_refused(client: Client, announced: bool) -> None:
    async def pieces() -> Any:
        for _ in range(MAX_UPLOAD_BYTES // 2**20 + 1):
            yield b"\0" * 2**20

    body = b"\0" * (MAX_UPLOAD_BYTES + 1) if announced else pieces()
    response = client.post("/api/images", content=body, headers={"Content-Type": "image/png"})
    assert response.status_code == 413
    assert error_of(response)["code"] == "too-large"


def test_question_that_is_too_long_is_refused(client: Client, ids: dict[str, str]) -> None:
    headers = {"Content-Type": "application/json"}
    body = b'{"class": "' + b"x" * 9_000_000 + b'"}'
    response = client.post(f"/api/images/{ids['image2.png']}/attribution", content=body, headers=headers)
    assert response.status_code == 413


@pytest.mark.parametrize("kind", ["text/html", "application/json", "", "multipart/form-data; boundary=x"])
def test_body_of_another_type_is_refused(client: Client, kind: str) -> None:
    response = client.upload(PHOTO, kind=kind)
    assert response.status_code == 415
    assert error_of(response)["code"] == "wrong-type"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("my photo.png", "my photo.png"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\photo.png", "photo.png"),
        ("a\nb\0c\u202ed.png", "abcd.png"),
        ("<script>alert(1)</script>", "script>"),
        ("/", "upload"),
        ("", "upload"),
        ("x" * 5000, "x" * 120),
        ("лисичка 🍄.png", "лисичка 🍄.png"),
    ],
)
def test_name_is_for_display_only(client: Client, name: str, shown: str) -> None:
    response = client.upload(PHOTO, name=name)
    assert response.status_code == 201, response.text
    assert response.json()["name"] == shown
    assert response.json()["id"].startswith("upload-")


MODES = {
    "PNG": ("RGB", "L", "RGBA", "P", "1", "I;16"),
    "JPEG": ("RGB", "L", "CMYK"),
    "WEBP": ("RGB", "RGBA"),
    "TIFF": ("RGB", "L", "RGBA", "P", "1", "CMYK", "I;16"),
    "BMP": ("RGB", "L", "P", "1"),
}


@pytest.mark.parametrize(("kind", "mode"), [(kind, mode) for kind, modes in MODES.items() for mode in modes])
def test_every_kind_of_image_goes_all_the_way(client: Client, kind: str, mode: str) -> None:
    data = encode(Image.new(mode, (30, 20), 1), kind)
    response = client.upload(data, kind="application/octet-stream")
    assert response.status_code == 201, response.text
    record = response.json()
    assert (record["width"], record["height"], record["has_truth"]) == (30, 20, False)
    for resource in ("picture", "thumbnail", "prediction"):
        assert client.get(f"/api/images/{record['id']}/{resource}").status_code == 200
    assert npy(client.get(f"/api/images/{record['id']}/mask")).shape == (20, 30)


def test_upload_is_listed_first_and_once(client: Client) -> None:
    first = client.upload(PHOTO, name="first.png").json()
    second = client.upload(encode(Image.new("RGB", (5, 5))), name="second.png").json()
    assert client.upload(PHOTO, name="first.png").json() == first
    listed = client.get("/api/images").json()["images"]
    assert [entry["id"] for entry in listed[:2]] == [first["id"], second["id"]]
    assert len(listed) == 5


def test_oldest_uploads_make_room_for_new_ones() -> None:
    gallery = Gallery(kept_bytes=int(2.5 * len(PHOTO)))
    uploads = [gallery.add(PHOTO + bytes([number]), f"{number}.png") for number in range(4)]
    assert [image.id for image in gallery.images()] == [uploads[3].id, uploads[2].id]


def test_uploads_are_forgotten_with_the_server(app: FastAPI, client: Client, folder: Any) -> None:
    record = client.upload(PHOTO).json()
    app.state.session.gallery = Gallery(folder / "images")
    response = client.get(f"/api/images/{record['id']}/picture")
    assert response.status_code == 404
    assert "until the server ends" in error_of(response)["message"]
