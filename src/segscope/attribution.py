"""The answer: a raw importance map, and where it came from."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from functools import cached_property
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from .colors import colorize
from .errors import CannotExplain, InvalidInput
from .files import write_result
from .methods import Measured
from .region import Region, Weights
from .target import Target

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .methods import Method
    from .methods.base import Answer
    from .prediction import Prediction

__all__ = ["Attribution", "AttributionGrid", "Cost", "Result", "answers_of"]


class Cost(NamedTuple):
    """What an answer cost, for all layers that were asked about at once.

    Parameters
    ----------
    seconds : float
        Time that it took.
    passes : int
        How many images went through the network, forward or forward and backward; the prediction's own isn't counted.
    """

    seconds: float
    passes: int


Result: TypeAlias = "tuple[dict[str, Answer], Cost]"
"""What a method gave: by layer a map, or why there is none; and what it cost."""


class Attribution:
    """How much each place mattered for the score of a class over a region.

    Maps are raw: never rescaled, so that two of them can be compared. Positive values speak for the class (or for it
    and against the contrast class), negative ones against it, where the method has signs.

    Attributes
    ----------
    target : Target
        The question.
    layer, method : str
        Where and how it was answered.
    parameters : dict
        The method's parameters, defaults included.
    region_weights : ndarray
        float32, H×W, 0..1: the pixels asked about.
    cost : Cost
        Time and passes that it took.
    measures : dict
        What the method measured on the way: numbers by name, for instance ``"completeness_error"``.
    """

    def __init__(  # noqa: PLR0917 # made by Prediction alone
        self,
        prediction: Prediction,
        target: Target,
        region_weights: Weights,
        layer: str,
        method: Method,
        parameters: Mapping[str, Any],
        values: Tensor,
        cost: Cost,
        measures: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        self.target = target
        self.region_weights = region_weights
        self.layer = layer
        self.method = method.name
        self.parameters = dict(parameters)
        self.cost = cost
        self.measures = dict(measures)
        self._method = method
        self._prediction = prediction
        self._map = values

    def __repr__(self) -> str:
        """Return the question and the size of the map."""
        height, width = self._map.shape
        return f"Attribution({self.class_!r}, layer={self.layer!r}, method={self.method!r}, map={height}×{width})"

    @property
    def class_(self) -> str:
        """Name of the class."""
        model = self._prediction.model
        return model.classes[model.class_index(self.target.class_)]

    @property
    def against(self) -> str | None:
        """Name of the contrast class."""
        model = self._prediction.model
        return None if self.target.against is None else model.classes[model.class_index(self.target.against)]

    @property
    def signed(self) -> bool:
        """Whether negative values have a meaning in this map."""
        cut = (self.parameters.get("relu"), self.parameters.get("absolute"))
        return self._method.signed or any(choice is False for choice in cut)

    @cached_property
    def map(self) -> NDArray[np.float32]:
        """The raw map at the layer's own resolution, float32, h×w, before any resizing."""
        return np.array(self._map.cpu().numpy())

    @cached_property
    def values(self) -> NDArray[np.float32]:
        """The raw map in the image's pixels, float32, H×W, interpolated bilinearly."""
        return np.array(self._prediction.geometry.to_image(self._map).cpu().numpy())

    @property
    def limit(self) -> float:
        """The largest magnitude in the image: where a display of this map alone ends its scale."""
        return float(np.abs(self.values).max())

    @property
    def score(self) -> float:
        """The score that was explained, in logits or as a probability."""
        return self._prediction.score(self.target)

    @property
    def provenance(self) -> dict[str, Any]:
        """Where the map came from, as data for JSON."""
        from . import __version__

        return {
            "model": self._prediction.model.name,
            "class": self.class_,
            "against": self.against,
            "region": (self.target.region or Region.predicted(self.class_)).to_dict(),
            "score": {"kind": self.target.score, "value": self.score},
            "layer": self.layer,
            "method": self.method,
            "parameters": self.parameters,
            "measures": self.measures,
            "image_size": list(self._prediction.size),
            "map_size": list(self._map.shape),
            "segscope": __version__,
            "torch": torch.__version__,
        }

    def overlay(self, *, opacity: float = 0.6, limit: float | None = None) -> Image.Image:
        """Return the map in colours over the image.

        Parameters
        ----------
        opacity : float
            0 shows the image alone, 1 the map alone.
        limit : float, optional
            The value that gets the last colour; the map's largest magnitude otherwise. Give the same to compare maps.

        Returns
        -------
        PIL.Image.Image
            RGB, as large as the image.

        Raises
        ------
        InvalidInput
            When the opacity isn't between 0 and 1, or the limit isn't positive.
        """
        if not 0 <= opacity <= 1:
            raise InvalidInput(f"The opacity is {opacity}; expected 0 to 1.")
        colors = colorize(self.values, limit=self._limit(limit), signed=self.signed)
        mixed = self._prediction.image * (1 - opacity) + colors * opacity
        return Image.fromarray(np.round(mixed).astype(np.uint8))

    def plot(self, *, limit: float | None = None) -> Figure:
        """Draw image and region, predicted mask, and importance with its numeric scale, side by side.

        Parameters
        ----------
        limit : float, optional
            Where the scale ends; the map's largest magnitude otherwise.

        Returns
        -------
        matplotlib.figure.Figure
            The figure; it belongs to the caller.
        """
        from .plot import plot_attribution

        return plot_attribution(self, self._prediction, limit=self._limit(limit))

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the figure (PNG, SVG or PDF) or the numbers (NPZ), by the file's ending.

        An NPZ holds ``values``, ``map``, ``region``, ``mask`` and ``provenance`` (JSON text). A file is replaced only
        by a complete one.

        Parameters
        ----------
        path : path
            Ends with ``.png``, ``.svg``, ``.pdf`` or ``.npz``.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        InvalidInput
            When the ending is another one, or the folder can't be written to.
        """
        return write_result(path, plot=self.plot, to_npz=self.to_npz)

    def to_npz(self) -> bytes:
        """Return the numbers as the content of an NPZ file, which :func:`numpy.load` reads.

        Returns
        -------
        bytes
            ``values`` (float32, H×W), ``map`` (float32, h×w), ``region`` (float32, H×W, 0..1), ``mask`` (int32, H×W)
            and ``provenance`` (JSON text).
        """
        file = BytesIO()
        np.savez_compressed(file, **self._arrays())
        return file.getvalue()

    def _limit(self, limit: float | None) -> float:
        if limit is not None and not limit > 0:
            raise InvalidInput(f"The limit is {limit}; expected a number above zero.")
        return self.limit if limit is None else limit

    def _arrays(self) -> dict[str, Any]:
        return {
            "values": self.values,
            "map": self.map,
            "region": self.region_weights,
            "mask": self._prediction.mask,
            "provenance": np.array(json.dumps(self.provenance)),
        }


def answers_of(
    prediction: Prediction,
    target: Target,
    region_weights: Weights,
    *,
    method: Method,
    parameters: Mapping[str, Any],
    maps: Mapping[str, Answer],
    cost: Cost,
) -> dict[str, Attribution | CannotExplain]:
    """Return what a method gave for some layers as attributions.

    Parameters
    ----------
    prediction : Prediction
        What was explained.
    target : Target
        The question.
    region_weights : ndarray
        float32, H×W, 0..1: the pixels asked about.
    method : Method
        The method.
    parameters : mapping
        All of its parameters.
    maps : mapping
        By layer: the raw map, float, h×w, alone or with measures, or why there is none.
    cost : Cost
        For all of them together.

    Returns
    -------
    dict
        By layer: the attribution, or the error that says why there is none; a map that isn't finite is none.
    """
    answers: dict[str, Attribution | CannotExplain] = {}
    for name, found in maps.items():
        if isinstance(found, CannotExplain):
            answers[name] = found
            continue
        values, measures = found if isinstance(found, Measured) else (found, {})
        if not bool(torch.isfinite(values).all()):
            answers[name] = CannotExplain(
                f"The {method.title} map at the layer {name!r} holds NaN or infinite values; choose another layer "
                "or score."
            )
        else:
            answers[name] = Attribution(
                prediction, target, region_weights, name, method, parameters, values.detach().float(), cost, measures
            )
    return answers


class AttributionGrid(Mapping[tuple[str, str], Attribution]):
    """Maps of several classes at several layers: ``grid["cap", "block5_conv3"]``.

    Parameters
    ----------
    maps : mapping
        Attributions by (class, layer).
    skipped : mapping
        For each (class, layer) that was left out, the reason.
    """

    def __init__(
        self, maps: Mapping[tuple[str, str], Attribution], skipped: Mapping[tuple[str, str], str] | None = None
    ) -> None:
        self._maps = dict(maps)
        self.skipped = dict(skipped or {})

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes that have maps."""
        return tuple(dict.fromkeys(class_ for class_, _ in self._maps))

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers that have maps."""
        return tuple(dict.fromkeys(layer for _, layer in self._maps))

    def __getitem__(self, key: tuple[str, str]) -> Attribution:
        """Return the map of a class at a layer."""
        return self._maps[key]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Go through the (class, layer) pairs."""
        return iter(self._maps)

    def __len__(self) -> int:
        """Return how many maps there are."""
        return len(self._maps)

    def plot(self) -> Figure:
        """Draw a row for each class and a column for each layer, each map on its own scale, which stands below it.

        Returns
        -------
        matplotlib.figure.Figure
            The figure.
        """
        from .plot import plot_grid

        return plot_grid(self)
