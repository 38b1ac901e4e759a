"""Rendered mushrooms with exact masks: images whose causes are known, to train and to try explanations on.

The spore-bearing underside of the cap is the class `gills`, lamellae or (for boletes) pores. Whatever stands in front
of a mushroom (blades of grass, leaves, stones) is `background`.
"""

from __future__ import annotations

from .classes import CLASSES, COLORS
from .dataset import image_seed, write_dataset
from .render import Rendering, render

__all__ = ["CLASSES", "COLORS", "Rendering", "image_seed", "render", "write_dataset"]
