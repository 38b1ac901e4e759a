"""Measure segscope beside its peers: same network, same input, same process, in turn, as ratios of medians."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from segscope.demo.pspnet import PSPNetVGG16

from .contestants import CONTESTANTS, Maps, Task

__all__ = ["add_options", "measure", "print_results"]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this part to a parser."""
    parser.add_argument(
        "--width", type=float, default=0.5, help="of PSPNet-VGG16: 1 as published, 0.5 as the shipped network"
    )
    parser.add_argument("--size", type=int, default=224, help="height and width of the input in pixels")
    parser.add_argument("--repeats", type=int, default=5, help="runs of each contestant")


def measure(options: argparse.Namespace, progress: Progress) -> list[dict[str, Any]]:
    """Return, for each case, the times of all contestants and how far their maps are from segscope's.

    Parameters
    ----------
    options : Namespace
        Those of :func:`add_options`.
    progress : Progress
        Where to show how far the work is.

    Returns
    -------
    list of dict
        Ready for JSON.
    """
    torch.manual_seed(0)
    network = PSPNetVGG16(width=options.width).eval()
    image = torch.randn(3, options.size, options.size)
    # The layers that a user steps through; the classifier's map is the prediction itself.
    layers = [name for name, _ in network.named_children() if name not in ("dropout", "classifier")]
    cases = {
        "6 targets × all layers": Task(network, image, range(6), layers),
        "6 targets × aggregation_conv": Task(network, image, range(6), ["aggregation_conv"]),
        "1 target × aggregation_conv, cold": Task(network, image, [5], ["aggregation_conv"]),
    }
    results = []
    bar = progress.add_task("peers", total=len(cases) * options.repeats * len(CONTESTANTS))
    for case, task in cases.items():
        seconds: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
        maps: dict[str, Maps] = {}
        # A first run of each on the smallest task, so that none of them pays for what is set up once.
        for contestant in CONTESTANTS.values():
            contestant(cases["1 target × aggregation_conv, cold"])
        for _ in range(options.repeats):
            for name, contestant in CONTESTANTS.items():
                progress.update(bar, description=f"{case}: {name}")
                start = time.perf_counter()
                maps[name] = contestant(task)
                seconds[name].append(time.perf_counter() - start)
                progress.advance(bar)
        results.append(_summary(case, seconds, maps))
    return results


def _summary(case: str, seconds: dict[str, list[float]], maps: dict[str, Maps]) -> dict[str, Any]:
    ours = statistics.median(seconds["segscope"])
    return {
        "case": case,
        "contestants": {
            name: {
                "median_seconds": statistics.median(times),
                "seconds": times,
                "ratio_to_segscope": statistics.median(times) / ours,
                "largest_difference": _difference(maps["segscope"], maps[name]),
            }
            for name, times in seconds.items()
        },
    }


def _difference(ours: Maps, theirs: Maps) -> float:
    """Return the largest difference of two sets of maps, each brought to the peer's size and to a range of 0..1."""
    return max(_distance(ours[key], theirs[key]) for key in ours)


def _distance(ours: np.ndarray, theirs: np.ndarray) -> float:
    stretched = _stretched(ours)
    if ours.shape != theirs.shape:
        import cv2  # comes with pytorch-grad-cam, which resizes its maps with it

        stretched = _stretched(cv2.resize(stretched, theirs.shape[::-1]))
    return float(np.abs(stretched - _stretched(theirs)).max())


def _stretched(values: np.ndarray) -> np.ndarray:
    shifted = values - values.min()
    return np.asarray(shifted / (shifted.max() or 1))


def print_results(results: Sequence[dict[str, Any]], options: argparse.Namespace) -> None:
    """Print a table of times and ratios."""
    setting = f"width {options.width:g}, {options.size}×{options.size}, {torch.get_num_threads()} threads"
    table = Table(title=f"PSPNet-VGG16, {setting}, torch {torch.__version__}")
    for heading in (
        "case",
        "contestant",
        "median",
        "time / segscope's",
        "largest difference, maps on 0..1",
    ):
        table.add_column(heading, justify="left" if heading in ("case", "contestant") else "right")
    for result in results:
        for name, row in result["contestants"].items():
            milliseconds, ratio = row["median_seconds"] * 1000, row["ratio_to_segscope"]
            difference = f"{row['largest_difference']:.1e}"
            table.add_row(result["case"], name, f"{milliseconds:.0f} ms", f"{ratio:.2f}", difference)
        table.add_section()
    Console(width=140).print(table)
