"""Gradients at many noisy copies of the image: their mean and their variance.

Own code: each noise is drawn alone from the seed, so that the map is the same whatever batches the memory allows, and
sums are kept instead of all the gradients. Captum's NoiseTunnel uses global random numbers, and its noise isn't a share
of the image's range.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from .base import Parameter
from .place import SEED, Place, place_method

__all__ = ["smoothgrad", "vargrad"]

_SAMPLES = Parameter(
    name="samples",
    kind="int",
    default=32,
    minimum=2,
    maximum=1000,
    step=1,
    description="How many noisy copies are run.",
)
_NOISE = Parameter(
    name="noise",
    kind="float",
    default=0.15,
    minimum=0.0,
    maximum=2.0,
    step=0.05,
    description="Standard deviation of the noise, as a share of the range from the smallest to the largest value.",
)


@place_method(
    name="smoothgrad",
    family="gradient",
    title="SmoothGrad",
    summary="Saliency averaged over noisy copies of the image: where the score is sensitive, with less speckle.",
    citation="Smilkov et al. 2017, SmoothGrad: removing noise by adding noise",
    url="https://arxiv.org/abs/1706.03825",
    cannot="Shows where the score is sensitive, not what speaks for or against the class; how smooth the map is "
    "depends on the noise that was chosen.",
    at="input",
    signed=False,
    parameters=(
        _SAMPLES,
        _NOISE,
        Parameter(
            name="average",
            kind="choice",
            default="gradient",
            choices=("gradient", "absolute", "squared"),
            description="What is averaged: gradients with their signs, so that what isn't steady cancels out, their "
            "sizes, or their squares (SmoothGrad²).",
        ),
        SEED,
    ),
)
def smoothgrad(
    place: Place, *, samples: int = 32, noise: float = 0.15, average: str = "gradient", seed: int = 0
) -> Tensor:
    """Average the gradient over noisy copies of what stands at the place, and take the largest over the channels.

    Parameters
    ----------
    place : Place
        Where.
    samples : int
        How many copies.
    noise : float
        Standard deviation of the Gaussian noise, as a share of the range of all values there.
    average : {"gradient", "absolute", "squared"}
        What is averaged.
    seed : int
        Of the noise.

    Returns
    -------
    Tensor
        float32, h×w, score per unit of the input or activation (squared, for squares); zero or positive. Without noise
        it is the saliency.

    Notes
    -----
    The paper smooths maps of three-channel gradients and shows them by their absolute value; here the largest over the
    channels is the map, as for saliency. Squares are those of Hooker et al. 2019 (arXiv:1806.10758).
    """
    total = torch.zeros_like(place.values)
    for gradients in _noisy_gradients(place, samples, noise, seed):
        terms = {"gradient": gradients, "absolute": gradients.abs(), "squared": gradients.square()}[average]
        total += terms.sum(dim=0)
    return (total / samples).abs().amax(dim=0)


@place_method(
    name="vargrad",
    family="gradient",
    title="VarGrad",
    summary="Variance of the gradient over noisy copies of the image: where the network's sensitivity itself changes.",
    citation="Adebayo et al. 2018, Local explanation methods for deep neural networks lack sensitivity to parameter "
    "values",
    url="https://arxiv.org/abs/1810.03307",
    cannot="Has no sign, and leaves out whatever is steady: where the score depends on the image linearly the map is "
    "zero, however strongly.",
    at="input",
    signed=False,
    linear=False,
    parameters=(_SAMPLES, _NOISE, SEED),
)
def vargrad(place: Place, *, samples: int = 32, noise: float = 0.15, seed: int = 0) -> Tensor:
    """Return the variance of the gradient over noisy copies, the largest over the channels.

    Parameters
    ----------
    place : Place
        Where.
    samples : int
        How many copies.
    noise : float
        Standard deviation of the Gaussian noise, as a share of the range of all values there.
    seed : int
        Of the noise.

    Returns
    -------
    Tensor
        float32, h×w, squares of score per unit of the input or activation; zero or positive.

    Notes
    -----
    The variance is that of the copies themselves (their squared deviations divided by their number), as in the paper,
    which keeps the channels apart.
    """
    mean = torch.zeros_like(place.values)
    deviations = torch.zeros_like(place.values)
    count = 0
    for gradients in _noisy_gradients(place, samples, noise, seed):
        # Welford's way: sums of squares would lose the small differences.
        for gradient in gradients:
            count += 1
            difference = gradient - mean
            mean += difference / count
            deviations += difference * (gradient - mean)
    return (deviations / count).clamp(min=0).amax(dim=0)


def _noisy_gradients(place: Place, samples: int, noise: float, seed: int) -> Iterator[Tensor]:
    """Yield the gradients at noisy copies, B×C×h×w each."""
    random = place.random(seed)
    deviation = noise * (place.values.max() - place.values.min())
    for piece in place.chunks(samples):
        # Drawn one by one, for the same numbers in batches of any size.
        draws = torch.stack([random.randn(place.values.shape) for _ in range(piece.stop - piece.start)])
        yield place.gradients(place.values + deviation * draws.to(place.values))
