"""The images: the gallery's list, uploads, and pictures for display."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Header, Query, Request, Response
from starlette.requests import ClientDisconnect

from ...image import read_bands
from ..errors import VisitorGone, WrongType
from ..gallery import GalleryImage
from ..schemas import ImageList, ImageProblem, ImageRecord
from .shared import ImageOf, SessionOf, binary

__all__ = ["router"]

router = APIRouter(tags=["images"])

_UPLOAD_BODY = {
    "requestBody": {
        "description": "The file itself: PNG, JPEG, WebP, TIFF, BMP or .npy.",
        "required": True,
        "content": {
            kind: {"schema": {"type": "string", "format": "binary"}} for kind in ("image/*", "application/octet-stream")
        },
    }
}


@router.get("/images", summary="All images", response_model=ImageList)
def get_images(session: SessionOf) -> Response:
    """Return the images, uploads first, and the files that can't be used, with the reason."""
    listed = ImageList(
        images=[ImageRecord.model_validate(image) for image in session.gallery.images()],
        problems=[ImageProblem.model_validate(problem) for problem in session.gallery.problems()],
    )
    # Written here, since FastAPI would check each of perhaps many thousand images once more, where all visitors wait.
    return Response(listed.model_dump_json(), media_type="application/json")


@router.post("/images", status_code=201, summary="Upload an image", openapi_extra=_UPLOAD_BODY)
async def post_image(
    request: Request,
    session: SessionOf,
    name: Annotated[str, Query(description="The file's name, for display.")] = "upload",
    content_type: Annotated[str, Header(include_in_schema=False)] = "",
) -> ImageRecord:
    """Take an image into memory, for all visitors, until the server ends or newer uploads need the room."""
    kind = content_type.partition(";")[0].strip().lower()
    if not kind.startswith("image/") and kind != "application/octet-stream":
        raise WrongType(f"The body's Content-Type is {kind!r}; expected image/png, image/jpeg or another image type.")
    try:
        data = await request.body()
    except ClientDisconnect:
        raise VisitorGone("The visitor left before the upload was complete.") from None
    image = await session.work.on_pictures(request, lambda: session.gallery.add(data, name))
    return ImageRecord.model_validate(image)


@router.get(
    "/images/{image_id}/picture",
    summary="An image for display",
    response_class=Response,
    responses=binary("The image, upright.", "image/png", "image/jpeg"),
)
async def get_picture(
    request: Request,
    session: SessionOf,
    image: ImageOf,
    bands: Annotated[
        str | None,
        Query(
            pattern=r"^\d{1,6}(,\d{1,6},\d{1,6})?$",
            description="The bands to show as red, green and blue, or one as grey, counted from 0; as the model says "
            "otherwise.",
        ),
    ] = None,
) -> Response:
    """Return the image as a file that every browser shows, turned upright."""
    asked = None if bands is None else read_bands(bands)

    def encode() -> Response:
        data, kind = session.picture(image, asked)
        return Response(data, media_type=kind)

    return await _unless_known(request, session, image, encode, bands=asked or session.model.shown_bands)


@router.get(
    "/images/{image_id}/file",
    summary="The original file",
    response_class=Response,
    responses=binary("The file as it came, to be saved.", "application/octet-stream"),
)
async def get_file(request: Request, session: SessionOf, image: ImageOf) -> Response:
    """Return the file as the network gets it, with all that a picture for display may lose."""
    # Never shown by a browser, whatever it holds.
    disposition = f"attachment; filename*=UTF-8''{quote(image.name, safe='')}"
    return await _unless_known(
        request,
        session,
        image,
        lambda: Response(
            session.gallery.file(image),
            media_type="application/octet-stream",
            headers={"Content-Disposition": disposition},
        ),
    )


@router.get(
    "/images/{image_id}/thumbnail",
    summary="A small picture",
    response_class=Response,
    responses=binary("The image within 192×192 pixels.", "image/jpeg"),
)
async def get_thumbnail(request: Request, session: SessionOf, image: ImageOf) -> Response:
    """Return the image within 192×192 pixels."""
    return await _unless_known(
        request,
        session,
        image,
        lambda: Response(session.thumbnail(image), media_type="image/jpeg"),
        bands=session.model.shown_bands,
    )


async def _unless_known(
    request: Request,
    session: SessionOf,
    image: GalleryImage,
    encode: Callable[[], Response],
    *,
    bands: Sequence[int] | None = None,
) -> Response:
    """Encode a picture, unless the visitor's browser has it already."""
    version = "-".join([image.version, *map(str, bands or ())])
    headers = {"ETag": f'"{version}"', "Cache-Control": "private, no-cache"}
    if headers["ETag"] in request.headers.get("If-None-Match", ""):
        return Response(status_code=304, headers=headers)
    response = await session.work.on_pictures(request, encode)
    response.headers.update(headers)
    return response
