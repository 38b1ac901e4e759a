"""Where the server's heavy work runs: beside the event loop, and only for visitors who still wait."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import Request

from ..rest import holds_network
from .errors import TooBusy, VisitorGone
from .turns import Turn, Turns

__all__ = ["LONG_AT_ONCE", "Long", "Tell", "Work"]

Result = TypeVar("Result")

LONG_AT_ONCE = 3
"""How many pieces of long work are begun and take turns; further ones wait until one of them ends."""

# Beyond so many, who comes is better told to come again than kept waiting.
_MOST_LONG = 64

# Who asks in a row, or moves the pointer, asks again sooner than this.
_QUIET_SECONDS = 0.3


class Work:
    """Threads for work that blocks.

    The network has one thread: it uses all cores by itself, and a second question at the same time would only slow both
    down. Requests wait their turn in the order in which they came, and one whose visitor leaves before its turn is
    dropped at once, without costing any time. Questions that take long have threads of their own, but not a second
    network: they use it by turns, a batch at a time, and only while no quick question waits. Decoding pictures has
    threads, too: few, since each may need much memory.
    """

    def __init__(self) -> None:
        self._network = ThreadPoolExecutor(1, thread_name_prefix="network")
        self._lengthy = ThreadPoolExecutor(LONG_AT_ONCE, thread_name_prefix="lengthy")
        self._turns = Turns()
        # All whose visitors wait, in the order in which they came.
        self._long: list[Long] = []
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
        self._turns.announce(1)
        try:
            return await _run(self._network, request, lambda: self._quickly(function))
        finally:
            self._turns.announce(-1)
            self._asking -= 1
            self._asked = time.monotonic()

    async def at_length(self, request: Request, function: Callable[[Tell], Result], *, name: str | None) -> Result:
        """Run a function that uses the network again and again.

        Parameters
        ----------
        request : Request
            Whose answer it is; its body must have been read.
        function : callable
            What to run. It gets a callable for the share that is done, to be called after every batch: others have
            their turn there, and it raises :class:`VisitorGone` where nobody waits for the answer any more.
        name : str, optional
            Under which :meth:`progress` tells how far it is.

        Returns
        -------
        Result
            What it returned.

        Raises
        ------
        VisitorGone
            When the visitor left first; the work ends after the present batch.
        TooBusy
            When too many wait already.
        """
        if len(self._long) >= _MOST_LONG:
            raise TooBusy(
                f"{len(self._long)} questions that take long wait for their answers already; ask again in a while, or "
                "choose a quick method."
            )
        long = Long(name)
        self._long.append(long)

        def run() -> Result:
            with self._turns.long(long.gone) as turn:
                long.begun = True
                return function(Tell(long, turn))

        try:
            return await _run(self._lengthy, request, run)
        finally:
            self._long.remove(long)
            self._drop(long)
            self._asked = time.monotonic()

    def progress(self, name: str) -> Long | None:
        """Return how far long work is.

        Parameters
        ----------
        name : str
            As it was given to :meth:`at_length`.

        Returns
        -------
        Long or None
            None where there is none of that name, or no more.
        """
        return next((long for long in self._long if long.name == name), None)

    def ahead_of(self, long: Long) -> int:
        """Return how many others wait before long work that hasn't begun."""
        before = self._long[: self._long.index(long)] if long in self._long else []
        return 0 if long.begun else sum(not other.begun for other in before)

    def _quickly(self, function: Callable[[], Result]) -> Result:
        with self._turns.quick():
            return function()

    def _drop(self, long: Long) -> None:
        long.gone.set()
        self._turns.wake()

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
        while self._asking or self._long or time.monotonic() - self._asked < _QUIET_SECONDS:
            if stop.wait(_QUIET_SECONDS / 4):
                raise CancelledError
        try:
            return self._network.submit(self._quickly, function).result()
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
        self._network.submit(self._quickly, function)

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
        """Take no more work, and drop what waits; long work ends after the present batch."""
        for long in self._long:
            self._drop(long)
        for pool in (self._network, self._lengthy, self._pictures):
            pool.shutdown(wait=False, cancel_futures=True)


@dataclass(eq=False)
class Long:
    """Work that takes long.

    Parameters
    ----------
    name : str, optional
        Under which its visitor asks how far it is.
    share : float
        How much of it is done, 0..1.
    begun : bool
        Whether it has had the network.
    gone : Event
        Set when nobody waits for it any more.
    """

    name: str | None
    share: float = 0.0
    begun: bool = False
    gone: threading.Event = field(default_factory=threading.Event)


class Tell:
    """What long work calls after every batch, with the share that is done.

    Parameters
    ----------
    long : Long
        The work.
    turn : Turn
        Its place among others.
    """

    def __init__(self, long: Long, turn: Turn) -> None:
        self._long = long
        self._turn = turn

    @property
    def waited(self) -> float:
        """Seconds that the work let others go first, since it began."""
        return self._turn.waited

    def __call__(self, share: float) -> None:
        """Note the share, and let others have their turn."""
        self._long.share = share
        if self._long.gone.is_set():
            raise VisitorGone("The visitor left before the answer was ready.")
        # Who holds the network itself would wait for others, and they for it.
        if not holds_network():
            self._turn.give_way()


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
