"""Names and colours of the classes; a mask's value is the index."""

from __future__ import annotations

__all__ = ["CLASSES", "COLORS"]

CLASSES: tuple[str, ...] = ("background", "volva", "gills", "stipe", "ring", "cap")

# Okabe and Ito's colours, which people with any colour vision tell apart; grey for what is no mushroom.
COLORS: tuple[str, ...] = ("#6e6e6e", "#cc79a7", "#f0e442", "#56b4e9", "#009e73", "#d55e00")
