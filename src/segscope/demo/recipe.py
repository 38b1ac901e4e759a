"""The hyper-parameters of a training, and the schedules that follow from them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import InvalidInput

__all__ = ["Recipe"]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to train.

    The schedules are functions of the position in the training, 0 at the start and 1 at the end. It is counted in
    steps, which makes a training reproducible, or in minutes, which makes it end in time on a shared machine.

    Parameters
    ----------
    classes : int
        Number of classes.
    width : float
        Width of the network.
    seed : int
        Decides initial weights, order of images, their random changes and dropout.
    steps : int, optional
        Length in steps; instead of `minutes`.
    minutes : float, optional
        Length in minutes of wall clock, pauses between resumed runs not counted; instead of `steps`.
    batch_size : int
        Images a step.
    stages : tuple of (float, int)
        Input size in pixels up to a position; small inputs first, since a step's cost grows with the pixels.
    learning_rate : float
        Largest learning rate, of AdamW.
    weight_decay : float
        Of AdamW, on kernels only.
    warm_up : float
        Position at which the learning rate is largest.
    average_decay : float
        Share of the running average of the weights that a step keeps.
    auxiliary_weight : float
        Weight of the loss of a second head on block 4, which only training has.
    overlap_weight : float
        Weight of the soft Jaccard loss beside the cross-entropy.

    Raises
    ------
    InvalidInput
        If not exactly one of `steps` and `minutes` is given, or the stages don't rise to position 1.
    """

    classes: int = 6
    width: float = 0.5
    seed: int = 0
    steps: int | None = None
    minutes: float | None = None
    batch_size: int = 8
    stages: tuple[tuple[float, int], ...] = ((0.3, 112), (0.55, 160), (0.75, 192), (1.0, 224))
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.02
    warm_up: float = 0.06
    average_decay: float = 0.995
    auxiliary_weight: float = 0.3
    overlap_weight: float = 1.0

    def __post_init__(self) -> None:
        length = [value for value in (self.steps, self.minutes) if value is not None]
        if len(length) != 1 or not length[0] > 0:
            raise InvalidInput(
                f"steps is {self.steps} and minutes {self.minutes}; expected one of them, above 0, and not both."
            )
        ends = [end for end, _ in self.stages]
        if not ends or ends != sorted(ends) or ends[-1] != 1:
            raise InvalidInput(f"The stages end at {ends}; expected rising positions of which the last is 1.")
        if self.batch_size < 2:
            raise InvalidInput(f"batch_size is {self.batch_size}; batch norm needs at least 2 images.")

    def position(self, *, steps: int, seconds: float) -> float:
        """Return how much of the training is done, 0..1.

        Parameters
        ----------
        steps : int
            Steps taken.
        seconds : float
            Time spent.

        Returns
        -------
        float
            Range 0..1.
        """
        done = steps / self.steps if self.steps is not None else seconds / (60 * (self.minutes or 1))
        return min(1.0, done)

    def size_at(self, position: float) -> int:
        """Return the input's height and width in pixels at a position 0..1."""
        return next(size for end, size in self.stages if position <= end)

    def learning_rate_at(self, position: float) -> float:
        """Return the learning rate: a linear rise, then half a cosine to nearly 0.

        Parameters
        ----------
        position : float
            How much of the training is done, 0..1.

        Returns
        -------
        float
            Above 0, at most `learning_rate`.

        Notes
        -----
        Smith and Topin 2017, arXiv:1708.07120 (one cycle); Loshchilov and Hutter 2016, arXiv:1608.03983 (cosine).
        """
        if position < self.warm_up:
            return self.learning_rate * (0.05 + 0.95 * position / self.warm_up)
        fall = (position - self.warm_up) / (1 - self.warm_up)
        return self.learning_rate * (0.002 + 0.998 * 0.5 * (1 + math.cos(math.pi * fall)))

    def to_dict(self) -> dict[str, Any]:
        """Return the hyper-parameters as JSON can hold them."""
        return {**dataclasses.asdict(self), "stages": [list(stage) for stage in self.stages]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """Return the recipe that `to_dict` described."""
        return cls(**{**values, "stages": tuple((end, size) for end, size in values["stages"])})
