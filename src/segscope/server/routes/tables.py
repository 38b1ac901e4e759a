"""Every pixel of every class at once, at one layer."""

from __future__ import annotations

from fastapi import APIRouter, Request

from ..npy import NPZ, NpzResponse
from ..schemas import TableRequest
from .shared import ImageOf, SessionOf, WorkName, binary

__all__ = ["router"]

router = APIRouter(tags=["attributions"])


@router.post(
    "/images/{image_id}/table",
    summary="Every pixel of every class at once",
    response_class=NpzResponse,
    responses=binary(
        "What answers every question at a layer without the network. values.npy: float16, channel×class×height×width "
        "of the logits for a method of weights, class×height×width for one of contributions; scales.npy: float32, what "
        "each part of the first axis was multiplied by. activation.npy and activation_scales.npy: the layer's output "
        "likewise, for a method of weights. logits.npy: float32, class×height×width. description.json: a "
        "TableDescription.",
        NPZ,
    ),
)
async def post_table(
    request: Request, session: SessionOf, image: ImageOf, question: TableRequest, work: WorkName = None
) -> NpzResponse:
    """Return the derivative of every logit by every channel, from which any class, region and contrast is a sum."""
    return NpzResponse(await session.table(request, image, question, name=work))
