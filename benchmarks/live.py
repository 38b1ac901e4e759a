"""Measure live mode: how long after the pointer the map of the pixel under it is painted, at every layer."""

from __future__ import annotations

import argparse
import itertools
import random
import time
from typing import Any

from rich.progress import Progress

from .browser import browsing, choose, first_frame, open_page, wait_for_measures
from .report import Figure, percentile
from .server import serving

__all__ = ["add_options", "measure"]

# By backward passes, while there is no table: at least so many maps a second.
_ASKED = {("grad-cam", "block5_conv3"): 20.0, ("hires-cam", "aggregation_conv"): 30.0}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this part to a parser."""
    parser.add_argument("--live-seconds", type=float, default=6.0, help="how long the pointer moves at each layer")
    parser.add_argument("--live-layers", nargs="+", metavar="LAYER", default=["all"], help="the tables; or: all")


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
        With their bars; a row for each layer.
    """
    with browsing() as browser, serving("demo") as server:
        page = open_page(browser)
        page.goto(server.address)
        first_frame(page, "map", 0)
        wait_for_measures(page)
        layers = options.live_layers
        if layers == ["all"]:
            offered = page.get_by_test_id("layer").locator("option").all_inner_texts()
            layers = [name for name in offered if name != "input"]
        tabled = [*(("grad-cam", layer) for layer in layers), ("hires-cam", "aggregation_conv")]
        bar = progress.add_task("live", total=len(_ASKED) + len(tabled))
        figures = []
        for (method, layer), rate in _ASKED.items():
            progress.update(bar, description=f"live: {method} at {layer}, by the server")
            figures.append(_by_server(page, method, layer, rate, options.live_seconds))
            progress.advance(bar)
        for method, layer in tabled:
            progress.update(bar, description=f"live: {method} at {layer}, by its table")
            figures.append(_by_table(page, method, layer, options.live_seconds))
            progress.advance(bar)
        return figures


def _by_server(page: Any, method: str, layer: str, rate: float, seconds: float) -> Figure:
    """Count the maps that are painted while each is a question to the server."""
    choose(page, "method", method)
    choose(page, "layer", layer)
    page.get_by_test_id("tool-pixel").click()
    page.get_by_test_id("live").click()
    page.get_by_test_id("table-cancel").click()
    frames, elapsed = _move(page, seconds)
    page.get_by_test_id("live").click()
    gaps = [after["at"] - frame["at"] for frame, after in itertools.pairwise(frames)]
    note = f"{len(frames)} maps in {elapsed:.1f} s; p95 of the gaps {percentile(gaps, 0.95):.0f} ms"
    return Figure(f"{method} at {layer}, by the server", len(frames) / elapsed, "maps/s", at_least=rate, note=note)


def _by_table(page: Any, method: str, layer: str, seconds: float) -> Figure:
    """Build a layer's table, and measure how long after the pointer the maps are painted that the page makes of it."""
    choose(page, "method", method)
    choose(page, "layer", layer)
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
        f"browser's next frame, p95 {percentile(moved, 0.95):.1f} ms; table built in {building:.1f} s"
    )
    name = f"{method} at {layer}, by its table: pointer to pixels, p95"
    return Figure(name, percentile(times, 0.95), "ms", at_most=16, note=note)


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
