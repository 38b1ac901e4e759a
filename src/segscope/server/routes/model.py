"""The model: its classes and the methods that explain it."""

from __future__ import annotations

from fastapi import APIRouter, Request

from ...image import default_bands
from ...methods import all_methods
from ...methods.base import Method
from ..schemas import ClassDescription, MethodDescription, ModelDescription
from ..tables import TABLED
from .shared import SessionOf

__all__ = ["router"]

router = APIRouter(tags=["model"])


@router.get("/model", summary="The model, its classes and the methods")
async def get_model(request: Request, session: SessionOf) -> ModelDescription:
    """Return the model's name and classes, and every method with a description of its parameters."""
    if not session.model.classes:
        await session.work.on_network(request, session.learn_classes)
    pairs = enumerate(zip(session.model.classes, session.model.colors, strict=True))
    return ModelDescription(
        name=session.model.name,
        bands=session.model.bands,
        shown_bands=session.model.shown_bands or default_bands(session.model.bands or 3),
        classes=[ClassDescription(index=index, name=name, color=color) for index, (name, color) in pairs],
        methods=[_describe(method) for method in all_methods().values()],
    )


def _describe(method: Method) -> MethodDescription:
    return MethodDescription.model_validate({**vars(method), "tabled": method.name in TABLED}, from_attributes=True)
