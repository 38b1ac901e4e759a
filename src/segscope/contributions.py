"""What each place of a layer contributes to each logit, where logits depend on the layer place by place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .directional import WeightedLogits, random_like
from .errors import CannotExplain

if TYPE_CHECKING:
    from .prediction import Prediction

__all__ = ["pointwise_contributions"]

# A gradient that should be zero, or two maps that should be equal, may differ by this share of the largest.
_PRECISION = 1e-4
_HALF_PRECISION = 5e-2


def pointwise_contributions(prediction: Prediction, layer: str) -> Tensor:
    """Return what each place contributes to each class's logit there; :meth:`Prediction.contributions` describes it.

    Parameters
    ----------
    prediction : Prediction
        The image.
    layer : str
        The layer's name.

    Returns
    -------
    Tensor
        float32, K×h×w.

    Raises
    ------
    CannotExplain
        When a logit depends on other places of the layer than its own.
    UnknownName
        When the layer doesn't exist.
    PredictionClosed
        When the prediction was closed.
    """
    activation = prediction.activation(layer)
    logits = torch.from_numpy(prediction.logits).to(activation.device)
    if activation.shape[1:] != logits.shape[1:]:
        raise CannotExplain(
            f"The layer {layer!r} has {activation.shape[1]}×{activation.shape[2]} places and the logits have "
            f"{logits.shape[1]}×{logits.shape[2]}, so that a logit has no place of its own there; choose the layer "
            "before the classifier."
        )
    # Logits of half of the places, drawn at random, and each other half: gradients tell whether they keep apart.
    asked = random_like(logits, seed=0) * (random_like(logits[0], seed=1) > 0)
    probes = [(weights, _times_gradient(prediction, layer, weights)) for weights in (asked, asked.flip(-1))]
    for weights, found in probes:
        outside = found.masked_fill(weights.any(0), 0)
        if not bool(outside.abs().max() <= _precision(prediction) * found.abs().max()):
            raise CannotExplain(
                f"At the layer {layer!r} a logit depends on other places than its own, so that it has no contribution "
                "of one place alone; choose the layer before the classifier, or HiResCAM."
            )
    contributions = torch.stack([_of_class(prediction, layer, one) for one in _one_class_each(logits)])
    for weights, found in probes:
        error = ((weights * contributions).sum(0) - found).abs().max()
        if not bool(error <= _precision(prediction) * found.abs().max()):
            raise CannotExplain(
                f"At the layer {layer!r} the contributions don't add up to the HiResCAM map: gradients there aren't "
                "linear in the score; use HiResCAM."
            )
    return contributions


def _times_gradient(prediction: Prediction, layer: str, weights: Tensor) -> Tensor:
    """Return the HiResCAM map, signed, of a weighted sum of the logits: h×w."""
    pair = prediction.activations_and_gradients(WeightedLogits(weights, _of_one_image), [layer])[layer]
    if isinstance(pair, CannotExplain):
        raise pair
    activation, gradient = pair
    return (activation * gradient).sum(0)


def _of_class(prediction: Prediction, layer: str, weights: Tensor) -> Tensor:
    try:
        return _times_gradient(prediction, layer, weights)
    except CannotExplain:  # this class alone doesn't depend on the layer, or the probes had failed as well
        return weights.new_zeros(weights.shape[1:])


def _one_class_each(logits: Tensor) -> Tensor:
    """Return weights that add up one class's logits each: K×K×h×w."""
    return torch.eye(len(logits)).to(logits)[:, :, None, None].expand(-1, -1, *logits.shape[1:])


def _of_one_image(logits: Tensor) -> Tensor:
    return logits[0]


def _precision(prediction: Prediction) -> float:
    return _PRECISION if prediction.model.dtype in (torch.float32, torch.float64) else _HALF_PRECISION
