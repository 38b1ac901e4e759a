"""Whether a map says anything about its region in particular."""

from __future__ import annotations

from collections.abc import Iterator

from fastapi import APIRouter, Request

from ...layers import INPUT
from ...methods import find_method
from ...prediction import Prediction
from ...target import Target
from ..gallery import GalleryImage
from ..regions import read_region
from ..sameness import Asked, Finding
from ..schemas import AttributionRequest, SamenessFinding
from ..session import Session
from .shared import PredictedOf, SessionOf

__all__ = ["router"]

router = APIRouter(tags=["attributions"])


@router.post("/images/{image_id}/sameness", summary="Would every region get the same map?")
async def post_sameness(
    request: Request, session: SessionOf, image: PredictedOf, question: AttributionRequest
) -> SamenessFinding:
    """Return whether it would, and what tells regions apart where this map doesn't; measured once for all regions."""
    # A backward pass at a time: others have their turn in between, and a visitor who leaves takes the rest along.
    steps = await session.work.on_network(request, lambda: _begin(session, image, question))
    found: Finding | None = None
    while found is None:
        found = await session.work.on_network(request, lambda: next(steps))
    return SamenessFinding.model_validate(found, from_attributes=True)


def _begin(session: Session, image: GalleryImage, question: AttributionRequest) -> Iterator[Finding | None]:
    if session.windows(image) > 1:
        # Each window has a map of its own, and most regions touch few of them.
        return iter([Finding(None)])
    prediction = session.prediction(image)
    region = read_region(question.region, size=(image.height, image.width))
    target = Target(question.class_, region, against=question.against, score=question.score)
    method = find_method(question.method)
    asked = Asked(target, _layer(question, prediction), method.name, method.check(question.parameters))
    return session.sameness.steps(asked, prediction, image=f"{image.id} {image.version}")


def _layer(question: AttributionRequest, prediction: Prediction) -> str:
    """Return the layer that :meth:`Prediction.explain` would take."""
    if question.layer is not None:
        return question.layer
    return INPUT if find_method(question.method).at == "input" else prediction.default_layer
