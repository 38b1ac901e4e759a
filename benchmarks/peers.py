"""Measure segscope beside its peers: same network, same input, same process, in turn, as ratios of medians."""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from torch import Tensor

from segscope.demo import demo_images
from segscope.demo.pspnet import MEAN, STANDARD_DEVIATION, PSPNetVGG16
from segscope.image import read_pixels
from segscope.preprocess import Preprocess

from .contestants import CONTESTANTS, Maps, Task
from .report import Figure, print_figures

__all__ = ["add_options", "figures", "measure", "network_and_image", "print_results"]

OURS, LIMIT = "segscope", "hand-written loop"
PEER, OTHER = "pytorch-grad-cam", "Captum LayerGradCam"

BARS = {
    "6 targets × all layers": {PEER: 45, OTHER: 6},
    "6 targets × aggregation_conv": {PEER: 17, OTHER: 6},
    "1 target × aggregation_conv, cold": {PEER: 3},
}
"""How many times longer than segscope a peer takes, at least."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this part to a parser."""
    parser.add_argument(
        "--width", type=float, default=0.5, help="of PSPNet-VGG16: 1 as published, 0.5 as the shipped network"
    )
    parser.add_argument("--size", type=int, default=224, help="height and width of the input in pixels")
    parser.add_argument("--case", default="", metavar="TEXT", help="only the cases of peers whose name holds this")
    parser.add_argument("--repeats", type=int, default=5, help="runs of each contestant")


def network_and_image(width: float, size: int) -> tuple[PSPNetVGG16, Tensor]:
    """Return the network, with weights as they are drawn before training, and one of the shipped images.

    Parameters
    ----------
    width : float
        1 is that of the papers.
    size : int
        Height and width of the input in pixels.

    Returns
    -------
    network : PSPNetVGG16
        In evaluation mode.
    image : Tensor
        float32, 3×size×size.
    """
    torch.manual_seed(0)
    network = PSPNetVGG16(width=width).eval()
    preprocess = Preprocess((size, size), mean=MEAN, std=STANDARD_DEVIATION)
    return network, preprocess(read_pixels(demo_images()[0], channels=3))[0]


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
    network, image = network_and_image(options.width, options.size)
    # The layers that a user steps through; the classifier's map is the prediction itself.
    layers = [name for name, _ in network.named_children() if name not in ("dropout", "classifier")]
    cases = {
        "1 target × aggregation_conv, cold": Task(network, image, [2], ["aggregation_conv"]),
        "6 targets × aggregation_conv": Task(network, image, range(6), ["aggregation_conv"]),
        "6 targets × all layers": Task(network, image, range(6), layers),
    }
    cases = {case: task for case, task in cases.items() if options.case in case}
    results = []
    bar = progress.add_task("peers", total=len(cases) * options.repeats * len(CONTESTANTS))
    for case, task in cases.items():
        # A first run of each with one target, so that none of them pays for what is set up once.
        for contestant in CONTESTANTS.values():
            contestant(Task(network, image, [2], layers[-1:]))
        runs: dict[str, list[tuple[float, float]]] = {name: [] for name in CONTESTANTS}
        maps: dict[str, Maps] = {}
        for turn in range(options.repeats):
            for name in _balanced(list(CONTESTANTS), turn):
                progress.update(bar, description=f"{case}: {name}")
                # One contestant's rubbish isn't collected on another's time.
                gc.collect()
                start = time.perf_counter(), time.process_time()
                maps[name] = CONTESTANTS[name](task)
                runs[name].append((time.perf_counter() - start[0], time.process_time() - start[1]))
                progress.advance(bar)
        results.append(_summary(case, runs, maps))
    return results


def _balanced(names: list[str], turn: int) -> list[str]:
    """Return the order of one round."""
    # A balanced Latin square (Williams 1949), for an even number of names: in as many rounds each comes after each
    # other one once, since what one leaves behind in memory is what the next one finds.
    zigzag = [(place + 1) // 2 if place % 2 else -place // 2 for place in range(len(names))]
    return [names[(step + turn) % len(names)] for step in zigzag]


def _summary(case: str, runs: dict[str, list[tuple[float, float]]], maps: dict[str, Maps]) -> dict[str, Any]:
    ours, ours_cpu = _medians(runs[OURS])
    return {
        "case": case,
        "threads": torch.get_num_threads(),
        "contestants": {
            name: {
                "median_seconds": _medians(times)[0],
                "median_cpu_seconds": _medians(times)[1],
                "seconds": [seconds for seconds, _ in times],
                "ratio_to_segscope": _medians(times)[0] / ours,
                "cpu_ratio_to_segscope": _medians(times)[1] / ours_cpu,
                "largest_difference": _difference(maps[OURS], maps[name]),
            }
            for name, times in runs.items()
        },
    }


def _medians(times: list[tuple[float, float]]) -> tuple[float, float]:
    """Return the median of the clock's seconds, and that of the processor's, which other programs change less."""
    clock, processor = zip(*times, strict=True)
    return statistics.median(clock), statistics.median(processor)


def figures(results: Sequence[dict[str, Any]]) -> list[Figure]:
    """Set the ratios beside their bars.

    Parameters
    ----------
    results : sequence of dict
        From :func:`measure`.

    Returns
    -------
    list of Figure
        How many times faster than each peer, and the share of the limit's time.
    """
    found = []
    for result in results:
        rows, case = result["contestants"], result["case"]
        seconds = {name: row["median_seconds"] for name, row in rows.items()}
        cpu = {name: row["median_cpu_seconds"] for name, row in rows.items()}
        for peer in (PEER, OTHER):
            note = f"processor time: {cpu[peer] / cpu[OURS]:.1f}"
            ratio = seconds[peer] / seconds[OURS]
            found.append(Figure(f"{case}: {peer} / {OURS}", ratio, "×", None, BARS[case].get(peer), note))
        note = f"processor time: {cpu[OURS] / cpu[LIMIT]:.3f}"
        found.append(Figure(f"{case}: {OURS} / {LIMIT}", seconds[OURS] / seconds[LIMIT], "×", 1.0, None, note))
        difference = max(row["largest_difference"] for row in rows.values())
        found.append(Figure(f"{case}: largest difference of maps on 0..1", difference, "", 1e-5))
    return found


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
    setting = f"width {options.width:g}, {options.size}×{options.size}, {results[0]['threads']} threads"
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
    print_figures("bars", figures(results))
