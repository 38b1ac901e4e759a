"""How much a request may bring, and HEAD for every GET."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .errors import TooLarge, refusal
from .gallery import MAX_UPLOAD_BYTES

__all__ = ["MAX_QUESTION_BYTES", "BodyLimit", "HeadAsGet"]

MAX_QUESTION_BYTES = 8 * 2**20
"""The largest body but for uploads: enough for any mask's runs."""

# A browser shows the answer only once it has sent all; what is a little too long is read to the end and thrown away.
_DISCARDED_BYTES = 256 * 2**20


class BodyLimit:
    """Refuses bodies that are too long, by their announced length or as they come.

    Parameters
    ----------
    app : ASGIApp
        What lies behind.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on while it is short enough."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        limit = MAX_UPLOAD_BYTES if scope["path"] == "/api/images" else MAX_QUESTION_BYTES
        announced = Headers(scope=scope).get("content-length", "0")
        too_long = TooLarge(f"The body is longer than {limit} bytes, which is the most that is taken.")
        if announced.isdigit() and int(announced) > limit:
            if int(announced) <= _DISCARDED_BYTES:
                await _discard(receive)
            return await refusal(too_long)(scope, receive, send)
        return await self.app(scope, _counted(receive, limit), send)


class HeadAsGet:
    """Answers HEAD as GET, without the body.

    Parameters
    ----------
    app : ASGIApp
        What lies behind.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, as a GET where it is a HEAD."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            return await self.app(scope, receive, send)

        async def send_without_body(message: Message) -> None:
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        return await self.app({**scope, "method": "GET"}, receive, send_without_body)


def _counted(receive: Receive, limit: int) -> Receive:
    taken = 0

    async def receive_counted() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > limit:
            # FastAPI hands on this class alone from within the reading of a body.
            raise HTTPException(413, f"The body is longer than {limit} bytes, which is the most that is taken")
        return message

    return receive_counted


async def _discard(receive: Receive) -> None:
    while True:
        message = await receive()
        if message["type"] != "http.request" or not message.get("more_body"):
            return
