"""What the network made of an image."""

from __future__ import annotations

import numpy as np
from fastapi import APIRouter, Request

from ..errors import NotFound
from ..npy import NpyResponse, to_npy
from ..schemas import ImageRecord, PredictionSummary
from ..summary import Summary
from .shared import ImageOf, PredictedOf, SessionOf, binary

__all__ = ["router"]

router = APIRouter(tags=["predictions"])


@router.get("/images/{image_id}/prediction", summary="The prediction in numbers")
async def get_prediction(request: Request, session: SessionOf, image: PredictedOf) -> PredictionSummary:
    """Return each class's share and intersection over union, the confidence, and the layers that can be explained."""
    summary: Summary = await session.work.on_network(request, lambda: session.summary(image))
    # A mask can turn out to be damaged when it is read, so the record is that of now.
    record = ImageRecord.model_validate(session.gallery.find(image.id))
    return PredictionSummary.model_validate(
        {**vars(summary), "image": record, "windows": session.windows(image)}, from_attributes=True
    )


@router.get(
    "/images/{image_id}/mask",
    summary="The predicted mask",
    response_class=NpyResponse,
    responses=binary("Class indices, uint8 or uint16, height×width."),
)
async def get_mask(request: Request, session: SessionOf, image: PredictedOf) -> NpyResponse:
    """Return the most probable class of each pixel."""

    def read() -> bytes:
        mask = session.prediction(image).mask
        return to_npy(mask.astype(np.uint8 if len(session.model.classes) <= 256 else np.uint16))

    return NpyResponse(await session.work.on_network(request, read))


@router.get(
    "/images/{image_id}/confidence",
    summary="How sure the network is",
    response_class=NpyResponse,
    responses=binary("Probability of the predicted class times 255, rounded, uint8, height×width."),
)
async def get_confidence(request: Request, session: SessionOf, image: PredictedOf) -> NpyResponse:
    """Return the probability of each pixel's predicted class; a byte each, so off by at most 0.2 %."""

    def read() -> bytes:
        confidence = session.prediction(image).confidence
        return to_npy(np.rint(confidence * 255).astype(np.uint8))

    return NpyResponse(await session.work.on_network(request, read))


@router.get(
    "/images/{image_id}/truth",
    summary="The true mask",
    response_class=NpyResponse,
    responses=binary("Class indices, uint8 or uint16, height×width; indices beyond the classes belong to none."),
)
async def get_truth(request: Request, session: SessionOf, image: ImageOf) -> NpyResponse:
    """Return the true class of each pixel."""
    truth = await session.work.on_pictures(request, lambda: session.gallery.truth(image))
    if truth is None:
        raise NotFound(f"The image {image.name!r} has no true mask.")
    known = (truth >= 0) & (truth < 2**16 - 1)
    small = np.where(known, truth, 2**16 - 1).astype(np.uint16)
    return NpyResponse(to_npy(small.astype(np.uint8) if small.max() < 2**8 else small))
