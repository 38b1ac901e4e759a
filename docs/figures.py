"""Makes the figures and the table of the pages: ``python docs/figures.py``.

Everything comes from the shipped network and images, so that it can be made again and checked.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

import segscope
from segscope.demo import demo_images
from segscope.measures import gini, share_of_classes, spread

DOCS = Path(__file__).parent
PAGE = DOCS / "tutorial" / "what-each-layer-contributes.md"
TABLE = re.compile(r"(?P<start><!-- table of (?P<method>[\w-]+) -->\n\n).*?(?P<end>\n\n<!-- end -->)", re.DOTALL)

CLASS = "cap"
METHODS = ("grad-cam", "hires-cam")
LAYERS = (
    "aggregation_conv",
    "psp_level1_conv",
    "psp_level2_conv",
    "psp_level3_conv",
    "psp_level6_conv",
    "block5_conv3",
    "block4_conv3",
    "block3_conv3",
    "block2_conv2",
    "block1_conv2",
)
EXAMPLE = 3
EVERY = 3
"""Every third of the shipped images, which lie in the order from easy to hard, goes into the tables."""

MEASURES = ("on the cap", "on the stipe", "on the ring", "Gini index", "spread", "maps")


def measured_images() -> list[Path]:
    """Return the images that the tables average over."""
    return demo_images()[::EVERY]


def measure(
    images: Sequence[Path], method: str, layers: Sequence[str] = LAYERS, *, class_: str = CLASS
) -> dict[str, tuple[float, ...]]:
    """Return what the maps for a class measure at each layer, averaged over the images that show it.

    Parameters
    ----------
    images : sequence of Path
        Images; those on which the network predicts no such class are left out.
    method : str
        The method.
    layers : sequence of str
        Layers.
    class_ : str
        The class.

    Returns
    -------
    dict
        By layer, :data:`MEASURES` in their order: the share of importance on the pixels predicted as cap, stipe and
        ring, sparsity, spread, and how many maps these are means of. Maps of zeros have no measures; shares on stipe
        and ring are averaged over the images where they are predicted.
    """
    model = segscope.SegmentationModel.load("demo")
    found: dict[str, list[tuple[float, ...]]] = {layer: [] for layer in layers}
    for image in images:
        with model.predict(image) as prediction:
            if not (prediction.mask == model.class_index(class_)).any():
                continue
            grid = prediction.explain_all([class_], layers, method=method)
            for layer in layers:
                found[layer].append(_measured(grid[class_, layer].values, prediction))
    return {layer: _means(np.array(rows)) for layer, rows in found.items()}


def _means(rows: NDArray[np.float64]) -> tuple[float, ...]:
    return (*(float(number) for number in np.nanmean(rows, axis=0)), float((~np.isnan(rows[:, 0])).sum()))


def _measured(values: NDArray[np.float32], prediction: segscope.Prediction) -> tuple[float, ...]:
    model, mask = prediction.model, prediction.mask
    shares = share_of_classes(values, mask, classes=len(model.classes))
    indices = [model.class_index(name) for name in ("cap", "stipe", "ring")]
    on = [float(shares[index]) if (mask == index).any() else float("nan") for index in indices]
    return (*on, gini(values), spread(values))


def table(measured: dict[str, tuple[float, ...]]) -> str:
    """Return the measures as a Markdown table."""
    lines = [f"| layer | {' | '.join(MEASURES)} |", f"|---|{'---:|' * len(MEASURES)}"]
    for layer, (*shares, sparsity, extent, count) in measured.items():
        cells = [
            *(f"{share:.0%}".replace("%", " %") for share in shares),
            f"{sparsity:.2f}",
            f"{extent:.3f}",
            f"{count:.0f}",
        ]
        lines.append(f"| `{layer}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def save(figure: Figure, name: str, *, width: int = 1000) -> None:
    """Write a figure as a small PNG: no wider than needed, in 256 colours."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    picture = Image.open(buffer).convert("RGB")
    if picture.width > width:
        picture = picture.resize((width, round(picture.height * width / picture.width)), Image.Resampling.LANCZOS)
    palette = picture.quantize(256, method=Image.Quantize.MEDIANCUT, kmeans=3)
    picture.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG).save(DOCS / "images" / name, optimize=True)


def main() -> None:
    """Make all figures, and write the table into its page."""
    model = segscope.SegmentationModel.load("demo")
    with model.predict(demo_images()[EXAMPLE]) as prediction:
        for method in METHODS:
            save(prediction.compare(CLASS, methods=[method], layers=LAYERS).plot(), f"layers-{method}.png")
        methods = ["grad-cam", "hires-cam", "saliency"]
        compared = prediction.compare(classes=["cap", "ring"], methods=methods, layers=["block5_conv3"])
        save(compared.plot(), "compare-methods.png", width=850)
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(TABLE.sub(_with_table, text), encoding="utf-8")


def _with_table(found: re.Match[str]) -> str:
    return found["start"] + table(measure(measured_images(), found["method"])) + found["end"]


if __name__ == "__main__":
    main()
