"""Attribution methods: the registry, and the methods that come with segscope."""

from __future__ import annotations

from . import cam as cam
from . import gradients as gradients
from .base import Method, Parameter, all_methods, backward_method, find_method, register

__all__ = ["Method", "Parameter", "all_methods", "backward_method", "find_method", "register"]
