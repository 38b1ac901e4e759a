"""Attribution methods: the registry, and the methods that come with segscope."""

from __future__ import annotations

from . import attention as attention
from . import cam as cam
from . import gradients as gradients
from . import relevance as relevance
from .base import FAMILIES, Method, Parameter, all_methods, backward_method, find_method, register
from .place import BASELINE, SEED, Place, place_method

__all__ = [
    "BASELINE",
    "FAMILIES",
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
