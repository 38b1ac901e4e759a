"""segscope: why did a segmentation network label these pixels so?"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as _version

from . import errors
from .attribution import Attribution, AttributionGrid
from .cache import PredictionCache
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
from .layers import Layer
from .model import SegmentationModel
from .prediction import Prediction
from .preprocess import Preprocess
from .region import Region
from .target import Target

try:
    __version__ = _version("segscope")
except PackageNotFoundError:
    __version__ = "0+unknown"

__all__ = [
    "Attribution",
    "AttributionGrid",
    "CannotExplain",
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
    "Region",
    "SegmentationModel",
    "SegscopeError",
    "Target",
    "UnknownName",
    "UnsupportedNetwork",
    "errors",
]
