"""What makes a map again: Python lines, and the command."""

from __future__ import annotations

from fastapi import APIRouter, Request

from ..gallery import GalleryImage
from ..recipes import recipe_of
from ..schemas import AttributionRequest, Script
from ..session import Session
from .shared import PredictedOf, SessionOf

__all__ = ["router"]

router = APIRouter(tags=["attributions"])


@router.post("/images/{image_id}/script", summary="The Python lines that make a map")
async def post_script(request: Request, session: SessionOf, image: PredictedOf, question: AttributionRequest) -> Script:
    """Return a script that makes the map which the same question gets, and the command line where one can say it."""
    return await session.work.on_network(request, lambda: _answer(session, image, question))


def _answer(session: Session, image: GalleryImage, question: AttributionRequest) -> Script:
    recipe = recipe_of(session.prediction(image), image, question, session.origin)
    origin = session.origin
    command = None
    if origin.source is not None and origin.has_path(image):
        command = recipe.command(
            model=origin.source,
            image=str(origin.path(image)),
            weights=origin.weights,
            windows=origin.windows,
            classes=origin.classes_file,
            bands=origin.shown_bands,
        )
    return Script(python=recipe.python(), command=command)
