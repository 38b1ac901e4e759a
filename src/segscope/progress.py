"""How far long work is, what it cost so far, and whether anyone still waits for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TypeVar

__all__ = ["Progress"]

Result = TypeVar("Result")

_TELL_SECONDS = 0.03


class Progress:
    """How far the answer to one question is, told to whoever waits for it.

    Parameters
    ----------
    tell : callable, optional
        Called with the share that is done, 0..1, never falling. What it raises ends the work and reaches who asked:
        that is how work is cancelled.

    Attributes
    ----------
    passes : int
        How many images went through the network so far, forward or forward and backward.

    Examples
    --------
    >>> told = []
    >>> progress = Progress(told.append)
    >>> progress.expect(4)
    >>> progress.advance(3)
    >>> told, progress.passes
    ([0.75], 3)
    """

    def __init__(self, tell: Callable[[float], None] | None = None) -> None:
        self.passes = 0
        self._tell = tell
        self._start, self._end = 0.0, 1.0
        self._expected = self._done = 0
        self._told = 0.0

    @contextmanager
    def part(self, index: int, count: int) -> Iterator[None]:
        """Let what happens in the context be one of equal parts of the work.

        Parameters
        ----------
        index, count : int
            Which part, counted from 0, of how many.

        Yields
        ------
        None
        """
        outer = self._start, self._end, self._expected, self._done
        length = (self._end - self._start) / count
        self._start, self._end = self._start + index * length, self._start + (index + 1) * length
        self._expected = self._done = 0
        try:
            yield
            self._report(self._end)
        finally:
            self._start, self._end, self._expected, self._done = outer

    def expect(self, passes: int) -> None:
        """Say how many passes are to come.

        Parameters
        ----------
        passes : int
            As they will be given to :meth:`advance`.
        """
        self._expected, self._done = passes, 0

    def advance(self, passes: int = 1) -> None:
        """Note that passes were made.

        Parameters
        ----------
        passes : int
            How many images went through the network.
        """
        self.passes += passes
        self._done += passes
        if self._expected:
            share = min(1.0, self._done / self._expected)
            self._report(self._start + share * (self._end - self._start))
        elif self._tell is not None:
            # Nothing is known of the rest, but who waits may have left.
            self._tell(self._told)

    def meanwhile(self, function: Callable[[], Result]) -> Result:
        """Run a function that can't be divided, while whoever waits is told again and again that it goes on.

        It gets a thread of its own where somebody is told, who may do other things meanwhile.

        Parameters
        ----------
        function : callable
            What to run. It runs to its end, also where the work is cancelled meanwhile.

        Returns
        -------
        Result
            What the function returned.
        """
        if self._tell is None:
            return function()
        with ThreadPoolExecutor(1) as thread:
            job = thread.submit(function)
            while not wait([job], timeout=_TELL_SECONDS).done:
                self._tell(self._told)
            return job.result()

    def _report(self, share: float) -> None:
        self._told = max(self._told, share)
        if self._tell is not None:
            self._tell(self._told)
