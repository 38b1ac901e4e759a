"""Growing one mushroom: profiles and posture drawn from a species."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .coats import Coat, draw_coat
from .shapes import Body, Posture, Profiles
from .species import Range, Species
from .tables import Profile
from .vectors import Floats

__all__ = ["Mushroom", "grow"]

# Radius of the stipe at a height.
Width = Callable[[float], float]


@dataclass(frozen=True)
class Mushroom:
    """One mushroom of a scene: its shape, its colours and the name of its species."""

    body: Body
    coat: Coat
    species: str


def grow(
    generator: np.random.Generator,
    species: Species,
    *,
    place: tuple[float, float] = (0.0, 0.0),
    size: float = 1.0,
    openness: float = 0.0,
    tilt: tuple[float, float] = (0.0, 0.0),
) -> Mushroom:
    """Draw one mushroom of a species.

    Parameters
    ----------
    generator : numpy.random.Generator
        Source of all choices.
    species : Species
        What to draw from.
    place : tuple of float
        Foot of the stipe on the ground, (x, z).
    size : float
        Height in world units.
    openness : float
        How much further the cap's margin is raised, which uncovers its underside.
    tilt : tuple of float
        Slope of the cap's axis towards x and z.

    Returns
    -------
    Mushroom
        The mushroom, its distances tabulated.
    """
    profiles = _profiles(generator, species, openness)
    body = Body(profiles, _posture(generator, tilt), place=place, size=size)
    return Mushroom(body, draw_coat(generator, species), species.name)


def _posture(generator: np.random.Generator, tilt: tuple[float, float]) -> Posture:
    spread = 0.16 if generator.random() < 0.35 else 0.05
    return Posture(
        lean=generator.normal(0, 0.07, 2),
        bend=generator.normal(0, spread, 2).clip(-0.3, 0.3),
        tilt=tilt,
        cap_wave=float(generator.choice([0.0, 0.015, 0.03, 0.05, 0.08], p=[0.25, 0.3, 0.25, 0.14, 0.06])),
        cap_phase=generator.normal(),
        ring_wave=generator.uniform(0.0, 0.02),
        ring_phase=generator.normal(),
        volva_wave=generator.uniform(0.0, 0.045),
    )


def _profiles(generator: np.random.Generator, species: Species, openness: float) -> Profiles:
    cap_height = _draw(generator, species.cap_height)
    margin = _draw(generator, species.margin) + openness
    height = 1 - max(cap_height, margin) - 0.02
    radius = _draw(generator, species.stipe_radius)
    young = generator.random() < 0.09 and species.running[1] < 0.1
    if young:
        radius *= 1.35
    heights, widths = _stipe(generator, species, radius)

    def width(level: float) -> float:
        return float(np.interp(level, heights * height, widths))

    outline = np.stack([widths, heights * np.float32(height + 0.01)], 1)
    outline = np.concatenate([[[0, -0.05], [widths[0] * 0.8, -0.05]], outline, [[0, height + 0.01]]])
    stipe = Profile(outline.astype(np.float32), solid=True)
    ring = _ring(generator, width, height) if generator.random() < species.ring else None
    volva = None
    if generator.random() < species.volva:
        volva = (_warty_bulb if species.volva_kind == "warty" else _sack)(generator, width)
    spread = 0.62 if young else 1.0
    upper, lower = _cap(generator, species, (cap_height, margin, width(height)), spread)
    return Profiles(stipe, ring, volva, upper, lower, height)


def _draw(generator: np.random.Generator, span: Range) -> float:
    return float(generator.uniform(*span))


def _stipe(generator: np.random.Generator, species: Species, radius: float) -> tuple[Floats, Floats]:
    """Return heights from 0 to 1 along the stipe, and its radius there."""
    taper, bulb = _draw(generator, species.taper), max(_draw(generator, species.bulb), -0.2)
    heights = np.linspace(0, 1, 18, dtype=np.float32)
    return heights, radius * (1 + taper * (0.5 - heights) + bulb * np.exp(-((heights / 0.13) ** 2)))


def _ring(generator: np.random.Generator, width: Width, height: float) -> Profile:
    level = height * float(generator.uniform(0.6, 0.8))
    drop, flare = float(generator.uniform(0.06, 0.125)), float(generator.uniform(0.03, 0.075))
    kind = generator.choice(["skirt", "flared", "collar"], p=[0.55, 0.25, 0.2])
    if kind == "flared":
        drop, flare = drop * 0.6, flare * 1.4
    elif kind == "collar":
        drop, flare = drop * 0.7, flare * 0.5
    inner = width(level)
    outer = max(inner, width(level - drop))
    points = [
        (inner - 0.005, level),
        (inner + flare * 0.35, level - drop * 0.15),
        (outer + flare * 0.75, level - drop * 0.6),
        (outer + flare, level - drop),
    ]
    return Profile(np.array(points, np.float32), 0.02 if kind == "collar" else 0.011)


def _warty_bulb(generator: np.random.Generator, width: Width) -> Profile:
    """Return a volva that has broken into girdles on the bulb."""
    tall = float(generator.uniform(0.13, 0.27)) * 0.8
    levels = np.linspace(-0.03, tall, 14)
    waves = 0.012 * np.cos(levels / tall * 2 * np.pi * generator.integers(2, 4))
    fade = 1 - 0.6 * np.clip(levels / tall, 0, 1) ** 3
    swell = 0.022 * fade
    widths = [width(level) + swell[i] + waves[i] * fade[i] for i, level in enumerate(levels)]
    return Profile(np.stack([widths, levels], 1).astype(np.float32), 0.014)


def _sack(generator: np.random.Generator, width: Width) -> Profile:
    """Return a volva that stands round the stipe's base as an open sack."""
    tall = float(generator.uniform(0.13, 0.27))
    swell, gap = float(generator.uniform(0.02, 0.055)), float(generator.uniform(0.008, 0.045))
    levels = np.linspace(-0.04, tall, 14)
    share = np.linspace(0, 1, 14)
    foot = width(0) * 0.75 + 0.015
    widths = foot + (width(tall) + gap - foot) * share + swell * np.sin(np.pi * share**0.75)
    widths = np.maximum(widths, [width(level) + 0.012 for level in levels])
    return Profile(np.stack([widths, levels], 1).astype(np.float32), 0.014)


def _cap(
    generator: np.random.Generator, species: Species, measures: tuple[float, float, float], spread: float
) -> tuple[Floats, Floats]:
    """Return the cap's upper side and its underside, each from the axis out to the margin."""
    cap_height, margin, stem = measures
    radius = max(_draw(generator, species.cap_radius) * spread, stem * 1.6)
    p, q = (_draw(generator, span) for span in species.curve)
    share = np.sin(np.linspace(0, np.pi / 2, 26))
    top = margin + (cap_height - margin) * (1 - share**p) ** q
    top -= _draw(generator, species.depression) * cap_height * np.exp(-((share / 0.45) ** 2))
    top += _draw(generator, species.knob) * np.exp(-((share / 0.2) ** 2))
    upper = np.stack([share * radius, top], 1)
    along = np.linspace(0, 1, 16)
    running, belly = _draw(generator, species.running), _draw(generator, species.belly)
    under = -running + (margin + running) * along ** (0.55 if running > 0.05 else 1.5)
    under -= belly * 4 * along * (1 - along)
    radii = stem * 0.9 + (radius - stem * 0.9) * along
    flesh = np.interp(radii, upper[:, 0], upper[:, 1]) - 0.02 * (1 - along**4) - 0.004
    lower = np.stack([radii, np.minimum(under, flesh)], 1)
    lower = np.concatenate([[[0.0, lower[0, 1] - 0.01]], lower])
    return upper.astype(np.float32), lower.astype(np.float32)
