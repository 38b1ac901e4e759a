"""Kinds of mushrooms: proportions and colours in the manner of well-known species."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SPECIES", "Range", "Species"]

Range = tuple[float, float]


@dataclass(frozen=True)
class Species:
    """Ranges that a mushroom of this kind is drawn from; lengths are in units of its height.

    The cap's outline falls from its middle to its margin as (1 − u^p)^q, u from 0 to 1; `curve` gives the ranges of p
    and q. `margin` is the height of the margin over the place where the gills meet the stipe, `running` how far the
    gills run down the stipe. `ring` and `volva` are probabilities, `weight` how often the kind is drawn.
    """

    name: str
    cap_radius: Range
    cap_height: Range
    curve: tuple[Range, Range]
    stipe_radius: Range
    caps: tuple[str, ...]
    stipes: tuple[str, ...]
    undersides: tuple[str, ...]
    pattern: tuple[str, ...] = ("smooth",)
    margin: Range = (-0.03, 0.03)
    depression: Range = (0.0, 0.0)
    knob: Range = (0.0, 0.0)
    running: Range = (0.0, 0.02)
    taper: Range = (0.1, 0.4)
    bulb: Range = (0.0, 0.3)
    belly: Range = (0.0, 0.03)
    ring: float = 0.0
    volva: float = 0.0
    volva_kind: str = "sack"
    underside: str = "gills"
    weight: float = 1.0


# fmt: off
SPECIES: tuple[Species, ...] = (
    Species(
        "fly agaric", (0.32, 0.46), (0.16, 0.3), ((1.9, 2.4), (0.5, 0.65)), (0.055, 0.08),
        ("#c81e12", "#d9381a", "#e0601c", "#a81410", "#e8a020"), ("#f1ead8", "#e9ddb8"), ("#f6f0e2", "#efe6cf"),
        pattern=("warts",), bulb=(0.4, 0.9), ring=0.92, volva=0.8, volva_kind="warty", weight=1.6,
    ),
    Species(
        "death cap", (0.3, 0.44), (0.13, 0.25), ((2.0, 2.6), (0.5, 0.7)), (0.045, 0.07),
        ("#8c9a4a", "#a8ad62", "#6f7c3a", "#c9c894", "#e6e3d0"), ("#e6e5cb", "#d8dab4", "#eeeade"),
        ("#f4f1e4", "#ecebd6"),
        pattern=("streaks", "smooth"), bulb=(0.4, 0.9), ring=0.9, volva=1.0, weight=1.8,
    ),
    Species(
        "caesar", (0.3, 0.42), (0.15, 0.27), ((1.9, 2.5), (0.5, 0.7)), (0.06, 0.085),
        ("#e2701a", "#d9541a", "#f09a2c"), ("#efc75c", "#e9b44c", "#f2dc9a"), ("#f2cf60", "#efc14a"),
        pattern=("smooth", "striate"), bulb=(0.2, 0.6), ring=0.9, volva=1.0, weight=1.2,
    ),
    Species(
        "grisette", (0.27, 0.4), (0.08, 0.2), ((1.6, 2.4), (0.6, 0.9)), (0.035, 0.055),
        ("#8b8682", "#a5723c", "#6c5a4a", "#b8a48c", "#c98c3e"), ("#ddd6c8", "#d2bf9d"), ("#efeae0", "#e9e2d2"),
        pattern=("striate", "patches"), knob=(0.0, 0.04), bulb=(0.1, 0.4), ring=0.12, volva=1.0, weight=1.1,
    ),
    Species(
        "rosegill", (0.28, 0.42), (0.13, 0.28), ((1.6, 2.3), (0.5, 0.8)), (0.04, 0.06),
        ("#d9d2c4", "#b9ad9a", "#8e8272", "#e9e4da"), ("#eae3d6", "#dccfba"), ("#d8a08c", "#c98a78", "#e3b9a6"),
        pattern=("streaks", "scales"), ring=0.05, volva=1.0, weight=0.9,
    ),
    Species(
        "champignon", (0.32, 0.46), (0.16, 0.3), ((2.2, 3.0), (0.5, 0.7)), (0.06, 0.095),
        ("#efe9df", "#dcc9ae", "#b58a5e", "#8d6440", "#c9a67c"), ("#eee6da", "#dfcfb8"),
        ("#d9a090", "#a87060", "#6b4438", "#4a3028"),
        pattern=("smooth", "scales"), ring=0.88, volva=0.12, weight=1.3,
    ),
    Species(
        "parasol", (0.36, 0.5), (0.07, 0.18), ((1.5, 2.2), (0.6, 0.95)), (0.03, 0.045),
        ("#c9ab82", "#d8c09a", "#a9825a"), ("#b89468", "#cbb08a", "#a07a52"), ("#f2eadb", "#eadfca"),
        pattern=("scales",), knob=(0.02, 0.06), bulb=(0.4, 1.0), ring=1.0, weight=1.2,
    ),
    Species(
        "honey fungus", (0.22, 0.36), (0.08, 0.18), ((1.6, 2.4), (0.6, 0.9)), (0.035, 0.055),
        ("#b9803c", "#c99a4a", "#9a6430", "#d9b060"), ("#c9a070", "#a87848", "#dcc090"), ("#ecd9b4", "#dcbf90"),
        pattern=("scales", "smooth"), taper=(-0.3, 0.2), running=(0.0, 0.08), ring=0.85, volva=0.05,
    ),
    Species(
        "russula", (0.32, 0.46), (0.07, 0.17), ((2.2, 3.2), (0.6, 0.85)), (0.075, 0.105),
        ("#b0283c", "#8a3a6a", "#6d8a3c", "#d9a83a", "#c25a6a", "#5a3048"), ("#f0ebe0", "#ecd5cf", "#eee2bf"),
        ("#f3ead0", "#efe0b0", "#e8c986"), margin=(-0.02, 0.06), depression=(0.0, 0.5), bulb=(-0.1, 0.1), weight=0.9,
    ),
    Species(
        "chanterelle", (0.32, 0.44), (0.0, 0.03), ((1.4, 2.0), (0.8, 1.0)), (0.06, 0.09),
        ("#e9a21c", "#f0b93c", "#d98a1a", "#b9762c"), ("#efbe4c", "#e9ad34", "#d9a050"),
        ("#f0bd48", "#e6a830", "#e0c080"),
        margin=(0.1, 0.22), depression=(0.0, 0.0), running=(0.15, 0.3), taper=(-0.2, 0.1), weight=0.8,
    ),
    Species(
        "funnel cap", (0.3, 0.44), (0.02, 0.07), ((1.4, 2.2), (0.7, 1.0)), (0.04, 0.06),
        ("#d8c3a0", "#b98d60", "#8c6a50", "#c9b8a8"), ("#dcc9a8", "#b99870"), ("#efe4cc", "#e2cfae"),
        margin=(0.06, 0.15), running=(0.06, 0.16), ring=0.1, volva=0.05, weight=0.6,
    ),
    Species(
        "inkcap", (0.15, 0.23), (0.3, 0.46), ((1.7, 2.4), (0.6, 0.9)), (0.035, 0.05),
        ("#e6ded2", "#c4b49c", "#a08a70", "#d0b58c"), ("#efeae2", "#dfd6c8"), ("#5a4a44", "#2f2826", "#a58c84"),
        pattern=("scales", "striate"), margin=(-0.2, -0.04), ring=0.45, volva=0.05, weight=0.6,
    ),
    Species(
        "bonnet", (0.18, 0.3), (0.13, 0.24), ((1.2, 1.8), (0.7, 1.0)), (0.018, 0.03),
        ("#9a8a7c", "#b07a58", "#7a6258", "#d08a6a", "#a88cb0"), ("#b8a898", "#8c6c54", "#c8b8a8"),
        ("#e4dcd2", "#d8cfc4"),
        pattern=("striate",), margin=(-0.04, 0.03), knob=(0.0, 0.04), bulb=(0.0, 0.1), ring=0.0, volva=0.12, weight=0.5,
    ),
    Species(
        "bolete", (0.32, 0.46), (0.17, 0.28), ((2.2, 3.0), (0.5, 0.65)), (0.08, 0.125),
        ("#7c4a24", "#9a5e2c", "#5a3620", "#b8803e", "#a0442c"), ("#d9bf92", "#c2935a", "#c9703c", "#e6d8b8"),
        ("#e6dc9c", "#c9b850", "#efe9cf", "#b9a040"), bulb=(0.2, 0.7), belly=(0.02, 0.05), ring=0.2,
        underside="pores", weight=0.7,
    ),
    Species(
        "webcap", (0.26, 0.4), (0.1, 0.22), ((1.4, 2.2), (0.55, 0.9)), (0.045, 0.065),
        ("#8a4a24", "#6a4468", "#a8642c", "#5c3a2a", "#7c6a9a"), ("#b89a84", "#9a84a4", "#c49a6c"),
        ("#9a5a2c", "#7a5a78", "#b0743c"),
        pattern=("smooth", "streaks"), knob=(0.0, 0.05), bulb=(0.2, 0.8), ring=0.55, volva=0.2, weight=0.9,
    ),
)
# fmt: on
