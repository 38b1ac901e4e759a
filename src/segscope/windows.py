"""How an image that is larger than a network takes is cut into overlapping windows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .errors import InvalidInput, shown

__all__ = ["Cut", "Span", "Window", "Windows"]

_LARGEST_OVERLAP = 0.9


class Span(NamedTuple):
    """A window along one axis of the image.

    Parameters
    ----------
    start, stop : int
        Its pixels, ``start`` to ``stop - 1``.
    share : Tensor
        float32, one number a pixel, above 0 and up to 1: how much the window counts there. Over all windows the shares
        of a pixel add up to one.
    """

    start: int
    stop: int
    share: Tensor

    @property
    def pixels(self) -> slice:
        """Where it is."""
        return slice(self.start, self.stop)


class Window(NamedTuple):
    """A part of the image that the network sees at once.

    Parameters
    ----------
    rows, columns : Span
        Where it is.
    """

    rows: Span
    columns: Span

    @property
    def box(self) -> tuple[slice, slice]:
        """Its pixels, as an index of an array H×W."""
        return self.rows.pixels, self.columns.pixels

    @property
    def share(self) -> Tensor:
        """float32, h×w, 0..1: how much the window counts at each of its pixels."""
        return self.rows.share[:, None] * self.columns.share[None, :]


@dataclass(frozen=True)
class Windows:
    """How large images are cut: into windows of one size, which overlap, the last ones flush with the image's edges.

    The network sees each window as if it were an image. Where windows overlap, the logits are their mean, weighted by
    a ramp that rises from each window's edge over the width of the overlap.

    Parameters
    ----------
    size : int or (int, int)
        Height and width of a window, in pixels of the image; one number means a square. An axis on which the image is
        smaller has one window. Choose what the network was trained on.
    overlap : float
        Which share of its height and width a window has in common with the next one at least, 0..0.9.

    Raises
    ------
    InvalidInput
        When the size isn't a positive whole number, or the overlap lies outside its range.

    Examples
    --------
    >>> cut = Windows(64, overlap=0.25).cut((100, 64))
    >>> [(window.rows.start, window.rows.stop) for window in cut.windows]
    [(0, 64), (36, 100)]
    """

    size: int | tuple[int, int]
    overlap: float = 0.25

    def __post_init__(self) -> None:
        sides = self.size if isinstance(self.size, (tuple, list)) else (self.size, self.size)
        whole = [side for side in sides if isinstance(side, (int, np.integer)) and not isinstance(side, bool)]
        if len(sides) != 2 or len(whole) != 2 or min(whole) < 1:
            raise InvalidInput(
                f"The size of the windows is {shown(self.size)}; expected a positive whole number or (height, width)."
            )
        number = isinstance(self.overlap, (int, float)) and not isinstance(self.overlap, bool)
        if not number or not 0 <= self.overlap <= _LARGEST_OVERLAP:
            raise InvalidInput(
                f"The overlap of the windows is {shown(self.overlap)}; expected a share from 0 to {_LARGEST_OVERLAP}."
            )

    def cut(self, image: tuple[int, int]) -> Cut:
        """Cut an image.

        Parameters
        ----------
        image : (int, int)
            Its height and width in pixels.

        Returns
        -------
        Cut
            Its windows; a single one where the image isn't larger.
        """
        sides = self.size if isinstance(self.size, (tuple, list)) else (self.size, self.size)
        rows, columns = (self._spans(length, min(side, length)) for length, side in zip(image, sides, strict=True))
        return Cut(image, tuple(Window(row, column) for row in rows for column in columns))

    def _spans(self, length: int, side: int) -> list[Span]:
        step = max(1, round(side * (1 - self.overlap)))
        count = math.ceil((length - side) / step) + 1
        starts = [min(index * step, length - side) for index in range(count)]
        centres = torch.arange(side, dtype=torch.float64) + 0.5
        ramp = torch.minimum(centres, side - centres).clamp(max=max(0.5, side - step))
        total = torch.zeros(length, dtype=torch.float64)
        for start in starts:
            total[start : start + side] += ramp
        return [Span(start, start + side, (ramp / total[start : start + side]).float()) for start in starts]


@dataclass(frozen=True)
class Cut:
    """An image's windows.

    Parameters
    ----------
    image : (int, int)
        Height and width of the image in pixels.
    windows : tuple of Window
        From the top left, row by row; all of one size.
    """

    image: tuple[int, int]
    windows: tuple[Window, ...]

    @cached_property
    def size(self) -> tuple[int, int]:
        """Height and width of each window in pixels."""
        rows, columns = self.windows[0].box
        return rows.stop - rows.start, columns.stop - columns.start

    def over(self, rows: slice) -> Iterator[Window]:
        """Give the windows that show some of these rows.

        Parameters
        ----------
        rows : slice
            ``start`` to ``stop - 1``.

        Returns
        -------
        iterator of Window
            In their order.
        """
        return (window for window in self.windows if window.rows.start < rows.stop and rows.start < window.rows.stop)
