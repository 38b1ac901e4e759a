"""segscope: why did a segmentation network label these pixels so?"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as _version
from typing import TYPE_CHECKING, Any

from . import errors
from .errors import (
    CannotExplain,
    EmptyRegion,
    InvalidImage,
    InvalidInput,
    InvalidRegion,
    MissingExtra,
    PredictionClosed,
    SegscopeError,
    UnknownName,
    UnsupportedNetwork,
)

if TYPE_CHECKING:
    from .attribution import Attribution, AttributionGrid
    from .cache import PredictionCache
    from .comparison import Comparison
    from .inputs import SeveralInputs
    from .layers import Layer
    from .model import SegmentationModel
    from .prediction import Prediction
    from .preprocess import Preprocess
    from .reasons import Reasons
    from .region import Region
    from .server.viewer import show
    from .table import Table
    from .target import Target
    from .windows import Windows

try:
    __version__ = _version("segscope")
except PackageNotFoundError:
    __version__ = "0+unknown"

# Where the names live that need torch, whose import takes seconds: that is done when one of them is used first, so that
# `segscope --help` answers at once.
_HOMES = {
    "Attribution": "attribution",
    "AttributionGrid": "attribution",
    "Comparison": "comparison",
    "Layer": "layers",
    "Prediction": "prediction",
    "PredictionCache": "cache",
    "Preprocess": "preprocess",
    "Reasons": "reasons",
    "Region": "region",
    "SegmentationModel": "model",
    "SeveralInputs": "inputs",
    "Table": "table",
    "Target": "target",
    "Windows": "windows",
    "show": "server.viewer",
}
_MODULES = ("demo", "methods")

__all__ = [
    "Attribution",
    "AttributionGrid",
    "CannotExplain",
    "Comparison",
    "EmptyRegion",
    "InvalidImage",
    "InvalidInput",
    "InvalidRegion",
    "Layer",
    "MissingExtra",
    "Prediction",
    "PredictionCache",
    "PredictionClosed",
    "Preprocess",
    "Reasons",
    "Region",
    "SegmentationModel",
    "SegscopeError",
    "SeveralInputs",
    "Table",
    "Target",
    "UnknownName",
    "UnsupportedNetwork",
    "Windows",
    "errors",
    "show",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is used first."""
    if name in _MODULES:
        return import_module(f".{name}", __name__)
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})
