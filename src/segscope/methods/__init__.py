"""Attribution methods: the registry, and the methods that come with segscope."""

from __future__ import annotations

from . import cam as cam
from . import coalitions as coalitions
from . import extremal as extremal
from . import gradients as gradients
from . import grid_saliency as grid_saliency
from . import occlusion as occlusion
from . import rise as rise
from .base import Method, Parameter, all_methods, backward_method, find_method, register
from .place import BASELINE, SEED, Place, place_method

__all__ = [
    "BASELINE",
    "SEED",
    "Method",
    "Parameter",
    "Place",
    "all_methods",
    "backward_method",
    "find_method",
    "place_method",
    "register",
]
