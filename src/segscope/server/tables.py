"""Tables as they travel: all that a page needs to answer every question at a layer by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import UnknownName
from ..prediction import Prediction
from ..table import TABLE_METHODS, Table, TableMethod
from .npy import to_npz
from .schemas import TableDescription, to_json

__all__ = ["CONTRIBUTIONS", "TABLED", "encode_table"]

CONTRIBUTIONS = "hires-cam"
"""The method whose map is a sum over the logits itself, at layers from which they depend place by place."""

TABLED: tuple[str, ...] = (*TABLE_METHODS, CONTRIBUTIONS)
"""The methods whose maps are sums over the logits."""

# Float16 goes up to 65504; a power of two loses no digit.
_LARGEST_EXPONENT = 15
_ROUNDING = 1e-6


class _Half(NamedTuple):
    values: NDArray[np.float16]
    scales: NDArray[np.float32]


def encode_table(prediction: Prediction, layer: str, method: str, tell: Callable[[float], None] | None) -> bytes:
    """Work out what answers every question at a layer.

    Parameters
    ----------
    prediction : Prediction
        The image.
    layer : str
        The layer's name, or ``"input"``.
    method : str
        One of :data:`TABLED`.
    tell : callable, optional
        Called with the share that is done, 0..1; what it raises ends the work.

    Returns
    -------
    bytes
        A ``.npz`` file. For a method of weights, ``values`` are C×K×h×w (channels × classes × rows × columns of the
        logits) and ``activation`` C×h'×w': a score's map is the sum of the activation's channels times their weights,
        and those are the sums of the values times the derivative of the score by each logit. Both are float16, each
        channel multiplied by one of ``scales`` and ``activation_scales`` (float32, C), so that small numbers keep their
        digits. For a method of contributions, ``values`` are float32, K×h×w: the map is their sum over the classes,
        each times that derivative. ``logits`` are float32, K×h×w.

    Raises
    ------
    UnknownName
        When there is no table of the method, or no such layer.
    CannotExplain
        As :meth:`Prediction.table` and :meth:`Prediction.contributions` do.
    """
    if method not in TABLED:
        raise UnknownName("method with a table", method, TABLED)
    arrays: dict[str, NDArray[Any]] = {"logits": prediction.logits.astype(np.float32)}
    if method == CONTRIBUTIONS:
        values, way, reason = prediction.contributions(layer), "forward", ""
        # A few numbers, of which each is seen by itself.
        arrays["values"] = values.cpu().numpy()
        size = tuple(values.shape[1:])
    else:
        # Checked above.
        table = prediction.table(layer, method=cast(TableMethod, method), progress=tell)
        way, reason, size = table.way, table.reason, tuple(table.activation.shape[1:])
        arrays["values"], arrays["scales"] = _half(_weights(table))
        arrays["activation"], arrays["activation_scales"] = _half(table.activation)
    geometry = prediction.geometry
    description = TableDescription.model_validate(
        {
            "layer": layer,
            "method": method,
            "kind": "contributions" if method == CONTRIBUTIONS else "weights",
            "image": geometry.image,
            "content": geometry.content,
            "offset": geometry.offset,
            "input": geometry.input,
            "logits": prediction.logits.shape[1:],
            "map": size,
            "way": way,
            "reason": reason,
        }
    )
    return to_npz(arrays, to_json(description))


def _weights(table: Table) -> Tensor:
    """Return the weights themselves: XGrad-CAM's divide by the sum of the channel's activation."""
    if table.method != "xgrad-cam":
        return table.values
    sums = table.activation.sum((1, 2))
    # As in the method itself, a sum that is rounding counts as zero.
    known = sums.abs() > _ROUNDING * table.activation.abs().sum((1, 2))
    shares = torch.where(known, 1 / torch.where(known, sums, 1), 0)
    return table.values * shares[:, None, None, None]


def _half(values: Tensor) -> _Half:
    """Return numbers in half the space, each part of the first axis with a scale of its own."""
    numbers = values.float().cpu().numpy()
    largest = np.abs(numbers).max(axis=tuple(range(1, numbers.ndim)))
    # A part of zeros needs no scale.
    exponents = _LARGEST_EXPONENT - np.ceil(np.log2(np.where(largest > 0, largest, 1)))
    scales = np.exp2(np.clip(exponents, -100, 100)).astype(np.float32)
    scaled = numbers * scales.reshape(-1, *[1] * (numbers.ndim - 1))
    return _Half(scaled.astype(np.float16), scales)
