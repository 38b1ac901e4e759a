"""The map of reasons as it travels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..prediction import Prediction
from .npy import to_npz
from .schemas import ReasonsDescription, to_json

__all__ = ["encode_reasons"]


def encode_reasons(prediction: Prediction, layer: str, clusters: int, tell: Callable[[float], None] | None) -> bytes:
    """Work out which pixels got their label for like reasons.

    Parameters
    ----------
    prediction : Prediction
        The image.
    layer : str
        The layer's name, or ``"input"``.
    clusters : int
        How many groups at most.
    tell : callable, optional
        Called with the share that is done, 0..1; what it raises ends the work.

    Returns
    -------
    bytes
        A ``.npz`` file: ``groups`` and ``outliers``, uint8, H×W at the image's pixels, and a description.

    Raises
    ------
    SegscopeError
        As :meth:`Prediction.reasons` does.
    """
    reasons = prediction.reasons(layer, clusters=clusters, progress=tell)
    groups = reasons.at_image(reasons.labels).astype(np.uint8)
    outliers = reasons.at_image(reasons.outliers).astype(np.uint8)
    shares = np.bincount(groups.ravel(), minlength=reasons.clusters) / groups.size
    description = ReasonsDescription.model_validate(
        {
            "layer": layer,
            "groups": [
                {
                    "share": float(share),
                    "classes": reasons.class_shares(label),
                    "channels": [{"channel": channel, "more": more} for channel, more in reasons.top_channels(label)],
                }
                for label, share in enumerate(shares)
            ],
            "outlier_share": float(outliers.mean()),
            "way": reasons.way,
            "reason": reasons.reason,
        }
    )
    return to_npz({"groups": groups, "outliers": outliers}, to_json(description))
