"""Which surface each ray meets first: the ground, a mushroom (marched), a stone, a leaf or a blade."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .scene import Camera, Card, Scene, Stone
from .shapes import Body
from .vectors import Floats, clip01, dot, smoothstep, unit

__all__ = ["FAR", "GROUND", "MUSHROOM", "STONE", "Hits", "cross_sphere", "meet"]

# What a ray met: mushroom i is MUSHROOM + i, stone i is STONE + i.
FAR, GROUND, CARD, STONE, MUSHROOM = 0, 1, 2, 50, 100

_HORIZON = np.float32(60)
_STEPS = 56


@dataclass
class Hits:
    """Rays, sorted from the top of the image down, and what they met.

    `x` and `y` (N) are image coordinates in −1..1, `rays` (3×N) unit directions, `depth` (N) the way along the ray,
    `things` (int16 N) what was met. `normals` (3×N) hold for ground, stones and cards, `colors` (3×N) for cards.
    """

    x: Floats
    y: Floats
    rays: Floats
    depth: Floats
    things: NDArray[np.int16]
    normals: Floats
    colors: Floats


def meet(scene: Scene, x: Floats, y: Floats) -> Hits:
    """Follow the rays through image coordinates `x` and `y` (N each, y falling) to what they meet first."""
    rays = scene.camera.rays(x, y)
    down = rays[1] < np.float32(-1e-4)
    depth = np.where(down, -scene.camera.eye[1] / np.where(down, rays[1], np.float32(-1)), _HORIZON)
    depth = np.minimum(depth, _HORIZON).astype(np.float32)
    things = np.where(depth < _HORIZON, GROUND, FAR).astype(np.int16)
    hits = Hits(x, y, rays, depth, things, np.zeros_like(rays), np.zeros_like(rays))
    hits.normals[1] = 1
    for index, mushroom in enumerate(scene.mushrooms):
        _march(scene.camera, mushroom.body, hits, MUSHROOM + index)
    for index, stone in enumerate(scene.stones):
        _meet_stone(scene.camera.eye, stone, hits, STONE + index)
    for card in scene.cards:
        _meet_card(scene.camera, card, hits)
    return hits


def cross_sphere(
    center: Floats, radius: np.floating[Any], origin: Floats, rays: Floats
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Return entry and exit of rays (3×N, from one origin or 3×N) at a sphere, and which of them meet it."""
    to_x, to_y, to_z = (center[axis] - origin[axis] for axis in range(3))
    middle = to_x * rays[0] + to_y * rays[1] + to_z * rays[2]
    square = to_x * to_x + to_y * to_y + to_z * to_z - middle * middle
    rest = radius * radius - square
    half = np.sqrt(np.maximum(rest, 0))
    return middle - half, middle + half, (rest > 0) & (middle + half > 0)


def _within(hits: Hits, x: tuple[float, float], y: tuple[float, float]) -> NDArray[np.intp]:
    """Return the rays inside a rectangle of the image, by bisection over the sorted rows."""
    first, last = int(np.searchsorted(-hits.y, -y[1])), int(np.searchsorted(-hits.y, -y[0], side="right"))
    row = hits.x[first:last]
    return np.asarray(first + np.flatnonzero((row >= x[0]) & (row <= x[1])))


def _march(camera: Camera, body: Body, hits: Hits, number: int) -> None:
    """Sphere tracing of the rays that cross the body's bounds, dropping each as soon as it's decided."""
    eye = camera.eye
    x, y, _ = camera.project(body.cloud)
    way = max(float(np.sqrt(dot(body.center - eye, body.center - eye))), 0.3)
    margin = np.float32(0.05 * camera.zoom * body.size / way)
    active = _within(hits, (x.min() - margin, x.max() + margin), (y.min() - margin, y.max() + margin))
    directions = hits.rays[:, active]
    start, end, meets = cross_sphere(body.center, body.radius, eye, directions)
    meets &= start < hits.depth[active]
    active, directions, start, end = active[meets], directions[:, meets], start[meets], end[meets]
    travelled = np.maximum(start, np.float32(0.02))
    limit = np.minimum(end, hits.depth[active])
    threshold = np.float32(0.0012) * body.size
    for _ in range(_STEPS):
        if not active.size:
            return
        distance = body.distance(eye[:, None] + directions * travelled)
        hit = distance < threshold
        if hit.any():
            found = active[hit]
            hits.depth[found], hits.things[found] = travelled[hit], number
        # Bends and waves stretch distances, hence the careful step.
        travelled = travelled + np.maximum(distance * np.float32(0.85), threshold)
        going = ~hit & (travelled < limit)
        active, travelled, limit, directions = active[going], travelled[going], limit[going], directions[:, going]


def _meet_stone(eye: Floats, stone: Stone, hits: Hits, number: int) -> None:
    inverse = 1 / stone.axes
    scaled = hits.rays * inverse[:, None]
    length = np.sqrt(dot(scaled, scaled))
    start, _, meets = cross_sphere(stone.center * inverse, np.float32(1), eye * inverse, scaled / length)
    distance = start / length
    chosen = np.flatnonzero(meets & (distance > 0.05) & (distance < hits.depth))
    hits.depth[chosen], hits.things[chosen] = distance[chosen], number
    offset = eye[:, None] + hits.rays[:, chosen] * distance[chosen] - stone.center[:, None]
    hits.normals[:, chosen] = unit(offset * (inverse * inverse)[:, None])


def _meet_card(camera: Camera, card: Card, hits: Hits) -> None:
    sides = card.across * np.float32(1 + abs(card.bend))
    tip = card.foot + card.along
    corners = np.stack([card.foot - sides, card.foot + sides, tip - sides, tip + sides], 1)
    corner_x, corner_y, corner_depth = camera.project(corners)
    if corner_depth.min() < 0.3:
        return
    chosen = _within(hits, (corner_x.min(), corner_x.max()), (corner_y.min(), corner_y.max()))
    if not chosen.size:
        return
    normal = unit(np.cross(card.along, card.across))
    facing = dot(normal, hits.rays[:, chosen])
    facing = np.where(np.abs(facing) < 1e-5, np.float32(1e-5), facing)
    distance = dot(card.foot - camera.eye, normal) / facing
    local = camera.eye[:, None] + hits.rays[:, chosen] * distance - card.foot[:, None]
    v = dot(card.along, local) / dot(card.along, card.along)
    u = dot(card.across, local) / dot(card.across, card.across)
    u = u - np.float32(card.bend) * clip01(v) * clip01(v)
    width, shade = (_leaf if card.leaf else _blade)(u, v)
    keep = (np.abs(u) < width) & (v > 0) & (v < 1) & (distance > 0.3) & (distance < hits.depth[chosen])
    chosen = chosen[keep]
    hits.depth[chosen], hits.things[chosen] = distance[keep], CARD
    hits.normals[:, chosen] = _curl(card, normal, u[keep])
    hits.colors[:, chosen] = card.color[:, None] * shade[keep]


def _leaf(u: Floats, v: Floats) -> tuple[Floats, Floats]:
    """Half width of a toothed leaf along it, and the shade of its veins."""
    inside = clip01(v)
    width = np.sin(np.float32(np.pi) * inside ** np.float32(0.8)) * (1 - 0.12 * np.abs(np.sin(inside * 22)))
    side_veins = smoothstep(0.25, 0.0, np.abs(np.sin((v - np.abs(u) * 0.25) * 22)))
    vein = smoothstep(0.12, 0.0, np.abs(u)) + 0.5 * side_veins
    return np.asarray(width), np.asarray((0.85 + 0.25 * inside) * (1 - 0.3 * vein))


def _blade(_: Floats, v: Floats) -> tuple[Floats, Floats]:
    """Half width of a blade of grass along it, and its shade, lighter towards the tip."""
    inside = clip01(v)
    return np.asarray((1 - inside) ** np.float32(0.6)), np.asarray(0.55 + 0.6 * inside)


def _curl(card: Card, normal: Floats, u: Floats) -> Floats:
    """Upward normals of a card that is rounded across; blades catch light from above as a lawn does."""
    normal = normal if normal[1] > 0 else -normal
    curl = u * np.float32(0.4 if card.leaf else 0.25) / np.sqrt(dot(card.across, card.across))
    bent = unit(normal[:, None] + card.across[:, None] * curl)
    return bent if card.leaf else unit(bent + np.array([[0], [0.8], [0]], np.float32))
