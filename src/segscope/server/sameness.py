"""Whether a method can tell regions apart at all, found out by asking it about another one."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..attribution import Attribution
from ..errors import CannotExplain, EmptyRegion
from ..prediction import Prediction
from ..region import Region, Weights
from ..target import Target

__all__ = ["Sameness", "alike", "other_region"]

Key: TypeAlias = tuple[str, ...]

_KEPT = 20_000
_ALIKE = 0.9999


class Sameness:
    """Remembers, for each way of asking about an image, whether its map is the same for every region.

    A way of asking is all of a question but its region. It costs one more backward pass when it is met first, and
    nothing from then on, however many regions are asked about.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[Key, bool | None] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, attribution: Attribution, prediction: Prediction, *, image: str) -> bool | None:
        """Return whether another region would have got the same map, up to scale.

        Parameters
        ----------
        attribution : Attribution
            An answer.
        prediction : Prediction
            Where it came from.
        image : str
            What stands for the image and its version.

        Returns
        -------
        bool or None
            None where it can't be measured: the map is zero everywhere, or the other region can't be explained.
        """
        if not attribution.map.any():
            return None
        key = _key(attribution, image)
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
        found = _measure(attribution, prediction)
        with self._lock:
            self._known[key] = found
            if len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return found


def alike(one: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    """Return whether two maps are the same up to a positive scale: the cosine between them is at least 0.9999.

    Parameters
    ----------
    one, other : ndarray
        float32, of the same shape. A map of zeros is like no other.

    Returns
    -------
    bool
        Whether they are.
    """
    a, b = one.ravel().astype(np.float64), other.ravel().astype(np.float64)
    length = float(np.linalg.norm(a) * np.linalg.norm(b))
    return length > 0 and float(a @ b) >= _ALIKE * length


def other_region(weights: Weights) -> Region | None:
    """Return a quarter of the image that has as little as possible in common with a region.

    Parameters
    ----------
    weights : ndarray
        float32, H×W, 0..1: the region.

    Returns
    -------
    Region or None
        None where the image is a single pixel.
    """
    height, width = weights.shape
    if height == width == 1:
        return None
    rows = [(0, (height + 1) // 2), (height // 2, height)]
    columns = [(0, (width + 1) // 2), (width // 2, width)]
    quarters = [(top, left, bottom, right) for top, bottom in rows for left, right in columns]
    top, left, bottom, right = min(quarters, key=lambda box: float(weights[box[0] : box[2], box[1] : box[3]].sum()))
    return Region.box(top, left, bottom, right)


def _measure(attribution: Attribution, prediction: Prediction) -> bool | None:
    region = other_region(attribution.region_weights)
    if region is None:
        return None
    asked = attribution.target
    target = Target(asked.class_, region, against=asked.against, score=asked.score)
    try:
        other = prediction.explain(target, layer=attribution.layer, method=attribution.method, **attribution.parameters)
    except (CannotExplain, EmptyRegion):
        return None
    return alike(attribution.map, other.map)


def _key(attribution: Attribution, image: str) -> Key:
    parameters = json.dumps(attribution.parameters, sort_keys=True, default=str)
    names = (attribution.class_, attribution.against or "", attribution.target.score)
    return (image, *names, attribution.layer, attribution.method, parameters)
