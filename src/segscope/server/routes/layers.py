"""Small importance maps of all layers at once, for the picture of the network."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from fastapi import APIRouter, Request
from numpy.typing import NDArray

from ...attribution import Attribution, AttributionGrid
from ...geometry import resize
from ...methods import find_method
from ...prediction import Prediction
from ..errors import SlowMethod
from ..gallery import GalleryImage
from ..npy import NPZ, NpzResponse, to_npz
from ..regions import read_region
from ..schemas import LayerMap, LayersDescription, LayersRequest, to_json
from ..work import Tell
from .shared import PredictedOf, SessionOf, WorkName, binary

__all__ = ["router"]

router = APIRouter(tags=["attributions"])


@router.post(
    "/images/{image_id}/layers",
    summary="Why was it labelled so, as each layer tells it?",
    response_class=NpzResponse,
    responses=binary(
        "maps.npy: small raw maps, float32, layer×height×width, in forward order; NaN where there is none. "
        "description.json: a LayersDescription, which layers they are of.",
        NPZ,
    ),
)
async def post_layers(
    request: Request, session: SessionOf, image: PredictedOf, question: LayersRequest, work: WorkName = None
) -> NpzResponse:
    """Return how much each place of every layer mattered for one score, at a small size, from one backward pass."""
    method = find_method(question.method)
    if not method.quick:
        raise SlowMethod(
            f"{method.title} runs the network many times for each layer, which would take minutes for all of them; ask "
            "at one layer, or choose a quick method, for instance 'grad-cam'."
        )
    if session.windows(image) > 1:
        return await session.work.at_length(
            request, lambda tell: _answer(session.prediction(image), image, question, tell), name=work
        )
    return await session.work.on_network(request, lambda: _answer(session.prediction(image), image, question))


def _answer(
    prediction: Prediction, image: GalleryImage, question: LayersRequest, tell: Tell | None = None
) -> NpzResponse:
    start = time.perf_counter()
    method = find_method(question.method)
    # Names are checked by the method before they become keywords, some of which have another meaning.
    parameters: dict[str, Any] = method.check(question.parameters)
    class_ = prediction.model.classes[prediction.model.class_index(question.class_)]
    grid = prediction.explain_all(
        [class_],
        region=read_region(question.region, size=(image.height, image.width)),
        method=question.method,
        against=question.against,
        score=question.score,
        progress=tell,
        **parameters,
    )
    size = _small(prediction.size, longest=question.size)
    maps = np.full((len(prediction.layers), *size), np.nan, dtype=np.float32)
    described = [_fill(maps[row], grid, (class_, name), prediction) for row, name in enumerate(prediction.layers)]
    description = LayersDescription.model_validate(
        {
            "class": class_,
            "method": method.name,
            "signed": any(attribution.signed for attribution in grid.values()),
            "milliseconds": round((time.perf_counter() - start) * 1000, 3),
            "layers": described,
        }
    )
    return NpzResponse(to_npz({"maps": maps}, to_json(description)))


def _fill(row: NDArray[np.float32], grid: AttributionGrid, key: tuple[str, str], prediction: Prediction) -> LayerMap:
    """Put one layer's map, made small, into its row."""
    attribution: Attribution | None = grid.get(key)
    if attribution is None:
        return LayerMap(name=key[1], limit=None, reason=grid.skipped[key])
    # Not the attribution's own values, which it would keep: those of all layers of a large image don't fit together.
    values = prediction.geometry.to_image(torch.from_numpy(attribution.map))
    row[:] = resize(values, (row.shape[0], row.shape[1])).numpy()
    return LayerMap(name=key[1], limit=float(values.abs().max()), reason=None)


def _small(size: tuple[int, int], *, longest: int) -> tuple[int, int]:
    """Return the height and width with the image's proportions and this longest side."""
    height, width = (max(1, round(length * longest / max(size))) for length in size)
    return height, width
