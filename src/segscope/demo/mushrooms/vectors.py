"""Arithmetic on vectors and weights; a list of vectors is a float32 array of shape 3×N, x, y (up) and z."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Floats", "clip01", "column", "dot", "linear", "mix", "smoothstep", "turn", "unit"]

Floats = NDArray[np.floating[Any]]


def clip01(values: Any) -> Floats:
    """Clip to 0..1."""
    return np.asarray(np.minimum(np.maximum(values, np.float32(0)), np.float32(1)))


def mix(first: Any, second: Any, weight: Any) -> Floats:
    """Blend from `first` (weight 0) to `second` (weight 1)."""
    return np.asarray(first + (second - first) * weight)


def smoothstep(start: float, end: float, values: Any) -> Floats:
    """Go smoothly from 0 at `start` to 1 at `end`; `start` may lie above `end`."""
    share = clip01((values - np.float32(start)) * np.float32(1 / (end - start)))
    return np.asarray(share * share * (3 - 2 * share))


def dot(first: Floats, second: Floats) -> Floats:
    """Dot product along the first axis (of length 3), elementwise so that no threaded library is involved."""
    return np.asarray(first[0] * second[0] + first[1] * second[1] + first[2] * second[2], np.float32)


def turn(matrix: Floats, vectors: Floats) -> Floats:
    """Multiply vectors (3×N) by a 3×3 matrix."""
    return np.stack([dot(row, vectors) for row in matrix])


def unit(vectors: Floats) -> Floats:
    """Scale vectors (3×N or 3) to length one."""
    return np.asarray(vectors / np.maximum(np.sqrt(dot(vectors, vectors)), np.float32(1e-9)), np.float32)


def column(red: float, green: float, blue: float) -> Floats:
    """Return a colour as a 3×1 array, to blend with 3×N colours."""
    return np.array([[red], [green], [blue]], np.float32)


def linear(color: str) -> Floats:
    """Turn '#rrggbb' into linear light, shape 3, 0..1."""
    value = np.array([int(color[index : index + 2], 16) for index in (1, 3, 5)], np.float32) / np.float32(255)
    return np.asarray(value**2.2, np.float32)
