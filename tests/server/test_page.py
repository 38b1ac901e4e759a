"""The page's files: from a list, with the right headers, and a word where there are none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from segscope.server import Gallery, create_app
from segscope.server.page import Page

from .conftest import Client, error_of


@pytest.fixture
def static(tmp_path: Path) -> Path:
    folder = tmp_path / "static"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><title>page</title>")
    (folder / "icon.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (folder / "assets" / "index-AbC123.js").write_text("export {};")
    (folder / ".sources.sha256").write_text("0")
    (tmp_path / "secret.txt").write_text("not for visitors")
    return folder


@pytest.fixture
def client(model: Any, gallery: Gallery, static: Path) -> Client:
    return Client(create_app(model, gallery, page=Page(static)))


def test_index_is_asked_for_each_time(client: Client) -> None:
    response = client.get("/")
    assert response.text == "<!doctype html><title>page</title>"
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["cache-control"] == "no-cache"
    again = client.get("/index.html", headers={"If-None-Match": response.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_hashed_files_are_kept_for_good(client: Client) -> None:
    response = client.get("/assets/index-AbC123.js")
    assert response.headers["content-type"].startswith("text/javascript")
    assert "immutable" in response.headers["cache-control"]
    assert client.get("/icon.svg").headers["content-type"] == "image/svg+xml"
    assert client.get("/icon.svg").headers["cache-control"] == "no-cache"


def test_scripts_are_compressed_for_those_who_take_it(client: Client, static: Path) -> None:
    script = static / "assets" / "index-AbC123.js"
    script.write_text("export const numbers = [" + "1, " * 2000 + "];")
    plain = client.get("/assets/index-AbC123.js", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert int(plain.headers["content-length"]) == script.stat().st_size
    packed = client.get("/assets/index-AbC123.js", headers={"Accept-Encoding": "gzip, br"})
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < script.stat().st_size / 10
    assert packed.content == plain.content == script.read_bytes()
    assert packed.headers["vary"] == "Accept-Encoding"


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/assets/../../secret.txt",
        "/assets/..%2f..%2fsecret.txt",
        "/..%5csecret.txt",
        "//etc/passwd",
        "/%2fetc/passwd",
        "/assets",
        "/assets/",
        "/.sources.sha256",
        "/index.html/",
        "/index.html%00.js",
    ],
)
def test_only_listed_files_are_served(client: Client, path: str) -> None:
    response = client.get(f"http://127.0.0.1:8642{path}")
    assert response.status_code == 404
    assert error_of(response)["code"] == "not-found"


def test_files_are_not_written_to(client: Client) -> None:
    response = client.post("/index.html")
    assert response.status_code == 405
    assert error_of(response)["code"] == "method-not-allowed"
    assert response.headers["allow"] == "GET"


def test_head_of_the_page(client: Client) -> None:
    response = client.request("HEAD", "/")
    assert (response.status_code, response.content) == (200, b"")


def test_missing_page_says_how_to_build_it_and_appears_when_built(
    model: Any, gallery: Gallery, static: Path, tmp_path: Path
) -> None:
    client = Client(create_app(model, gallery, page=Page(tmp_path / "later")))
    response = client.get("/")
    assert response.status_code == 503
    assert "npm run build" in response.text
    assert response.headers["content-type"].startswith("text/html")
    assert client.get("/api/images").status_code == 200
    static.rename(tmp_path / "later")
    assert client.get("/").status_code == 200
