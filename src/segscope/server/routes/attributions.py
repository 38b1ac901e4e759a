"""Importance maps: the answers to what a visitor asks about an image."""

from __future__ import annotations

import time

from fastapi import APIRouter, Request

from ...attribution import Attribution
from ..gallery import GalleryImage
from ..npy import NpyResponse, to_npy
from ..questions import explain
from ..schemas import AttributionHeader, AttributionRequest, header_text
from ..session import Session
from .shared import ImageOf, SessionOf, binary, header_schema

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
    request: Request, session: SessionOf, image: ImageOf, question: AttributionRequest
) -> NpyResponse:
    """Return how much each place of a layer mattered for the score of a class over a region, in the image's pixels."""
    return await session.work.on_network(request, lambda: _answer(session, image, question))


def _answer(session: Session, image: GalleryImage, question: AttributionRequest) -> NpyResponse:
    prediction = session.prediction(image)
    start = time.perf_counter()
    attribution = explain(prediction, image, question)
    body = to_npy(attribution.values)
    header = _describe(attribution, milliseconds=(time.perf_counter() - start) * 1000)
    return NpyResponse(body, headers={HEADER: header_text(header)})


def _describe(attribution: Attribution, *, milliseconds: float) -> AttributionHeader:
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
            "milliseconds": round(milliseconds, 3),
        }
    )
