"""Choosing images to show a network on: from those it segments well to those on which it fails."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image

from ..errors import InvalidInput
from ..files import write_file
from .dataset import LabelledImages

__all__ = ["select_examples", "write_examples"]


def select_examples(image_iou: Sequence[float], *, count: int = 48, failures: int = 6) -> list[int]:
    """Choose images that range from the easiest to the hardest.

    The `failures` images of lowest IoU are always among them; the others are evenly spaced in the order of their IoU,
    the easiest one included, so that they show the network as it is on the whole set.

    Parameters
    ----------
    image_iou : sequence of float
        IoU of each image, 0..1, for instance `Evaluation.image_iou`.
    count : int, optional
        Images to choose.
    failures : int, optional
        How many of them are the hardest of all.

    Returns
    -------
    list of int
        Indices of the images, from easy to hard; equal ones keep their order.

    Raises
    ------
    InvalidInput
        If there are fewer images than `count`, or `failures` is not below it.

    Examples
    --------
    >>> select_examples([0.9, 0.1, 0.5, 0.7, 0.3], count=3, failures=1)
    [0, 4, 1]
    """
    if not 0 <= failures < count <= len(image_iou):
        raise InvalidInput(
            f"count is {count} and failures {failures} for {len(image_iou)} images; "
            "expected 0 ≤ failures < count ≤ images."
        )
    order = sorted(range(len(image_iou)), key=lambda index: -image_iou[index])
    others = len(order) - failures
    spread = [round(place * (others - 1) / max(1, count - failures - 1)) for place in range(count - failures)]
    return [order[rank] for rank in (*spread, *range(others, len(order)))]


def write_examples(
    directory: str | os.PathLike[str],
    data: LabelledImages,
    chosen: Sequence[int],
    *,
    colors: Sequence[str],
    quality: int = 92,
) -> list[Path]:
    """Write chosen images as JPEG and their masks as PNG with a palette.

    Parameters
    ----------
    directory : str or path
        Gets ``images/RANK-NAME.jpg`` and ``masks/RANK-NAME.png``, ranks counting from 01 in the order chosen.
    data : LabelledImages
        Where they are chosen from.
    chosen : sequence of int
        Indices, for instance from `select_examples`.
    colors : sequence of str
        ``#rrggbb`` of each class, for the palette.
    quality : int, optional
        JPEG quality, 1..95.

    Returns
    -------
    list of pathlib.Path
        The images written.

    Raises
    ------
    InvalidInput
        If the folder can't be written to.
    """
    root = Path(directory)
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    palette = bytes.fromhex("".join(color.removeprefix("#") for color in colors))
    written = []
    for rank, index in enumerate(chosen, start=1):
        name = f"{rank:02d}-{data.names[index]}"
        image = Image.fromarray(data.images[index].permute(1, 2, 0).contiguous().numpy())
        mask = Image.fromarray(data.masks[index].numpy()).convert("P")
        mask.putpalette(palette)
        # Chroma at full resolution: the edges between parts are often edges of colour only.
        options = {"quality": quality, "subsampling": 0, "optimize": True}
        written.append(write_file(root / "images" / f"{name}.jpg", _saver(image, "JPEG", options)))
        write_file(root / "masks" / f"{name}.png", _saver(mask, "PNG", {"optimize": True}))
    return written


def _saver(picture: Image.Image, kind: str, options: Mapping[str, Any]) -> Callable[[BinaryIO], None]:
    return lambda file: picture.save(file, kind, **options)
