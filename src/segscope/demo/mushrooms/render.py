"""Rendering of a seed: from its scene to an image and the exact mask."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import surroundings
from .checks import check_seed, check_size
from .composition import compose
from .lighting import illuminate
from .marching import FAR, GROUND, MUSHROOM, STONE, Hits, meet
from .materials import paint
from .photograph import develop
from .scene import Scene
from .textures import Noise
from .vectors import Floats, mix, smoothstep

__all__ = ["Rendering", "render"]

_SUBPIXELS = ((-0.375, 0.125), (0.125, 0.375), (0.375, -0.125), (-0.125, -0.375))


@dataclass(frozen=True)
class Rendering:
    """One rendered image with its mask.

    Attributes
    ----------
    image : numpy.ndarray
        uint8, size×size×3, sRGB.
    mask : numpy.ndarray
        uint8, size×size, index into `CLASSES`: the surface at the pixel's centre.
    causes : dict
        Known facts of the scene: `species`, `ring` and `volva` (whether it has one) of the main mushroom, `mushrooms`
        (how many there are), `light`, `ground`, `elevation` (degrees that the camera looks down), `odd` (whether drawn
        among the hard ones).
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    causes: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class _Traced:
    """Light (3×N), class (N), depth (N) and the thing met (N) of each ray."""

    colors: Floats
    parts: NDArray[np.uint8]
    depth: Floats
    things: NDArray[np.int16]


def render(seed: int, *, size: int = 256) -> Rendering:
    """Render the scene of a seed.

    Parameters
    ----------
    seed : int
        At least 0; the same seed gives the same bytes in any process.
    size : int
        Height and width in pixels, 32..2048.

    Returns
    -------
    Rendering
        Image, mask and the known facts of the scene.

    Raises
    ------
    InvalidInput
        When seed or size is no whole number or out of range.

    Examples
    --------
    >>> rendering = render(7, size=64)
    >>> rendering.image.shape, rendering.mask.shape
    ((64, 64, 3), (64, 64))
    """
    seed, size = check_seed(seed), check_size(size)
    generator = np.random.default_rng(np.random.SeedSequence(seed))
    scene = compose(generator)
    noise = Noise(generator)
    centers = (np.arange(size, dtype=np.float32) + np.float32(0.5)) * np.float32(2 / size) - 1
    x, y = np.tile(centers, size), np.repeat(-centers, size)
    traced = _trace(scene, noise, x, y, np.float32(2 / size))
    colors = _smooth_edges(scene, noise, x, y, traced=traced, size=size)
    blurred = smoothstep(3.6, 6.5, traced.depth) * (traced.parts == 0)
    square = (size, size)
    image = develop(generator, colors.reshape(3, *square), blurred.reshape(square), dim=bool(scene.causes["odd"]))
    return Rendering(image, traced.parts.reshape(square), scene.causes)


def _trace(scene: Scene, noise: Noise, x: Floats, y: Floats, pixel: np.floating[Any]) -> _Traced:
    """Trace rays through image coordinates (N each, y falling); `pixel` is a pixel's width there."""
    hits = meet(scene, x, y)
    points = scene.camera.eye[:, None] + hits.rays * hits.depth
    footprint = hits.depth * pixel / np.float32(scene.camera.zoom)
    parts, gloss = np.zeros(x.shape, np.uint8), np.zeros_like(x)
    for index, mushroom in enumerate(scene.mushrooms):
        chosen = np.flatnonzero(hits.things == MUSHROOM + index)
        if chosen.size:
            where = points[:, chosen]
            parts[chosen] = mushroom.body.part(where)
            plain = mushroom.body.normal(where)
            painted = paint(noise, mushroom, where, plain, parts=parts[chosen], footprint=footprint[chosen])
            hits.colors[:, chosen], hits.normals[:, chosen], gloss[chosen] = painted
    _color_surroundings(scene, noise, hits, points, footprint)
    solid = np.flatnonzero(hits.things != FAR)
    place, normals, colors = (values[:, solid] for values in (points, hits.normals, hits.colors))
    lit = illuminate(scene, place, normals, colors, rays=hits.rays[:, solid], gloss=gloss[solid])
    hits.colors[:, solid] = lit
    _fade(scene, noise, hits)
    return _Traced(hits.colors, parts, hits.depth, hits.things)


def _color_surroundings(scene: Scene, noise: Noise, hits: Hits, points: Floats, footprint: Floats) -> None:
    for index, stone in enumerate(scene.stones):
        chosen = np.flatnonzero(hits.things == STONE + index)
        if chosen.size:
            hits.colors[:, chosen] = surroundings.stone(noise, stone, points[:, chosen])
    chosen = np.flatnonzero(hits.things == GROUND)
    if chosen.size:
        grain = footprint[chosen] / np.maximum(-hits.rays[1, chosen], np.float32(0.15))
        x, z, sun = points[0, chosen], points[2, chosen], scene.light.direction
        hits.colors[:, chosen] = surroundings.ground(noise, scene.ground, x, z, footprint=grain, sun=sun)


def _fade(scene: Scene, noise: Noise, hits: Hits) -> None:
    """Let what is distant fade into the background."""
    far = np.flatnonzero((hits.things == FAR) | (hits.depth > 4))
    if not far.size:
        return
    fog = np.where(hits.things[far] == FAR, np.float32(1), 1 - np.exp(-(hits.depth[far] - 4) * np.float32(0.22)))
    behind = surroundings.background(noise, scene.ground, hits.x[far], hits.y[far])
    behind = behind * (scene.light.sky + scene.light.sun * np.float32(0.35))[:, None]
    hits.colors[:, far] = mix(hits.colors[:, far], behind, fog)


def _smooth_edges(scene: Scene, noise: Noise, x: Floats, y: Floats, *, traced: _Traced, size: int) -> Floats:
    """Trace four rays a pixel where neighbours differ, and return the colours with these averaged in."""
    chosen = _edges(traced, size)
    colors = traced.colors.copy()
    if chosen.size:
        pixel = np.float32(2 / size)
        offsets = np.array(_SUBPIXELS, np.float32) * pixel
        xs = np.concatenate([x[chosen] + dx for dx, _ in offsets])
        ys = np.concatenate([y[chosen] + dy for _, dy in offsets])
        order = np.argsort(-ys, kind="stable")
        fine = np.empty((3, xs.size), np.float32)
        fine[:, order] = _trace(scene, noise, xs[order], ys[order], pixel).colors
        colors[:, chosen] = np.minimum(fine, np.float32(2.5)).reshape(3, len(offsets), -1).mean(1)
    return colors


def _edges(traced: _Traced, size: int) -> NDArray[np.intp]:
    """Return the pixels next to one of another thing, part or much other brightness."""
    things = (traced.things.astype(np.int32) * 8 + traced.parts).reshape(size, size)
    brightness = np.sqrt(np.maximum(traced.colors.sum(0), 0)).reshape(size, size)
    edge = np.zeros((size, size), bool)
    for axis in (0, 1):
        step = (np.diff(things, axis=axis) != 0) | (np.abs(np.diff(brightness, axis=axis)) > 0.22)
        along = np.moveaxis(edge, axis, 0)
        along[:-1] |= np.moveaxis(step, axis, 0)
        along[1:] |= np.moveaxis(step, axis, 0)
    return np.flatnonzero(edge.ravel())
