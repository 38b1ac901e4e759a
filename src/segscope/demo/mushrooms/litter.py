"""What lies and stands around the mushrooms: blades of grass, fallen leaves, stones."""

from __future__ import annotations

import numpy as np

from .growth import Mushroom
from .scene import Card, Ground, Stone
from .vectors import Floats, linear

__all__ = ["draw_cards", "draw_stones"]

_LEAVES = ("#8a5a2a", "#a8742e", "#6d3f1e", "#c08a34", "#92351f", "#4c341f", "#7a7a34", "#b8602a")
_STONES = ("#8c8880", "#6b665e", "#a79c8a", "#5a5048")
# How many blades and fallen leaves there are at least, and fewer than how many, on each ground.
_BLADES = {"moss": (3, 18), "leaves": (0, 10), "soil": (0, 12), "grass": (70, 140)}
_FALLEN = {"moss": (0, 14), "leaves": (50, 95), "soil": (2, 16), "grass": (0, 10)}


def draw_cards(generator: np.random.Generator, ground: Ground, main: Mushroom, away: Floats) -> tuple[Card, ...]:
    """Draw blades and leaves round the main mushroom.

    Parameters
    ----------
    generator : numpy.random.Generator
        Source of all choices.
    ground : Ground
        What they grow or lie on.
    main : Mushroom
        The mushroom whose cap's colour some leaves take.
    away : numpy.ndarray
        Unit vector (x, z) that points away from the camera.

    Returns
    -------
    tuple of Card
        Blades of grass, a tuft round the stipe's base, and leaves.
    """
    side = _beside(away)
    blades = int(generator.integers(*_BLADES[ground.kind]))
    cards = [_blade(generator, ground, away) for _ in range(blades)]
    tufts = int(generator.integers(6, 30)) if ground.kind in {"moss", "grass"} else 0
    cards += [_tuft(generator, ground, side) for _ in range(tufts)]
    fallen = int(generator.integers(*_FALLEN[ground.kind]))
    cards += [_leaf(generator, _spot(generator, away, clear=0.16), main) for _ in range(fallen)]
    if generator.random() < 0.3:
        near = -away * generator.uniform(0.14, 0.3) + side * generator.normal(0, 0.12)
        cards.append(_leaf(generator, near, main, steep=True))
    return tuple(cards)


def draw_stones(generator: np.random.Generator, main: Mushroom, away: Floats) -> tuple[Stone, ...]:
    """Draw up to four stones, some as round and as coloured as the main mushroom's cap."""
    stones = []
    for _ in range(int(generator.integers(0, 5)) if generator.random() < 0.55 else 0):
        x, z = _spot(generator, away, clear=0.38)
        axes = generator.uniform(0.05, 0.2) * generator.uniform(0.7, 1.3, 3)
        axes[1] *= 0.7
        color = linear(str(generator.choice(np.asarray(_STONES))))
        if generator.random() < 0.3:
            color = main.coat.cap * np.float32(0.8)
        center = np.array([x, axes[1] * 0.3, z])
        stones.append(Stone(center.astype(np.float32), axes.astype(np.float32), color.astype(np.float32)))
    return tuple(stones)


def _beside(away: Floats) -> Floats:
    return np.array([-away[1], away[0]])


def _spot(generator: np.random.Generator, away: Floats, *, clear: float) -> Floats:
    """Draw a place (x, z) on the ground, more than `clear` from the main mushroom's foot."""
    while True:
        back = generator.uniform(-1.1, 2.6)
        across = generator.uniform(-1.1, 1.1) * (1 + 0.25 * max(back, 0))
        if back * back + across * across > clear * clear:
            return np.asarray(_beside(away) * across + away * back)


def _blade(generator: np.random.Generator, ground: Ground, away: Floats) -> Card:
    x, z = spot = _spot(generator, away, clear=0.12)
    in_front = float((spot * away).sum()) < 0
    length = float(generator.uniform(0.12, 0.36 if in_front else 0.6))
    lean = generator.normal(0, 0.35, 2)
    side = _beside(away)
    across = np.array([side[0], 0, side[1]]) * generator.uniform(0.006, 0.014)
    color = ground.colors[1] if ground.kind in {"grass", "moss"} else linear("#6f8040")
    if generator.random() < 0.12:
        color = linear("#b8a468")
    color = color * np.float32(generator.uniform(0.6, 1.7)) * generator.normal(1, 0.08, 3)
    along = np.array([lean[0], 1, lean[1]]) * length
    return _card((x, -0.01, z), along, across, bend=generator.normal(0, 5), color=color, leaf=False)


def _tuft(generator: np.random.Generator, ground: Ground, side: Floats) -> Card:
    around, reach = generator.uniform(0, 2 * np.pi), generator.uniform(0.1, 0.24)
    length = float(generator.uniform(0.03, 0.09))
    lean = generator.normal(0, 0.5, 2)
    color = ground.colors[1] * np.float32(generator.uniform(0.5, 1.5))
    foot = (np.cos(around) * reach, -0.005, np.sin(around) * reach)
    along = np.array([lean[0], 1, lean[1]]) * length
    across = np.array([side[0], 0, side[1]]) * generator.uniform(0.005, 0.01)
    return _card(foot, along, across, bend=generator.normal(0, 2), color=color, leaf=False)


def _leaf(generator: np.random.Generator, spot: Floats, main: Mushroom, *, steep: bool = False) -> Card:
    around = generator.uniform(0, 2 * np.pi)
    length = float(generator.uniform(0.14, 0.34))
    pitch = generator.uniform(0.5, 1.1) if steep else abs(generator.normal(0.12, 0.3))
    along = np.array([np.cos(around) * np.cos(pitch), np.sin(pitch), np.sin(around) * np.cos(pitch)]) * length
    twist = generator.normal(0, 0.35)
    across = np.array([-np.sin(around), twist, np.cos(around)]) * length * generator.uniform(0.22, 0.42)
    color = linear(str(generator.choice(np.asarray(_LEAVES))))
    if generator.random() < 0.15:
        color = main.coat.cap * np.float32(0.8)
    color = color * np.float32(generator.uniform(0.6, 1.2))
    foot = (spot[0], 0.012 + abs(twist) * length * 0.3, spot[1])
    return _card(foot, along, across, bend=generator.normal(0, 0.25), color=color, leaf=True)


def _card(
    foot: tuple[float, float, float], along: Floats, across: Floats, *, bend: float, color: Floats, leaf: bool
) -> Card:
    return Card(
        np.array(foot, np.float32),
        along.astype(np.float32),
        across.astype(np.float32),
        float(bend),
        color.astype(np.float32),
        leaf,
    )
