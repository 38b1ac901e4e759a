"""Measure how much memory the maps take beside the hand-written loop: each in processes of its own."""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.progress import Progress

from .report import Figure

__all__ = ["account", "add_options", "measure"]

_CONTESTANTS = ("segscope", "hand-written loop")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this part to a parser; it takes width, size and repeats from the peers' as well."""


def measure(options: argparse.Namespace, progress: Progress) -> list[Figure]:
    """Return the peak memory of six targets at all layers, and its ratio to the hand-written loop's.

    Parameters
    ----------
    options : Namespace
        Width, size and repeats.
    progress : Progress
        Where to show how far the work is.

    Returns
    -------
    list of Figure
        Megabytes above what the process held before, and ratios.
    """
    bar = progress.add_task("memory", total=options.repeats * len(_CONTESTANTS))
    peaks: dict[str, list[float]] = {name: [] for name in _CONTESTANTS}
    for _ in range(options.repeats):
        for name in _CONTESTANTS:
            command = [sys.executable, "-m", "benchmarks.memory", name, str(options.width), str(options.size)]
            peaks[name].append(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))
            progress.advance(bar)
    medians = {name: statistics.median(values) for name, values in peaks.items()}
    limit = medians["hand-written loop"]
    found = [Figure(f"peak memory of {name}", value / 2**20, "MiB") for name, value in medians.items()]
    return [*found, Figure("peak memory: segscope / hand-written loop", medians["segscope"] / limit, "×", at_most=1.3)]


def _peak(name: str, width: float, size: int) -> int:
    """Return the bytes by which the process grew at most while a contestant worked; Linux keeps the account."""
    from .contestants import CONTESTANTS, Task
    from .peers import network_and_image

    network, image = network_and_image(width, size)
    layers = [layer for layer, _ in network.named_children() if layer not in ("dropout", "classifier")]
    # What is loaded at first use isn't what a question costs: a small image has it all done.
    CONTESTANTS[name](Task(network, image[:, :64, :64], [0], layers))
    # This sets the high-water mark back to what the process holds now.
    Path("/proc/self/clear_refs").write_text("5")
    before = account("VmRSS")
    CONTESTANTS[name](Task(network, image, range(6), layers))
    return account("VmHWM") - before


def account(entry: str) -> int:
    """Return what Linux notes of this process's memory under a name, in bytes."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(entry))
    return int(line.split()[1]) * 1024


def main(arguments: Sequence[str]) -> None:
    """Measure one contestant and print its bytes."""
    name, width, size = arguments
    print(_peak(name, float(width), int(size)))


if __name__ == "__main__":
    main(sys.argv[1:])
