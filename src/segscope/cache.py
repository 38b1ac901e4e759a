"""Predictions of many images, kept within a bound of memory."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING

from .errors import InvalidInput
from .prediction import Prediction

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["PredictionCache"]


class PredictionCache:
    """The most recently used predictions, as many as fit into a number of bytes.

    The one used last is always kept, even when it alone is larger than the bound. Several threads may use a cache; a
    prediction that is being made by one thread is waited for by the others. Predictions that drop out aren't closed,
    since someone may still be explaining with them: their memory is given back when the last reference goes.

    Parameters
    ----------
    max_bytes : int
        The bound, in bytes.

    Raises
    ------
    InvalidInput
        When the bound isn't positive.

    Examples
    --------
    >>> import numpy, torch, segscope
    >>> model = segscope.SegmentationModel(torch.nn.Conv2d(3, 2, 1), classes=("background", "cell"))
    >>> cache = PredictionCache(100_000_000)
    >>> image = numpy.zeros((8, 8, 3), dtype=numpy.uint8)
    >>> cache.get("black", lambda: model.predict(image)) is cache.get("black", lambda: model.predict(image))
    True
    """

    def __init__(self, max_bytes: int) -> None:
        if not isinstance(max_bytes, (int, float)) or not max_bytes > 0:
            raise InvalidInput(f"The bound of the cache is {max_bytes!r} bytes; expected a number above zero.")
        self.max_bytes = max_bytes
        self._kept: OrderedDict[Hashable, Prediction] = OrderedDict()
        self._making: dict[Hashable, _Making] = {}
        self._lock = threading.Lock()

    @property
    def nbytes(self) -> int:
        """Bytes that the kept predictions take."""
        with self._lock:
            return sum(prediction.nbytes for prediction in self._kept.values())

    def __len__(self) -> int:
        """Return how many predictions are kept."""
        return len(self._kept)

    def __contains__(self, key: Hashable) -> bool:
        """Tell whether the prediction of this key is kept."""
        return key in self._kept

    def get(self, key: Hashable, make: Callable[[], Prediction]) -> Prediction:
        """Return the prediction of a key, made now if it isn't there.

        Parameters
        ----------
        key : hashable
            What stands for the image.
        make : callable
            Makes the prediction; called at most once at a time for each key.

        Returns
        -------
        Prediction
            The kept or new prediction; don't close it, others may use it.
        """
        with self._lock:
            found = self._find(key)
            if found is not None:
                return found
            making = self._making.setdefault(key, _Making())
            making.users += 1
        try:
            with making.lock:
                with self._lock:
                    found = self._find(key)
                return found if found is not None else self._keep(key, make())
        finally:
            with self._lock:
                making.users -= 1
                if making.users == 0:
                    del self._making[key]

    def clear(self) -> None:
        """Close and forget all predictions."""
        with self._lock:
            for prediction in self._kept.values():
                prediction.close()
            self._kept.clear()

    def __enter__(self) -> Self:
        """Return the cache itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all predictions."""
        self.clear()

    def _find(self, key: Hashable) -> Prediction | None:
        found = self._kept.get(key)
        if found is None or found.closed:
            return None
        self._kept.move_to_end(key)
        return found

    def _keep(self, key: Hashable, prediction: Prediction) -> Prediction:
        with self._lock:
            self._kept[key] = prediction
            self._kept.move_to_end(key)
            total = sum(kept.nbytes for kept in self._kept.values())
            while total > self.max_bytes and len(self._kept) > 1:
                _, dropped = self._kept.popitem(last=False)
                total -= dropped.nbytes
        return prediction


@dataclass
class _Making:
    """A prediction that is being made, and how many threads wait for it."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    users: int = 0
