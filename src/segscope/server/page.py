"""The page's built files, compressed for browsers that take it."""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from functools import lru_cache
from pathlib import Path

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import Receive, Scope, Send

from .errors import NotFound as PageNotFound
from .errors import error_response, refusal

__all__ = ["STATIC", "Page"]

STATIC = Path(__file__).parent / "static"
"""Where the build of the page puts its files."""

_INDEX = "index.html"
_HASHED = "assets/"
_TYPES = {
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".html": "text/html",
    ".css": "text/css",
    ".woff2": "font/woff2",
}

_COMPRESSED = frozenset({".js", ".css", ".svg", ".html"})

_NOT_BUILT = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>segscope: the page isn't built</title>
<h1>The page isn't built</h1>
<p>The server runs, but this copy of segscope has no page. With node 20.19 or later, build it in the sources:</p>
<pre>cd web
npm ci
npm run build</pre>
<p>Then load this address again. The API works without it: see <a href="openapi.json">openapi.json</a>.</p>
</html>
"""


class Page:
    """Serves the files of a folder, and says how to build them where there are none.

    The folder is listed, and a request chooses from the list: no path from a request reaches the file system.

    Parameters
    ----------
    folder : Path
        Holds ``index.html`` and, in ``assets/``, files whose names change with their content.
    """

    def __init__(self, folder: Path = STATIC) -> None:
        self.folder = folder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return None
        request = Request(scope)
        return await (await anyio.to_thread.run_sync(self._answer, request))(scope, receive, send)

    def _answer(self, request: Request) -> Response:
        name = request.url.path.removeprefix("/") or _INDEX
        files = self._files()
        if name not in files:
            if name == _INDEX:
                return HTMLResponse(_NOT_BUILT, status_code=503, headers={"Cache-Control": "no-cache"})
            return refusal(
                PageNotFound(f"There is nothing at {request.url.path!r}; /openapi.json lists what there is.")
            )
        if request.method != "GET":
            message = f"{request.url.path!r} doesn't take {request.method}; it takes GET."
            return error_response(405, "method-not-allowed", message, headers={"Allow": "GET"})
        return _file(files[name], request, hashed=name.startswith(_HASHED))

    def _files(self) -> dict[str, Path]:
        """Return the files by name; read anew each time, since a build may replace them."""
        paths = (path for path in self.folder.rglob("*") if path.is_file())
        return {name: path for path in paths if not (name := path.relative_to(self.folder).as_posix()).startswith(".")}


def _file(path: Path, request: Request, *, hashed: bool) -> Response:
    data = path.read_bytes()
    # Weak: the compressed file has the same tag.
    tag = f'W/"{hashlib.blake2b(data, digest_size=12).hexdigest()}"'
    headers = {
        "ETag": tag,
        "Cache-Control": "public, max-age=31536000, immutable" if hashed else "no-cache",
        "Vary": "Accept-Encoding",
    }
    if tag in request.headers.get("If-None-Match", ""):
        return Response(status_code=304, headers=headers)
    kind = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    if path.suffix in _COMPRESSED and "gzip" in request.headers.get("Accept-Encoding", ""):
        return Response(_compress(data), media_type=kind, headers={**headers, "Content-Encoding": "gzip"})
    return Response(data, media_type=kind, headers=headers)


@lru_cache(maxsize=32)
def _compress(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)
