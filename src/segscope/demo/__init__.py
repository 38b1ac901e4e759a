"""The worked example: rendered mushrooms, and a PSPNet with a VGG16 backbone that segments them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..model import SegmentationModel

__all__ = ["DATA", "demo_images", "load_demo"]

DATA = Path(__file__).parent / "data"
"""The folder of the shipped weights, images and masks."""


def load_demo(weights: Path | None = None) -> SegmentationModel:
    """Return the mushroom network with its classes, colours and preprocessing.

    Parameters
    ----------
    weights : Path, optional
        A safetensors file of other weights, as ``segscope train`` exports them; the shipped ones otherwise.

    Returns
    -------
    SegmentationModel
        PSPNet-VGG16, six classes, for RGB images of any size, which are resized to 224×224.
    """
    # Imported here, so that the processes that render mushrooms start without PyTorch.
    from ..model import SegmentationModel
    from ..preprocess import Preprocess
    from .mushrooms import CLASSES, COLORS
    from .pspnet import INPUT_SIZE, MEAN, STANDARD_DEVIATION
    from .weights import load_weights

    network, _ = load_weights(weights or DATA / "pspnet-vgg16-mushrooms.safetensors")
    return SegmentationModel(
        network,
        classes=CLASSES,
        colors=COLORS,
        preprocess=Preprocess(INPUT_SIZE, mean=MEAN, std=STANDARD_DEVIATION),
        layers=[name for name, _ in network.named_children() if name != "dropout"],
        name="PSPNet-VGG16 · mushrooms",
    )


def demo_images() -> list[Path]:
    """Return the shipped images, which range from easy to hard; masks of the same stem lie in ``DATA / "masks"``."""
    return sorted((DATA / "images").iterdir())
