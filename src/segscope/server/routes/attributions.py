"""Importance maps: the answers to what a visitor asks about an image."""

from __future__ import annotations

from fastapi import APIRouter, Request

from ...attribution import Attribution
from ..npy import NpyResponse, to_npy
from ..schemas import AttributionHeader, AttributionRequest, header_text
from .shared import PredictedOf, SessionOf, WorkName, binary, header_schema

__all__ = ["HEADER", "router"]

HEADER = "X-Segscope-Attribution"

router = APIRouter(tags=["attributions"])


@router.post(
    "/images/{image_id}/attribution",
    summary="Why was it labelled so?",
    response_class=NpyResponse,
    responses=binary(
        "Raw importance of each pixel, float32, height×width.",
        headers=header_schema(HEADER, AttributionHeader, "What the map answers, as JSON in ASCII."),
    ),
)
async def post_attribution(
    request: Request, session: SessionOf, image: PredictedOf, question: AttributionRequest, work: WorkName = None
) -> NpyResponse:
    """Return how much each place of a layer mattered for the score of a class over a region, in the image's pixels."""
    return await session.answer(request, image, question, _read, name=work)


def _read(attribution: Attribution) -> NpyResponse:
    return NpyResponse(to_npy(attribution.values), headers={HEADER: header_text(_describe(attribution))})


def _describe(attribution: Attribution) -> AttributionHeader:
    height, width = attribution.map.shape
    return AttributionHeader.model_validate(
        {
            "class": attribution.class_,
            "layer": attribution.layer,
            "method": attribution.method,
            "signed": attribution.signed,
            "map_height": height,
            "map_width": width,
            "region_pixels": int((attribution.region_weights > 0).sum()),
            "score_value": attribution.score,
            "measures": attribution.measures,
            "milliseconds": round(attribution.cost.seconds * 1000, 3),
            "seconds": round(attribution.cost.seconds, 6),
            "passes": attribution.cost.passes,
        }
    )
