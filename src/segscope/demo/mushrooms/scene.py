"""What a scene is made of: camera, light, ground, mushrooms and what stands or lies around them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .growth import Mushroom
from .vectors import Floats, turn, unit

__all__ = ["Camera", "Card", "Ground", "Light", "Scene", "Stone"]


@dataclass(frozen=True)
class Camera:
    """Pinhole camera; `zoom` and `shift` map directions to image coordinates in −1..1."""

    eye: Floats
    axes: Floats
    zoom: float
    shift: tuple[float, float]

    def rays(self, x: Floats, y: Floats) -> Floats:
        """Return unit directions, 3×N, through image coordinates (−1..1, y upwards)."""
        across = (x - np.float32(self.shift[0])) / np.float32(self.zoom)
        along = (y - np.float32(self.shift[1])) / np.float32(self.zoom)
        right, up, forward = self.axes
        return unit(right[:, None] * across + up[:, None] * along + forward[:, None])

    def project(self, points: Floats) -> tuple[Floats, Floats, Floats]:
        """Return image coordinates (−1..1, y upwards) and depth of points (3×N)."""
        local = turn(self.axes, points - self.eye[:, None])
        depth = np.maximum(local[2], np.float32(0.05))
        return local[0] / depth * self.zoom + self.shift[0], local[1] / depth * self.zoom + self.shift[1], local[2]


@dataclass(frozen=True)
class Light:
    """Sun (direction towards it, colour), light of the sky, light from the ground; sharpness of shadows."""

    direction: Floats
    sun: Floats
    sky: Floats
    bounce: Floats
    sharpness: float
    name: str


@dataclass(frozen=True)
class Ground:
    """Kind of ground and the far background.

    `colors` are three of the ground's (middle, light, dark) and `far` three of the background's (dark to light), 3×3
    each; `spots` are lights out of focus, 4×N (x, y, radius, strength); `trunks` is how dark the trunks stand out.
    """

    kind: str
    colors: Floats
    far: Floats
    offset: Floats
    spots: Floats
    trunks: float


@dataclass(frozen=True)
class Card:
    """A flat leaf or blade: foot, vector along it, vector across it (half width), curvature and colour."""

    foot: Floats
    along: Floats
    across: Floats
    bend: float
    color: Floats
    leaf: bool


@dataclass(frozen=True)
class Stone:
    """A rounded stone: centre, half axes and colour."""

    center: Floats
    axes: Floats
    color: Floats


@dataclass(frozen=True)
class Scene:
    """All that is drawn in one image."""

    camera: Camera
    light: Light
    ground: Ground
    mushrooms: tuple[Mushroom, ...]
    cards: tuple[Card, ...]
    stones: tuple[Stone, ...]
    causes: dict[str, object]
