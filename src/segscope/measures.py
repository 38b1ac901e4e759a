"""Numbers that sum up an importance map: where it lies, how sparse it is, how far it spreads."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["correlation", "gini", "rank_correlation", "ranks", "share_of_classes", "share_on", "spread"]


def share_on(values: ArrayLike, weights: ArrayLike) -> float:
    """Return the share of the positive importance that falls on some pixels.

    Parameters
    ----------
    values : array_like
        float, H×W: an importance map; only values above zero count.
    weights : array_like
        bool or float 0..1, H×W: the pixels.

    Returns
    -------
    float
        0..1; NaN where no value is above zero.

    Examples
    --------
    >>> share_on([[3, 1], [-5, 0]], [[1, 0], [1, 0]])
    0.75
    """
    positive = _positive(values)
    total = float(positive.sum())
    return float((positive * np.asarray(weights, dtype=np.float64)).sum() / total) if total > 0 else float("nan")


def share_of_classes(values: ArrayLike, mask: ArrayLike, *, classes: int) -> NDArray[np.float64]:
    """Return the share of the positive importance that falls on each class's pixels.

    Parameters
    ----------
    values : array_like
        float, H×W: an importance map; only values above zero count.
    mask : array_like
        int, H×W: class indices; those below zero or beyond the classes belong to none.
    classes : int
        How many classes there are.

    Returns
    -------
    ndarray
        float64, K, 0..1: adds up to one where every pixel belongs to a class; all NaN where no value is above zero.

    Examples
    --------
    >>> share_of_classes([[3, 1], [-5, 0]], [[0, 1], [1, 2]], classes=3)
    array([0.75, 0.25, 0.  ])
    """
    positive, labels = _positive(values).ravel(), np.asarray(mask).ravel()
    total = positive.sum()
    if not total > 0:
        return np.full(classes, np.nan)
    known = (labels >= 0) & (labels < classes)
    return np.asarray(np.bincount(labels[known], weights=positive[known], minlength=classes) / total, dtype=np.float64)


def gini(values: ArrayLike) -> float:
    """Return the Gini index of the magnitudes: how much of the importance few pixels hold.

    Parameters
    ----------
    values : array_like
        float, of any shape, N numbers.

    Returns
    -------
    float
        0 where all magnitudes are equal, 1 − 1/N where one pixel holds everything; NaN where all values are zero or
        there are none.

    Notes
    -----
    Hurley and Rickard 2009, Comparing measures of sparsity, doi:10.1109/TIT.2009.2027527: of sixteen measures the one
    that has all six properties wanted of a sparsity. With magnitudes c₁ ≤ … ≤ c_N it is
    1 − 2 Σ c_k/Σc · (N − k + ½)/N. It doesn't change when the map is scaled.

    Examples
    --------
    >>> gini([1, 1, 1, 1]), gini([0, 0, 0, -7])
    (0.0, 0.75)
    """
    magnitudes = np.sort(np.abs(np.asarray(values, dtype=np.float64)).ravel())
    total, count = float(magnitudes.sum()), magnitudes.size
    if not total > 0:
        return float("nan")
    weights = (count - np.arange(1, count + 1) + 0.5) / count
    return float(1 - 2 * (magnitudes / total) @ weights)


def spread(values: ArrayLike) -> float:
    """Return how far the positive importance lies from its own centre, as a share of the image's diagonal.

    Parameters
    ----------
    values : array_like
        float, H×W: an importance map; only values above zero count.

    Returns
    -------
    float
        0 where one pixel holds everything, about 0.289 (1/√12) where all of a large image is equally important, at
        most 0.5; NaN where no value is above zero.

    Notes
    -----
    The root mean square distance of the importance from its centroid, that is the root of the two second-order central
    moments of Hu 1962, Visual pattern recognition by moment invariants, doi:10.1109/TIT.1962.1057692, over the length
    of the diagonal. Pixels count as points at their centres.

    Examples
    --------
    >>> round(spread([[1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]]), 4)
    0.3606
    """
    positive = _positive(values)
    total = float(positive.sum())
    if not total > 0:
        return float("nan")
    variance = 0.0
    for axis in (0, 1):
        profile = positive.sum(axis=1 - axis) / total
        places = np.arange(len(profile))
        variance += float(profile @ (places - float(profile @ places)) ** 2)
    return float(np.sqrt(variance) / np.hypot(*positive.shape))


def ranks(values: ArrayLike) -> NDArray[np.float64]:
    """Return the rank of each value, from 1; equal values share the mean of their ranks.

    Parameters
    ----------
    values : array_like
        float, N.

    Returns
    -------
    ndarray
        float64, N.

    Examples
    --------
    >>> ranks([7, 3, 3, 9])
    array([3. , 1.5, 1.5, 4. ])
    """
    _, places, counts = np.unique(np.asarray(values).ravel(), return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts - 1) / 2)[places.ravel()], dtype=np.float64)


def rank_correlation(maps: ArrayLike) -> NDArray[np.float64]:
    """Return Spearman's rank correlation of each pair of maps.

    Parameters
    ----------
    maps : array_like
        float, n×P: one map a row.

    Returns
    -------
    ndarray
        float64, n×n, −1..1, symmetric; NaN in the row and column of a map that is the same everywhere but for
        rounding (a millionth of its largest magnitude).

    Notes
    -----
    Spearman 1904, The proof and measurement of association between two things, doi:10.2307/1412159. Equal values,
    which maps without negative values are full of, share their mean rank.

    Examples
    --------
    >>> rank_correlation([[1, 2, 3], [2, 4, 9], [3, 2, 1]]).tolist()
    [[1.0, 1.0, -1.0], [1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]]
    """
    values = np.asarray(maps)
    ranked = np.stack([ranks(row) for row in values])
    ranked[_same_everywhere(values)] = 0
    return correlation(ranked)


def correlation(maps: ArrayLike) -> NDArray[np.float64]:
    """Return Pearson's correlation of each pair of maps.

    Parameters
    ----------
    maps : array_like
        float, n×P: one map a row.

    Returns
    -------
    ndarray
        float64, n×n, −1..1, symmetric; NaN in the row and column of a map that is the same everywhere but for
        rounding (a millionth of its largest magnitude).

    Examples
    --------
    >>> correlation([[1, 2, 3], [2, 4, 6], [5, 5, 5]]).round(3).tolist()
    [[1.0, 1.0, nan], [1.0, 1.0, nan], [nan, nan, nan]]
    """
    values = np.asarray(maps, dtype=np.float64)
    # Brought to one magnitude, so that the squares of tiny values don't vanish.
    largest = np.abs(values).max(axis=1, keepdims=True)
    centred = values / np.where(largest > 0, largest, 1)
    centred -= centred.mean(axis=1, keepdims=True)
    lengths = np.sqrt((centred**2).sum(axis=1, keepdims=True))
    lengths[_same_everywhere(values)] = np.nan
    unit = centred / lengths
    found = np.clip(unit @ unit.T, -1, 1)
    np.fill_diagonal(found, np.where(np.isnan(lengths[:, 0]), np.nan, 1.0))
    return np.asarray(found, dtype=np.float64)


def _same_everywhere(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Tell for each row whether its values differ by no more than rounding, which interpolation leaves behind."""
    differences = values.max(axis=1) - values.min(axis=1)
    return np.asarray(differences <= 1e-6 * np.abs(values).max(axis=1))


def _positive(values: ArrayLike) -> NDArray[np.float64]:
    return np.maximum(np.asarray(values, dtype=np.float64), 0)
