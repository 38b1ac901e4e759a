"""Starting the server: a free port, an address to open, and a word when it is ready."""

from __future__ import annotations

import errno
import os
import secrets
import socket
import sys
import webbrowser
from collections.abc import Callable
from dataclasses import dataclass

import uvicorn

from ..errors import InvalidInput
from ..model import SegmentationModel
from .app import create_app
from .gallery import Gallery
from .origin import Origin
from .security import LOOPBACK_HOSTS, Access, is_loopback
from .session import DEFAULT_MEMORY

__all__ = ["DEFAULT_PORT", "Place", "find_place", "make_server", "open_browser", "serve"]

DEFAULT_PORT = 8642
_PORTS_TRIED = 100
_GRACE_SECONDS = 2


@dataclass(frozen=True)
class Place:
    """Where the server listens.

    Parameters
    ----------
    listener : socket
        Bound, so that nobody else takes the port.
    host : str
        As it was asked for.
    port : int
        The port.
    token : str or None
        What visitors must bring.
    """

    listener: socket.socket
    host: str
    port: int
    token: str | None

    @property
    def address(self) -> str:
        """What to open in a browser."""
        name = socket.gethostname() if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104  # compared, not bound
        query = f"?token={self.token}" if self.token else ""
        return f"http://{f'[{name}]' if ':' in name else name}:{self.port}/{query}"

    @property
    def access(self) -> Access:
        """Who may ask: whoever is on this machine, or whoever has the token."""
        own = f"[{self.host}]" if ":" in self.host else self.host
        return Access(hosts=(*LOOPBACK_HOSTS, own) if is_loopback(self.host) else (), token=self.token)


def find_place(*, host: str = "127.0.0.1", port: int | None = None, token: str | None = None) -> Place:
    """Take hold of a port.

    Parameters
    ----------
    host : str
        The address to listen on. One that other machines reach needs a token, which is made up where none is given.
    port : int, optional
        The port; 0 for any free one. Without it: 8642, or the next one that is free.
    token : str, optional
        What visitors must bring.

    Returns
    -------
    Place
        With its socket bound.

    Raises
    ------
    InvalidInput
        When the port is taken, or can't be had, or the host isn't an address of this machine.
    """
    if port is not None and not 0 <= port <= 65535:
        raise InvalidInput(f"The port is {port}; expected 0 to 65535.")
    if token is not None and (not token.isascii() or not token.isalnum() or len(token) < 8):
        raise InvalidInput("The token can't be used; expected at least 8 letters and digits.")
    if token is None and not is_loopback(host):
        token = secrets.token_hex(16)
    listener = _bind(host, [port] if port is not None else range(DEFAULT_PORT, DEFAULT_PORT + _PORTS_TRIED))
    return Place(listener, host, int(listener.getsockname()[1]), token)


def serve(
    model: SegmentationModel,
    gallery: Gallery,
    place: Place,
    *,
    memory: int = DEFAULT_MEMORY,
    origin: Origin | None = None,
    on_ready: Callable[[str], object],
) -> None:
    """Run the server until it is interrupted.

    Parameters
    ----------
    model : SegmentationModel
        The network that answers.
    gallery : Gallery
        The images to choose from.
    place : Place
        From :func:`find_place`.
    memory : int
        Bytes that predictions, answers and batches of passes may take together.
    origin : Origin, optional
        Where model and images come from.
    on_ready : callable
        Gets the address as soon as requests are answered.

    Raises
    ------
    InvalidInput
        When the bound of memory isn't positive.
    KeyboardInterrupt
        When the user ends it.
    """
    server = make_server(
        model,
        gallery,
        access=place.access,
        memory=memory,
        origin=origin,
        on_ready=lambda: on_ready(place.address),
    )
    with place.listener:
        server.run(sockets=[place.listener])


def make_server(
    model: SegmentationModel,
    gallery: Gallery,
    *,
    access: Access,
    memory: int = DEFAULT_MEMORY,
    origin: Origin | None = None,
    on_ready: Callable[[], object],
) -> uvicorn.Server:
    """Return a server that is ready to run on a socket.

    Parameters
    ----------
    model : SegmentationModel
        The network that answers.
    gallery : Gallery
        The images to choose from.
    access : Access
        Who may ask.
    memory : int
        Bytes that predictions, answers and batches of passes may take together.
    origin : Origin, optional
        Where model and images come from.
    on_ready : callable
        Called as soon as requests are answered.

    Returns
    -------
    uvicorn.Server
        Its ``run(sockets=[…])`` serves until ``should_exit`` is set.

    Raises
    ------
    InvalidInput
        When the bound of memory isn't positive.
    """
    settings = uvicorn.Config(
        create_app(model, gallery, memory=memory, origin=origin, access=access),
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        # The Host header is what the checks rely on; a header that claims another sender changes nothing.
        proxy_headers=False,
    )
    return _Server(settings, on_ready)


def open_browser(address: str) -> bool:
    """Open the page in the user's browser, where there is a screen to show it on.

    Parameters
    ----------
    address : str
        What to open.

    Returns
    -------
    bool
        Whether a browser was asked to.
    """
    # Without a screen, the module would start a text browser in the terminal that the server was started from.
    screen = sys.platform in ("win32", "darwin") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    try:
        return bool(screen) and webbrowser.open(address)
    except webbrowser.Error:
        return False


class _Server(uvicorn.Server):
    """A server that says when it is ready."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], object]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_ready()


def _bind(host: str, ports: range | list[int]) -> socket.socket:
    try:
        family, *_ = socket.getaddrinfo(host.strip("[]"), ports[0], type=socket.SOCK_STREAM)[0]
    except OSError:
        raise InvalidInput(
            f"The host {host!r} isn't known; expected an address of this machine, for instance 127.0.0.1."
        ) from None
    for port in ports:
        listener = socket.socket(family)
        if os.name == "posix":
            # A server that has just ended leaves its port half open for a minute; on Windows this would share the port.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host.strip("[]"), port))
            listener.listen(socket.SOMAXCONN)
        except OSError as error:
            listener.close()
            if error.errno == errno.EADDRINUSE and len(ports) > 1:
                continue
            raise InvalidInput(_why_not(host, port, error)) from None
        return listener
    raise InvalidInput(
        f"The ports {ports[0]} to {ports[-1]} are all taken; end another server, or choose one with --port."
    )


def _why_not(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"The port {port} is taken by another program; choose another one, or leave --port out to get a free one."
        )
    if error.errno == errno.EACCES:
        return f"The port {port} may not be used without special rights; choose one from 1024 up."
    return f"The server can't listen on {host!r}, port {port}: {error.strerror or error}."
