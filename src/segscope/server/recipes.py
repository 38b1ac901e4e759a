"""From a question about a server's image to what makes its map elsewhere."""

from __future__ import annotations

import re

from ..errors import UnknownName
from ..layers import INPUT
from ..methods import find_method
from ..prediction import Prediction
from ..region import Region
from ..script import Recipe
from ..target import Target
from .gallery import GalleryImage
from .origin import Origin
from .regions import needs_truth, read_region
from .schemas import AttributionRequest

__all__ = ["recipe_of"]

_LONGEST_NAME = 80


def recipe_of(prediction: Prediction, image: GalleryImage, question: AttributionRequest, origin: Origin) -> Recipe:
    """Return what makes the map of a question, once it is known that the question can be asked.

    Parameters
    ----------
    prediction : Prediction
        Of the image.
    image : GalleryImage
        The image.
    question : AttributionRequest
        What came.
    origin : Origin
        Where model and image come from.

    Returns
    -------
    Recipe
        With names in place of indices.

    Raises
    ------
    SegscopeError
        When a name doesn't exist, or the region doesn't fit or is empty.
    """
    checked = find_method(question.method).check(question.parameters)
    _check_layer(prediction, question.layer)
    region = read_region(question.region, size=(image.height, image.width))
    class_ = _class_name(prediction, question.class_)
    target = Target(
        class_,
        Region.predicted(class_) if region is None else region,
        against=None if question.against is None else _class_name(prediction, question.against),
        score=question.score,
    )
    prediction.question(target)
    return Recipe(
        target=target,
        model=origin.model,
        image=origin.image(image),
        truth=origin.truth(image) if needs_truth(question.region) else None,
        layer=question.layer,
        method=question.method,
        parameters={name: checked[name] for name in question.parameters},
        notes=origin.notes(image),
        output=_file_name(class_, question.layer or question.method),
    )


def _class_name(prediction: Prediction, class_: str | int) -> str:
    return prediction.model.classes[prediction.model.class_index(class_)]


def _check_layer(prediction: Prediction, layer: str | None) -> None:
    # A module that is called more than once has a layer for each call: name, name#2, …
    modules = {name for name, _ in prediction.model.network.named_modules() if name}
    known = (INPUT, *prediction.layers)
    if layer is not None and layer not in known and layer.partition("#")[0] not in modules:
        raise UnknownName("layer", layer, known)


def _file_name(*words: str) -> str:
    """Return a name that every file system takes."""
    name = "-".join(re.sub(r"[^\w.]+", "-", word).strip("-._") for word in words)
    return f"{name[:_LONGEST_NAME].strip('-') or 'importance'}.png"
