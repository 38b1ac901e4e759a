"""Attribution methods: the registry, and the methods that come with segscope."""

from __future__ import annotations

from . import attention as attention
from . import cam as cam
from . import cam_passes as cam_passes
from . import coalitions as coalitions
from . import deeplift as deeplift
from . import eigen as eigen
from . import extremal as extremal
from . import finer as finer
from . import fullgrad as fullgrad
from . import gradients as gradients
from . import grid_saliency as grid_saliency
from . import guided as guided
from . import occlusion as occlusion
from . import paths as paths
from . import relevance as relevance
from . import rise as rise
from . import smoothing as smoothing
from .base import FAMILIES, Measured, Method, Parameter, all_methods, backward_method, find_method, register
from .place import BASELINE, SEED, Place, place_method

__all__ = [
    "BASELINE",
    "FAMILIES",
    "SEED",
    "Measured",
    "Method",
    "Parameter",
    "Place",
    "all_methods",
    "backward_method",
    "find_method",
    "place_method",
    "register",
]
