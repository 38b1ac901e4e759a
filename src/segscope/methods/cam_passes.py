"""Class activation maps whose channels are weighted by running the network again for each."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import CannotExplain
from ..geometry import resize
from ..layers import INPUT
from .base import Parameter
from .cam import RELU, weighted
from .place import BASELINE, SEED, Place, place_method

__all__ = ["ablation_cam", "score_cam"]

_CHANNELS = Parameter(
    name="channels",
    kind="int",
    default=0,
    minimum=0,
    maximum=100_000,
    step=1,
    description="How many channels are tried, those of the largest mean absolute value; 0 is all. Each costs a pass "
    "through the network.",
)


@place_method(
    name="score-cam",
    family="cam",
    title="Score-CAM",
    summary="Channels weighted by the score of the image when only what each channel marks is left to see.",
    citation="Wang et al. 2020, Score-CAM: Score-weighted visual explanations for convolutional neural networks",
    url="https://doi.org/10.1109/CVPRW50498.2020.00020",
    cannot="The softmax over the channels hides how much the score changed: all channels count, nearly the same where "
    "their scores are close; and images with most of their content gone are unlike any that the network knows.",
    at="layer",
    signed=False,
    parameters=(
        RELU,
        _CHANNELS,
        Parameter(
            name="weighting",
            kind="choice",
            default="softmax",
            choices=("softmax", "increase"),
            description="Weights are the softmax of the scores over the channels, or each score's increase over that "
            "of the baseline.",
        ),
        BASELINE,
        SEED,
    ),
    linear=False,
)
def score_cam(
    place: Place,
    *,
    relu: bool = True,
    channels: int = 0,
    weighting: str = "softmax",
    baseline: str = "zero",
    seed: int = 0,
) -> Tensor:
    """Weight each channel by the score of the input masked with it, and add the channels up.

    Parameters
    ----------
    place : Place
        The layer.
    relu : bool
        Set negative values to zero, as the paper does.
    channels : int
        How many channels are tried; 0 is all of them.
    weighting : {"softmax", "increase"}
        Softmax of the scores over the channels, as in the paper's algorithm, or the score's increase over the
        baseline's (the paper's definition 3), which keeps its size and sign.
    baseline : {"zero", "mean", "blur", "noise"}
        What stands at the input where a mask is zero.
    seed : int
        Of the noise.

    Returns
    -------
    Tensor
        float32, h×w. With softmax in units of the activation; with increases in units of the activation times the
        score's. Positive where the layer is active for the class.

    Raises
    ------
    CannotExplain
        When every channel is the same everywhere, so that none can mask the image.

    Notes
    -----
    Masks are the channels, brought to the size of the input bilinearly and then to 0..1. A channel that is the same
    everywhere makes no mask: its weight is zero, and it has no part in the softmax. The baseline's score, which the
    paper takes off each score, cancels in the softmax.
    """
    varied = (place.values.amax(dim=(1, 2)) > place.values.amin(dim=(1, 2))).nonzero().flatten()
    if not len(varied):
        raise CannotExplain(
            f"Every channel of the layer {place.name!r} is the same everywhere, so that Score-CAM can't mask the image "
            "with any; choose a layer of higher resolution, or another method."
        )
    values = _most_active(place.values[varied], channels)[1]
    image = place.at(INPUT)
    absent = image.baseline(baseline, seed=seed)
    # The baseline's own score comes last in the row, behind those of the masks.
    masks = torch.cat([values, values.new_zeros(1, *place.size)]) if weighting == "increase" else values
    scores = torch.cat(
        [
            image.score(torch.lerp(absent, image.values, _unit(resize(masks[part], image.size))[:, None]))
            for part in image.chunks(len(masks))
        ]
    )
    weights = scores[:-1] - scores[-1] if weighting == "increase" else torch.softmax(scores, dim=0)
    return weighted(values, weights, relu=relu)


@place_method(
    name="ablation-cam",
    family="cam",
    title="Ablation-CAM",
    summary="Channels weighted by how much the score falls when each is taken out: no gradient decides.",
    citation="Desai and Ramaswamy 2020, Ablation-CAM: Visual explanations for deep convolutional network via "
    "gradient-free localization",
    url="https://doi.org/10.1109/WACV45572.2020.9093360",
    cannot="Takes out one channel at a time, so that channels which stand in for each other seem not to matter; and "
    "one weight for a whole channel loses where in it the evidence is.",
    at="layer",
    signed=False,
    parameters=(RELU, _CHANNELS, BASELINE, SEED),
)
def ablation_cam(
    place: Place, *, relu: bool = True, channels: int = 0, baseline: str = "zero", seed: int = 0
) -> Tensor:
    """Weight each channel by how much the score falls without it, and add the channels up.

    Parameters
    ----------
    place : Place
        The layer.
    relu : bool
        Set negative values to zero, as the paper does.
    channels : int
        How many channels are tried; 0 is all of them. The others' weights are zero.
    baseline : {"zero", "mean", "blur", "noise"}
        What stands at the layer where a channel was; the paper's is zero.
    seed : int
        Of the noise.

    Returns
    -------
    Tensor
        float32, h×w, in units of the score times the activation; positive where the layer speaks for the class.

    Notes
    -----
    The paper divides each fall by the score itself. For a positive score that is the same map up to scale; a negative
    one would turn every sign, and zero has no answer. The falls are left as they are, so that the map keeps its size
    and sign for every score. A channel that is its own baseline already needs no pass: taking it out changes nothing.
    """
    absent = place.baseline(baseline, seed=seed)
    changed = (place.values != absent).flatten(1).any(dim=1).nonzero().flatten()
    chosen = changed[_most_active(place.values[changed], channels)[0]]
    whole = place.score(place.values[None])
    falls = torch.zeros_like(place.values[:, 0, 0])
    for part in place.chunks(len(chosen)):
        indices = chosen[part]
        maps = place.values.repeat(len(indices), 1, 1, 1)
        maps[torch.arange(len(indices), device=maps.device), indices] = absent[indices]
        falls[indices] = whole - place.score(maps)
    return weighted(place.values, falls, relu=relu)


def _most_active(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the indices of the channels of the largest mean absolute value, in order, and those channels."""
    order = values.abs().mean(dim=(1, 2)).argsort(descending=True, stable=True)
    chosen = order[: count or len(order)].sort().values
    return chosen, values[chosen]


def _unit(masks: Tensor) -> Tensor:
    """Bring each of B×h×w masks to 0..1; one that is the same everywhere becomes zero."""
    low, high = masks.amin(dim=(1, 2), keepdim=True), masks.amax(dim=(1, 2), keepdim=True)
    return (masks - low) / (high - low).clamp(min=torch.finfo(masks.dtype).tiny)
