"""The API's routes, one router a resource."""

from __future__ import annotations

from fastapi import APIRouter

from . import (
    archives,
    attributions,
    graphs,
    images,
    layers,
    model,
    predictions,
    reasons,
    sameness,
    scripts,
    statistics,
    superpixels,
    tables,
    work,
)

__all__ = ["api"]

_RESOURCES = (
    model,
    images,
    statistics,
    predictions,
    superpixels,
    graphs,
    attributions,
    work,
    sameness,
    layers,
    tables,
    reasons,
    archives,
    scripts,
)

api = APIRouter(prefix="/api")
for _resource in _RESOURCES:
    api.include_router(_resource.router)
