"""Starting the server: ports, tokens, addresses, and a real server that answers and ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from segscope import InvalidInput
from segscope.server.launch import DEFAULT_PORT, Place, find_place, open_browser

NETWORK = """
from torch import nn

def build():
    return nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(6, 3, 1))
"""


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def place(**options: object) -> Place:
    found = find_place(**options)  # type: ignore[arg-type] # the options are those of the function
    found.listener.close()
    return found


def test_any_free_port_is_found() -> None:
    found = place(port=0)
    assert found.port > 0
    assert found.address == f"http://127.0.0.1:{found.port}/"
    assert found.token is None
    assert "127.0.0.1" in found.access.hosts


@pytest.mark.parametrize(("host", "name"), [("127.0.0.2", "127.0.0.2"), ("localhost", "localhost")])
def test_every_name_of_this_machine_can_be_used(host: str, name: str) -> None:
    found = place(host=host, port=0)
    assert found.address.startswith(f"http://{name}:")
    assert name in found.access.hosts
    assert found.token is None


def test_taken_port_is_a_clear_error(taken: int) -> None:
    with pytest.raises(InvalidInput, match=f"port {taken} is taken"):
        find_place(port=taken)


def test_next_free_port_is_found_where_none_is_asked_for(taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segscope.server.launch.DEFAULT_PORT", taken)
    assert taken < place().port < taken + 100


def test_default_port_is_the_documented_one() -> None:
    assert DEFAULT_PORT == 8642


@pytest.mark.parametrize("port", [-1, 65536])
def test_impossible_port_is_a_clear_error(port: int) -> None:
    with pytest.raises(InvalidInput, match="0 to 65535"):
        find_place(port=port)


@pytest.mark.parametrize("host", ["no.such.host.invalid", "not a host"])
def test_unknown_host_is_a_clear_error(host: str) -> None:
    with pytest.raises(InvalidInput, match="isn't known"):
        find_place(host=host, port=0)


def test_host_that_others_reach_gets_a_token() -> None:
    found = place(host="0.0.0.0", port=0)  # noqa: S104  # closed at once
    assert found.token is not None
    assert len(found.token) >= 32
    assert found.address.endswith(f":{found.port}/?token={found.token}")
    assert found.access.hosts == ()
    assert place(host="0.0.0.0", port=0).token != found.token  # noqa: S104  # closed at once


def test_token_can_be_chosen_but_not_a_weak_one() -> None:
    assert place(port=0, token="abcdefgh1234").token == "abcdefgh1234"  # noqa: S106  # a secret of this test alone
    for token in ("short", "with space in it", "ümläutümläut", "a&b=c&d=efgh"):
        with pytest.raises(InvalidInput, match="letters and digits"):
            find_place(port=0, token=token)


def test_browser_is_left_alone_without_a_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []

    def open_(address: str) -> bool:
        opened.append(address)
        return True

    monkeypatch.setattr("webbrowser.open", open_)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert open_browser("http://127.0.0.1:1/") is False
    assert opened == []
    monkeypatch.setenv("DISPLAY", ":0")
    assert open_browser("http://127.0.0.1:1/") is True
    assert opened == ["http://127.0.0.1:1/"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals are another matter on Windows")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)])
def test_server_answers_when_it_says_so_and_ends_quietly(folder: Path, number: signal.Signals, code: int) -> None:
    (folder / "network.py").write_text(NETWORK)
    command = [sys.executable, "-m", "segscope", "serve", "network.py:build", "--images", "images"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [*command, "--port", "0", "--no-open"],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as server:
        assert server.stdout is not None
        assert server.stderr is not None
        ready = server.stdout.readline().decode()
        address = ready.split()[-1]
        with urllib.request.urlopen(f"{address}api/images", timeout=30) as response:  # noqa: S310  # this test's own server
            assert len(json.load(response)["images"]) == 3
        server.send_signal(number)
        assert server.wait(timeout=60) == code
        assert server.stderr.read().decode() == ""
