"""What goes wrong on the server, and the one JSON body that says so.

::

    SegscopeError
    └── Refused            a request that isn't served
        ├── NotFound       404: no such image, mask or page
        ├── TokenNeeded    401: the server asks for a token, and none or a wrong one came
        ├── NotAllowed     403: the request comes from another site, or names another host
        ├── TooLarge       413: more bytes or pixels than the server takes
        ├── WrongType      415: a body of another kind
        ├── SlowMethod     422: a method that runs the network many times, where only quick ones are of use
        ├── TooBusy        429: too many questions that take long wait already
        └── VisitorGone    499: the visitor left before the answer was ready
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from ..errors import SegscopeError

__all__ = [
    "NotAllowed",
    "NotFound",
    "Refused",
    "SlowMethod",
    "TokenNeeded",
    "TooBusy",
    "TooLarge",
    "VisitorGone",
    "WrongType",
    "add_error_handlers",
    "error_response",
    "refusal",
]


class Refused(SegscopeError):
    """A request isn't served."""

    code = "refused"
    status = 400


class NotFound(Refused):
    """There is no such image, mask or page."""

    code = "not-found"
    status = 404


class TokenNeeded(Refused):
    """The server asks for a token, and none or a wrong one came."""

    code = "token-needed"
    status = 401


class NotAllowed(Refused):
    """The request comes from another site, or names another host."""

    code = "not-allowed"
    status = 403


class TooLarge(Refused):
    """More bytes or pixels came than the server takes."""

    code = "too-large"
    status = 413


class WrongType(Refused):
    """A body of another kind came than the route reads."""

    code = "wrong-type"
    status = 415


class SlowMethod(Refused):
    """A method runs the network many times, where only quick ones are of use."""

    code = "slow-method"
    status = 422


class TooBusy(Refused):
    """Too many questions that take long wait for their answers already."""

    code = "too-busy"
    status = 429


class VisitorGone(Refused):
    """The visitor left before the answer was ready, so that it isn't worked out."""

    code = "visitor-gone"
    status = 499


def error_response(status: int, code: str, message: str, *, headers: Mapping[str, str] | None = None) -> Response:
    """Return the one error body: ``{"error": {"code": …, "message": …}}``.

    Parameters
    ----------
    status : int
        HTTP status.
    code : str
        Kebab-case, for programs.
    message : str
        A sentence, for people.
    headers : mapping, optional
        Further headers.

    Returns
    -------
    Response
        JSON in ASCII, since a message may quote what can't be written as UTF-8.
    """
    body = json.dumps({"error": {"code": code, "message": message}})
    return Response(body, status_code=status, headers=dict(headers or {}), media_type="application/json")


def refusal(error: SegscopeError) -> Response:
    """Return the response to an error that was raised on purpose; one that isn't a refusal means a faulty request."""
    status = error.status if isinstance(error, Refused) else HTTPStatus.UNPROCESSABLE_ENTITY.value
    headers = {"WWW-Authenticate": "Bearer"} if isinstance(error, TokenNeeded) else {}
    return error_response(status, error.code, str(error), headers=headers)


def add_error_handlers(app: FastAPI, headers: Mapping[str, str]) -> None:
    """Answer every failure of an app with the one error body.

    Parameters
    ----------
    app : FastAPI
        The app.
    headers : mapping
        Headers for the answer to an unexpected failure, which no middleware sees.
    """

    async def on_refusal(request: Request, error: Exception) -> Response:  # noqa: ARG001  # Starlette's signature
        assert isinstance(error, SegscopeError)  # noqa: S101  # what it is registered for
        return refusal(error)

    async def on_validation(request: Request, error: Exception) -> Response:  # noqa: ARG001  # Starlette's signature
        assert isinstance(error, RequestValidationError)  # noqa: S101  # what it is registered for
        return error_response(422, "invalid-input", _explain_validation(error.errors()))

    async def on_http(request: Request, error: Exception) -> Response:  # Starlette's signature
        assert isinstance(error, HTTPException)  # noqa: S101  # what it is registered for
        code, message = _explain_http(request, error)
        not_allowed = error.status_code == HTTPStatus.METHOD_NOT_ALLOWED
        headers = {"Allow": _allowed(request)} if not_allowed else error.headers
        return error_response(error.status_code, code, message, headers=headers)

    async def on_failure(request: Request, error: Exception) -> Response:  # noqa: ARG001  # Starlette's signature
        message = "The server failed at this request; its log says why."
        return error_response(500, "server-failed", message, headers=headers)

    app.add_exception_handler(SegscopeError, on_refusal)
    app.add_exception_handler(RequestValidationError, on_validation)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(Exception, on_failure)


def _allowed(request: Request) -> str:
    """Return the methods that a path takes, of all routes together, which the router looks at one by one."""
    paths = request.app.openapi()["paths"]
    fitting = [
        item for template, item in paths.items() if re.fullmatch(re.sub(r"{\w+}", "[^/]+", template), request.url.path)
    ]
    return ", ".join(sorted({method.upper() for item in fitting for method in item}))


def _explain_http(request: Request, error: HTTPException) -> tuple[str, str]:
    path = request.url.path
    if error.status_code == HTTPStatus.NOT_FOUND:
        return NotFound.code, f"There is nothing at {path!r}; /openapi.json lists what there is."
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return "method-not-allowed", f"{path!r} doesn't take {request.method}; it takes {_allowed(request)}."
    if error.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return TooLarge.code, f"{error.detail}."
    if error.status_code == HTTPStatus.BAD_REQUEST:
        return "invalid-body", "The body can't be read; expected JSON, encoded in UTF-8 and not nested too deeply."
    return "refused", f"{error.detail}."


def _explain_validation(errors: Sequence[Any]) -> str:
    """Return one sentence for the first faults of a request, without what came, which may be large."""
    faults = [f"{_place(fault['loc'])}: {fault['msg']}" for fault in errors[:3]]
    more = f"; and {len(errors) - 3} more" if len(errors) > 3 else ""
    return f"The request doesn't have the expected form: {'; '.join(faults)}{more}."


def _place(parts: Sequence[object]) -> str:
    return ".".join(map(str, parts[:8])) + ("…" if len(parts) > 8 else "")
