"""Where the server's heavy work runs: beside the event loop, and only for visitors who still wait."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, ThreadPoolExecutor
from typing import Any, TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import Request

from .errors import VisitorGone

__all__ = ["Work"]

Result = TypeVar("Result")

# Who asks in a row, or moves the pointer, asks again sooner than this.
_QUIET_SECONDS = 0.3


class Work:
    """Threads for work that blocks.

    The network has one thread: it uses all cores by itself, and a second question at the same time would only slow both
    down. Requests wait their turn in the order in which they came, and one whose visitor leaves before its turn is
    dropped at once, without costing any time. Decoding pictures has threads of its own: few, since each may need much
    memory.
    """

    def __init__(self) -> None:
        self._network = ThreadPoolExecutor(1, thread_name_prefix="network")
        self._asking = 0
        self._asked = -_QUIET_SECONDS
        self._pictures = ThreadPoolExecutor(2, thread_name_prefix="pictures")

    async def on_network(self, request: Request, function: Callable[[], Result]) -> Result:
        """Run a function that uses the network.

        Parameters
        ----------
        request : Request
            Whose answer it is; its body must have been read.
        function : callable
            What to run.

        Returns
        -------
        Result
            What it returned.

        Raises
        ------
        VisitorGone
            When the visitor left first.
        """
        self._asking += 1
        try:
            return await _run(self._network, request, function)
        finally:
            self._asking -= 1
            self._asked = time.monotonic()

    def in_background(self, function: Callable[[], Result], stop: threading.Event) -> Result:
        """Run a function that uses the network once no visitor has needed it for a moment; it blocks until then.

        Parameters
        ----------
        function : callable
            What to run; short, since a visitor who comes meanwhile waits for its end.
        stop : Event
            Ends the waiting.

        Returns
        -------
        Result
            What the function returned.

        Raises
        ------
        CancelledError
            When it was stopped first.
        RuntimeError
            When the threads were closed without it having been stopped.
        """
        while self._asking or time.monotonic() - self._asked < _QUIET_SECONDS:
            if stop.wait(_QUIET_SECONDS / 4):
                raise CancelledError
        try:
            return self._network.submit(function).result()
        except RuntimeError:
            # A pool that has been closed takes nothing more.
            if stop.is_set():
                raise CancelledError from None
            raise

    def ahead(self, function: Callable[[], object]) -> None:
        """Run a function that uses the network, in its turn, for no visitor yet; it doesn't block, nor ever fail.

        Parameters
        ----------
        function : callable
            What to run; what it returns or raises is forgotten.
        """
        self._network.submit(function)

    async def on_pictures(self, request: Request, function: Callable[[], Result]) -> Result:
        """Run a function that decodes or encodes pictures.

        Parameters
        ----------
        request, function
            As for :meth:`on_network`.

        Returns
        -------
        Result
            What the function returned.

        Raises
        ------
        VisitorGone
            When the visitor left first.
        """
        return await _run(self._pictures, request, function)

    def close(self) -> None:
        """Take no more work, and drop what waits."""
        for pool in (self._network, self._pictures):
            pool.shutdown(wait=False, cancel_futures=True)


async def _run(pool: ThreadPoolExecutor, request: Request, function: Callable[[], Result]) -> Result:
    job = asyncio.wrap_future(pool.submit(function))
    departure = asyncio.ensure_future(_departure(request))
    try:
        either: set[asyncio.Future[Any]] = {job, departure}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not job.done():
            raise VisitorGone("The visitor left before the answer was ready.")
        return job.result()
    finally:
        # Cancelling takes a job that hasn't begun out of the queue; one that has runs on, and is forgotten.
        job.cancel()
        departure.cancel()


async def _departure(request: Request) -> None:
    """Return when the visitor closes the connection."""
    # A body that is too long, where none is expected, counts as leaving.
    with contextlib.suppress(HTTPException):
        while (await request.receive())["type"] != "http.disconnect":
            pass
