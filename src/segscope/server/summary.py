"""What a prediction says in numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..layers import Layer
from ..prediction import Prediction

__all__ = ["ClassResult", "Summary", "class_iou", "summarize"]


@dataclass(frozen=True)
class ClassResult:
    """How much of an image was labelled as a class, and how well.

    Parameters
    ----------
    index : int
        Of the class.
    name : str
        Of the class.
    share : float
        Share of the image's pixels, 0..1.
    iou : float or None
        Intersection over union with the true mask, 0..1; None without a true mask, or where neither mask has the class.
    true_share : float or None
        Share of the image's pixels that truly are of the class, 0..1; None without a true mask.
    """

    index: int
    name: str
    share: float
    iou: float | None
    true_share: float | None = None


@dataclass(frozen=True)
class Summary:
    """What a prediction says in numbers.

    Parameters
    ----------
    classes : tuple of ClassResult
        One for each class.
    layers : tuple of Layer
        What can be explained, in forward order.
    default_layer : str
        The one to begin with.
    confidence : float
        Mean over the pixels of the largest class probability, 0..1.
    """

    classes: tuple[ClassResult, ...]
    layers: tuple[Layer, ...]
    default_layer: str
    confidence: float


def summarize(prediction: Prediction) -> Summary:
    """Return a prediction's numbers.

    Parameters
    ----------
    prediction : Prediction
        Closed or not.

    Returns
    -------
    Summary
        Shares, intersections over union where there is a true mask, layers, and confidence.
    """
    names = prediction.model.classes
    counts = np.bincount(prediction.mask.ravel(), minlength=len(names))
    ious: list[float | None] = [None] * len(names)
    true_shares: list[float | None] = [None] * len(names)
    if prediction.truth is not None:
        ious = class_iou(prediction.truth, prediction.mask, classes=len(names))
        true_shares = _shares(prediction.truth, classes=len(names))
    classes = tuple(
        ClassResult(index, name, int(counts[index]) / prediction.mask.size, ious[index], true_shares[index])
        for index, name in enumerate(names)
    )
    confidence = float(prediction.confidence.mean(dtype=np.float64))
    return Summary(classes, tuple(prediction.layers.values()), prediction.default_layer, confidence)


def class_iou(truth: NDArray[np.int32], mask: NDArray[np.int32], *, classes: int) -> list[float | None]:
    """Return the intersection over union of each class.

    Pixels whose true index is none of the classes count for none of them.

    Parameters
    ----------
    truth, mask : ndarray
        int32, H×W: true and predicted class indices.
    classes : int
        How many classes there are.

    Returns
    -------
    list of float or None
        0..1 for each class; None where neither mask has it.
    """
    known = (truth >= 0) & (truth < classes)
    pairs = truth[known].astype(np.int64) * classes + mask[known]
    confusion = np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)
    both = confusion.diagonal()
    either = confusion.sum(axis=0) + confusion.sum(axis=1) - both
    return [int(both[index]) / int(either[index]) if either[index] else None for index in range(classes)]


def _shares(truth: NDArray[np.int32], *, classes: int) -> list[float | None]:
    known = truth[(truth >= 0) & (truth < classes)]
    return [int(count) / truth.size for count in np.bincount(known, minlength=classes)]
