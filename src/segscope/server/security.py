"""Who may ask: the checks that every request passes before anything else, and the headers of every answer."""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.requests import cookie_parser
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .errors import NotAllowed, Refused, TokenNeeded, refusal

__all__ = ["HEADERS", "LOOPBACK_HOSTS", "Access", "Guard", "SecurityHeaders", "is_loopback"]

LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")

_POLICY = "Content-Security-Policy"
HEADERS = {
    # Whoever may show the page in a frame is added at the end.
    _POLICY: (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; font-src 'self'; "
        "img-src 'self' blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""Headers of every answer: nothing but the server's own files is run or shown, and no other site may embed them."""

_READING = ("GET", "HEAD", "OPTIONS")
_COOKIE_SECONDS = 30 * 24 * 3600


def is_loopback(host: str) -> bool:
    """Tell whether an address reaches this machine only."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass(frozen=True)
class Access:
    """Who may ask.

    Parameters
    ----------
    hosts : tuple of str
        Names under which the server answers, without port; empty for any. A page that had its own name pointed at this
        machine (DNS rebinding) comes under another one.
    token : str or None
        What a visitor must bring: once as ``?token=…``, from then on as cookie, or as ``Authorization: Bearer …``.
    framed_by : tuple of str
        Origins, beside the server's own, whose pages may show the explorer in a frame.
    """

    hosts: tuple[str, ...] = LOOPBACK_HOSTS
    token: str | None = None
    framed_by: tuple[str, ...] = ()

    @property
    def headers(self) -> dict[str, str]:
        """Headers of every answer."""
        policy = " ".join((HEADERS[_POLICY], *self.framed_by))
        return HEADERS | {_POLICY: policy}


class Guard:
    """Refuses requests that come under a wrong name, from another site, or without the token.

    Parameters
    ----------
    app : ASGIApp
        What lies behind.
    access : Access
        Who may ask.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self.app = app
        self.access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        if scope["type"] != "http":
            return await send({"type": "websocket.close", "code": 1008})
        answer = self._check(scope)
        return await (answer or self.app)(scope, receive, send)

    def _check(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        try:
            _check_host(headers.getlist("host"), self.access.hosts)
            _check_site(scope, headers)
            return self._check_token(scope, headers)
        except Refused as error:
            return refusal(error)

    def _check_token(self, scope: Scope, headers: Headers) -> Response | None:
        if self.access.token is None:
            return None
        query = QueryParams(scope["query_string"])
        cookie = f"segscope-{_port(headers.get('host', ''))}"
        brought = [
            headers.get("authorization", "").removeprefix("Bearer ").strip(),
            cookie_parser(headers.get("cookie", "")).get(cookie, ""),
            query.get("token", ""),
        ]
        matches = [_same(token, self.access.token) for token in brought]
        if not any(matches):
            raise TokenNeeded(
                "This server asks for a token: open the address that it printed at its start, which ends with it."
            )
        if matches[2] and scope["method"] == "GET" and not scope["path"].startswith("/api/"):
            return _remember(scope, query, cookie, self.access.token)
        return None


class SecurityHeaders:
    """Adds the headers that keep a browser from doing more than the page needs.

    Parameters
    ----------
    app : ASGIApp
        What lies behind.
    headers : mapping of str to str
        The headers.
    """

    def __init__(self, app: ASGIApp, headers: Mapping[str, str] = HEADERS) -> None:
        self.app = app
        self.headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and add the headers to its answer."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self.headers.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, send_with_headers)


def _check_host(hosts: list[str], allowed: Iterable[str]) -> None:
    if not allowed:
        return
    if len(hosts) != 1 or _name(hosts[0]) not in allowed:
        raise NotAllowed(f"The request names the host {', '.join(hosts)!r}; expected {' or '.join(allowed)}.")


def _check_site(scope: Scope, headers: Headers) -> None:
    """Refuse what another site makes a visitor's browser send."""
    site = headers.get("sec-fetch-site", "none")
    if scope["path"].startswith("/api/") and site == "cross-site":
        raise NotAllowed("The request comes from another site; open the explorer's own page.")
    if scope["method"] in _READING:
        return
    origin = headers.get("origin")
    foreign = (
        site not in ("same-origin", "none") if origin is None else urlsplit(origin).netloc != headers.get("host", "")
    )
    if foreign:
        raise NotAllowed(
            f"The request comes from another site ({origin or site}); only the explorer's own page may send this."
        )


def _remember(scope: Scope, query: QueryParams, cookie: str, token: str) -> Response:
    """Keep the token in a cookie, and take it out of the address bar."""
    rest = urlencode([(name, value) for name, value in query.multi_items() if name != "token"])
    # Relative, and so that no path can be taken for a host.
    place = "./" + scope["path"].rsplit("/", 1)[-1]
    response = RedirectResponse(f"{place}?{rest}" if rest else place, status_code=303)
    response.set_cookie(cookie, token, max_age=_COOKIE_SECONDS, httponly=True, samesite="lax", path="/")
    return response


def _same(brought: str, token: str) -> bool:
    return secrets.compare_digest(brought.encode("utf-8", "replace"), token.encode())


def _name(host: str) -> str:
    """Return a Host header without its port."""
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() else host).lower()


def _port(host: str) -> str:
    # Browsers send cookies to all ports of a host, so that two servers on one machine need different names.
    port = host.rpartition(":")[2]
    return port if port.isdigit() else "0"
