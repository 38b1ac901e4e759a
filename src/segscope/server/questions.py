"""Questions that came over the wire, put to a prediction."""

from __future__ import annotations

from typing import Any

from ..attribution import Attribution
from ..methods import find_method
from ..prediction import Prediction
from .gallery import GalleryImage
from .regions import read_region
from .schemas import AttributionRequest

__all__ = ["explain"]


def explain(prediction: Prediction, image: GalleryImage, question: AttributionRequest) -> Attribution:
    """Answer a question.

    Parameters
    ----------
    prediction : Prediction
        Of the image.
    image : GalleryImage
        Whose size the region must fit.
    question : AttributionRequest
        What came.

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
        question.class_,
        read_region(question.region, size=(image.height, image.width)),
        layer=question.layer,
        method=question.method,
        against=question.against,
        score=question.score,
        **parameters,
    )
