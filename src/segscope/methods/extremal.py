"""Extremal perturbation: the smooth mask of a given area that keeps the score highest.

Own code: the authors' program expects a classifier's output, and takes 800 steps where a page waits for the answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from ..geometry import resize
from .base import Parameter
from .perturbed import grid_size, mixed
from .place import BASELINE, SEED, Place, at_input_only, blurred, place_method

__all__ = ["area_loss", "extremal_perturbation", "smooth_mask"]

# Blurs of the pyramid, the last of them none; the strongest as a share of the longer side (20 of 224 pixels).
_LEVELS, _STRONGEST = 8, 20 / 224
# The smooth maximum is a mean weighted by exp(value / temperature).
_TEMPERATURE = 1 / 20
# Cells of the mask's parameters to one deviation of its kernel, and how many deviations the kernel reaches.
_CELLS, _REACH = 3, 2
# Steps of the descent, and how much the area counts against the score at its start and its end.
_RATE, _FIRST, _LAST = 0.1, 1.0, 100.0


@place_method(
    name="extremal-perturbation",
    family="perturbation",
    title="Extremal perturbation",
    summary="The part of the image, of a given area and with smooth borders, that alone keeps the score highest.",
    citation="Fong, Patrick and Vedaldi 2019, Understanding deep networks via extremal perturbations and smooth masks",
    url="https://arxiv.org/abs/1910.08485",
    cannot="Shows as much area as was asked for, needed or not, and says nothing of the rest; the optimisation may end "
    "in a mask that is good but not the best.",
    at="input",
    signed=False,
    linear=False,
    parameters=(
        Parameter(
            name="area",
            kind="float",
            default=0.1,
            minimum=0.01,
            maximum=0.9,
            step=0.01,
            unit="of the image",
            description="Share of the image that the mask keeps.",
        ),
        Parameter(
            name="smoothness",
            kind="float",
            default=0.09,
            minimum=0.02,
            maximum=0.3,
            step=0.01,
            unit="of the longer side",
            description="Width of the mask's borders, and about its least radius.",
        ),
        Parameter(
            name="steps",
            kind="int",
            default=80,
            minimum=10,
            maximum=2000,
            step=10,
            description="Steps of the optimisation.",
        ),
        replace(
            BASELINE,
            default="pyramid",
            choices=("pyramid", *BASELINE.choices),
            description="What stands where the mask hides: ever stronger blur the more it hides (pyramid), zero, each "
            "channel's mean, the blurred image, or uniform noise within each channel's range.",
        ),
        SEED,
    ),
)
def extremal_perturbation(
    place: Place, *, area: float, smoothness: float, steps: int, baseline: str, seed: int
) -> Tensor:
    """Find the mask by gradient ascent, with its area held by a ranking loss.

    Parameters
    ----------
    place : Place
        The input.
    area : float
        Share of the image that is kept.
    smoothness : float
        Deviation of the mask's kernel as a share of the longer side.
    steps : int
        Of the optimisation.
    baseline : str
        What stands where the mask hides.
    seed : int
        Of the start, and of the noise if that is the baseline.

    Returns
    -------
    Tensor
        float32, h×w, 0..1: how much of each pixel is kept.

    Raises
    ------
    CannotExplain
        At a layer.

    Notes
    -----
    The paper's "preserve" game for one area. The score counts in units of what it loses without the image, so that the
    same weights serve every network. Adam takes 80 steps where the paper takes 800 of stochastic gradient descent; the
    weight of the area grows geometrically, as there. The smooth maximum is taken on the grid of the mask's parameters,
    three cells to a deviation as in the authors' program, and enlarged bilinearly; the paper takes it at each pixel.
    There is no jitter, and no contrastive reward: a target with ``against`` asks for that.
    """
    at_input_only(place)
    perturb = _pyramid(place) if baseline == "pyramid" else _fade(place, place.baseline(baseline, seed=seed))
    place.progress.expect(steps + 2)
    nothing = torch.zeros(place.size, device=place.values.device)
    whole, none = (place.score(maps)[0] for maps in (place.values[None], perturb(nothing)))
    scale = (whole - none).abs().clamp(min=1e-6 * whole.abs() + 1e-12)
    cells = math.ceil(_CELLS / smoothness)
    grid = grid_size(place.size, cells)
    radius = smoothness * max(grid)
    # Equal numbers have no ranking: a little randomness makes one, which the first gradients overrule.
    start = 0.5 + 0.01 * (place.random(seed).rand(grid).to(nothing) - 0.5)
    with torch.enable_grad():
        leaf = start.requires_grad_()
        optimiser = torch.optim.Adam([leaf], lr=_RATE)
        for step in range(steps):
            mask = resize(smooth_mask(leaf, radius), place.size)
            reward = (place.function(perturb(mask))[0] - none) / scale
            balance = _FIRST * (_LAST / _FIRST) ** (step / max(1, steps - 1))
            (leaf.grad,) = torch.autograd.grad(balance * area_loss(mask, area) - reward, leaf)
            optimiser.step()
            with torch.no_grad():
                leaf.clamp_(0, 1)
    return resize(smooth_mask(leaf.detach(), radius), place.size)


def smooth_mask(parameters: Tensor, radius: float) -> Tensor:
    """Return the smooth maximum of a kernel around each parameter: the mask can't change faster than the kernel.

    Parameters
    ----------
    parameters : Tensor
        float, h×w, 0..1.
    radius : float
        Deviation σ of the kernel exp(−2·max(0, d/σ − ½)²), in cells.

    Returns
    -------
    Tensor
        float, h×w, 0..1.
    """
    reach = math.ceil(_REACH * radius)
    offsets = torch.arange(-reach, reach + 1, device=parameters.device, dtype=parameters.dtype)
    distances = (offsets[:, None] ** 2 + offsets[None, :] ** 2).sqrt() / radius
    kernel = torch.exp(-2 * (distances - 0.5).clamp(min=0) ** 2)
    around = functional.unfold(parameters[None, None], 2 * reach + 1, padding=reach)[0]
    candidates = around * kernel.reshape(-1, 1)
    weights = torch.softmax(candidates / _TEMPERATURE, dim=0)
    return (weights * candidates).sum(dim=0).reshape(parameters.shape)


def area_loss(mask: Tensor, area: float) -> Tensor:
    """Return how far a mask is from being 1 over exactly this share of its cells and 0 elsewhere.

    Parameters
    ----------
    mask : Tensor
        float, h×w, 0..1.
    area : float
        The share.

    Returns
    -------
    Tensor
        float, no axes: mean squared difference of the ranked cells to the ideal ranking (the paper's equation 4).
    """
    ranked = mask.flatten().sort().values
    ideal = torch.zeros_like(ranked)
    ideal[len(ranked) - round(area * len(ranked)) :] = 1
    return ((ranked - ideal) ** 2).mean()


def _fade(place: Place, absent: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda mask: mixed(place, absent, mask[None])


def _pyramid(place: Place) -> Callable[[Tensor], Tensor]:
    """Return what a mask leaves of the image when it blurs what it hides."""
    deviations = torch.linspace(_STRONGEST * max(place.size), 0, _LEVELS).tolist()
    levels = torch.stack([blurred(place.values, deviation) for deviation in deviations])
    numbers = torch.arange(_LEVELS, device=levels.device).reshape(-1, 1, 1)

    def perturb(mask: Tensor) -> Tensor:
        # Each pixel lies between two neighbouring levels.
        shares = (1 - (mask * (_LEVELS - 1) - numbers).abs()).clamp(min=0)
        return torch.einsum("lij,lcij->cij", shares, levels)[None]

    return perturb
