"""The API's routes, one router a resource."""

from __future__ import annotations

from fastapi import APIRouter

from . import archives, attributions, graphs, images, layers, model, predictions, scripts, statistics, superpixels

__all__ = ["api"]

api = APIRouter(prefix="/api")
for _resource in (model, images, statistics, predictions, superpixels, graphs, attributions, layers, archives, scripts):
    api.include_router(_resource.router)
