"""The patches of similar colour that an image falls into."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query, Request

from ...segments import MAX_SUPERPIXELS
from ..npy import NpyResponse, to_npy
from .shared import PredictedOf, SessionOf, binary

__all__ = ["router"]

router = APIRouter(tags=["predictions"])


@router.get(
    "/images/{image_id}/superpixels",
    summary="Patches of similar colour",
    response_class=NpyResponse,
    responses=binary("The number of each pixel's patch, uint8 or uint16, height×width."),
)
async def get_superpixels(
    request: Request,
    session: SessionOf,
    image: PredictedOf,
    count: Annotated[int, Query(ge=1, le=MAX_SUPERPIXELS, description="About how many patches.")] = 200,
) -> NpyResponse:
    """Return the patches that regions of the kind ``superpixel`` choose from."""

    def read() -> bytes:
        patches = session.prediction(image).superpixels(count)
        return to_npy(patches.astype(np.uint8 if patches.max() < 2**8 else np.uint16))

    return NpyResponse(await session.work.on_network(request, read))
