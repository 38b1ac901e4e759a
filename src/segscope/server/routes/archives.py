"""The numbers behind a map, as one file."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from ...attribution import Attribution
from ..schemas import AttributionRequest
from .shared import PredictedOf, SessionOf, WorkName, binary

__all__ = ["router"]

NPZ = "application/x-npz"

router = APIRouter(tags=["attributions"])


@router.post(
    "/images/{image_id}/archive",
    summary="A map with all its numbers",
    response_class=Response,
    responses=binary("An NPZ file with values, map, region, mask and provenance.", NPZ),
)
async def post_archive(
    request: Request, session: SessionOf, image: PredictedOf, question: AttributionRequest, work: WorkName = None
) -> Response:
    """Return the file that `segscope explain -o map.npz` writes; numpy.load reads it."""
    return Response(await session.answer(request, image, question, Attribution.to_npz, name=work), media_type=NPZ)
