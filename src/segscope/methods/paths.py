"""Gradients added up along a path from absence to the image: maps that add up to a difference of scores.

Integrated gradients are Captum's, whose quadrature serves well and which asks for no more than a batch at once. The
other two are own code: Captum's GradientShap runs all samples at once and draws from global random numbers, so that its
memory has no bound, and there is no blurred path in Captum.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .base import Measured, Parameter
from .place import BASELINE, SEED, Place, Randomness, blurred, place_method

__all__ = ["blur_integrated_gradients", "expected_gradients", "integrated_gradients"]


def _steps(description: str) -> Parameter:
    return Parameter(name="steps", kind="int", default=32, minimum=1, maximum=1000, step=1, description=description)


@place_method(
    name="integrated-gradients",
    family="gradient",
    title="Integrated gradients",
    summary="Gradients added up on the way from a baseline to the image: what each pixel adds to the score.",
    citation="Sundararajan, Taly and Yan 2017, Axiomatic attribution for deep networks",
    url="https://arxiv.org/abs/1703.01365",
    cannot="Compares with one baseline that somebody chose: what looks like it gets no importance, whatever it means.",
    at="input",
    signed=True,
    parameters=(
        BASELINE,
        _steps("Points on the way at which the gradient is taken; more make the completeness error smaller."),
        SEED,
    ),
)
def integrated_gradients(place: Place, *, baseline: str = "zero", steps: int = 32, seed: int = 0) -> Measured:
    """Integrate the gradient along the straight line from a baseline, times the difference from it.

    Parameters
    ----------
    place : Place
        Where; at a layer these are layer integrated gradients, whose baseline is a baseline of the layer's output.
    baseline : {"zero", "mean", "blur", "noise"}
        What the path starts from.
    steps : int
        Points of the Gauss-Legendre quadrature.
    seed : int
        Of a noisy baseline.

    Returns
    -------
    Measured
        float32, h×w, in units of the score; positive for the class. It adds up to ``score_difference``, image less
        baseline, but for ``completeness_error`` (sum less difference).

    Notes
    -----
    The paper integrates by a Riemann sum; the quadrature needs fewer points for the same error. Channels are added up.
    """
    from captum.attr import IntegratedGradients

    place.progress.expect(steps + 2)
    absent = place.baseline(baseline, seed=seed)
    with torch.inference_mode(mode=False), torch.enable_grad():
        shares, error = IntegratedGradients(place.function).attribute(
            place.values[None].clone().requires_grad_(),
            absent[None],
            n_steps=steps,
            internal_batch_size=place.batch,
            return_convergence_delta=True,
        )
    shares = shares.detach()
    return Measured(
        shares[0].sum(dim=0).float(),
        {"completeness_error": float(error), "score_difference": float(shares.sum() - error.to(shares))},
    )


@place_method(
    name="expected-gradients",
    family="gradient",
    title="Expected gradients (gradient SHAP)",
    summary="Integrated gradients averaged over many random baselines, so that no single one decides.",
    citation="Erion et al. 2021, Improving performance of deep learning models with axiomatic attribution priors and "
    "expected gradients",
    url="https://doi.org/10.1038/s42256-021-00343-w",
    cannot="The baselines come from this image alone, not from a data set, and a random sample of them leaves noise in "
    "the map: the completeness error says how much.",
    at="input",
    signed=True,
    parameters=(
        Parameter(
            name="references",
            kind="choice",
            default="noise",
            choices=("noise", "shuffled"),
            description="What the baselines are: uniform noise within each channel's range, or the image's own cells "
            "in random order.",
        ),
        Parameter(
            name="samples",
            kind="int",
            default=32,
            minimum=1,
            maximum=1000,
            step=1,
            description="How many baselines, each with one point on the way to the image.",
        ),
        SEED,
    ),
)
def expected_gradients(place: Place, *, references: str = "noise", samples: int = 32, seed: int = 0) -> Measured:
    """Average gradient times difference from the baseline over random baselines and random points on the way.

    Parameters
    ----------
    place : Place
        Where.
    references : {"noise", "shuffled"}
        What the baselines are.
    samples : int
        How many.
    seed : int
        Of the baselines and points.

    Returns
    -------
    Measured
        float32, h×w, in units of the score; positive for the class. Its expected sum is ``score_difference``, the
        image's score less the baselines' mean; ``completeness_error`` is its sum less that.

    Notes
    -----
    The paper draws baselines from the training data, which aren't at hand here. The points on the way are stratified:
    one in each of as many equal parts of the way as there are samples, which has the same mean and less variance.
    """
    random = place.random(seed)
    total = torch.zeros_like(place.values)
    absent = 0.0
    for piece in place.chunks(samples, each=2):
        # Drawn one by one, for the same numbers in batches of any size.
        pairs = [
            (_reference(place, references, random), (sample + random.rand((1, 1, 1))) / samples)
            for sample in range(piece.start, piece.stop)
        ]
        drawn = torch.stack([reference for reference, _ in pairs])
        difference = place.values - drawn
        shares = torch.stack([share for _, share in pairs]).to(drawn)
        gradients = place.gradients(drawn + shares * difference)
        total += (difference * gradients).sum(dim=0)
        absent += float(place.score(drawn).sum())
    return _measured(total / samples, float(place.score(place.values[None])) - absent / samples)


@place_method(
    name="blur-integrated-gradients",
    family="gradient",
    title="Blur-integrated gradients",
    summary="Gradients added up while the image sharpens from a blur: at which places detail made the score.",
    citation="Xu, Venugopalan and Sundararajan 2020, Attribution in scale and space",
    url="https://arxiv.org/abs/2004.03383",
    cannot="Even areas, which a blur leaves as they are, get no importance, however much their colour matters.",
    at="input",
    signed=True,
    parameters=(
        Parameter(
            name="blur",
            kind="float",
            default=0.2,
            minimum=0.01,
            maximum=1.0,
            step=0.05,
            description="Standard deviation of the blur that the path starts from, as a share of the longer side.",
        ),
        _steps("Points on the way at which the gradient is taken; more make the completeness error smaller."),
    ),
)
def blur_integrated_gradients(place: Place, *, blur: float = 0.2, steps: int = 32) -> Measured:
    """Integrate the gradient along the path of less and less blurred copies.

    Parameters
    ----------
    place : Place
        Where.
    blur : float
        The largest deviation of the Gaussian, as a share of the longer side.
    steps : int
        Points on the way.

    Returns
    -------
    Measured
        float32, h×w, in units of the score; positive for the class. It adds up to ``score_difference``, image less
        blurred image, but for ``completeness_error`` (sum less difference).

    Notes
    -----
    The deviation falls as a square of the way, so that steps are small where the image sharpens fast; the integral
    doesn't depend on that. Each step is the gradient in its middle times the difference of its ends, which adds up
    without the derivative of the blur that the paper's code approximates. Beyond the border its cells go on.
    """
    deviations = [blur * max(place.size) * (1 - step / steps) ** 2 for step in range(steps + 1)]
    total = torch.zeros_like(place.values)
    for piece in place.chunks(steps):
        ends = torch.stack([blurred(place.values, sigma) for sigma in deviations[piece.start : piece.stop + 1]])
        middles = [
            blurred(place.values, (deviations[step] + deviations[step + 1]) / 2)
            for step in range(piece.start, piece.stop)
        ]
        total += ((ends[1:] - ends[:-1]) * place.gradients(torch.stack(middles))).sum(dim=0)
    start = blurred(place.values, deviations[0])
    return _measured(total, float(place.score(place.values[None])) - float(place.score(start[None])))


def _measured(shares: Tensor, difference: float) -> Measured:
    """Add the channels up, and tell how far the sum is from what it should be."""
    return Measured(
        shares.sum(dim=0),
        {"completeness_error": float(shares.double().sum()) - difference, "score_difference": difference},
    )


def _reference(place: Place, kind: str, random: Randomness) -> Tensor:
    """Return one random baseline, C×h×w."""
    if kind == "noise":
        low, high = place.values.amin(dim=(1, 2), keepdim=True), place.values.amax(dim=(1, 2), keepdim=True)
        return low + random.rand(place.values.shape).to(place.values) * (high - low)
    order = random.rand((place.size[0] * place.size[1],)).argsort().to(place.values.device)
    return place.values.flatten(1)[:, order].reshape(place.values.shape)
