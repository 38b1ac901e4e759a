"""Colours of a mushroom's parts, drawn so that no part can be told by its colour alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .species import Species
from .vectors import Floats, linear

__all__ = ["Coat", "draw_coat"]

_DARK_SCALES = frozenset({"parasol", "champignon", "honey fungus", "inkcap", "rosegill"})


@dataclass(frozen=True)
class Coat:
    """Colours (linear light, 0..1) and surface pattern of one mushroom; `offset` moves its textures."""

    cap: Floats
    cap_second: Floats
    stipe: Floats
    stipe_second: Floats
    underside: Floats
    ring: Floats
    volva: Floats
    pattern: str
    underside_kind: str
    lamellae: int
    gloss: float
    offset: Floats


def draw_coat(generator: np.random.Generator, species: Species) -> Coat:
    """Draw the colours of one mushroom of a species."""
    cap = _near(generator, species.caps)
    stipe = _near(generator, species.stipes)
    underside = _near(generator, species.undersides)
    ring = _like(
        generator,
        {
            "stipe": (stipe, 0.4),
            "cap": (0.5 * cap + 0.5 * stipe, 0.25),
            "white": (linear("#efe9dc"), 0.2),
            "underside": (underside, 0.15),
        },
    )
    volva = _like(
        generator,
        {
            "white": (linear("#ebe4d6"), 0.4),
            "stipe": (stipe, 0.25),
            "cap": (0.4 * cap + 0.6 * stipe, 0.15),
            "brown": (linear("#a8865c"), 0.2),
        },
    )
    pale = generator.random() < 0.5
    return Coat(
        cap=cap,
        cap_second=_second(cap, species),
        stipe=stipe,
        stipe_second=np.asarray(stipe * np.float32(1.12 if pale else 0.6), np.float32),
        underside=underside,
        ring=np.asarray(ring * np.float32(generator.uniform(0.85, 1.1)), np.float32),
        volva=np.asarray(volva * np.float32(generator.uniform(0.8, 1.05)), np.float32),
        pattern=str(generator.choice(np.asarray(species.pattern))),
        underside_kind=species.underside,
        lamellae=int(generator.integers(36, 64)),
        gloss=float(generator.choice([0.05, 0.15, 0.45])),
        offset=generator.uniform(3, 25, 3).astype(np.float32),
    )


def _near(generator: np.random.Generator, names: tuple[str, ...]) -> Floats:
    """Return a colour near one of those named."""
    color = linear(str(generator.choice(np.asarray(names))))
    shade = color * generator.normal(1, 0.07) * generator.normal(1, 0.035, 3)
    return np.asarray(shade.clip(0.005, 0.95), np.float32)


def _like(generator: np.random.Generator, choices: dict[str, tuple[Floats, float]]) -> Floats:
    """Return one of the colours, drawn by its probability."""
    name = generator.choice(np.asarray(list(choices)), p=[probability for _, probability in choices.values()])
    return choices[str(name)][0]


def _second(cap: Floats, species: Species) -> Floats:
    """Return the colour of what lies on the cap: pale warts or dark scales."""
    if species.pattern[0] == "warts":
        return linear("#f2ead2")
    return np.asarray(cap * np.float32(0.45 if species.name in _DARK_SCALES else 0.6), np.float32)
