"""Where models come from: the demo, a function, or a file or network of another library, by ``"scheme:rest"``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ..errors import InvalidInput
from ..model import SegmentationModel
from ..preprocess import Preprocess
from ..windows import Windows
from . import demo, export, hf, keras, onnx, smp, torchvision
from .base import RANDOM, Order, Source, all_sources, find_source, register
from .python import load_function
from .weights import load_state, read_state

__all__ = [
    "RANDOM",
    "Order",
    "Source",
    "all_sources",
    "find_source",
    "load_model",
    "load_state",
    "read_state",
    "register",
]

for _module in (demo, torchvision, smp, hf, onnx, keras, export):
    register(_module.SOURCE)


def load_model(
    source: str,
    *,
    weights: str | os.PathLike[str] | None = None,
    classes: Sequence[str] | None = None,
    colors: Sequence[str] | None = None,
    preprocess: Preprocess | None = None,
    device: str | torch.device | None = None,
    windows: Windows | int | tuple[int, int] | None = None,
) -> SegmentationModel:
    """Load a model by name; :meth:`SegmentationModel.load` describes the parameters.

    Parameters
    ----------
    source : str
        ``"scheme:rest"`` of a registered source, ``"module:function"`` or ``"file.py:function"``.
    weights : path, optional
        A file of weights, or ``"random"``.
    classes, colors, preprocess, device, windows
        Override what the source says.

    Returns
    -------
    SegmentationModel
        The model.

    Raises
    ------
    InvalidInput
        When the source can't be read, imported or called, or the weights don't fit.
    MissingExtra
        When the source needs a package that isn't installed.
    """
    if not isinstance(source, str):
        raise InvalidInput(
            f"The model source is a {type(source).__name__}; expected text such as 'demo' or 'file.py:name'."
        )
    scheme, colon, rest = source.partition(":")
    found = find_source(scheme) if colon or scheme == "demo" else None
    load = load_function if found is None else found.load
    made = load(_order(source, rest, weights, classes))
    given: dict[str, Any] = {
        "classes": classes,
        "colors": colors,
        "preprocess": preprocess,
        "device": device,
        "windows": windows,
    }
    if not isinstance(made, SegmentationModel):
        return SegmentationModel(made, **given)
    return made if all(value is None for value in given.values()) else made.with_options(**given)


def _order(source: str, rest: str, weights: object, classes: Sequence[str] | None) -> Order:
    random = isinstance(weights, str) and weights == RANDOM
    if weights is not None and not isinstance(weights, (str, os.PathLike)):
        raise InvalidInput(f"The weights are a {type(weights).__name__}; expected a file, or {RANDOM!r}.")
    file = None if weights is None or random else Path(weights).expanduser()
    if file is not None and not file.is_file():
        raise InvalidInput(f"There is no file of weights {str(file)!r}.")
    return Order(
        source=source, rest=rest, weights=file, random=random, classes=None if classes is None else len(classes)
    )
