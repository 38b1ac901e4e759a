"""The global random numbers, which go on afterwards as if nobody had drawn any."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

__all__ = ["keeping_random_numbers", "other_random_numbers"]

# No seed that people choose.
_OTHER = 2_718_281_828


class _RandomNumbers:
    """The global random numbers as they were before the first of several threads that use them at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._state: tuple[Any, ...] = ()

    def enter(self) -> None:
        with self._lock:
            if not self._users:
                devices = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]
                self._state = torch.get_rng_state(), devices, np.random.get_state(), random.getstate()  # noqa: NPY002
            self._users += 1

    def leave(self) -> None:
        with self._lock:
            self._users -= 1
            if not self._users:
                here, devices, numpy, python = self._state
                torch.set_rng_state(here)
                if devices:
                    torch.cuda.set_rng_state_all(devices)
                np.random.set_state(numpy)  # noqa: NPY002
                random.setstate(python)


_RANDOM_NUMBERS = _RandomNumbers()


@contextmanager
def keeping_random_numbers() -> Iterator[None]:
    """Let the global random numbers of PyTorch, NumPy and Python go on afterwards as if none had been drawn.

    Of threads that do so at once, the last one puts them back as the first one found them.

    Yields
    ------
    None
    """
    _RANDOM_NUMBERS.enter()
    try:
        yield
    finally:
        _RANDOM_NUMBERS.leave()


@contextmanager
def other_random_numbers() -> Iterator[None]:
    """Let the global random numbers be others while the context lasts, so that what draws any doesn't repeat itself.

    Yields
    ------
    None
    """
    with keeping_random_numbers():
        torch.manual_seed(_OTHER)
        np.random.seed(_OTHER)  # noqa: NPY002
        random.seed(_OTHER)
        yield
