"""Methods that leave superpixels out: feature ablation, LIME and KernelSHAP.

Own code, for three reasons. Captum's ``KernelShap`` and ``Lime`` draw from the global random numbers, its
``KernelShap`` meets the efficiency constraint only through a large finite weight, and its ``Lime`` is by default a
Lasso, whose penalty doesn't scale with the score. The linear algebra is ten lines each: KernelSHAP is solved here with
the constraint built in, and with every coalition there is when they are few, which gives the Shapley values themselves.
Tests hold all three beside Captum's.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .base import Parameter
from .perturbed import coalition_scores
from .place import BASELINE, SEED, Place, Randomness, place_method

__all__ = ["feature_ablation", "kernel_shap", "lime", "shapley_coalitions", "shapley_values", "surrogate"]

_Array = NDArray[np.float64]

_SUPERPIXELS = Parameter(
    name="superpixels",
    kind="int",
    default=50,
    minimum=2,
    maximum=1000,
    description="About how many patches of similar colour the image is divided into.",
)

_SAMPLES = Parameter(
    name="samples",
    kind="int",
    default=300,
    minimum=10,
    maximum=20_000,
    step=10,
    description="How many random choices of patches are tried; fewer than there are patches can't tell them apart.",
)


@place_method(
    name="feature-ablation",
    family="perturbation",
    title="Feature ablation",
    summary="How much the score falls when one superpixel is taken away.",
    citation="Merrick 2019, Randomized ablation feature importance",
    url="https://arxiv.org/abs/1910.00174",
    cannot="Takes away one patch at a time: evidence that another patch holds as well doesn't show, and large patches "
    "look more important than small ones.",
    at="input",
    signed=True,
    parameters=(replace(_SUPERPIXELS, default=100), BASELINE, SEED),
)
def feature_ablation(place: Place, *, superpixels: int, baseline: str, seed: int) -> Tensor:
    """Replace one superpixel after the other, and note how much the score falls.

    Parameters
    ----------
    place : Place
        The input, or a layer, where a patch is replaced over all channels.
    superpixels : int
        About how many patches; at a coarse layer there are fewer.
    baseline : str
        What replaces a patch.
    seed : int
        Of the noise, if that is the baseline.

    Returns
    -------
    Tensor
        float32, h×w, in units of the score: each cell has the fall that its whole patch causes; positive where the
        patch speaks for the class.

    Notes
    -----
    The paper permutes a feature over a dataset; for one image, as in Captum, a baseline takes the feature's place.
    """
    labels = place.superpixels(superpixels)
    patches = int(labels.max()) + 1
    coalitions = torch.cat([torch.ones(1, patches), 1 - torch.eye(patches)]).bool()
    scores = coalition_scores(place, labels, place.baseline(baseline, seed=seed), coalitions)
    return (scores[0] - scores[1:])[labels]


@place_method(
    name="kernel-shap",
    family="perturbation",
    title="KernelSHAP",
    summary="Each superpixel's Shapley value: its mean contribution over all orders in which the image could be built.",
    citation="Lundberg and Lee 2017, A unified approach to interpreting model predictions",
    url="https://arxiv.org/abs/1705.07874",
    cannot="Judges the network by images of which most is missing, which it never saw; with fewer samples than some "
    "ten a patch the values are noisy, though their sum is always right.",
    at="input",
    signed=True,
    parameters=(_SUPERPIXELS, _SAMPLES, BASELINE, SEED),
)
def kernel_shap(place: Place, *, superpixels: int, samples: int, baseline: str, seed: int) -> Tensor:
    """Fit the scores of many coalitions of superpixels by a sum over the patches that are there.

    Parameters
    ----------
    place : Place
        The input, or a layer, where a patch is replaced over all channels.
    superpixels : int
        About how many patches.
    samples : int
        The most coalitions that are tried, beside the whole image and the baseline. When there are no more than these,
        all are tried and the values are exact.
    baseline : str
        What replaces a patch.
    seed : int
        Of the coalitions, and of the noise if that is the baseline.

    Returns
    -------
    Tensor
        float32, h×w, in units of the score: each cell has the value of its whole patch; positive where the patch speaks
        for the class. The values of all patches, each counted once, add up to the score less the baseline's score.

    Notes
    -----
    The paper's Theorem 2, a weighted least-squares problem, with its two infinite weights as constraints that hold
    exactly. Coalitions are drawn by the Shapley kernel in pairs of complements (Covert and Lee 2021, Improving
    KernelSHAP, arXiv:2012.01536), which halves the noise or better. Where coalitions are too few to tell patches apart,
    the values nearest to equal shares are taken.
    """
    labels = place.superpixels(superpixels)
    patches = int(labels.max()) + 1
    coalitions, weights = shapley_coalitions(patches, samples, place.random(seed))
    ends = torch.stack([torch.ones(patches), torch.zeros(patches)]).bool()
    scores = coalition_scores(
        place, labels, place.baseline(baseline, seed=seed), torch.cat([ends, torch.from_numpy(coalitions)])
    )
    whole, none, *_ = found = scores.cpu().double().numpy()
    return _spread(shapley_values(coalitions, weights, found[2:] - none, whole - none), labels)


@place_method(
    name="lime",
    family="perturbation",
    title="LIME",
    summary="Coefficients of a linear model that mimics the score while superpixels are taken away at random.",
    citation="Ribeiro, Singh and Guestrin 2016, 'Why should I trust you?' Explaining the predictions of any classifier",
    url="https://doi.org/10.1145/2939672.2939778",
    cannot="Holds for the straight line that fits best around this image, not for the network; the kernel's width, the "
    "penalty and the seed change it, and the coefficients don't add up to the score.",
    at="input",
    signed=True,
    parameters=(
        _SUPERPIXELS,
        _SAMPLES,
        Parameter(
            name="width",
            kind="float",
            default=0.25,
            minimum=0.01,
            maximum=10.0,
            step=0.01,
            description="Width of the kernel: how near to the whole image a sample must be to count.",
        ),
        Parameter(
            name="penalty",
            kind="float",
            default=1.0,
            minimum=0.0,
            maximum=1000.0,
            step=0.1,
            description="Strength of the ridge penalty, which draws the coefficients towards zero.",
        ),
        BASELINE,
        SEED,
    ),
)
def lime(
    place: Place, *, superpixels: int, samples: int, width: float, penalty: float, baseline: str, seed: int
) -> Tensor:
    """Fit a linear model to the scores of images from which superpixels were taken at random.

    Parameters
    ----------
    place : Place
        The input, or a layer, where a patch is replaced over all channels.
    superpixels : int
        About how many patches.
    samples : int
        How many images are tried; the first is the whole one, in the others each patch is there with probability ½.
    width : float
        Of the kernel, in units of the cosine distance.
    penalty : float
        Of the ridge regression.
    baseline : str
        What replaces a patch.
    seed : int
        Of the samples, and of the noise if that is the baseline.

    Returns
    -------
    Tensor
        float32, h×w, in units of the score: each cell has its patch's coefficient; positive where the patch speaks for
        the class.

    Notes
    -----
    As in the authors' package for images: weights √exp(−d²/width²) with the cosine distance d from the whole image,
    and a ridge regression with an intercept on all patches. The paper's K-Lasso, which picks the K best patches first,
    is left out: what it drops would look as if it had no influence.
    """
    labels = place.superpixels(superpixels)
    drawn = place.random(seed).rand((samples, int(labels.max()) + 1)) < 0.5
    drawn[0] = True
    scores = coalition_scores(place, labels, place.baseline(baseline, seed=seed), drawn)
    coefficients = surrogate(drawn.numpy(), scores.cpu().double().numpy(), width=width, penalty=penalty)
    return _spread(coefficients, labels)


def shapley_coalitions(patches: int, samples: int, random: Randomness) -> tuple[NDArray[np.bool_], _Array]:
    """Choose coalitions for KernelSHAP: all of them if they are no more than the samples, else random pairs.

    Parameters
    ----------
    patches : int
        How many patches there are.
    samples : int
        The most coalitions.
    random : Randomness
        Where the numbers come from.

    Returns
    -------
    coalitions : ndarray
        bool, N×patches, neither full nor empty; each random one is followed by its complement.
    weights : ndarray
        float64, N: how much each counts.
    """
    sizes = np.arange(1, patches)
    if 2.0**patches - 2 <= samples:
        numbers = np.arange(1, 2**patches - 1)
        coalitions = (numbers[:, None] >> np.arange(patches)) % 2 == 1
        return coalitions, np.array([_kernel(int(size), patches) for size in coalitions.sum(axis=1)])
    # The kernel's share of a size is its weight times the number of coalitions of that size.
    shares = np.cumsum(1 / (sizes * (patches - sizes)))
    pairs = samples // 2
    drawn = np.searchsorted(shares / shares[-1], random.rand((pairs,)).double().numpy(), side="right")
    ranks = random.rand((pairs, patches)).argsort(dim=1).argsort(dim=1).numpy()
    chosen = ranks < sizes[np.minimum(drawn, patches - 2)][:, None]
    return np.stack([chosen, ~chosen], axis=1).reshape(-1, patches), np.ones(2 * pairs)


def _kernel(size: int, patches: int) -> float:
    """Return how much a coalition of some size counts: the Shapley kernel, up to a factor."""
    return 1 / (math.comb(patches, size) * size * (patches - size))


def shapley_values(coalitions: NDArray[np.bool_], weights: _Array, gains: _Array, total: float) -> _Array:
    """Fit gains by sums over the patches that are there, such that all patches together give the total.

    Parameters
    ----------
    coalitions : ndarray
        bool, N×M.
    weights : ndarray
        float64, N.
    gains : ndarray
        float64, N: the score of each coalition less that of the empty one.
    total : float
        The same for the full coalition.

    Returns
    -------
    ndarray
        float64, M; adds up to the total. Of all equally good fits, the one nearest to equal shares.
    """
    patches = coalitions.shape[1]
    present = coalitions.mean(axis=1)
    roots = np.sqrt(weights)
    # What is left once each patch has an equal share is fitted by deviations; with the rows' means taken out, the
    # shortest solution adds up to zero by itself, which is the constraint.
    rows = (coalitions - present[:, None]) * roots[:, None]
    deviations = np.linalg.lstsq(rows, (gains - total * present) * roots, rcond=None)[0]
    return np.asarray(total / patches + deviations - deviations.mean())


def surrogate(coalitions: NDArray[np.bool_], scores: _Array, *, width: float, penalty: float) -> _Array:
    """Return the coefficients of LIME's weighted ridge regression.

    Parameters
    ----------
    coalitions : ndarray
        bool, N×M.
    scores : ndarray
        float64, N.
    width : float
        Of the kernel.
    penalty : float
        On the sum of the squared coefficients; the intercept is free.

    Returns
    -------
    ndarray
        float64, M.
    """
    # The cosine between a choice of patches and all of them is √(share that is there).
    distances = 1 - np.sqrt(coalitions.mean(axis=1))
    weights = np.exp(-0.5 * (distances / width) ** 2)
    centre = np.average(coalitions, axis=0, weights=weights)
    rows: _Array = coalitions - centre
    gram = (rows * weights[:, None]).T @ rows + penalty * np.eye(rows.shape[1])
    right = (rows * weights[:, None]).T @ (scores - np.average(scores, weights=weights))
    # Least squares, since without a penalty few samples leave the system singular.
    return np.asarray(np.linalg.lstsq(gram, right, rcond=None)[0])


def _spread(values: _Array, labels: Tensor) -> Tensor:
    return torch.from_numpy(values).to(labels.device, torch.float32)[labels]
