"""Pixels told apart by why they got their label."""

from __future__ import annotations

from fastapi import APIRouter, Request

from ..npy import NPZ, NpzResponse
from ..schemas import ReasonsRequest
from .shared import PredictedOf, SessionOf, WorkName, binary

__all__ = ["router"]

router = APIRouter(tags=["attributions"])


@router.post(
    "/images/{image_id}/reasons",
    summary="Which pixels got their label for like reasons?",
    response_class=NpzResponse,
    responses=binary(
        "groups.npy: the number of each pixel's group, uint8, height×width of the image, the largest group first. "
        "outliers.npy: uint8, 1 where a pixel's reason is far from that of its segment. description.json: a "
        "ReasonsDescription.",
        NPZ,
    ),
)
async def post_reasons(
    request: Request, session: SessionOf, image: PredictedOf, question: ReasonsRequest, work: WorkName = None
) -> NpzResponse:
    """Return the map of reasons: pixels grouped by which channels of a layer speak for their label."""
    return NpzResponse(await session.reasons(request, image, question, name=work))
