"""Measure the explorer as its users meet it: a real browser on a real server, from the click to the pixels.

The clock starts at the time stamp that the browser gives the click, key or pointer event, and stops once the frame with
the new map has been handed to the screen. Motion is reduced, so that a new map appears at once instead of cross-fading.
"""

from __future__ import annotations

import argparse
import itertools
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright
from rich.progress import Progress

from .gallery import write_gallery
from .report import Figure, percentile
from .server import Server, serving

__all__ = ["add_options", "measure"]

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


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this part to a parser."""
    parser.add_argument("--clicks", type=int, default=60, help="samples of each kind of click")
    parser.add_argument("--live-seconds", type=float, default=6.0, help="how long the pointer moves in live mode")
    parser.add_argument("--images", type=int, default=10_000, help="images in the large gallery; 0 leaves it out")


def measure(options: argparse.Namespace, progress: Progress) -> list[Figure]:
    """Return all figures of this part.

    Parameters
    ----------
    options : Namespace
        Those of :func:`add_options`.
    progress : Progress
        Where to show how far the work is.

    Returns
    -------
    list of Figure
        With their bars.
    """
    figures: list[Figure] = []
    bar = progress.add_task("explorer", total=9)

    def step(description: str) -> None:
        progress.update(bar, description=f"explorer: {description}")
        progress.advance(bar)

    with _browser() as browser:
        with serving("demo") as server:
            step("first view")
            page = _open(browser)
            figures += _first_view(page, server)
            step("measuring the images")
            figures += _measuring(page)
            for layer, limit in (("aggregation_conv", 100), ("block1_conv2", 400)):
                step(f"classes at {layer}")
                figures += _change_of_class(page, layer, limit, options.clicks)
            step("all layers")
            figures += _all_layers(page, options.clicks // 4)
            step("live mode")
            figures += _live(page, "grad-cam", "block5_conv3", 20, options.live_seconds)
            figures += _live(page, "hires-cam", "aggregation_conv", 30, options.live_seconds)
            step("every pixel at once")
            figures += _at_once(page, "grad-cam", "block5_conv3", options.live_seconds)
            figures += _at_once(page, "grad-cam", "block1_conv2", options.live_seconds)
            figures += _at_once(page, "hires-cam", "aggregation_conv", options.live_seconds)
            page.context.close()
        if options.images:
            step(f"a gallery of {options.images} images")
            figures += _large_gallery(browser, options.images)
    return figures


@contextmanager
def _browser() -> Iterator[Any]:
    path = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if path is None:
        raise SystemExit(f"No Chromium was found (looked for {', '.join(BROWSERS)}); install one.")
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


def _open(browser: Any) -> Any:
    page = browser.new_context(viewport=VIEWPORT, reduced_motion="reduce").new_page()
    page.set_default_timeout(60_000)
    page.add_init_script(CLOCK)
    return page


def _first_view(page: Any, server: Server) -> list[Figure]:
    """Open the page as soon as the server is ready; the first view is the first importance map."""
    page.goto(server.address)
    frame = _frame(page, "map", 0)
    painted = page.evaluate("performance.timeOrigin") / 1000 + frame["at"] / 1000
    bytes_of_page = page.evaluate(
        "performance.getEntriesByType('resource').filter((e) => /assets/.test(e.name))"
        ".reduce((sum, e) => sum + e.transferSize, 0)"
    )
    return [
        Figure(
            "command to ready", server.ready - server.started, "s", note="importing PyTorch and loading the network"
        ),
        Figure("ready to first map on the screen", painted - server.ready, "s", at_most=2),
        Figure("scripts and styles of the first view, as sent", bytes_of_page / 1000, "kB", at_most=250),
    ]


def _measuring(page: Any) -> list[Figure]:
    """Wait until the background has measured all images: it gives way to clicks, but not in the middle of an image."""
    start = time.perf_counter()
    while True:
        statistics = page.evaluate("fetch('./api/statistics').then((response) => response.json())")
        if statistics["done"] + statistics["failed"] == statistics["total"]:
            break
        time.sleep(0.5)
    seconds = time.perf_counter() - start
    return [Figure(f"measuring {statistics['done']} images in the background", seconds, "s")]


def _change_of_class(page: Any, layer: str, limit: float, count: int) -> list[Figure]:
    """Click classes of the legend in random order, with random rests, as someone does who looks at each map."""
    page.get_by_test_id("tool-predicted").click()
    _choose(page, "layer", layer)
    _choose(page, "method", "grad-cam")
    generator = random.Random(0)  # noqa: S311  # the same clicks in each run
    shown = _predicted_classes(page)
    for name in shown:
        page.get_by_test_id(f"class-{name}").click()
        _settle(page)
    times, current = [], shown[-1]
    for _ in range(count):
        current = generator.choice([name for name in shown if name != current])
        times.append(_time(page, "map", page.get_by_test_id(f"class-{current}").click))
        time.sleep(generator.uniform(0, 1))
    note = f"{len(times)} clicks, rests of 0 to 1 s; median {percentile(times, 0.5):.0f} ms"
    return [
        Figure(
            f"change of class at {layer}, click to pixels, p95", percentile(times, 0.95), "ms", at_most=limit, note=note
        )
    ]


def _all_layers(page: Any, count: int) -> list[Figure]:
    """Change the class with the network in sight, until each of its nodes shows its new map."""
    _choose(page, "layer", "aggregation_conv")
    # High enough for the legend and the network together.
    page.set_viewport_size({"width": 1280, "height": 1400})
    _settle(page)
    times = []
    shown = _predicted_classes(page)
    for number in range(count):
        # The page keeps the maps of classes that were seen; a new one keeps none.
        page.reload()
        _settle(page)
        button = page.get_by_test_id(f"class-{shown[number % len(shown)]}")
        if button.get_attribute("aria-pressed") == "false":
            times.append(_time(page, "network", button.click))
            _settle(page)
    page.set_viewport_size(VIEWPORT)
    note = f"{len(times)} clicks; median {percentile(times, 0.5):.0f} ms; the main map comes first"
    return [
        Figure("all layers of one class, click to pixels, p95", percentile(times, 0.95), "ms", at_most=600, note=note)
    ]


def _live(page: Any, method: str, layer: str, rate: float, seconds: float) -> list[Figure]:
    """Count the maps that are painted while each is a question to the server."""
    _choose(page, "method", method)
    _choose(page, "layer", layer)
    page.get_by_test_id("tool-pixel").click()
    page.get_by_test_id("live").click()
    page.get_by_test_id("table-cancel").click()
    frames, elapsed = _move(page, seconds)
    page.get_by_test_id("live").click()
    gaps = [after["at"] - frame["at"] for frame, after in itertools.pairwise(frames)]
    note = f"{len(frames)} maps in {elapsed:.1f} s; p95 of the gaps {percentile(gaps, 0.95):.0f} ms"
    return [Figure(f"live mode, {method} at {layer}", len(frames) / elapsed, "maps/s", at_least=rate, note=note)]


def _at_once(page: Any, method: str, layer: str, seconds: float) -> list[Figure]:
    """Build a layer's table, and measure how long after the pointer the maps are painted that the page makes of it."""
    _choose(page, "method", method)
    _choose(page, "layer", layer)
    page.get_by_test_id("tool-pixel").click()
    start = time.perf_counter()
    page.get_by_test_id("table").click()
    page.wait_for_selector('[data-testid="table-mode"][data-state="ready"]', timeout=600_000)
    building = time.perf_counter() - start
    page.get_by_test_id("live").click()
    frames, elapsed = _move(page, seconds)
    page.get_by_test_id("live").click()
    page.get_by_test_id("table").click()
    # Browsers tell the page of a move when a frame begins, up to 17 ms after it, whatever the page does.
    times = [frame["at"] - frame["heard"] for frame in frames]
    moved = [frame["at"] - frame["event"] for frame in frames]
    note = (
        f"{len(frames)} maps in {elapsed:.1f} s; median {percentile(times, 0.5):.1f} ms; with the wait for the "
        f"browser's next frame, median {percentile(moved, 0.5):.1f} ms, p95 {percentile(moved, 0.95):.1f} ms"
    )
    name = f"{method} at {layer}, every pixel at once"
    return [
        Figure(f"{name}: building the table", building, "s", note="by turns with visitors' questions"),
        Figure(f"{name}: pointer to pixels, p95", percentile(times, 0.95), "ms", at_most=16, note=note),
    ]


def _move(page: Any, seconds: float) -> tuple[list[Any], float]:
    """Move the pointer over the picture without a rest; return the frames with a new map, and how long it took."""
    page.get_by_test_id("picture-importance").scroll_into_view_if_needed()
    box = page.get_by_test_id("picture-input").bounding_box()
    centre = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    generator = random.Random(0)  # noqa: S311  # the same way in each run
    x, y = centre
    page.mouse.move(x, y)
    time.sleep(0.5)
    before, start = len(page.evaluate("clock.frames")), time.perf_counter()
    while time.perf_counter() - start < seconds:
        x = min(max(x + generator.uniform(-12, 12), box["x"] + 20), box["x"] + box["width"] - 20)
        y = min(max(y + generator.uniform(-12, 12), box["y"] + 60), box["y"] + box["height"] - 20)
        page.mouse.move(x, y)
        time.sleep(1 / 120)
    elapsed = time.perf_counter() - start
    frames = [frame for frame in page.evaluate("clock.frames")[before:] if frame["kind"] == "map"]
    page.mouse.move(5, 5)
    return frames, elapsed


def _large_gallery(browser: Any, count: int) -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        images, masks = Path(folder, "images"), Path(folder, "masks")
        write_gallery(Path(folder), count)
        with serving("serve", "demo", "--images", str(images), "--masks", str(masks)) as server:
            page = _open(browser)
            page.goto(server.address)
            frame = _frame(page, "map", 0)
            painted = page.evaluate("performance.timeOrigin") / 1000 + frame["at"] / 1000
            rows = _frame(page, "gallery", 0)["at"]
            gaps = _scroll(page)
            figures = [
                Figure(f"{count} images: page opened to rows shown", rows / 1000, "s", at_most=1),
                Figure(f"{count} images: command to ready", server.ready - server.started, "s"),
                Figure(f"{count} images: ready to first map", painted - server.ready, "s", at_most=2),
                Figure(f"{count} images: frames with a gap in the list while scrolling", gaps, "", at_most=0),
            ]
            page.context.close()
    return figures


def _scroll(page: Any) -> float:
    """Scroll the list in steps of a few screens, and count the frames in which its window wasn't covered by rows."""
    return float(
        page.evaluate(
            """async () => {
              const list = document.querySelector('[data-testid="image-list"]');
              let gaps = 0;
              for (let step = 0; step < 200; step += 1) {
                list.scrollTop += list.clientHeight * (step % 10 === 9 ? 40 : 0.7);
                await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
                const window = list.getBoundingClientRect();
                const rows = [...list.querySelectorAll('[role="option"]')].map((row) => row.getBoundingClientRect());
                const top = Math.min(...rows.map((row) => row.top));
                const bottom = Math.max(...rows.map((row) => row.bottom));
                const ended = list.scrollTop + list.clientHeight >= list.scrollHeight - 8;
                if (top > window.top + 8 || (bottom < window.bottom - 8 && !ended)) gaps += 1;
              }
              return gaps;
            }"""
        )
    )


def _choose(page: Any, control: str, value: str) -> None:
    if page.get_by_test_id(control).input_value() != value:
        page.get_by_test_id(control).select_option(value)
    _settle(page)


def _settle(page: Any) -> None:
    """Wait until nothing is on its way, the small maps of the network included."""
    page.wait_for_selector('[data-testid="importance"][data-state="ready"]')
    time.sleep(REST_SECONDS)
    page.wait_for_selector('#network-body[aria-busy="false"]', state="attached")


def _predicted_classes(page: Any) -> list[str]:
    """Return the names of the classes that the network found in the image."""
    buttons = page.locator("[data-testid^=class-]")
    names = [
        buttons.nth(number).get_attribute("data-testid").removeprefix("class-") for number in range(buttons.count())
    ]
    return [name for name in names if page.get_by_test_id(f"share-{name}").inner_text() not in ("0 %", "–")]


def _time(page: Any, kind: str, act: Callable[[], object]) -> float:
    """Return the milliseconds from an event to the frame with what it brought."""
    before = len(page.evaluate("clock.frames"))
    act()
    frame = _frame(page, kind, before)
    return float(frame["at"] - frame["event"])


def _frame(page: Any, kind: str, after: int) -> Any:
    """Return the first frame of a kind after those that are known."""
    handle = page.wait_for_function(
        "([kind, after]) => clock.frames.slice(after).find((frame) => frame.kind === kind)", arg=[kind, after]
    )
    return handle.json_value()
