"""Composition of a scene from a generator: which mushrooms, seen from where, in which light, on which ground."""

from __future__ import annotations

import numpy as np

from .growth import Mushroom, grow
from .litter import draw_cards, draw_stones
from .scene import Camera, Ground, Light, Scene
from .species import SPECIES
from .vectors import Floats, linear, unit

__all__ = ["GROUNDS", "LIGHTS", "compose"]

GROUNDS = ("moss", "leaves", "soil", "grass")

# Colour of the sun, colour of the sky, sharpness of shadows, how often.
LIGHTS = {
    "sunny": ((2.3, 2.15, 1.9), (0.5, 0.58, 0.7), 14.0, 0.32),
    "golden": ((2.5, 1.75, 1.05), (0.5, 0.5, 0.58), 12.0, 0.18),
    "overcast": ((0.7, 0.7, 0.7), (0.95, 1.0, 1.05), 3.0, 0.25),
    "shade": ((0.35, 0.42, 0.36), (0.55, 0.68, 0.6), 3.0, 0.15),
    "back light": ((2.4, 2.1, 1.7), (0.62, 0.68, 0.72), 10.0, 0.1),
}


def compose(generator: np.random.Generator) -> Scene:
    """Draw a scene.

    Parameters
    ----------
    generator : numpy.random.Generator
        Source of all choices; the same state gives the same scene.

    Returns
    -------
    Scene
        The scene, ready to be traced.
    """
    odd, low = generator.random() < 0.1, generator.random() < 0.56
    angle = np.radians(generator.uniform(10, 36))
    distance, azimuth = float(generator.uniform(2.6, 4.2)), float(generator.uniform(0, 2 * np.pi))
    away = np.array([-np.cos(azimuth), -np.sin(azimuth)])
    mushrooms = _mushrooms(generator, away, low=low, odd=odd)
    main = mushrooms[0]
    height = float(generator.uniform(0.12, 0.75)) if low else 0.45 + distance * float(np.sin(angle))
    eye = np.array([-away[0] * distance, height, -away[1] * distance], np.float32)
    camera = _camera(generator, main, eye, odd=odd)
    light = _light(generator, azimuth)
    ground = _ground(generator)
    cards = draw_cards(generator, ground, main, away)
    stones = draw_stones(generator, main, away)
    causes: dict[str, object] = {
        "species": main.species,
        "mushrooms": len(mushrooms),
        "light": light.name,
        "ground": ground.kind,
        "elevation": round(float(np.degrees(np.arctan2(height - 0.5, distance))), 2),
        "ring": main.body.profiles.ring is not None,
        "volva": main.body.profiles.volva is not None,
        "odd": odd,
    }
    return Scene(camera, light, ground, mushrooms, cards, stones, causes)


def _mushrooms(generator: np.random.Generator, away: Floats, *, low: bool, odd: bool) -> tuple[Mushroom, ...]:
    weights = np.array([species.weight for species in SPECIES])
    species = SPECIES[int(generator.choice(len(SPECIES), p=weights / weights.sum()))]
    openness, tilt = _openness(generator), _tilt(generator, away, low=low, odd=odd)
    found = [grow(generator, species, openness=openness, tilt=tilt)]
    number = int(generator.choice([1, 2, 3, 4], p=[0.5, 0.25, 0.15, 0.1]))
    side = np.array([-away[1], away[0]])
    for _ in range(number - 1):
        across = generator.uniform(0.3, 0.85) * generator.choice([-1, 1])
        x, z = side * across + away * generator.uniform(-0.25, 0.9)
        kind = species if generator.random() < 0.8 else SPECIES[int(generator.integers(len(SPECIES)))]
        size = float(generator.uniform(0.45, 0.95))
        openness, tilt = _openness(generator), _tilt(generator, away, low=low, odd=odd)
        found.append(grow(generator, kind, place=(float(x), float(z)), size=size, openness=openness, tilt=tilt))
    return tuple(found)


def _openness(generator: np.random.Generator) -> float:
    return float(generator.uniform(0, 0.06)) if generator.random() < 0.5 else 0.0


def _tilt(generator: np.random.Generator, away: Floats, *, low: bool, odd: bool) -> tuple[float, float]:
    """Tilt a cap back, which shows its gills, more often when it is seen from below."""
    back = generator.uniform(-0.08, 0.34) if low else generator.uniform(-0.3, 0.22)
    if odd:
        back = generator.uniform(-0.6, 0.7)
    x, z = away * back + generator.normal(0, 0.09, 2)
    return float(x), float(z)


def _camera(generator: np.random.Generator, main: Mushroom, eye: Floats, *, odd: bool) -> Camera:
    """Look at the main mushroom and frame it."""
    forward = unit(np.array([0, 0.47, 0], np.float32) - eye)
    right = unit(np.cross(forward, np.array([0, 1, 0], np.float32)))
    up = np.cross(right, forward)
    roll = generator.normal(0, 0.04)
    right, up = np.cos(roll) * right + np.sin(roll) * up, np.cos(roll) * up - np.sin(roll) * right
    axes = np.stack([right, up, forward]).astype(np.float32)
    x, y, _ = Camera(eye, axes, 1.0, (0.0, 0.0)).project(main.body.cloud)
    fill = generator.uniform(0.3, 1.1) if odd else generator.uniform(0.62, 0.92)
    zoom = float(min(2 * fill / (y.max() - y.min()), 2 * 0.97 / (x.max() - x.min())))
    slack = max(0.0, 1 - zoom * (y.max() - y.min()) / 2)
    x_center = -zoom * (x.max() + x.min()) / 2 + generator.normal(0, 0.14)
    y_center = -zoom * (y.max() + y.min()) / 2 + generator.uniform(-0.6, 0.6) * slack
    return Camera(eye, axes, zoom, (float(x_center), float(y_center)))


def _light(generator: np.random.Generator, azimuth: float) -> Light:
    name = str(generator.choice(list(LIGHTS), p=[often for _, _, _, often in LIGHTS.values()]))
    around = azimuth + generator.uniform(-1.9, 1.9)
    lift = np.radians(generator.uniform(30, 65))
    if name == "golden":
        lift = np.radians(generator.uniform(14, 30))
    if name == "back light":
        around = azimuth + np.pi + generator.uniform(-0.8, 0.8)
    direction = np.array([np.cos(lift) * np.cos(around), np.sin(lift), np.cos(lift) * np.sin(around)], np.float32)
    sun, sky, sharpness, _ = LIGHTS[name]
    strength = float(generator.uniform(0.8, 1.2))
    tint = generator.normal(1, 0.04, 3)
    return Light(
        direction,
        (np.array(sun) * strength * tint).astype(np.float32),
        (np.array(sky) * strength * tint).astype(np.float32),
        (np.array((0.32, 0.3, 0.22)) * strength).astype(np.float32),
        sharpness,
        name,
    )


_PALETTES = {
    "moss": ("#3f5a1e", "#6f8a2c", "#24350f"),
    "leaves": ("#6a4424", "#a0703a", "#382214"),
    "soil": ("#4a3526", "#6d523c", "#2a1d14"),
    "grass": ("#4f6b2a", "#86994a", "#2c3d18"),
}
_FAR = (
    ("#1f2c18", "#3d5530", "#6f8a55"),
    ("#2a2a24", "#5b5a48", "#8e8b70"),
    ("#3a2a18", "#7d5426", "#c08a40"),
    ("#39485a", "#7b93ab", "#c3d3df"),
    ("#20262a", "#4a585c", "#8fa0a0"),
    ("#2d3820", "#8a9a4a", "#cbd28a"),
    ("#40302c", "#8a6a5c", "#c7b0a0"),
    ("#10140f", "#20291d", "#3b4a34"),
    ("#4a2c2a", "#a04a3a", "#d8a070"),
)


def _ground(generator: np.random.Generator) -> Ground:
    kind = str(generator.choice(GROUNDS))
    colors = np.stack([linear(name) for name in _PALETTES[kind]]) * generator.normal(1, 0.1, (3, 3)).clip(0.7, 1.3)
    far = np.stack([linear(name) for name in _FAR[int(generator.integers(len(_FAR)))]])
    number = int(generator.integers(0, 14))
    spots = [generator.uniform(low, high, number) for low, high in ((-1, 1), (-0.2, 1), (0.04, 0.16), (0.2, 1.0))]
    return Ground(
        kind=kind,
        colors=colors.astype(np.float32),
        far=far.astype(np.float32),
        offset=generator.uniform(5, 90, 2).astype(np.float32),
        spots=np.stack(spots).astype(np.float32),
        trunks=float(generator.uniform(0.2, 0.6)) if generator.random() < 0.45 else 0.0,
    )
