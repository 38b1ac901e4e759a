"""The commands of ``segscope``, one module for each group; none imports torch before it runs."""

from __future__ import annotations

from . import compare, demo, explain, explore, predict

__all__ = ["compare", "demo", "explain", "explore", "predict"]
