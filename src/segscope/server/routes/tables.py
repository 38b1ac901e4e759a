"""Every pixel of every class at once, at one layer."""

from __future__ import annotations

from fastapi import APIRouter, Request

from ..npy import NPZ, NpzResponse
from ..schemas import TableRequest
from .shared import PredictedOf, SessionOf, WorkName, binary

__all__ = ["router"]

router = APIRouter(tags=["attributions"])


@router.post(
    "/images/{image_id}/table",
    summary="Every pixel of every class at once",
    response_class=NpzResponse,
    responses=binary(
        "What answers every question at a layer without the network. For a method of weights: values.npy, float16, "
        "channel×class×height×width of the logits, and activation.npy, float16, channel×height×width of the layer; "
        "scales.npy and activation_scales.npy, float32, are what each channel was multiplied by. For a method of "
        "contributions: values.npy, float32, class×height×width. Both: logits.npy, float32, class×height×width; and "
        "description.json, a TableDescription.",
        NPZ,
    ),
)
async def post_table(
    request: Request, session: SessionOf, image: PredictedOf, question: TableRequest, work: WorkName = None
) -> NpzResponse:
    """Return the derivative of every logit by every channel, from which any class, region and contrast is a sum."""
    return NpzResponse(await session.table(request, image, question, name=work))
