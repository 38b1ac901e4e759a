"""What long work found, kept for who asks the same again: another view of the page, an export, another visitor."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..attribution import Cost
from .gallery import GalleryImage
from .schemas import AttributionRequest, to_json

__all__ = ["Answer", "Answers", "Key", "key_of"]

Key: TypeAlias = tuple[str, str, str]


@dataclass(frozen=True)
class Answer:
    """A map, without the prediction that it came from, which takes far more memory.

    Parameters
    ----------
    layer : str
        Where it is.
    map : ndarray
        float32, h×w, raw, at the layer's own resolution.
    cost : Cost
        What it cost.
    """

    layer: str
    map: NDArray[np.float32]
    cost: Cost


class Answers:
    """The most recently used answers, as many as fit into a number of bytes; several threads may use them.

    Parameters
    ----------
    max_bytes : int
        The bound; a larger answer isn't kept.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._kept: OrderedDict[Key, Answer] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def __contains__(self, key: Key) -> bool:
        """Tell whether there is an answer."""
        return key in self._kept

    def find(self, key: Key) -> Answer | None:
        """Return the answer to a question, if it is kept."""
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
            return found

    def keep(self, key: Key, answer: Answer) -> None:
        """Keep an answer; those not used for longest make room for it."""
        with self._lock:
            old = self._kept.pop(key, None)
            self._bytes += answer.map.nbytes - (old.map.nbytes if old else 0)
            self._kept[key] = answer
            while self._bytes > self._max_bytes:
                _, dropped = self._kept.popitem(last=False)
                self._bytes -= dropped.map.nbytes


def key_of(image: GalleryImage, question: AttributionRequest) -> Key:
    """Return what stands for a question about an image as it is now.

    Parameters
    ----------
    image : GalleryImage
        The image.
    question : AttributionRequest
        The question.

    Returns
    -------
    Key
        The same for the same question, however its settings were ordered.
    """
    return image.id, image.version, json.dumps(to_json(question), sort_keys=True)
