"""A real browser, and a clock in its page: from the click, key or move to the frame with the new map.

The clock starts at the time stamp that the browser gives the click, key or pointer event, and stops once the frame with
the new map has been handed to the screen. Motion is reduced, so that a new map appears at once instead of cross-fading.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import sync_playwright

__all__ = ["VIEWPORT", "browsing", "choose", "first_frame", "open_page", "settle", "wait_for_measures"]

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]

# After this, all that follows a question is on its way or there.
REST_SECONDS = 0.8

VIEWPORT = {"width": 1280, "height": 900}

# Notes when which map was on the screen: that of the question, and those on the network's nodes.
CLOCK = """
window.clock = { event: 0, heard: 0, frames: [] };
const note = (event) => { clock.event = event.timeStamp; clock.heard = performance.now(); };
for (const kind of ["pointerdown", "pointermove", "keydown", "change"]) addEventListener(kind, note, true);

function painted(frame) {
  requestAnimationFrame(() => {
    const channel = new MessageChannel();
    channel.port1.onmessage = () => {
      clock.frames.push({ ...frame, at: performance.now() });
      channel.port1.close();
    };
    channel.port2.postMessage(null);
  });
}

const last = {};
function look(kind, key) {
  if (!key || key === last[kind]) return;
  last[kind] = key;
  painted({ kind, key, event: clock.event, heard: clock.heard });
}

const attributeFilter = ["data-state", "data-key", "aria-setsize"];
new MutationObserver(() => {
  const map = document.querySelector('[data-testid="importance"]')?.dataset;
  if (map && ["ready", "live"].includes(map.state)) look("map", map.key);
  look("network", document.querySelector('[data-testid="network"]')?.dataset.key);
  look("gallery", document.querySelector('[data-testid="image-list"] [role="option"]') ? "shown" : "");
}).observe(document, { subtree: true, childList: true, attributes: true, attributeFilter });
"""


@contextmanager
def browsing() -> Iterator[Any]:
    """Start a browser, and end it with the block."""
    path = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if path is None:
        raise SystemExit(f"No Chromium was found (looked for {', '.join(BROWSERS)}); install one.")
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


def open_page(browser: Any) -> Any:
    """Return a page with the clock in it, and nothing else yet."""
    page = browser.new_context(viewport=VIEWPORT, reduced_motion="reduce").new_page()
    page.set_default_timeout(60_000)
    page.add_init_script(CLOCK)
    return page


def choose(page: Any, control: str, value: str) -> None:
    """Choose an entry of a list, where it isn't chosen yet, and wait for its map."""
    if page.get_by_test_id(control).input_value() != value:
        page.get_by_test_id(control).select_option(value)
    settle(page)


def settle(page: Any) -> None:
    """Wait until nothing is on its way, the small maps of the network included."""
    page.wait_for_selector('[data-testid="importance"][data-state="ready"]')
    time.sleep(REST_SECONDS)
    page.wait_for_selector('#network-body[aria-busy="false"]', state="attached")


def first_frame(page: Any, kind: str, after: int) -> Any:
    """Return the first frame of a kind after those that are known, once it is there."""
    handle = page.wait_for_function(
        "([kind, after]) => clock.frames.slice(after).find((frame) => frame.kind === kind)", arg=[kind, after]
    )
    return handle.json_value()


def wait_for_measures(page: Any) -> int:
    """Wait until the server has measured all images, and return how many: in the middle of one, clicks wait."""
    while True:
        statistics = page.evaluate("fetch('./api/statistics').then((response) => response.json())")
        if statistics["done"] + statistics["failed"] == statistics["total"]:
            return int(statistics["done"])
        time.sleep(0.5)
