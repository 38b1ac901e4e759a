"""The API's routes, one router a resource."""

from __future__ import annotations

from fastapi import APIRouter

from . import attributions, images, model, predictions

__all__ = ["api"]

api = APIRouter(prefix="/api")
for _resource in (model, images, predictions, attributions):
    api.include_router(_resource.router)
