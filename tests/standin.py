"""Zennit where torchvision isn't installed: it takes from there only the classes of two blocks, for a canonizer."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType

from torch import nn


def import_zennit() -> None:
    """Import zennit, where it is installed, beside a torchvision that exists only while it is imported."""
    if importlib.util.find_spec("zennit") is None or importlib.util.find_spec("torchvision") is not None:
        return
    names = ("torchvision", "torchvision.models", "torchvision.models.resnet")
    modules = {name: ModuleType(name) for name in names}
    for block in ("BasicBlock", "Bottleneck"):
        setattr(modules[names[-1]], block, type(block, (nn.Module,), {}))
    sys.modules.update(modules)
    try:
        importlib.import_module("zennit")
    finally:
        for name in names:
            del sys.modules[name]
