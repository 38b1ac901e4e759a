"""Light on surfaces: sun with soft shadows, sky with ambient occlusion, light from the ground, and gloss."""

from __future__ import annotations

import numpy as np

from .marching import cross_sphere
from .scene import Scene
from .shapes import Body
from .vectors import Floats, clip01, dot, mix, unit

__all__ = ["illuminate"]

_SHADOW_STEPS = 18


def illuminate(scene: Scene, points: Floats, normals: Floats, colors: Floats, *, rays: Floats, gloss: Floats) -> Floats:
    """Light surfaces.

    Parameters
    ----------
    scene : Scene
        Its light, and the mushrooms that throw shadows.
    points, normals, colors, rays : numpy.ndarray
        float32 3×N: places, unit normals, colours (linear light) and the directions they are seen in.
    gloss : numpy.ndarray
        float32 N, 0..1.

    Returns
    -------
    numpy.ndarray
        float32 3×N, light that reaches the eye.
    """
    light = scene.light
    open_sky, sunlit = np.ones(points.shape[1], np.float32), np.ones(points.shape[1], np.float32)
    start = points + normals * np.float32(0.012)
    for mushroom in scene.mushrooms:
        _shade(mushroom.body, start, light.direction, sunlit, light.sharpness)
        _occlude(mushroom.body, points, normals, open_sky)
    # A little light gets round the edge of every part: mushrooms are translucent.
    direct = clip01(dot(light.direction, normals) * np.float32(0.9) + np.float32(0.1)) * sunlit
    upward = np.float32(0.5) + np.float32(0.5) * normals[1]
    ambient = mix(light.bounce[:, None], light.sky[:, None], upward) * open_sky
    result = colors * (light.sun[:, None] * direct + ambient)
    half = unit(light.direction[:, None] - rays)
    shine = clip01(dot(half, normals)) ** np.float32(40) * gloss * sunlit
    return np.asarray(result + light.sun[:, None] * shine * np.float32(0.5))


def _shade(body: Body, start: Floats, toward: Floats, sunlit: Floats, sharpness: float) -> None:
    """Darken `sunlit` (N) where the body stands between a point and the sun; near misses give the half-shadow."""
    rays = np.broadcast_to(toward[:, None], start.shape)
    enter, leave, meets = cross_sphere(body.center, body.radius, start, rays)
    active = np.flatnonzero(meets)
    if not active.size:
        return
    travelled, end = np.maximum(enter[active], np.float32(0.02)), leave[active]
    origin, light = start[:, active], np.ones(active.size, np.float32)
    going_on = np.arange(active.size)
    for _ in range(_SHADOW_STEPS):
        distance = body.distance(origin + toward[:, None] * travelled)
        light[going_on] = np.minimum(light[going_on], clip01(np.float32(sharpness) * distance / travelled))
        travelled = travelled + np.maximum(distance, np.float32(0.025))
        going = (light[going_on] > 0.02) & (travelled < end)
        if not going.any():
            break
        origin, travelled, end, going_on = origin[:, going], travelled[going], end[going], going_on[going]
    sunlit[active] *= light * light * (3 - 2 * light)


def _occlude(body: Body, points: Floats, normals: Floats, open_sky: Floats) -> None:
    """Darken `open_sky` (N) where the body's surface is close above a point."""
    offset = points - body.center[:, None]
    near = np.flatnonzero(dot(offset, offset) < (body.radius * np.float32(1.15)) ** 2)
    if not near.size:
        return
    where, facing = points[:, near], normals[:, near]
    openness = np.ones(near.size, np.float32)
    for reach, strength in ((0.05, 0.35), (0.16, 0.45)):
        distance = body.distance(where + facing * np.float32(reach))
        openness = openness - np.float32(strength) * clip01(1 - distance / np.float32(reach))
    open_sky[near] *= openness
