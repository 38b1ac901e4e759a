"""How logits change along a direction in each channel of a layer: all of them at once by forward mode."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar

import torch
from torch import Tensor

from .errors import CannotExplain, SegscopeError

if TYPE_CHECKING:
    from .prediction import Prediction
    from .progress import Progress

__all__ = ["Along", "Derivatives", "Way", "WeightedLogits", "channel_derivatives", "random_like"]

Along: TypeAlias = Literal["mean", "activation"]
Way: TypeAlias = Literal["forward", "backward"]
Function: TypeAlias = Callable[[Tensor], Tensor]
_Given = TypeVar("_Given")
_Found = TypeVar("_Found")

# Forward and backward mode round differently; a wrong formula of an operation errs by far more than this share.
_PRECISION = {torch.float32: 1e-3, torch.float64: 1e-3}
_HALF_PRECISION = 5e-2
# The very same steps give the very same numbers, up to the order of sums.
_ROUNDING = 1e-5
# Writing a network's steps down takes about as long as so many passes more.
_WORTHWHILE = 4
# How many directions go through the written-down steps at once. They have nothing to share there: who asks meanwhile
# waits for few of them, and maps stay in the processor's cache.
_WRITTEN_AT_ONCE = 4


@dataclass(frozen=True)
class Derivatives:
    """Directional derivatives, and the way by which they were found.

    Parameters
    ----------
    values : Tensor
        float32, C×…: for each channel, the derivative of each number that was asked about.
    way : {"forward", "backward"}
        Forward mode with one pass a channel, or one backward pass a number.
    reason : str
        Why forward mode couldn't serve; empty where it did.
    """

    values: Tensor
    way: Way
    reason: str


@dataclass(frozen=True)
class WeightedLogits:
    """A score that is any weighted sum of a function of the logits, asked like a :class:`~segscope.target.Question`.

    Parameters
    ----------
    weights : Tensor
        float, of the shape of what the function returns.
    function : callable
        Takes logits 1×K×h×w.
    """

    weights: Tensor
    function: Function

    def score(self, logits: Tensor) -> Tensor:
        """Return the weighted sum.

        Parameters
        ----------
        logits : Tensor
            float, 1×K×h×w.

        Returns
        -------
        Tensor
            float, 1.
        """
        return (self.function(logits) * self.weights).sum()[None]


class _NoForwardMode(Exception):
    """Forward mode can't serve this network; the message says why."""


def channel_derivatives(
    prediction: Prediction, layer: str, function: Function, *, along: Along, progress: Progress
) -> Derivatives:
    """Return how each number that a function makes of the logits changes along a direction in each channel.

    Parameters
    ----------
    prediction : Prediction
        The image.
    layer : str
        A layer's name, or ``"input"``.
    function : callable
        Takes logits, float32, 1×K×h×w, and returns a tensor of any shape; of PyTorch's operations.
    along : {"mean", "activation"}
        In channel k: a constant of one over the number of its cells (the mean of the gradient over the channel), or
        the channel's activation (the sum of activation times gradient).
    progress : Progress
        Told of every pass; what it raises ends the work, and nothing is left behind.

    Returns
    -------
    Derivatives
        C×…, the shape that the function returns.

    Raises
    ------
    CannotExplain
        When the layer has no map, or the logits don't depend on it.
    PredictionClosed
        When the prediction was closed.

    Notes
    -----
    Whatever forward mode gives is compared with one backward pass from random weights, chunk by chunk: operations
    written by hand may have a wrong forward formula, or stop derivatives in one mode and not in the other.
    """
    activation = prediction.activation(layer)
    logits = torch.from_numpy(prediction.logits)[None].to(activation.device)
    shape = function(logits).shape
    task = _Task(prediction, layer, function, along, activation, random_like(torch.empty(shape), seed=0).to(logits))
    # Before anything else: where logits don't depend on the layer, this raises.
    _ = task.expected
    try:
        return Derivatives(_forward(task, progress), "forward", "")
    except _NoForwardMode as error:
        return Derivatives(_backward(task, progress), "backward", str(error))


def random_like(values: Tensor, *, seed: int) -> Tensor:
    """Return standard normal numbers of a tensor's shape, from a seed of their own.

    Parameters
    ----------
    values : Tensor
        Gives the shape.
    seed : int
        Start of the random numbers; the global ones are left alone.

    Returns
    -------
    Tensor
        float32, on the tensor's device; the same on every device.
    """
    drawn = torch.randn(values.shape, generator=torch.Generator().manual_seed(seed))
    return drawn.to(values.device)


@dataclass(frozen=True)
class _Task:
    """What is asked, and how a gradient answers it."""

    prediction: Prediction
    layer: str
    function: Function
    along: Along
    activation: Tensor
    probe: Tensor
    """Random weights of what the function returns."""

    @property
    def shape(self) -> torch.Size:
        """Shape of what the function returns."""
        return self.probe.shape

    @cached_property
    def expected(self) -> Tensor:
        """What one backward pass from the random weights says of each direction: C."""
        return self.of_gradient(self.gradient(self.probe))

    def directions(self, channels: Tensor) -> Tensor:
        """Return one direction for each of some channels, B×C×h×w."""
        size, height, width = self.activation.shape
        result = self.activation.new_zeros(len(channels), size, height, width)
        places = torch.arange(len(channels), device=channels.device)
        result[places, channels] = self.activation[channels] if self.along == "activation" else 1 / (height * width)
        return result

    def of_gradient(self, gradient: Tensor) -> Tensor:
        """Return what a gradient, C×h×w, says of each direction: C."""
        values = self.activation * gradient if self.along == "activation" else gradient
        return values.sum((1, 2)) if self.along == "activation" else values.mean((1, 2))

    def gradient(self, weights: Tensor) -> Tensor:
        """Return the gradient of a weighted sum, C×h×w; where there is none, say so."""
        found = self.prediction.activations_and_gradients(WeightedLogits(weights, self.function), [self.layer])
        pair = found[self.layer]
        if isinstance(pair, CannotExplain):
            raise pair
        return pair[1]

    def row(self, weights: Tensor) -> Tensor:
        """Return what one backward pass says of each direction: C; zeros where nothing depends on the layer."""
        try:
            return self.of_gradient(self.gradient(weights))
        except CannotExplain:
            return self.activation.new_zeros(len(self.activation))


def _forward(task: _Task, progress: Progress) -> Tensor:
    try:
        rerun = task.prediction.rerun(task.layer)
    except CannotExplain as error:
        raise _NoForwardMode(str(error)) from error
    # Where a channel is zero everywhere, so is its direction, and what changes along it.
    alive = task.activation.flatten(1).any(1) if task.along == "activation" else torch.ones(len(task.activation)) > 0
    channels = alive.nonzero().flatten().to(task.activation.device)
    batch = rerun.forward_batch

    def along_each(directions: Tensor) -> Tensor:
        return rerun.derivatives(directions, task.function)

    if len(channels) > _WORTHWHILE * batch:
        with suppress(_NoForwardMode):
            # It takes seconds in one piece, in which others may ask what needs no network.
            written = progress.meanwhile(lambda: _tried(rerun.linearized, task.function))
            _compare_ways(written, along_each, random_like(task.activation, seed=1)[None])
            return _in_parts(task, written, torch.split(channels, min(_WRITTEN_AT_ONCE, batch)), progress)
    return _in_parts(task, along_each, torch.split(channels, batch), progress)


def _compare_ways(written: Function, each: Function, direction: Tensor) -> None:
    """Compare the written-down steps with the network, and with themselves used again, along a random direction."""
    expected, *found = (_tried(along, direction) for along in (each, written, written))
    if not all(bool((again - expected).abs().max() <= _ROUNDING * expected.abs().max()) for again in found):
        raise _NoForwardMode("The network's steps can't be written down: it works in place.")


def _in_parts(task: _Task, along: Function, parts: Sequence[Tensor], progress: Progress) -> Tensor:
    """Work out the channels' derivatives part by part; those of channels that are in none are zero."""
    values = task.activation.new_zeros(len(task.activation), *task.shape)
    progress.expect(sum(map(len, parts)))
    for part in parts:
        rows = _tried(along, task.directions(part)).float()
        _compare(rows, task, part)
        values[part] = rows
        progress.advance(len(part))
    return values


def _tried(function: Callable[[_Given], _Found], given: _Given) -> _Found:
    try:
        return function(given)
    except SegscopeError:
        raise
    except Exception as error:
        told = " ".join(str(error).split())
        raise _NoForwardMode(
            f"An operation of the network has no forward mode ({type(error).__name__}: {told[:200]})."
        ) from error


def _compare(rows: Tensor, task: _Task, channels: Tensor) -> None:
    """Compare forward mode with the one backward pass from random weights."""
    found = rows.flatten(1) @ task.probe.flatten()
    precision = _PRECISION.get(task.prediction.model.dtype, _HALF_PRECISION)
    # Infinite and undefined numbers compare as false, and are refused as well.
    if not bool((found - task.expected[channels]).abs().max() <= precision * task.expected.abs().max()):
        raise _NoForwardMode(
            "Forward mode gives other derivatives than the backward pass: an operation of the network stops them in "
            "one of the two, or its forward formula is wrong."
        )


def _backward(task: _Task, progress: Progress) -> Tensor:
    """Ask about each number by a backward pass of its own."""
    count = task.shape.numel()
    values = task.activation.new_zeros(len(task.activation), count)
    weights = task.activation.new_zeros(count)
    progress.expect(count)
    for index in range(count):
        weights[index] = 1
        values[:, index] = task.row(weights.reshape(task.shape))
        weights[index] = 0
        progress.advance()
    return values.reshape(-1, *task.shape)
