"""Measure what an image costs that the network sees in windows: time, and the peak memory of a whole process."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from rich.progress import Progress

from .memory import account
from .report import Figure

__all__ = ["add_options", "measure"]

_SIZE, _WINDOW = 4000, 224


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this part to a parser."""
    parser.add_argument("--side", type=int, default=_SIZE, help="windows: the image's side in pixels (%(default)s)")


def measure(options: argparse.Namespace, progress: Progress) -> list[Figure]:
    """Return what the shipped network's mask, maps and probabilities of a large image take.

    Parameters
    ----------
    options : Namespace
        The image's side.
    progress : Progress
        Where to show how far the work is.

    Returns
    -------
    list of Figure
        Seconds of each step, and the process's peak memory up to its end in GiB, libraries included.

    Raises
    ------
    SystemExit
        When the process that is measured failed.
    """
    bar = progress.add_task("windows", total=len(list(_steps(None))))
    figures = []
    command = [sys.executable, "-m", "benchmarks.windows", str(options.side)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            name, seconds, peak = json.loads(line)
            figures += [Figure(f"{name}: time", seconds, "s"), Figure(f"{name}: peak memory", peak, "GiB", at_most=4)]
            progress.advance(bar)
    if process.returncode:
        raise SystemExit(process.returncode)
    return figures


def _steps(image: np.ndarray | None) -> Iterator[tuple[str, Callable[[], object]]]:
    """Give what is measured, one after the other in the same process."""
    import segscope
    from segscope import Region, SegmentationModel

    demo = SegmentationModel.load("demo")
    # At the image's own scale: what the network was trained on is of the windows' size.
    scale = segscope.Preprocess(mean=demo.preprocess.mean, std=demo.preprocess.std)
    model = demo.with_options(windows=_WINDOW, preprocess=scale)
    seen: list[segscope.Prediction] = []
    box = Region.box(1000, 1000, 1400, 1400)

    def predict() -> None:
        seen.append(model.predict(image))  # type: ignore[arg-type] # not called without

    yield "predict", predict
    yield "mask and confidence", lambda: (seen[0].mask, seen[0].confidence)
    yield "explain a pixel", lambda: seen[0].explain("cap", Region.pixel(1200, 1200), layer="block5_conv3").values
    yield "explain 400 × 400 pixels", lambda: seen[0].explain("cap", box, layer="block5_conv3").values
    yield (
        "the same, as a probability",
        lambda: seen[0].explain("cap", box, layer="block5_conv3", score="probability").values,
    )
    yield "explain all pixels of a class", lambda: seen[0].explain("cap", layer="block5_conv3").values
    yield "probabilities", lambda: seen[0].probabilities


def main(arguments: Sequence[str]) -> None:
    """Run the steps in this process, and print a line of JSON for each."""
    from PIL import Image

    from segscope.demo import demo_images

    side = int(arguments[0])
    tile = np.asarray(Image.open(demo_images()[0]).convert("RGB"))
    repeats = -(-side // min(tile.shape[:2]))
    image = np.tile(tile, (repeats, repeats, 1))[:side, :side]
    for name, step in _steps(image):
        start = time.perf_counter()
        step()
        seconds = time.perf_counter() - start
        print(json.dumps([name, seconds, account("VmHWM") / 2**30]), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
