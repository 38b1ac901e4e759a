"""Many visitors at once, for a while: what the server answers, how long it takes, and what memory it holds."""

from __future__ import annotations

import argparse
import asyncio
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import httpx
from rich.progress import Progress

from .report import Figure, percentile
from .server import Server, serving

__all__ = ["add_options", "measure"]

MEBIBYTE = 2**20
SAMPLE_SECONDS = 0.5
# One backward pass each: what a page asks for while someone explores.
METHODS = ("grad-cam", "hires-cam", "layer-cam", "saliency")


@dataclass
class Tally:
    """What one visitor saw."""

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)


@dataclass(frozen=True)
class Choice:
    """What requests choose from."""

    model: Any
    images: list[str]
    layers: list[str]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this part to a parser."""
    parser.add_argument("--visitors", type=int, default=50, help="how many ask at the same time")
    parser.add_argument("--load-seconds", type=float, default=60.0, help="for how long")
    parser.add_argument("--load-memory", type=int, default=512, help="the server's --memory in MiB")


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
    bar = progress.add_task("load", total=None)
    with serving("demo", "--memory", f"{options.load_memory}MiB") as server:
        asyncio.run(_visit_all(server, 2, 5.0))  # what is set up once is no growth
        before = server.resident()
        peaks: list[int] = []
        ended = threading.Event()
        watcher = threading.Thread(target=_watch, args=(server, peaks, ended))
        watcher.start()
        tallies = asyncio.run(_visit_all(server, options.visitors, options.load_seconds))
        ended.set()
        watcher.join()
    progress.remove_task(bar)
    return _figures(options, tallies, max(peaks) - before)


def _figures(options: argparse.Namespace, tallies: list[Tally], growth: int) -> list[Figure]:
    seconds = [value for tally in tallies for value in tally.seconds]
    statuses = sum((tally.statuses for tally in tallies), Counter[int]())
    counts = [len(tally.seconds) for tally in tallies]
    fairness = sum(counts) ** 2 / (len(counts) * sum(count**2 for count in counts))
    title = f"{options.visitors} visitors, {options.load_seconds:g} s"
    return [
        Figure(
            f"{title}: answers",
            len(seconds),
            "",
            note=", ".join(f"{n} × {code}" for code, n in sorted(statuses.items())),
        ),
        Figure(
            f"{title}: answers of 500 and above", sum(n for code, n in statuses.items() if code >= 500), "", at_most=0
        ),
        Figure(f"{title}: answers of 400 to 499", sum(n for code, n in statuses.items() if 400 <= code < 500), ""),
        Figure(
            f"{title}: time of an answer, p95",
            percentile(seconds, 0.95),
            "s",
            note=f"median {percentile(seconds, 0.5):.2f} s",
        ),
        Figure(f"{title}: growth of memory at its peak", growth / MEBIBYTE, "MiB", at_most=options.load_memory),
        Figure(
            f"{title}: fairness (Jain's index of answers a visitor)",
            fairness,
            "",
            at_least=0.9,
            note=f"{min(counts)} to {max(counts)} answers each; 1 is equal",
        ),
    ]


def _watch(server: Server, peaks: list[int], ended: threading.Event) -> None:
    while not ended.wait(SAMPLE_SECONDS):
        peaks.append(server.resident())


async def _visit_all(server: Server, visitors: int, seconds: float) -> list[Tally]:
    limits = httpx.Limits(max_connections=visitors, max_keepalive_connections=visitors)
    async with httpx.AsyncClient(base_url=server.address, timeout=300, limits=limits) as client:
        model = (await client.get("/api/model")).json()
        images = [image["id"] for image in (await client.get("/api/images")).json()["images"]]
        layers = [layer["name"] for layer in (await client.get(f"/api/images/{images[0]}/prediction")).json()["layers"]]
        end = time.perf_counter() + seconds
        choice = Choice(model, images, layers)
        # Each visitor's requests are the same in each run.
        generators = [random.Random(seed) for seed in range(visitors)]  # noqa: S311
        return list(await asyncio.gather(*(_visit(client, generator, choice, end) for generator in generators)))


async def _visit(client: httpx.AsyncClient, generator: random.Random, choice: Choice, end: float) -> Tally:
    tally = Tally()
    while time.perf_counter() < end:
        method, address, body = _request(generator, choice)
        start = time.perf_counter()
        response = await client.request(method, address, json=body)
        tally.seconds.append(time.perf_counter() - start)
        tally.statuses[response.status_code] += 1
    return tally


def _request(generator: random.Random, choice: Choice) -> tuple[str, str, dict[str, Any] | None]:
    """Return a valid request as a visitor's page would send it: mostly maps, now and then another image."""
    image = generator.choice(choice.images)
    kind = generator.choices(["attribution", "layers", "image", "list"], [6, 1, 3, 1])[0]
    if kind == "list":
        return "GET", generator.choice(["/api/model", "/api/images", "/api/statistics"]), None
    if kind == "image":
        part = generator.choice(
            ["picture", "thumbnail", "prediction", "mask", "truth", "graph", "superpixels?count=100"]
        )
        return "GET", f"/api/images/{image}/{part}", None
    method = "grad-cam" if kind == "layers" else generator.choice(METHODS)
    body: dict[str, Any] = {
        "class": generator.choice(choice.model["classes"])["name"],
        "region": _region(generator),
        "method": method,
    }
    if kind == "attribution":
        body["layer"] = "input" if method == "saliency" else generator.choice(choice.layers)
    return "POST", f"/api/images/{image}/{kind}", body


def _region(generator: random.Random) -> dict[str, Any]:
    row, column = generator.randrange(200), generator.randrange(200)
    return generator.choice(
        [
            {"kind": "everywhere"},
            {"kind": "pixel", "row": row, "column": column},
            {"kind": "segment", "row": row, "column": column},
            {"kind": "box", "top": row, "left": column, "bottom": row + 40, "right": column + 40},
        ]
    )
