"""What several resources need."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Header, Path, Request
from pydantic import BaseModel

from ..gallery import GalleryImage
from ..npy import NPY
from ..session import Session

__all__ = ["WORK_PATTERN", "ImageOf", "SessionOf", "WorkName", "binary", "find_image", "header_schema", "session_of"]


def session_of(request: Request) -> Session:
    """Return what all visitors of the server share."""
    session: Session = request.app.state.session
    return session


SessionOf = Annotated[Session, Depends(session_of)]


def find_image(
    session: SessionOf, image_id: Annotated[str, Path(description="The image's opaque id.")]
) -> GalleryImage:
    """Return the image that the address names."""
    return session.gallery.find(image_id)


ImageOf = Annotated[GalleryImage, Depends(find_image)]

WORK_PATTERN = "^[0-9a-f]{32}$"
"""Names of work are as hard to guess as 128 bits, as long as who asks draws them at random."""

WorkName = Annotated[
    str | None,
    Header(
        alias="X-Segscope-Work",
        pattern=WORK_PATTERN,
        description="A random name, 32 hexadecimal digits: /api/work tells by it how far an answer is that takes long.",
    ),
]


async def predict_image(request: Request, session: SessionOf, image: ImageOf, work: WorkName = None) -> GalleryImage:
    """Return the image that the address names, predicted already where that takes long."""
    await session.ready(request, image, name=work)
    return image


PredictedOf = Annotated[GalleryImage, Depends(predict_image)]


def binary(description: str, *media_types: str, **further: Any) -> dict[int | str, dict[str, Any]]:
    """Describe a response that isn't JSON, for the schema.

    Parameters
    ----------
    description : str
        What it holds.
    *media_types : str
        ``application/x-npy`` when none is given.
    **further
        Other fields of an OpenAPI response.

    Returns
    -------
    dict
        For the ``responses`` of a route.
    """
    content = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in media_types or (NPY,)}
    return {200: {"description": description, "content": content, **further}}


def header_schema(name: str, model: type[BaseModel], description: str) -> dict[str, Any]:
    """Describe a header that holds JSON, for the schema.

    Parameters
    ----------
    name : str
        Of the header.
    model : type
        The shape of what it holds.
    description : str
        What that is.

    Returns
    -------
    dict
        For the ``headers`` of :func:`binary`.
    """
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {name: {"description": description, "content": {"application/json": {"schema": schema}}}}
