"""The app: routes, checks and limits around one session."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from ..model import SegmentationModel
from .errors import add_error_handlers
from .gallery import Gallery
from .limits import BodyLimit, HeadAsGet
from .origin import Origin
from .page import Page
from .routes import api
from .schemas import AttributionHeader, ErrorBody, LayersDescription, ReasonsDescription, TableDescription
from .security import Access, Guard, SecurityHeaders
from .session import DEFAULT_MEMORY, Session

__all__ = ["create_app"]

_COMPONENTS = "#/components/schemas/{model}"
# FastAPI would give a failure the media type of the route's success.
_FAILURE = {"application/json": {"schema": {"$ref": _COMPONENTS.format(model=ErrorBody.__name__)}}}
_FAILURES: dict[int | str, dict[str, Any]] = {
    "4XX": {"content": _FAILURE, "description": "A fault of the request; the message says what to do."},
    "5XX": {"content": _FAILURE, "description": "A fault of the server."},
}


def create_app(
    model: SegmentationModel,
    gallery: Gallery,
    *,
    memory: int = DEFAULT_MEMORY,
    origin: Origin | None = None,
    access: Access | None = None,
    page: Page | None = None,
) -> FastAPI:
    """Return the explorer's server: the API over a model and its images, and the page.

    Parameters
    ----------
    model : SegmentationModel
        The network that answers; all visitors share it.
    gallery : Gallery
        The images to choose from.
    memory : int
        Bytes that predictions, answers and batches of passes may take together.
    origin : Origin, optional
        Where model and images come from, for the scripts that visitors get; they came as objects otherwise.
    access : Access, optional
        Who may ask; anyone on this machine otherwise.
    page : Page, optional
        The page's files; those that come with segscope otherwise.

    Returns
    -------
    FastAPI
        An ASGI application.

    Raises
    ------
    InvalidInput
        When the bound of memory isn't positive.
    """
    session = Session(model, gallery, memory=memory, origin=origin)
    access = access or Access()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:  # noqa: ARG001  # FastAPI's signature
        session.begin()
        yield
        session.close()

    app = FastAPI(
        title="segscope",
        summary="Why did a segmentation network label these pixels so?",
        version=_version(),
        # The documentation pages that come with FastAPI load their scripts from another host.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses=_FAILURES,
        lifespan=lifespan,
    )
    app.state.session = session
    app.include_router(api)
    app.router.default = page or Page()
    add_error_handlers(app, access.headers)
    # The last one added is the first that a request meets.
    app.add_middleware(BodyLimit)
    app.add_middleware(HeadAsGet)
    app.add_middleware(Guard, access=access)
    app.add_middleware(SecurityHeaders, headers=access.headers)
    _complete_schema(app)
    return app


def _complete_schema(app: FastAPI) -> None:
    """Add the shapes that FastAPI doesn't find by itself to the schema: of failures, and of what describes maps."""
    generate = app.openapi
    sent: list[tuple[type[BaseModel], JsonSchemaMode]] = [
        (AttributionHeader, "serialization"),
        (LayersDescription, "serialization"),
        (TableDescription, "serialization"),
        (ReasonsDescription, "serialization"),
        (ErrorBody, "serialization"),
    ]
    _, found = models_json_schema(sent, ref_template=_COMPONENTS)

    def openapi() -> dict[str, Any]:
        schema = generate()
        schema["components"]["schemas"].update(found["$defs"])
        return schema

    # The way that FastAPI's documentation gives.
    app.openapi = openapi  # type: ignore[method-assign]


def _version() -> str:
    try:
        return version("segscope")
    except PackageNotFoundError:
        return "0+unknown"
