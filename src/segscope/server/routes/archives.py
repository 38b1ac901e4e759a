"""The numbers behind a map, as one file."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from ..questions import explain
from ..schemas import AttributionRequest
from .shared import ImageOf, SessionOf, binary

__all__ = ["router"]

NPZ = "application/x-npz"

router = APIRouter(tags=["attributions"])


@router.post(
    "/images/{image_id}/archive",
    summary="A map with all its numbers",
    response_class=Response,
    responses=binary("An NPZ file with values, map, region, mask and provenance.", NPZ),
)
async def post_archive(request: Request, session: SessionOf, image: ImageOf, question: AttributionRequest) -> Response:
    """Return the file that `segscope explain -o map.npz` writes; numpy.load reads it."""

    def answer() -> bytes:
        return explain(session.prediction(image), image, question).to_npz()

    return Response(await session.work.on_network(request, answer), media_type=NPZ)
