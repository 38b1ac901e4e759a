"""Finished answers as bytes, kept for whoever asks for the same again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable

__all__ = ["KeptBytes"]


class KeptBytes:
    """The answers used last, as many as fit into a number of bytes; several threads may use them.

    Parameters
    ----------
    max_bytes : int
        The bound; a larger answer isn't kept.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._kept: OrderedDict[Hashable, bytes] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def nbytes(self) -> int:
        """Bytes that the kept answers take."""
        with self._lock:
            return sum(map(len, self._kept.values()))

    def __contains__(self, key: Hashable) -> bool:
        """Tell whether an answer is kept."""
        return key in self._kept

    def find(self, key: Hashable) -> bytes | None:
        """Return an answer, if it is kept."""
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
            return found

    def keep(self, key: Hashable, content: bytes) -> None:
        """Keep an answer; those not used for longest make room for it."""
        with self._lock:
            self._kept.pop(key, None)
            self._kept[key] = content
            total = sum(map(len, self._kept.values()))
            while total > self._max_bytes:
                _, dropped = self._kept.popitem(last=False)
                total -= len(dropped)
