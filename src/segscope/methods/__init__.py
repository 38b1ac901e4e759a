"""Attribution methods: the registry, and the methods that come with segscope."""

from __future__ import annotations

from . import cam as cam
from . import cam_passes as cam_passes
from . import eigen as eigen
from . import finer as finer
from . import gradients as gradients
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
