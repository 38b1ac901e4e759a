"""The network as a graph: which layer feeds which."""

from __future__ import annotations

from fastapi import APIRouter, Request

from ...prediction import Prediction
from ..schemas import LayerDescription, NetworkGraph
from .shared import PredictedOf, SessionOf

__all__ = ["router"]

router = APIRouter(tags=["predictions"])


@router.get("/images/{image_id}/graph", summary="The network's layers and what flows between them")
async def get_graph(request: Request, session: SessionOf, image: PredictedOf) -> NetworkGraph:
    """Return the layers that the image went through, in forward order, and which one feeds which."""
    return await session.work.on_network(request, lambda: _read(session.prediction(image)))


def _read(prediction: Prediction) -> NetworkGraph:
    layers = {prediction.input.name: prediction.input, **prediction.layers}
    nodes = [LayerDescription.model_validate(layer) for layer in layers.values()]
    return NetworkGraph(nodes=nodes, edges=list(prediction.edges))
