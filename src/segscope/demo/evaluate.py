"""How well a network segments images: intersection over union, per class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from .dataset import LabelledImages
from .pspnet import INPUT_SIZE, PSPNetVGG16, normalise

__all__ = ["Evaluation", "confusion_matrix", "evaluate", "intersection_over_union", "predict_masks"]


def confusion_matrix(truth: Tensor, predicted: Tensor, *, classes: int) -> Tensor:
    """Count pixels by true and predicted class.

    Parameters
    ----------
    truth, predicted : Tensor, integers, any one shape
        Class indices.
    classes : int
        Number of classes K.

    Returns
    -------
    Tensor, int64, K×K
        Row: true class, column: predicted class.
    """
    pairs = truth.long().flatten() * classes + predicted.long().flatten()
    return torch.bincount(pairs, minlength=classes * classes).view(classes, classes)


def intersection_over_union(confusion: Tensor) -> Tensor:
    """Compute each class's intersection over union.

    Parameters
    ----------
    confusion : Tensor, integers, …×K×K
        From `confusion_matrix`.

    Returns
    -------
    Tensor, float64, …×K
        Range 0..1, NaN for a class that is neither true nor predicted anywhere.
    """
    counts = confusion.double()
    intersection = counts.diagonal(dim1=-2, dim2=-1)
    union = counts.sum(-1) + counts.sum(-2) - intersection
    return intersection / union


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation counted.

    Parameters
    ----------
    confusions : Tensor, int64, N×K×K
        Confusion matrix of each image.
    """

    confusions: Tensor

    @property
    def class_iou(self) -> tuple[float, ...]:
        """IoU of each class over the pixels of all images together, 0..1 or NaN."""
        return tuple(intersection_over_union(self.confusions.sum(0)).tolist())

    @property
    def mean_iou(self) -> float:
        """Mean of `class_iou` over all classes, 0..1; NaN if a class occurs nowhere."""
        return sum(self.class_iou) / len(self.class_iou)

    @property
    def image_iou(self) -> tuple[float, ...]:
        """IoU of each image, 0..1, averaged over the classes that are true in it.

        A class that is predicted only counts by what it takes from the others: as a class of its own, with an IoU of 0,
        a handful of its pixels would outweigh everything else.
        """
        true = self.confusions.sum(-1) > 0
        iou = intersection_over_union(self.confusions).where(true, torch.nan)
        return tuple(iou.nanmean(-1).tolist())

    @property
    def accuracy(self) -> float:
        """Share of pixels with the right class, 0..1."""
        return float(self.confusions.diagonal(dim1=1, dim2=2).sum() / self.confusions.sum())


@torch.no_grad()
def predict_masks(network: PSPNetVGG16, images: Tensor) -> Tensor:
    """Segment images at their own resolution.

    Parameters
    ----------
    network : PSPNetVGG16
        In evaluation mode.
    images : Tensor, uint8, B×3×H×W
        Red, green and blue.

    Returns
    -------
    Tensor, int64, B×H×W
        Class indices: the largest logit at the network input's resolution, brought to the image by the nearest pixel.
    """
    options = {"mode": "bilinear", "align_corners": False}
    inputs = functional.interpolate(images.float() / 255, INPUT_SIZE, antialias=True, **options)  # type: ignore[arg-type]
    logits = functional.interpolate(network(normalise(inputs)), INPUT_SIZE, **options)  # type: ignore[arg-type]
    masks = logits.argmax(1, keepdim=True)
    return functional.interpolate(masks.float(), images.shape[-2:], mode="nearest-exact")[:, 0].long()


def evaluate(
    network: PSPNetVGG16,
    data: LabelledImages,
    *,
    batch_size: int = 4,
    progress: Callable[[int], None] | None = None,
) -> Evaluation:
    """Compare a network's masks with the true ones, pixel by pixel at the images' resolution.

    Parameters
    ----------
    network : PSPNetVGG16
        Its mode is restored afterwards.
    data : LabelledImages
        Images and true masks.
    batch_size : int, optional
        Images at a time; does not change the result beyond rounding.
    progress : callable, optional
        Called with the number of images done since the last call.

    Returns
    -------
    Evaluation
        Counts, and the IoU that follows from them.
    """
    training = network.training
    network.eval()
    confusions = []
    try:
        for start in range(0, len(data), batch_size):
            part = slice(start, start + batch_size)
            predicted = predict_masks(network, data.images[part])
            for truth, mask in zip(data.masks[part], predicted, strict=True):
                confusions.append(confusion_matrix(truth, mask, classes=network.classes))
            if progress is not None:
                progress(len(predicted))
    finally:
        network.train(training)
    return Evaluation(torch.stack(confusions))
