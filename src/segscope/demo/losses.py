"""What training minimises: cross-entropy and overlap, at the resolution of the input."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["class_weights", "segmentation_loss", "soft_jaccard_loss"]


def class_weights(masks: Tensor, *, classes: int, exponent: float = 0.3) -> Tensor:
    """Weigh rare classes moderately more than frequent ones.

    Parameters
    ----------
    masks : Tensor, uint8, N×H×W
        Class indices.
    classes : int
        Number of classes K.
    exponent : float, optional
        0 weighs all classes alike, 1 by the inverse of their frequency.

    Returns
    -------
    Tensor, float32, K
        Weights whose mean over all pixels is 1; a class without pixels counts as one with a single pixel.
    """
    counts = torch.bincount(masks.flatten(), minlength=classes).clamp(min=1).double()
    shares = counts / counts.sum()
    weights = shares**-exponent
    return (weights / (weights * shares).sum()).float()


def segmentation_loss(logits: Tensor, masks: Tensor, *, weights: Tensor, overlap: float = 1.0) -> Tensor:
    """Compare low-resolution logits with masks: weighted cross-entropy plus soft Jaccard loss.

    Parameters
    ----------
    logits : Tensor, float32, B×K×h×w
        Brought to the masks' size bilinearly (``align_corners=False``).
    masks : Tensor, int64, B×H×W
        Class indices.
    weights : Tensor, float32, K
        Weight of each class in the cross-entropy.
    overlap : float, optional
        Weight of the soft Jaccard loss.

    Returns
    -------
    Tensor, float32, scalar
        Not negative.
    """
    full = functional.interpolate(logits, masks.shape[-2:], mode="bilinear", align_corners=False)
    log_probabilities = functional.log_softmax(full, dim=1)
    entropy = functional.nll_loss(log_probabilities, masks, weight=weights)
    return entropy + overlap * soft_jaccard_loss(log_probabilities.exp(), masks)


def soft_jaccard_loss(probabilities: Tensor, masks: Tensor) -> Tensor:
    """Compute 1 − IoU with probabilities in place of decisions, over the pixels of the whole batch.

    Parameters
    ----------
    probabilities : Tensor, float32, B×K×H×W
        Range 0..1.
    masks : Tensor, int64, B×H×W
        Class indices.

    Returns
    -------
    Tensor, float32, scalar
        Mean over the classes that are true somewhere in the batch; range 0..1.

    Notes
    -----
    Rahman and Wang 2016, doi:10.1007/978-3-319-50835-1_22, for more than two classes.
    """
    true = probabilities.new_zeros(probabilities.shape).scatter_(1, masks[:, None], 1.0)
    intersection = (probabilities * true).sum(dim=(0, 2, 3))
    present = true.sum(dim=(0, 2, 3))
    union = probabilities.sum(dim=(0, 2, 3)) + present - intersection
    return 1 - (intersection / union.clamp(min=1e-6))[present > 0].mean()
