"""Who may use the network next: quick work first, and long work by turns, which gives way after every batch."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from .errors import VisitorGone

__all__ = ["Turn", "Turns"]

# However many quick questions come, long work gets a batch as often as this.
_PATIENCE_SECONDS = 0.5
# Quick questions come in rows, the next one as soon as the last is answered: long work lets the whole row go first.
_LINGER_SECONDS = 0.03


class Turns:
    """One network for all: a second computation at the same time would only slow both down.

    Quick work never waits for more than a batch of long work. Long work goes on while there is no quick work, several
    of its kind in turn; where quick work never ends, it gets one batch after each moment of patience.

    Parameters
    ----------
    patience : float
        Seconds that long work lets quick work go first.
    """

    def __init__(self, *, patience: float = _PATIENCE_SECONDS) -> None:
        self._patience = patience
        self._condition = threading.Condition()
        self._busy = False
        self._quick = 0
        self._waiting: deque[Turn] = deque()
        self._last_long = self._last_quick = -patience

    def announce(self, count: int) -> None:
        """Note that quick work came, which waits elsewhere for now, or that it went.

        Parameters
        ----------
        count : int
            How much came; negative for what went.
        """
        with self._condition:
            self._quick += count
            if count < 0:
                self._last_quick = time.monotonic()
            self._condition.notify_all()

    @contextmanager
    def quick(self) -> Iterator[None]:
        """Have the network for a moment, as soon as the present batch of long work is done.

        Yields
        ------
        None
        """
        self.announce(1)
        with self._condition:
            self._condition.wait_for(lambda: not self._busy and not self._long_is_due())
            self._busy = True
        try:
            yield
        finally:
            self._release()
            self.announce(-1)

    @contextmanager
    def long(self, gone: threading.Event) -> Iterator[Turn]:
        """Have the network for long, giving way again and again.

        Parameters
        ----------
        gone : Event
            Set, and told by :meth:`wake`, when nobody waits for the work any more.

        Yields
        ------
        Turn
            Its ``give_way`` is to be called after every batch.

        Raises
        ------
        VisitorGone
            When ``gone`` was set while the work waited.
        """
        turn = Turn(self, gone)
        self._take(turn)
        try:
            yield turn
        finally:
            self._end(turn)

    def wake(self) -> None:
        """Let long work that waits see whether anybody still waits for it."""
        with self._condition:
            self._condition.notify_all()

    def _crowded(self) -> bool:
        return self._quick > 0 or bool(self._waiting)

    def _lingering(self) -> bool:
        return time.monotonic() - self._last_quick < _LINGER_SECONDS

    def _long_is_due(self) -> bool:
        return bool(self._waiting) and time.monotonic() - self._last_long >= self._patience

    def _take(self, turn: Turn) -> None:
        with self._condition:
            self._waiting.append(turn)
            try:
                while not self._may_go(turn):
                    if turn.gone.is_set():
                        raise VisitorGone("The visitor left before the answer was ready.")
                    # Patience and lingering end by themselves, all else is told.
                    self._condition.wait(self._patience if self._quick else _LINGER_SECONDS)
                self._busy = turn.has_network = True
            finally:
                self._waiting.remove(turn)
                self._condition.notify_all()

    def _may_go(self, turn: Turn) -> bool:
        first = self._waiting[0] is turn
        free = self._quick == 0 and not self._lingering()
        return first and not self._busy and not turn.gone.is_set() and (free or self._long_is_due())

    def _end(self, turn: Turn) -> None:
        if turn.has_network:
            turn.has_network = False
            self._last_long = time.monotonic()
            self._release()

    def _release(self) -> None:
        with self._condition:
            self._busy = False
            self._condition.notify_all()

    def give_way(self, turn: Turn) -> None:
        """Let others have the network, if there are any, and return when it is this work's turn again.

        Parameters
        ----------
        turn : Turn
            Whose turn it is.

        Raises
        ------
        VisitorGone
            When nobody waits for it any more.
        """
        with self._condition:
            if not self._crowded():
                return
        # Long work may rely on the global random numbers going on as they began.
        kept = torch.get_rng_state(), np.random.get_state()  # noqa: NPY002  # the state that libraries use
        start = time.perf_counter()
        self._end(turn)
        self._take(turn)
        turn.waited += time.perf_counter() - start
        torch.set_rng_state(kept[0])
        np.random.set_state(kept[1])  # noqa: NPY002


class Turn:
    """Long work's place among others.

    Parameters
    ----------
    turns : Turns
        Who decides.
    gone : Event
        Set when nobody waits for the work any more.

    Attributes
    ----------
    waited : float
        Seconds that it let others go first, since it began.
    has_network : bool
        Whether it is its turn.
    """

    def __init__(self, turns: Turns, gone: threading.Event) -> None:
        self.gone = gone
        self.waited = 0.0
        self.has_network = False
        self._turns = turns

    def give_way(self) -> None:
        """Let others have the network, if there are any, and return when it is this work's turn again.

        Raises
        ------
        VisitorGone
            When nobody waits for it any more.
        """
        self._turns.give_way(self)
