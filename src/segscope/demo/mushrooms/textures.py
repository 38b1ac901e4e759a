"""Procedural noise: seeded lattices read with smooth interpolation, no trigonometric hashing."""

from __future__ import annotations

import numpy as np

from .vectors import Floats

__all__ = ["Noise"]

_PLANE = 128
_VOLUME = 32


class Noise:
    """Value noise and cell noise over a random lattice that repeats far outside the scene.

    Parameters
    ----------
    generator : numpy.random.Generator
        Source of the lattice; the same generator state gives the same noise.
    """

    def __init__(self, generator: np.random.Generator) -> None:
        self._plane = generator.random(_PLANE * _PLANE, dtype=np.float32)
        self._other = generator.random(_PLANE * _PLANE, dtype=np.float32)
        self._volume = generator.random(_VOLUME**3, dtype=np.float32)

    def plane(self, x: Floats, y: Floats) -> Floats:
        """Smooth value noise in the plane, one feature a unit, in 0..1; `x` and `y` have any common shape."""
        column, across = _split(x)
        row, along = _split(y)
        left, right = column % _PLANE * _PLANE, (column + 1) % _PLANE * _PLANE
        upper, lower = row % _PLANE, (row + 1) % _PLANE
        table = self._plane
        near = table[left + upper] * (1 - along) + table[left + lower] * along
        far = table[right + upper] * (1 - along) + table[right + lower] * along
        return np.asarray(near + (far - near) * across)

    def volume(self, x: Floats, y: Floats, z: Floats) -> Floats:
        """Smooth value noise in space, one feature a unit, in 0..1."""
        layer, depth = _split(z)
        column, across = _split(x)
        row, along = _split(y)
        result = np.float32(0)
        for step_z, weight_z in ((0, 1 - depth), (1, depth)):
            base_z = (layer + step_z) % _VOLUME
            for step_x, weight_x in ((0, 1 - across), (1, across)):
                base = ((column + step_x) % _VOLUME * _VOLUME + base_z) * _VOLUME
                near, far = self._volume[base + row % _VOLUME], self._volume[base + (row + 1) % _VOLUME]
                result = result + weight_z * weight_x * (near + (far - near) * along)
        return np.asarray(result, np.float32)

    def fractal(self, x: Floats, y: Floats, octaves: int = 3) -> Floats:
        """Sum of `octaves` octaves of `plane`, each half as strong and twice as fine, in 0..1."""
        total, weight = np.zeros_like(x), np.float32(0.5)
        scale = np.float32(1)
        for octave in range(octaves):
            total += weight * self.plane(x * scale + np.float32(17.3 * octave), y * scale + np.float32(5.7 * octave))
            scale, weight = scale * np.float32(2.03), weight * np.float32(0.5)
        return total / np.float32(1 - 0.5**octaves)

    def cells(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Distance to the nearest of one jittered point a unit square, and that point's own number in 0..1."""
        column, across = np.floor(x), x - np.floor(x)
        row, along = np.floor(y), y - np.floor(y)
        column, row = column.astype(np.intp), row.astype(np.intp)
        best, number = np.full_like(x, 9), np.zeros_like(x)
        for step_x in (-1, 0, 1):
            for step_y in (-1, 0, 1):
                index = (column + step_x) % _PLANE * _PLANE + (row + step_y) % _PLANE
                jitter = self._plane[index]
                offset_x = np.float32(step_x) + jitter - across
                offset_y = np.float32(step_y) + self._other[index] - along
                distance = offset_x * offset_x + offset_y * offset_y
                closer = distance < best
                best = np.where(closer, distance, best)
                number = np.where(closer, (jitter * 7.31 + self._other[index] * 3.77).astype(np.float32) % 1, number)
        return np.sqrt(best), number


def _split(values: Floats) -> tuple[np.ndarray, Floats]:
    whole = np.floor(values)
    rest = values - whole
    return whole.astype(np.intp), rest * rest * (3 - 2 * rest)
