"""From light to a photograph: depth of field, exposure, tone, vignette, grain."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .vectors import Floats, clip01, dot, mix

__all__ = ["develop"]


def develop(generator: np.random.Generator, picture: Floats, blurred: Floats, *, dim: bool) -> NDArray[np.uint8]:
    """Turn light into an image.

    Parameters
    ----------
    generator : numpy.random.Generator
        Source of exposure, contrast and grain.
    picture : numpy.ndarray
        float32 3×size×size, linear light.
    blurred : numpy.ndarray
        float32 size×size, 0..1, how much each pixel is out of focus.
    dim : bool
        Whether the image may be underexposed.

    Returns
    -------
    numpy.ndarray
        uint8 size×size×3, sRGB.
    """
    size = picture.shape[1]
    picture = _defocus(picture, blurred, max(1, round(3 * size / 256)))
    exposure = (0.24 / max(float(picture.mean()), 1e-3)) ** 0.75 * float(np.exp(generator.normal(0, 0.2)))
    if dim:
        exposure *= float(generator.uniform(0.3, 1.0))
    picture = picture * np.float32(exposure)
    picture = picture * (1 + picture / 6) / (1 + picture)
    luminance = dot(np.array([0.21, 0.72, 0.07], np.float32), picture)
    picture = mix(luminance, picture, np.float32(generator.uniform(0.68, 0.98)))
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    falloff = 1 - np.float32(generator.uniform(0.05, 0.3)) * (axis[:, None] ** 2 + axis[None] ** 2) * np.float32(0.5)
    picture = np.maximum(picture * falloff * np.float32(1.15), 0) ** np.float32(1 / 2.2)
    contrast = np.float32(generator.uniform(1.0, 1.2))
    picture = (picture - np.float32(0.5)) * contrast + np.float32(0.5)
    picture = picture + generator.normal(0, generator.uniform(0.002, 0.016), picture.shape).astype(np.float32)
    return np.ascontiguousarray((clip01(picture) * 255 + np.float32(0.5)).astype(np.uint8).transpose(1, 2, 0))


def _defocus(picture: Floats, blurred: Floats, radius: int) -> Floats:
    """Blur what is out of focus, without what is in focus leaking into it."""
    soft: Floats = picture * blurred
    weight = blurred
    for _ in range(2):
        soft, weight = _box(soft, radius), _box(weight[None], radius)[0]
    return mix(picture, soft / np.maximum(weight, np.float32(1e-4)), blurred)


def _box(picture: Floats, radius: int) -> Floats:
    """Mean over a square window of 2·radius+1 pixels, edges repeated; the picture is channels×size×size."""
    width = 2 * radius + 1
    for axis in (1, 2):
        pad = [(0, 0)] * 3
        pad[axis] = (radius + 1, radius)
        total = np.cumsum(np.pad(picture, pad, mode="edge"), axis=axis, dtype=np.float64)
        total = np.moveaxis(total, axis, 0)
        picture = np.moveaxis((total[width:] - total[:-width]) / width, 0, axis).astype(np.float32)
    return picture
