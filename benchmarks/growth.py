"""Measure how the cost of maps grows with image size, classes, layers and targets, and draw it."""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from matplotlib import rc_context
from matplotlib.figure import Figure as Drawing
from rich.progress import Progress

import segscope
from segscope.demo.pspnet import PSPNetVGG16

from .peers import network_and_image
from .report import Figure

__all__ = ["add_options", "measure"]

SIZES = (112, 160, 224, 320, 448)
CLASSES = (2, 6, 20, 60, 150)
TARGETS = (1, 2, 3, 6, 12)
COLOURS = ("#0072b2", "#d55e00")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this part to a parser; it takes size and repeats from the peers' as well."""
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw how cost grows into this SVG or PNG file")


def measure(options: argparse.Namespace, progress: Progress) -> list[Figure]:
    """Return the time of one forward pass and of one target, for one thing that grows after another.

    Parameters
    ----------
    options : Namespace
        Size, repeats and where to draw.
    progress : Progress
        Where to show how far the work is.

    Returns
    -------
    list of Figure
        Milliseconds, of the network at half width, which is the shipped one.
    """
    network, _ = network_and_image(0.5, options.size)
    layers = [name for name, _ in network.named_children() if name not in ("dropout", "classifier")]
    every = {f"{size}": _Case(network, size, layers, 1) for size in SIZES}
    cases = {
        "image size in pixels": every,
        "classes": {
            f"{count}": _Case(PSPNetVGG16(count, width=0.5).eval(), options.size, layers, 1) for count in CLASSES
        },
        "earliest layer": {name: _Case(network, options.size, [name], 1) for name in layers},
        "targets": {f"{count}": _Case(network, options.size, layers, count) for count in TARGETS},
    }
    bar = progress.add_task("growth", total=options.repeats * sum(map(len, cases.values())))
    times: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for _ in range(options.repeats):
        for growing, steps in cases.items():
            for step, case in steps.items():
                progress.update(bar, description=f"{growing}: {step}")
                times.setdefault((growing, step), []).append(case.run())
                progress.advance(bar)
    # The least: what other programs add is no part of the cost.
    least = {key: tuple(1000 * min(part) for part in zip(*runs, strict=True)) for key, runs in times.items()}
    if options.plot:
        _draw(least, options.plot)
    return [
        Figure(f"{growing} {step}: {what}", value, "ms")
        for (growing, step), pair in least.items()
        for what, value in zip(("prediction", "explanation"), pair, strict=True)
    ]


class _Case:
    """One thing to time: so many targets at some layers of an image of some size."""

    def __init__(self, network: PSPNetVGG16, size: int, layers: list[str], targets: int) -> None:
        self.model = segscope.SegmentationModel(network, layers=layers)
        self.layers = layers
        self.image = torch.rand(3, size, size, generator=torch.Generator().manual_seed(0))
        # Boxes rather than classes, so that there may be more targets than classes.
        self.regions = [segscope.Region.box(index, index, size - index, size - index) for index in range(targets)]

    def run(self) -> tuple[float, float]:
        """Return the seconds of the prediction and of the explanation."""
        gc.collect()
        predicted, prediction = _timed(lambda: self.model.predict(self.image))
        with prediction:
            explained, _ = _timed(
                lambda: [prediction.explain_all([1], self.layers, region=region) for region in self.regions]
            )
        return predicted, explained


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def _draw(least: dict[tuple[str, str], tuple[float, ...]], path: Path) -> None:
    """Draw one picture for each thing that grows."""
    drawing = Drawing(figsize=(9, 6.4), layout="constrained")
    axes = drawing.subplots(2, 2).flat
    for growing, axis in zip(dict.fromkeys(growing for growing, _ in least), axes, strict=True):
        steps = [step for other, step in least if other == growing]
        numbers = [float(step) if step.isdigit() else index for index, step in enumerate(steps)]
        for part, (what, colour) in enumerate(zip(("prediction", "explanation"), COLOURS, strict=True)):
            axis.plot(numbers, [least[growing, step][part] for step in steps], "o-", color=colour, label=what)
        if not steps[0].isdigit():
            axis.set_xticks(numbers, [step.removesuffix("_conv") for step in steps], rotation=90, fontsize=7)
        axis.set_xlabel(growing)
        axis.set_ylabel("milliseconds")
        axis.set_ylim(bottom=0)
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False)
    # Text stays text, which is smaller, and takes the reader's font.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "growth"}):
        drawing.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
