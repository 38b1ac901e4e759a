"""Who may ask, and what the browser is told about the page."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI
from PIL import Image

from segscope.server import Gallery, create_app
from segscope.server.security import Access, is_loopback

from .conftest import Client, encode, error_of

TOKEN = "aSecretOf24Letters012345"  # a secret of this test alone
PHOTO = encode(Image.new("RGB", (5, 5)))
COOKIE = f"segscope-8642={TOKEN}"


@pytest.fixture
def guarded(model: Any, gallery: Gallery) -> FastAPI:
    return create_app(model, gallery, access=Access(hosts=(), token=TOKEN))


@pytest.mark.parametrize("path", ["/", "/api/images", "/nothing", "/openapi.json", "/api/images/nobody/mask"])
def test_every_answer_has_the_security_headers(client: Client, path: str) -> None:
    headers = client.get(path).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["base-uri"] == policy["form-action"] == "'none'"
    assert policy["frame-ancestors"] == "'self'"
    assert "unsafe" not in headers["content-security-policy"]
    assert "http" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert not [name for name in headers if name.startswith("access-control-")]


@pytest.mark.parametrize("host", ["localhost", "localhost:8642", "127.0.0.1:1", "[::1]:8642", "[::1]", "LOCALHOST:80"])
def test_names_of_this_machine_are_served(client: Client, host: str) -> None:
    assert client.get("/api/images", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8642",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "",
        "127.0.0.1@evil.example",
    ],
)
@pytest.mark.parametrize("path", ["/", "/api/images", "/openapi.json"])
def test_other_names_are_refused(client: Client, host: str, path: str) -> None:
    response = client.get(path, headers={"Host": host})
    assert response.status_code == 403
    assert error_of(response)["code"] == "not-allowed"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Origin": "http://127.0.0.1:8642.evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://127.0.0.1:8642"},
    ],
)
def test_posts_of_another_site_are_refused(client: Client, headers: dict[str, str]) -> None:
    response = client.post("/api/images", content=PHOTO, headers={"Content-Type": "image/png", **headers})
    assert response.status_code == 403
    assert error_of(response)["code"] == "not-allowed"
    assert len(client.get("/api/images").json()["images"]) == 3


@pytest.mark.parametrize("headers", [{}, {"Origin": "http://127.0.0.1:8642", "Sec-Fetch-Site": "same-origin"}])
def test_posts_of_the_page_and_of_programs_are_served(client: Client, headers: dict[str, str]) -> None:
    response = client.post("/api/images", content=PHOTO, headers={"Content-Type": "image/png", **headers})
    assert response.status_code == 201


def test_pictures_cannot_be_embedded_by_another_site(client: Client, ids: dict[str, str]) -> None:
    address = f"/api/images/{ids['image2.png']}/picture"
    assert client.get(address, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403


@pytest.mark.parametrize("path", ["/", "/api/images", "/openapi.json", "/nothing"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer caf\u00e9".encode("latin-1")},
        {"Cookie": "segscope-8642=wrong"},
        {"Cookie": f"segscope-1={TOKEN}"},
    ],
)
def test_without_the_token_nothing_is_served(guarded: FastAPI, path: str, headers: dict[str, str]) -> None:
    response = Client(guarded).get(path, headers=headers)
    assert response.status_code == 401
    assert error_of(response)["code"] == "token-needed"
    assert TOKEN not in response.text


@pytest.mark.parametrize("headers", [{"Authorization": f"Bearer {TOKEN}"}, {"Cookie": f"other=1; {COOKIE}"}])
def test_with_the_token_everything_is_served(guarded: FastAPI, headers: dict[str, str]) -> None:
    client = Client(guarded, **headers)
    assert client.get("/api/images").status_code == 200
    assert client.upload(PHOTO).status_code == 201


def test_token_in_the_address_becomes_a_cookie(guarded: FastAPI) -> None:
    response = Client(guarded).get(f"/?token={TOKEN}&theme=dark")
    assert response.status_code == 303
    assert response.headers["location"] == "./?theme=dark"
    cookie = response.headers["set-cookie"]
    assert cookie.startswith(COOKIE)
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert Client(guarded).get("/api/images", headers={"Cookie": cookie.split(";")[0]}).status_code == 200


def test_token_redirect_never_leaves_the_server(guarded: FastAPI) -> None:
    for path in ("//evil.example/", "//evil.example", "/\\evil.example", "/a/b"):
        response = Client(guarded).get(f"http://127.0.0.1:8642{path}?token={TOKEN}")
        assert response.headers.get("location", "./").startswith("./")
        assert "//" not in response.headers.get("location", "")


def test_wrong_token_in_the_address_is_refused(guarded: FastAPI) -> None:
    response = Client(guarded).get("/?token=wrong")
    assert response.status_code == 401
    assert "set-cookie" not in response.headers


def test_cross_site_posts_are_refused_also_with_the_cookie(guarded: FastAPI) -> None:
    headers = {"Cookie": COOKIE, "Origin": "http://evil.example", "Content-Type": "image/png"}
    assert Client(guarded).post("/api/images", content=PHOTO, headers=headers).status_code == 403


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),  # noqa: S104  # compared, not bound
        ("10.0.0.1", False),
    ],
)
def test_loopback_is_told_from_other_addresses(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback
