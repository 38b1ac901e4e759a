"""Questions that came over the wire, put to a prediction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ..attribution import Attribution
from ..methods import find_method
from ..prediction import Prediction
from ..target import Target
from .answers import Answer
from .gallery import GalleryImage
from .regions import read_region
from .schemas import AttributionRequest

__all__ = ["explain", "renew"]


def explain(
    prediction: Prediction,
    image: GalleryImage,
    question: AttributionRequest,
    *,
    progress: Callable[[float], None] | None = None,
) -> Attribution:
    """Answer a question.

    Parameters
    ----------
    prediction : Prediction
        Of the image.
    image : GalleryImage
        Whose size the region must fit.
    question : AttributionRequest
        What came.
    progress : callable, optional
        Called with the share that is done, 0..1; what it raises ends the work.

    Returns
    -------
    Attribution
        The map.

    Raises
    ------
    SegscopeError
        As :meth:`segscope.Prediction.explain` does.
    """
    # Names are checked by the method before they become keywords, some of which have another meaning.
    parameters: dict[str, Any] = find_method(question.method).check(question.parameters)
    return prediction.explain(
        _target(image, question), layer=question.layer, method=question.method, progress=progress, **parameters
    )


def renew(prediction: Prediction, image: GalleryImage, question: AttributionRequest, answer: Answer) -> Attribution:
    """Return a question's earlier answer as if it had just been given.

    Parameters
    ----------
    prediction : Prediction
        Of the same image, by the same network.
    image, question
        As for :func:`explain`.
    answer : Answer
        What was found then.

    Returns
    -------
    Attribution
        The same map, with what it cost then.
    """
    target = _target(image, question)
    method = find_method(question.method)
    _, weights = prediction.question(target)
    values = torch.from_numpy(answer.map)
    parameters = method.check(question.parameters)
    return Attribution(prediction, target, weights, answer.layer, method, parameters, values, answer.cost)


def _target(image: GalleryImage, question: AttributionRequest) -> Target:
    region = read_region(question.region, size=(image.height, image.width))
    return Target(question.class_, region, against=question.against, score=question.score)
