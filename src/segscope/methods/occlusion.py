"""Occlusion: a window that slides over the map, and how much the score falls under it.

Own code, of twenty lines: Captum's ``Occlusion`` gives the same numbers where the windows fit (a test holds the two
together), but can't be followed or ended while it works, and cuts the last windows off at the border, so that the
border is tested with smaller windows than the rest.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from .base import Parameter
from .perturbed import scores_of
from .place import BASELINE, SEED, Place, place_method

__all__ = ["occlusion", "window_starts"]


@place_method(
    name="occlusion",
    family="perturbation",
    title="Occlusion",
    summary="How much the score falls when a window slides over the image and hides what is under it.",
    citation="Zeiler and Fergus 2014, Visualizing and understanding convolutional networks",
    url="https://doi.org/10.1007/978-3-319-10590-1_53",
    cannot="Finds only what a window of this size can hide: evidence that is there twice, or is larger than the "
    "window, hardly shows; and a hidden patch is itself something the network never saw.",
    at="input",
    signed=True,
    parameters=(
        Parameter(
            name="size",
            kind="float",
            default=0.15,
            minimum=0.01,
            maximum=1.0,
            step=0.01,
            unit="of the longer side",
            description="Side of the square window; at least one cell of the map.",
        ),
        Parameter(
            name="stride",
            kind="float",
            default=0.5,
            minimum=0.05,
            maximum=1.0,
            step=0.05,
            unit="of the window",
            description="How far the window moves each time; at least one cell of the map.",
        ),
        BASELINE,
        SEED,
    ),
)
def occlusion(place: Place, *, size: float, stride: float, baseline: str, seed: int) -> Tensor:
    """Hide one window after the other, and note how much the score falls.

    Parameters
    ----------
    place : Place
        The input, or a layer, where the window hides all channels.
    size : float
        Side of the window as a share of the map's longer side, rounded to cells.
    stride : float
        Step of the window as a share of its side, rounded to cells.
    baseline : str
        What stands in the window.
    seed : int
        Of the noise, if that is the baseline.

    Returns
    -------
    Tensor
        float32, h×w, in units of the score: the mean fall over the windows that cover the cell; positive where what
        was hidden speaks for the class.

    Notes
    -----
    The paper slides a grey square and shows the score at the square's centre; here each cell has the mean of all
    windows over it, so that the map has the place's resolution. The last window of a row or column ends at the border.
    """
    side = max(1, round(size * max(place.size)))
    sides = tuple(min(side, length) for length in place.size)
    step = max(1, round(stride * side))
    windows = [
        (slice(top, top + sides[0]), slice(left, left + sides[1]))
        for top, left in itertools.product(*map(window_starts, place.size, sides, (step, step)))
    ]
    absent = place.baseline(baseline, seed=seed)

    def hidden(part: slice) -> Tensor:
        maps = place.values.repeat(part.stop - part.start, 1, 1, 1)
        for single, (rows, columns) in zip(maps, windows[part], strict=True):
            single[:, rows, columns] = absent[:, rows, columns]
        return maps

    falls = place.score(place.values[None]) - scores_of(place, len(windows), hidden)
    total = torch.zeros(place.size, device=falls.device)
    count = torch.zeros_like(total)
    for fall, (rows, columns) in zip(falls, windows, strict=True):
        total[rows, columns] += fall
        count[rows, columns] += 1
    return total / count


def window_starts(length: int, side: int, step: int) -> list[int]:
    """Return where windows start along an axis, so that all of it is covered.

    Parameters
    ----------
    length, side, step : int
        Of the axis, the window and its movement, in cells; neither side nor step is above what comes before it.

    Returns
    -------
    list of int
        Rising, without repetition; the last window ends at the border.

    Examples
    --------
    >>> window_starts(10, 4, 3)
    [0, 3, 6]
    >>> window_starts(10, 4, 4)
    [0, 4, 6]
    """
    return [*range(0, length - side, step), length - side]
