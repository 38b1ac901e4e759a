"""Colours of what isn't a mushroom: ground, stones and the far background out of focus."""

from __future__ import annotations

import numpy as np

from .scene import Ground, Stone
from .textures import Noise
from .vectors import Floats, clip01, mix, smoothstep

__all__ = ["background", "ground", "stone"]

_FINENESS = {"moss": 26.0, "leaves": 9.0, "soil": 30.0, "grass": 34.0}


def ground(noise: Noise, place: Ground, x: Floats, z: Floats, *, footprint: Floats, sun: Floats) -> Floats:
    """Colour the ground.

    Parameters
    ----------
    noise : Noise
        Source of the texture.
    place : Ground
        Kind and colours.
    x, z : numpy.ndarray
        float32 N, places in the world.
    footprint : numpy.ndarray
        float32 N, length of a pixel on the ground; finer detail fades out.
    sun : numpy.ndarray
        Direction to the sun, which the relief is lit from.

    Returns
    -------
    numpy.ndarray
        float32 3×N, linear light.
    """
    u, v = x + place.offset[0], z + place.offset[1]
    broad = noise.fractal(u * 1.3, v * 1.3, 2)
    color = mix(place.colors[0][:, None], place.colors[1][:, None], smoothstep(0.25, 0.75, broad))
    fine = _FINENESS[place.kind]
    visible = clip01(np.float32(0.6 / fine) / footprint)
    step = np.float32(0.35 / fine)
    relief = _relief(noise, place.kind, u, v, fine)
    lit = relief - _relief(noise, place.kind, u + sun[0] * step, v + sun[2] * step, fine)
    color = mix(color, place.colors[2][:, None], clip01(0.9 - 1.5 * relief) * visible)
    color = color * (1 + np.clip(lit * 2.2, -0.7, 1.3) * visible)
    if place.kind == "leaves":
        return _litter(noise, color, u, v, footprint=footprint)
    if place.kind == "soil":
        return _grains(noise, place, color, u, v, footprint=footprint)
    return color


def _litter(noise: Noise, color: Floats, u: Floats, v: Floats, *, footprint: Floats) -> Floats:
    bend = noise.plane(u * 9 + 50, v * 9 + 50)
    distance, number = noise.cells(u * 7 + bend, v * 7 - bend)
    warm = np.stack([0.5 + number, 0.55 + 0.7 * number, 0.6 + 0.3 * number])
    warm = warm * (1.15 - 0.75 * smoothstep(0.25, 0.8, distance))
    return np.asarray(color * mix(np.float32(1), warm.astype(np.float32), clip01(np.float32(0.08) / footprint)))


def _grains(noise: Noise, place: Ground, color: Floats, u: Floats, v: Floats, *, footprint: Floats) -> Floats:
    distance, number = noise.cells(u * 13, v * 13)
    size = np.float32(0.1) + np.float32(0.2) * (number * 7 % 1)
    grain = clip01((size - distance) * 9) * (number > 0.7) * clip01(np.float32(0.02) / footprint)
    return mix(color, place.colors[1][:, None] * (0.7 + 1.6 * (number * 5 % 1)), grain)


def _relief(noise: Noise, kind: str, u: Floats, v: Floats, fine: float) -> Floats:
    """Return the height of the ground's surface, about 0..1."""
    if kind == "moss":
        coarse, middle = noise.plane(u * 5, v * 5), noise.plane(u * fine, v * fine)
        return np.asarray(0.45 * coarse + 0.35 * middle + 0.3 * noise.plane(u * fine * 2.3, v * fine * 2.3))
    if kind == "grass":
        along = noise.plane(u * fine + 3 * noise.plane(u * 3, v * 3), v * 7)
        return np.asarray(0.7 * along + 0.35 * noise.plane(u * 9, v * fine))
    return noise.fractal(u * fine * 0.4, v * fine * 0.4, 3)


def stone(noise: Noise, one: Stone, points: Floats) -> Floats:
    """Colour (3×N, linear light) of points (3×N) on a stone."""
    x, y, z = points
    speckle = noise.volume(x * 30 + 40, y * 30, z * 30 + 40)
    broad = noise.volume(x * 8 + 40, y * 8, z * 8 + 40)
    return np.asarray(one.color[:, None] * (0.5 + 0.5 * speckle + 0.4 * broad))


def background(noise: Noise, place: Ground, x: Floats, y: Floats) -> Floats:
    """Colour (3×N, linear light) of the far background at image coordinates (−1..1, y upwards)."""
    blur = noise.fractal(x * 1.1 + place.offset[0], y * 1.1 + place.offset[1], 3)
    level = clip01(0.2 + 0.45 * y + 1.2 * (blur - 0.5))
    color = mix(place.far[0][:, None], place.far[1][:, None], smoothstep(0.0, 0.5, level))
    color = mix(color, place.far[2][:, None], smoothstep(0.4, 1.0, level))
    if place.trunks > 0:
        lane = noise.plane(x * 4.3 + y * np.float32(0.25) + place.offset[0], np.full_like(x, place.offset[1]))
        color = color * (1 - np.float32(place.trunks) * smoothstep(0.58, 0.72, lane))
    for center_x, center_y, radius, strength in place.spots.T:
        distance = np.sqrt((x - center_x) ** 2 + (y - center_y) ** 2)
        disc = smoothstep(1.0, 0.75, distance / radius)
        color = color + place.far[2][:, None] * (disc * np.float32(0.45 * strength))
    return color
