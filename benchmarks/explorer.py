"""Measure the explorer as its users meet it: a real browser on a real server, from the click to the pixels."""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.progress import Progress

from .browser import VIEWPORT, browsing, choose, first_frame, open_page, settle, wait_for_measures
from .gallery import write_gallery
from .report import Figure, percentile
from .server import Server, serving

__all__ = ["add_options", "measure"]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this part to a parser."""
    parser.add_argument("--clicks", type=int, default=60, help="samples of each kind of click")
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
    bar = progress.add_task("explorer", total=7)

    def step(description: str) -> None:
        progress.update(bar, description=f"explorer: {description}")
        progress.advance(bar)

    with browsing() as browser:
        with serving("demo") as server:
            step("first view")
            page = open_page(browser)
            figures += _first_view(page, server)
            step("measuring the images")
            figures += _measuring(page)
            for layer, limit in (("aggregation_conv", 100), ("block1_conv2", 400)):
                step(f"classes at {layer}")
                figures += _change_of_class(page, layer, limit, options.clicks)
            step("all layers")
            figures += _all_layers(page, options.clicks // 4)
            page.context.close()
        if options.images:
            step(f"a gallery of {options.images} images")
            figures += _large_gallery(browser, options.images)
    return figures


def _first_view(page: Any, server: Server) -> list[Figure]:
    """Open the page as soon as the server is ready; the first view is the first importance map."""
    page.goto(server.address)
    frame = first_frame(page, "map", 0)
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
    start = time.perf_counter()
    count = wait_for_measures(page)
    return [Figure(f"measuring {count} images in the background", time.perf_counter() - start, "s")]


def _change_of_class(page: Any, layer: str, limit: float, count: int) -> list[Figure]:
    """Click classes of the legend in random order, with random rests, as someone does who looks at each map."""
    page.get_by_test_id("tool-predicted").click()
    choose(page, "layer", layer)
    choose(page, "method", "grad-cam")
    generator = random.Random(0)  # noqa: S311  # the same clicks in each run
    shown = _predicted_classes(page)
    for name in shown:
        page.get_by_test_id(f"class-{name}").click()
        settle(page)
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
    choose(page, "layer", "aggregation_conv")
    # High enough for the legend and the network together.
    page.set_viewport_size({"width": 1280, "height": 1400})
    settle(page)
    times = []
    shown = _predicted_classes(page)
    for number in range(count):
        # The page keeps the maps of classes that were seen; a new one keeps none.
        page.reload()
        settle(page)
        button = page.get_by_test_id(f"class-{shown[number % len(shown)]}")
        if button.get_attribute("aria-pressed") == "false":
            times.append(_time(page, "network", button.click))
            settle(page)
    page.set_viewport_size(VIEWPORT)
    note = f"{len(times)} clicks; median {percentile(times, 0.5):.0f} ms; the main map comes first"
    return [
        Figure("all layers of one class, click to pixels, p95", percentile(times, 0.95), "ms", at_most=600, note=note)
    ]


def _large_gallery(browser: Any, count: int) -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        images, masks = Path(folder, "images"), Path(folder, "masks")
        write_gallery(Path(folder), count)
        with serving("serve", "demo", "--images", str(images), "--masks", str(masks)) as server:
            page = open_page(browser)
            page.goto(server.address)
            frame = first_frame(page, "map", 0)
            painted = page.evaluate("performance.timeOrigin") / 1000 + frame["at"] / 1000
            rows = first_frame(page, "gallery", 0)["at"]
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
    frame = first_frame(page, kind, before)
    return float(frame["at"] - frame["event"])
