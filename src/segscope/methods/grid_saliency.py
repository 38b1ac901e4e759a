"""Grid saliency: the least context that the region's score needs.

Own code: no library has it, and the region's score is what a :class:`Place` computes anyway.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..errors import CannotExplain
from ..geometry import resize
from .base import Parameter
from .perturbed import grid_size, mixed
from .place import BASELINE, SEED, Place, at_input_only, place_method

__all__ = ["grid_saliency"]

# The authors' momentum and learning rate, the latter for the gradient by a cell relative to its share of the context.
_RATE, _MOMENTUM = 0.2, 0.5


@place_method(
    name="grid-saliency",
    family="perturbation",
    title="Grid saliency",
    summary="The least context outside the region that keeps the region's score when all other context is taken away.",
    citation="Hoyer et al. 2019, Grid saliency for context explanations of semantic segmentation",
    url="https://arxiv.org/abs/1907.13054",
    cannot="Says nothing about the region's own pixels; of two contexts that do the same it may show either, and it "
    "leaves out context that speaks against the class.",
    at="input",
    signed=False,
    linear=False,
    parameters=(
        Parameter(
            name="grid",
            kind="int",
            default=8,
            minimum=1,
            maximum=64,
            description="Cells of the mask along the image's longer side.",
        ),
        Parameter(
            name="weight",
            kind="float",
            default=1.0,
            minimum=0.01,
            maximum=100.0,
            step=0.1,
            description="Price of context: a cell stays if its contribution is more than so many times what its area "
            "would have if the context's whole contribution were spread evenly.",
        ),
        Parameter(
            name="steps",
            kind="int",
            default=60,
            minimum=1,
            maximum=2000,
            description="Steps of the optimisation.",
        ),
        BASELINE,
        SEED,
    ),
)
def grid_saliency(place: Place, *, grid: int, weight: float, steps: int, baseline: str, seed: int) -> Tensor:
    """Find a coarse mask of the context by gradient descent.

    Parameters
    ----------
    place : Place
        The input.
    grid : int
        Cells of the mask along the longer side; the shorter one has as many as keep them square.
    weight : float
        λ: the price of keeping the whole context, in units of what the score loses without any.
    steps : int
        Of the gradient descent.
    baseline : str
        What replaces context that isn't kept.
    seed : int
        Of the noise, if that is the baseline; nothing else is random.

    Returns
    -------
    Tensor
        float32, h×w, 0..1: how much of each pixel is kept; zero in the region, which is always kept itself.

    Raises
    ------
    CannotExplain
        At a layer; and when the region is the whole image, so that there is no context.

    Notes
    -----
    The paper's loss (equations 1 to 3) is λ·‖mask‖₁ outside the region, plus what the region's pixels lose of their
    scores. Here the latter is what their mean score loses, in units of what it loses when all context is taken away,
    and the former is the mean over the context, so that the same λ serves networks with large and small scores and
    grids of every size. The descent is the authors' (from 0.5, rate 0.2, momentum 0.5), per cell's share of the
    context; of the masks on its way the one with the least loss is returned. The mask is enlarged bilinearly. One
    baseline is used, where the authors' program tries several.
    """
    at_input_only(place)
    region = place.question.weights.to(place.values) / place.question.weights.max()
    context = 1 - region
    if not bool((context > 0).any()):
        raise CannotExplain(
            "The region covers the whole image, so that there is no context to explain it by; choose a smaller region."
        )
    absent = place.baseline(baseline, seed=seed)
    place.progress.expect(steps + 2)
    whole, alone = (place.score(maps)[0] for maps in (place.values[None], mixed(place, absent, region[None])))
    scale = (whole - alone).abs().clamp(min=1e-6 * whole.abs() + 1e-12)

    def loss(mask: Tensor) -> Tensor:
        kept = context * resize(mask, place.size)
        score = place.function(mixed(place, absent, (region + kept)[None]))[0]
        return torch.relu(whole - score) / scale + weight * kept.sum() / context.sum()

    best = _descend(loss, torch.full(grid_size(place.size, grid), 0.5, device=region.device), steps)
    return context * resize(best, place.size)


def _descend(loss: Callable[[Tensor], Tensor], mask: Tensor, steps: int) -> Tensor:
    """Return the mask of the least loss on the way down."""
    best, least = mask, torch.inf
    speed = torch.zeros_like(mask)
    for _ in range(steps):
        with torch.enable_grad():
            leaf = mask.clone().requires_grad_()
            value = loss(leaf)
            (gradient,) = torch.autograd.grad(value, leaf)
        if (reached := float(value.detach())) < least:
            best, least = mask, reached
        speed = _MOMENTUM * speed + gradient * mask.numel()
        mask = (mask - _RATE * speed).clamp(0, 1)
    return best
