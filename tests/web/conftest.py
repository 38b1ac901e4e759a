"""A real server, a real Chromium, and a page whose console errors fail the test."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from segscope.server.page import STATIC
from tests.farm import CLASSES, FARM, make_farm, photograph

__all__ = ["CLASSES", "FARM", "photograph"]

playwright = pytest.importorskip("playwright.sync_api", reason="playwright isn't installed")

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-dev-shm-usage",
]


@dataclass
class Site:
    """A running server."""

    address: str
    folder: Path


@dataclass
class Console:
    """What the page complained about, and what a test expects it to."""

    errors: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)

    def surprises(self) -> list[str]:
        return [error for error in self.errors if not any(re.search(pattern, error) for pattern in self.expected)]


def chromium() -> str | None:
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


@contextmanager
def serving(folder: Path, *arguments: str) -> Iterator[Site]:
    """Run the command line's server until the block ends."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "PYTHONUNBUFFERED": "1",
        # Never the user's own.
        "SEGSCOPE_CACHE": str(folder / "cache"),
    }
    command = [sys.executable, "-m", "segscope", *arguments, "--port", "0", "--no-open"]
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as server:
        try:
            assert server.stdout is not None
            said = [server.stdout.readline()]
            while "ready at" not in said[-1]:
                assert said[-1], "".join(said)
                said.append(server.stdout.readline())
            yield Site(said[-1].split()[-1], folder)
        finally:
            server.terminate()
            server.wait(timeout=60)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    path = chromium()
    if path is None:
        pytest.skip(f"no Chromium was found (looked for {', '.join(BROWSERS)})")
    if not (STATIC / "index.html").is_file():
        pytest.skip("the page isn't built; run npm ci && npm run build in web/")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder: a network of their own, three photographs, two masks, and a file that is no image."""
    folder = tmp_path_factory.mktemp("farm")
    return make_farm(folder)


@pytest.fixture(scope="session")
def site(farm: Path, browser: Any) -> Iterator[Site]:  # no server where there is no browser
    with serving(farm, "serve", *FARM) as site:
        yield site


@pytest.fixture(scope="session")
def busy_site(farm: Path, browser: Any) -> Iterator[Site]:  # no server where there is no browser
    """Another server, for tests that upload: what one uploads, all visitors see."""
    with serving(farm, "serve", *FARM) as site:
        yield site


@pytest.fixture
def console() -> Console:
    return Console()


@pytest.fixture
def new_page(browser: Any, console: Console) -> Iterator[Callable[..., Any]]:
    """Open pages which fail the test by any error in their console, and by any request to another host."""
    contexts: list[Any] = []

    def open_page(**options: Any) -> Any:
        context = browser.new_context(
            **{"viewport": {"width": 1280, "height": 720}, "reduced_motion": "reduce", **options}
        )
        context.set_default_timeout(30_000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: _note(message, console))
        page.on("pageerror", lambda error: console.errors.append(str(error)))
        page.on("request", lambda request: _check_host(request.url, console))
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert console.surprises() == []


@pytest.fixture
def page(new_page: Callable[..., Any], site: Site) -> Any:
    """The page on the farm, with its first map."""
    page = new_page()
    page.goto(site.address)
    wait_for_map(page)
    return page


@pytest.fixture
def busy_page(new_page: Callable[..., Any], busy_site: Site) -> Any:
    """The page on a server of whose images others may have changed the list."""
    page = new_page()
    page.goto(busy_site.address)
    wait_for_map(page)
    return page


def wait_for_map(page: Any, state: str = "ready") -> None:
    page.wait_for_selector(f'[data-testid="importance"][data-state="{state}"]')


def wait_for_image(page: Any, name: str) -> None:
    """Wait until an image is the selected one, and its map is there."""
    page.locator('[data-testid="image-list"] [aria-selected="true"]', has_text=name).wait_for()
    wait_for_map(page)


def _note(message: Any, console: Console) -> None:
    if message.type == "error":
        console.errors.append(f"{message.text} {message.location.get('url', '')}")


def _check_host(address: str, console: Console) -> None:
    if not re.match(r"(http://(127\.0\.0\.1|localhost)[:/]|blob:|data:)", address):
        console.errors.append(f"a request to another host: {address}")
