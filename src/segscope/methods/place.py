"""The score as a function of what stands at one place of the network, for methods that try what would be if."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import CannotExplain
from ..layers import INPUT
from .base import Answer, Measured, Method, Parameter, register

if TYPE_CHECKING:
    from ..prediction import Prediction
    from ..progress import Progress
    from ..target import Question

__all__ = ["BASELINE", "SEED", "Place", "place_method"]

Explain: TypeAlias = "Callable[..., Tensor | Measured]"

BASELINE = Parameter(
    name="baseline",
    kind="choice",
    default="zero",
    choices=("zero", "mean", "blur", "noise"),
    description="What stands for absence: zero (at the input, the colour that normalisation maps to zero), each "
    "channel's mean, the blurred image, or uniform noise within each channel's range.",
)
"""The parameter of methods that compare with a feature's absence; :meth:`Place.baseline` takes its value."""

SEED = Parameter(
    name="seed",
    kind="int",
    default=0,
    minimum=0,
    maximum=2**31 - 1,
    description="Start of the random numbers: the same seed gives the same map.",
)
"""The parameter of methods that draw random numbers."""

# Deviation of the blur that stands for absence, as a share of the map's longer side.
_BLUR = 0.05


class Place:
    """One place of the network, and the score to explain as a function of what stands there.

    Parameters
    ----------
    prediction : Prediction
        The image.
    question : Question
        The score.
    name : str
        A layer's name, or ``"input"``.
    progress : Progress
        Told of every pass.

    Attributes
    ----------
    values : Tensor
        float32, C×h×w: what stands there, the layer's output or the network's preprocessed input.
    gradient : Tensor
        float32, C×h×w: derivative of the score by it.

    Raises
    ------
    CannotExplain
        When the layer has no map, doesn't influence the score, or can't be run again from there.
    """

    def __init__(self, prediction: Prediction, question: Question, name: str, progress: Progress) -> None:
        pair = prediction.activations_and_gradients(question, [name])[name]
        if isinstance(pair, CannotExplain):
            raise pair
        self.prediction = prediction
        self.question = question
        self.name = name
        self.progress = progress
        self.values, self.gradient = pair
        self._rerun = prediction.rerun(name)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the maps here."""
        return self.values.shape[1], self.values.shape[2]

    def at(self, name: str) -> Place:
        """Return another place of the same network, for the same score.

        Parameters
        ----------
        name : str
            A layer's name, or ``"input"``.

        Returns
        -------
        Place
            It tells the same progress.
        """
        return self if name == self.name else Place(self.prediction, self.question, name, self.progress)

    def function(self, maps: Tensor) -> Tensor:
        """Return the score for each of some maps put here, differentiably, in one run.

        Parameters
        ----------
        maps : Tensor
            float, B×C×h×w; no more than :meth:`batch` at once.

        Returns
        -------
        Tensor
            float32, B.
        """
        scores = self.question.score(self._rerun.logits(maps))
        self.progress.advance(len(maps))
        return scores

    def score(self, maps: Tensor) -> Tensor:
        """Return the score for each of some maps put here, without gradients.

        Parameters
        ----------
        maps : Tensor
            float, B×C×h×w; no more than :meth:`batch` at once.

        Returns
        -------
        Tensor
            float32, B.
        """
        with torch.no_grad():
            return self.function(maps)

    def gradients(self, maps: Tensor) -> Tensor:
        """Return the gradient of the score at each of some maps put here.

        Parameters
        ----------
        maps : Tensor
            float, B×C×h×w; no more than :meth:`batch` at once.

        Returns
        -------
        Tensor
            float32, B×C×h×w.
        """
        with torch.inference_mode(mode=False), torch.enable_grad():
            leaf = maps.detach().clone().requires_grad_()
            return torch.autograd.grad(self.function(leaf).sum(), leaf)[0]

    @property
    def batch(self) -> int:
        """How many maps can be run at once within the model's :attr:`~segscope.SegmentationModel.memory`."""
        return max(1, self.prediction.model.memory // self._rerun.bytes_each)

    def chunks(self, count: int, *, each: int = 1) -> Iterator[slice]:
        """Divide so many maps into batches, and let the progress expect their passes.

        Parameters
        ----------
        count : int
            How many maps will be run.
        each : int
            How many passes each of them takes.

        Yields
        ------
        slice
            Of at most :attr:`batch` maps.
        """
        self.progress.expect(count * each)
        for start in range(0, count, self.batch):
            yield slice(start, min(start + self.batch, count))

    def baseline(self, kind: str, *, seed: int = 0) -> Tensor:
        """Return what stands for absence here.

        Parameters
        ----------
        kind : {"zero", "mean", "blur", "noise"}
            As :data:`BASELINE` describes them.
        seed : int
            Of the noise.

        Returns
        -------
        Tensor
            float32, C×h×w.
        """
        if kind == "zero":
            return torch.zeros_like(self.values)
        if kind == "mean":
            return self.values.mean(dim=(1, 2), keepdim=True).expand_as(self.values).clone()
        if kind == "blur":
            return blurred(self.values, _BLUR * max(self.size))
        low, high = self.values.amin(dim=(1, 2), keepdim=True), self.values.amax(dim=(1, 2), keepdim=True)
        return low + self.random(seed).rand(self.values.shape).to(self.values) * (high - low)

    def random(self, seed: int) -> Randomness:
        """Return a source of random numbers that leaves the global ones alone.

        Parameters
        ----------
        seed : int
            Its start.

        Returns
        -------
        Randomness
            Draws on the CPU, so that every device gets the same numbers.
        """
        return Randomness(seed)

    def superpixels(self, count: int) -> Tensor:
        """Divide the place into patches of similar colour.

        Parameters
        ----------
        count : int
            About how many.

        Returns
        -------
        Tensor
            int64, h×w: the number of each cell's patch, counted from 0 without gaps. What is padding at the input is a
            patch of its own.
        """
        labels = self.prediction.superpixels(count)
        rows, columns = (self._image_positions(axis) for axis in (0, 1))
        inside = _within(rows, labels.shape[0])[:, None] & _within(columns, labels.shape[1])[None, :]
        height, width = labels.shape
        nearest = labels[np.ix_(rows.clip(0, height - 1), columns.clip(0, width - 1))]
        _, numbered = np.unique(np.where(inside, nearest, -1), return_inverse=True)
        return torch.from_numpy(numbered.reshape(self.size)).to(self.values.device)

    def _image_positions(self, axis: int) -> NDArray[np.int64]:
        """Return the image's row (or column) below the centre of each row of the place; it may lie outside."""
        geometry = self.prediction.geometry
        centres = (np.arange(self.size[axis]) + 0.5) * geometry.input[axis] / self.size[axis]
        points = (centres - geometry.offset[axis]) * geometry.image[axis] / geometry.content[axis]
        return np.floor(points).astype(np.int64)


class Randomness:
    """Random numbers from one seed, apart from the global ones.

    Parameters
    ----------
    seed : int
        The start.
    """

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)

    def rand(self, shape: Sequence[int]) -> Tensor:
        """Return uniform numbers in [0, 1), float32, on the CPU."""
        return torch.rand(tuple(shape), generator=self.generator)

    def randn(self, shape: Sequence[int]) -> Tensor:
        """Return standard normal numbers, float32, on the CPU."""
        return torch.randn(tuple(shape), generator=self.generator)


def place_method(**description: Any) -> Callable[[Explain], Explain]:
    """Register a method that tries out what the score would be with other numbers at a place.

    The decorated function takes a :class:`Place` and the method's parameters as keywords, and returns the map (float32,
    h×w, at the place's resolution), alone or with further numbers as :class:`Measured`. It raises
    :class:`CannotExplain` where it can't serve the place.

    Parameters
    ----------
    **description
        The fields of :class:`Method`, without ``run``.

    Returns
    -------
    callable
        A decorator, which returns the function as it is.
    """

    def decorate(explain: Explain) -> Explain:
        def run(
            prediction: Prediction,
            question: Question,
            layers: Sequence[str],
            parameters: Mapping[str, Any],
            progress: Progress,
        ) -> dict[str, Answer]:
            answers: dict[str, Answer] = {}
            for index, layer in enumerate(layers):
                with progress.part(index, len(layers)):
                    try:
                        answers[layer] = explain(Place(prediction, question, layer, progress), **parameters)
                    except CannotExplain as error:
                        answers[layer] = error
            return answers

        register(Method(run=run, quick=False, **description))
        return explain

    return decorate


def at_input_only(place: Place) -> None:
    """Refuse every place but the input.

    Parameters
    ----------
    place : Place
        Where a method was asked.

    Raises
    ------
    CannotExplain
        When it is a layer.
    """
    if place.name != INPUT:
        raise CannotExplain(
            f"The method works on the image itself and can't explain the layer {place.name!r}; choose the layer "
            f"{INPUT!r}, or another method."
        )


def blurred(values: Tensor, deviation: float) -> Tensor:
    """Blur maps with a Gaussian; the border's values go on beyond it.

    Parameters
    ----------
    values : Tensor
        float, …×h×w.
    deviation : float
        Standard deviation in cells of the map; 0 changes nothing.

    Returns
    -------
    Tensor
        Of the same shape.
    """
    for axis in (-2, -1):
        matrix = _blur_matrix(values.shape[axis], deviation).to(values)
        values = matrix @ values if axis == -2 else values @ matrix.mT
    return values


def _blur_matrix(length: int, deviation: float) -> Tensor:
    """Return the matrix that blurs an axis: row i holds the weights of all cells for cell i."""
    if deviation <= 0:
        return torch.eye(length)
    radius = int(np.ceil(4 * deviation))
    offsets = torch.arange(-radius, radius + 1)
    kernel = torch.exp(-0.5 * (offsets / deviation) ** 2)
    kernel = kernel / kernel.sum()
    cells = (torch.arange(length)[:, None] + offsets[None, :]).clamp(0, length - 1)
    return torch.zeros(length, length).scatter_add_(1, cells, kernel.expand(length, -1))


def _within(positions: NDArray[np.int64], length: int) -> NDArray[np.bool_]:
    return np.asarray((positions >= 0) & (positions < length))
