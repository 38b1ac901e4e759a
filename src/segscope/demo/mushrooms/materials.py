"""Colours, fine relief and gloss of a mushroom's parts, before light falls on them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .growth import Mushroom
from .shapes import CAP, GILLS, RING, STIPE, VOLVA
from .textures import Noise
from .vectors import Floats, clip01, column, mix, smoothstep, turn, unit

__all__ = ["Paint", "paint"]

_TURN = 6.28  # one turn in radians, as near as a lamella's width needs it


class Paint(NamedTuple):
    """Colours (3×N, linear light), unit normals with fine relief (3×N) and gloss (N, 0..1)."""

    colors: Floats
    normals: Floats
    gloss: Floats


class _Surface(NamedTuple):
    """Points of one part: in the part's frame, with normals (3×N) and the width of a pixel there (N)."""

    radius: Floats
    height: Floats
    x: Floats
    z: Floats
    normals: Floats
    pixel: Floats


class _Skin(NamedTuple):
    """Coordinates that run evenly over the cap, the share of its radius (0..1), and a coarse mottling, N each."""

    u: Floats
    v: Floats
    share: Floats
    mottle: Floats


def paint(
    noise: Noise, mushroom: Mushroom, points: Floats, normals: Floats, *, parts: NDArray[np.uint8], footprint: Floats
) -> Paint:
    """Paint points on a mushroom.

    Parameters
    ----------
    noise : Noise
        Source of all textures.
    mushroom : Mushroom
        What the points lie on.
    points, normals : numpy.ndarray
        float32 3×N in the world.
    parts : numpy.ndarray
        uint8 N, class of each point.
    footprint : numpy.ndarray
        float32 N, width of a pixel there in world units; detail finer than that is left out.

    Returns
    -------
    Paint
        Colours, normals and gloss of the N points.
    """
    result = Paint(np.zeros_like(points), normals.copy(), np.zeros(points.shape[1], np.float32))
    body = mushroom.body
    for part, painter in _PAINTERS.items():
        chosen = np.flatnonzero(parts == part)
        if chosen.size:
            place = body.cap_place if part in {CAP, GILLS} else body.stem_place
            pixel = footprint[chosen] / body.size
            surface = _Surface(*place(points[:, chosen]), normals[:, chosen], pixel)
            painted = painter(noise, mushroom, surface)
            result.colors[:, chosen], result.normals[:, chosen] = painted.colors, painted.normals
            result.gloss[chosen] = painted.gloss
    return result


def _cap(noise: Noise, mushroom: Mushroom, at: _Surface) -> Paint:
    coat = mushroom.coat
    skin = _skin(noise, mushroom, at)
    grain = noise.plane(skin.u * 45, skin.v * 45)
    grain = grain * clip01(np.float32(0.6 / 45 * mushroom.body.cap_radius) / at.pixel)
    color: Floats = coat.cap[:, None] * (0.72 + 0.44 * skin.mottle + 0.12 * grain)
    color = mix(color, color * np.float32(0.7), smoothstep(0.45, 0.0, skin.share) * np.float32(coat.offset[2] > 10))
    normals = at.normals
    if coat.pattern == "warts":
        color, normals = _warty(noise, mushroom, skin, color, normals)
    elif coat.pattern == "scales":
        color = _scaly(noise, mushroom, skin, color)
    elif coat.pattern == "patches":
        patch = smoothstep(0.6, 0.66, noise.fractal(skin.u * 2.4, skin.v * 2.4, 2))
        color = mix(color, column(0.75, 0.72, 0.66) * (0.8 + 0.3 * skin.mottle), patch)
    elif coat.pattern == "streaks":
        along_x, along_z = at.x / (at.radius + np.float32(1e-5)), at.z / (at.radius + np.float32(1e-5))
        streak = noise.volume(along_x * 14 + 9, skin.share * 1.5, along_z * 14 + 9)
        color = mix(color * np.float32(0.72), color * np.float32(1.15), streak)
    elif coat.pattern == "striate":
        color = color * (1 - 0.45 * _furrows(coat.lamellae, at, skin))
    color = mix(color, color * np.float32(0.85) + np.float32(0.04), smoothstep(0.9, 1.0, skin.share))
    return Paint(color, normals, np.full_like(at.radius, coat.gloss))


def _skin(noise: Noise, mushroom: Mushroom, at: _Surface) -> _Skin:
    cap_radius, offset = np.float32(mushroom.body.cap_radius), mushroom.coat.offset
    share = at.radius / cap_radius
    # Near the margin the surface is steep: stretching the pattern there keeps it even along the surface.
    stretch = (1 + 0.25 * share**2 + 0.3 * share**6) / cap_radius
    u, v = at.x * stretch + offset[0], at.z * stretch + offset[1]
    return _Skin(u, v, share, noise.fractal(u * 4, v * 4, 3))


def _furrows(number: int, at: _Surface, skin: _Skin) -> Floats:
    """Return how deep the furrows are that run from the margin inwards, 0..1."""
    visible = smoothstep(1.2, 3.0, _TURN * at.radius / number / at.pixel)
    line = 0.5 + 0.5 * np.cos(np.arctan2(at.z, at.x) * np.float32(number))
    return np.asarray(line * smoothstep(0.45, 0.95, skin.share) * visible)


def _warty(noise: Noise, mushroom: Mushroom, skin: _Skin, color: Floats, normals: Floats) -> tuple[Floats, Floats]:
    """Add raised pale warts."""
    coat, step = mushroom.coat, np.float32(0.12) * 0.3
    density = np.float32(5.5 + coat.offset[2] % 4)
    bump = _wart_height(noise, skin.u * density, skin.v * density)
    aside = _wart_height(noise, (skin.u + step) * density, skin.v * density)
    along = _wart_height(noise, skin.u * density, (skin.v + step) * density)
    color = mix(color, coat.cap_second[:, None] * (0.8 + 0.3 * skin.mottle), clip01(bump * 2.5))
    push = np.stack([bump - aside, np.zeros_like(bump), bump - along]).astype(np.float32)
    return color, unit(normals + turn(mushroom.body.frame.T, push) * np.float32(0.8))


def _wart_height(noise: Noise, u: Floats, v: Floats) -> Floats:
    distance, number = noise.cells(u, v)
    return np.asarray(smoothstep(0.42, 0.18, distance + 0.1 * (1 - number)) * (number > 0.12))


def _scaly(noise: Noise, mushroom: Mushroom, skin: _Skin, color: Floats) -> Floats:
    """Add dark scales that close up to a disc in the middle."""
    distance, number = noise.cells(skin.u * 9, skin.v * 9)
    scale = smoothstep(0.62, 0.25, distance) * smoothstep(0.05, 0.25, skin.share + number * 0.1)
    dark = np.maximum(scale * (0.35 + 0.6 * number), smoothstep(0.28, 0.12, skin.share))
    return mix(color * np.float32(1.12), mushroom.coat.cap_second[:, None] * (0.8 + 0.4 * skin.mottle), dark)


def _underside(noise: Noise, mushroom: Mushroom, at: _Surface) -> Paint:
    if mushroom.coat.underside_kind == "pores":
        return _pores(noise, mushroom, at)
    coat = mushroom.coat
    share = at.radius / np.float32(mushroom.body.cap_radius)
    wobble = noise.volume(at.x * 6 + 20, share * 3, at.z * 6 + 20)
    angle = np.arctan2(at.z, at.x) * np.float32(coat.lamellae) + wobble * np.float32(0.8)
    spacing = _TURN * at.radius / np.float32(coat.lamellae) / at.pixel
    visible, fine = smoothstep(1.3, 3.2, spacing), smoothstep(3.5, 5.5, spacing) * smoothstep(0.5, 0.62, share)
    line: Floats = 0.5 + 0.5 * np.cos(angle)
    # Between two lamellae that reach the stipe there's a short one at the margin.
    line = mix(line, np.maximum(line, (0.5 - 0.5 * np.cos(angle)) * np.float32(0.9)), fine)
    color = coat.underside[:, None] * (0.3 + 0.8 * mix(np.float32(0.62), line * line, visible))
    relief = turn(mushroom.body.frame.T, _tangent(at)) * (np.sin(angle) * visible * np.float32(0.5))
    return Paint(color, unit(at.normals + relief), np.zeros_like(at.radius))


def _pores(noise: Noise, mushroom: Mushroom, at: _Surface) -> Paint:
    distance, _ = noise.cells(at.x * 55 + 31, at.z * 55 + 31)
    visible = smoothstep(1.0, 2.5, np.float32(1 / 55) / at.pixel)
    color = mushroom.coat.underside[:, None] * (1 - 0.55 * visible * smoothstep(0.45, 0.2, distance))
    color = color * (0.85 + 0.3 * noise.plane(at.x * 9 + 40, at.z * 9 + 40))
    return Paint(color, at.normals, np.zeros_like(at.radius))


def _stipe(noise: Noise, mushroom: Mushroom, at: _Surface) -> Paint:
    coat = mushroom.coat
    across, along = at.x / (at.radius + np.float32(1e-5)), at.z / (at.radius + np.float32(1e-5))
    fibre = noise.volume(across * 9 + 11, at.height * 5 + 3, along * 9 + 11)
    patch = noise.volume(across * 3 + 5, at.height * 14 + 9, along * 3 + 5)
    color = mix(coat.stipe[:, None], coat.stipe_second[:, None], clip01(0.9 * fibre * patch * 2 - 0.15))
    dirt = smoothstep(0.14, 0.0, at.height + 0.08 * patch)
    color = mix(color, column(0.12, 0.08, 0.05), 0.55 * dirt)
    return Paint(color * (0.82 + 0.3 * fibre), at.normals, np.full_like(at.radius, 0.03))


def _ring(noise: Noise, mushroom: Mushroom, at: _Surface) -> Paint:
    angle = np.arctan2(at.z, at.x)
    pleat = np.cos(angle * 26 + 4 * noise.plane(at.height * 20 + 7, at.radius * 20 + 7))
    visible = smoothstep(1.5, 4.0, _TURN * at.radius / 26 / at.pixel)
    spots = noise.volume(at.x * 25 + 9, at.height * 25 + 9, at.z * 25 + 9)
    color = mushroom.coat.ring[:, None] * (0.88 + 0.1 * pleat * visible + 0.2 * (spots - 0.5))
    relief = _tangent(at) * (np.sin(angle * 26) * visible * np.float32(0.25))
    return Paint(color, unit(at.normals + relief), np.full_like(at.radius, 0.04))


def _volva(noise: Noise, mushroom: Mushroom, at: _Surface) -> Paint:
    coarse = noise.volume(at.x * 12 + 13, at.height * 12 + 13, at.z * 12 + 13)
    fine = noise.volume(at.x * 45 + 3, at.height * 45 + 3, at.z * 45 + 3)
    color: Floats = mushroom.coat.volva[:, None] * (0.62 + 0.4 * coarse + 0.25 * fine)
    dirt = smoothstep(0.4, 0.75, 0.6 * coarse + 0.4 * fine + 0.35 * smoothstep(0.12, 0.0, at.height))
    color = mix(color, column(0.13, 0.09, 0.055), 0.65 * dirt)
    relief = np.stack([coarse - 0.5, fine - 0.5, coarse - fine]) * np.float32(0.45)
    return Paint(color, unit(at.normals + relief), np.full_like(at.radius, 0.02))


def _tangent(at: _Surface) -> Floats:
    """Directions round the part's axis, 3×N."""
    return np.asarray(np.stack([-at.z, np.zeros_like(at.z), at.x]) / (at.radius + np.float32(1e-5)))


_PAINTERS: dict[int, Callable[[Noise, Mushroom, _Surface], Paint]] = {
    CAP: _cap,
    GILLS: _underside,
    STIPE: _stipe,
    RING: _ring,
    VOLVA: _volva,
}
