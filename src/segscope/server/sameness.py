"""Whether a method can tell regions apart at all, found out by asking it about two; and what can, where it can't."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..methods import Measured, all_methods, find_method
from ..prediction import Prediction
from ..progress import Progress
from ..region import Region, Weights
from ..target import Question, Target

__all__ = ["Alternative", "Asked", "Finding", "Sameness", "alike", "investigate", "other_region"]

Key: TypeAlias = tuple[str, ...]
Map: TypeAlias = NDArray[np.float32]

_KEPT = 20_000
_ALIKE = 0.9999
# What is suggested has to differ by more than a trace.
_RESEMBLING = 0.99
# Each method costs two more backward passes, and the first that answers is taken; layers share two.
_TRIED = 3
_LAYERS_TRIED = 6


@dataclass(frozen=True)
class Asked:
    """A question with everything filled in: who asks about other regions asks the same otherwise.

    Parameters
    ----------
    target : Target
        Class, contrast and score, over the region that was asked about.
    layer, method : str
        Where and how it is answered.
    parameters : mapping
        All of the method's.
    """

    target: Target
    layer: str
    method: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class Alternative:
    """A method at a layer.

    Parameters
    ----------
    method, layer : str
        Their names.
    """

    method: str
    layer: str


@dataclass(frozen=True)
class Finding:
    """What was measured about one way of asking.

    Parameters
    ----------
    same : bool or None
        Whether its map is the same for every region, up to scale; None where that can't be measured.
    alternatives : tuple of Alternative
        Where it is the same: another method at this layer, and this method at an earlier layer, whose maps were seen to
        differ between two regions. Empty where neither was found.
    """

    same: bool | None
    alternatives: tuple[Alternative, ...] = ()


class Sameness:
    """Remembers what was found for each way of asking about an image: all of a question but its region."""

    def __init__(self) -> None:
        self._known: OrderedDict[Key, Finding] = OrderedDict()
        self._lock = threading.Lock()

    def steps(self, asked: Asked, prediction: Prediction, *, image: str) -> Iterator[Finding | None]:
        """Find out whether a map is the same for every region, a backward pass at a time.

        Parameters
        ----------
        asked : Asked
            The question.
        prediction : Prediction
            Of the image.
        image : str
            What stands for the image and its version.

        Yields
        ------
        Finding or None
            None after each backward pass, so that others may have their turn; the finding is the last.
        """
        key = _key(asked, prediction, image)
        with self._lock:
            found = self._known.get(key)
            if found is not None:
                self._known.move_to_end(key)
        if found is not None:
            yield found
            return
        for found in investigate(asked, prediction):
            # What couldn't be measured on one region may be on another.
            if found is not None and found.same is not None:
                self._keep(key, found)
            yield found

    def _keep(self, key: Key, found: Finding) -> None:
        with self._lock:
            self._known[key] = found
            if len(self._known) > _KEPT:
                self._known.popitem(last=False)


def investigate(asked: Asked, prediction: Prediction) -> Iterator[Finding | None]:
    """Compare the maps of two regions; where they are the same, look for what tells the regions apart.

    Parameters
    ----------
    asked : Asked
        The question.
    prediction : Prediction
        Of the image.

    Yields
    ------
    Finding or None
        None after each backward pass; the finding is the last.
    """
    # Methods that run the network many times would keep everybody waiting.
    questions = _two_questions(asked, prediction) if find_method(asked.method).quick else None
    if questions is None:
        yield Finding(None)
        return
    maps = yield from _compare(prediction, questions, asked.method, asked.parameters, [asked.layer])
    if asked.layer not in maps:
        yield Finding(None)
        return
    if not alike(*maps[asked.layer]):
        yield Finding(False)
        return
    alternatives: list[Alternative] = []
    for method in _other_methods(asked.method):
        maps = yield from _compare(prediction, questions, method, {}, [asked.layer])
        if asked.layer in maps and not alike(*maps[asked.layer], least=_RESEMBLING):
            alternatives.append(Alternative(method, asked.layer))
            break
    layers = _layers_before(asked.layer, prediction)
    maps = yield from _compare(prediction, questions, asked.method, asked.parameters, layers)
    nearest = next((name for name in layers if name in maps and not alike(*maps[name], least=_RESEMBLING)), None)
    if nearest is not None:
        alternatives.append(Alternative(asked.method, nearest))
    yield Finding(True, tuple(alternatives))


def alike(one: Map, other: Map, *, least: float = _ALIKE) -> bool:
    """Return whether two maps are the same up to a positive scale, by the cosine between them.

    Parameters
    ----------
    one, other : ndarray
        float32, of the same shape. A map of zeros is like no other.
    least : float
        The smallest cosine that counts.

    Returns
    -------
    bool
        Whether they are.
    """
    a, b = one.ravel().astype(np.float64), other.ravel().astype(np.float64)
    length = float(np.linalg.norm(a) * np.linalg.norm(b))
    return length > 0 and float(a @ b) >= least * length


def other_region(weights: Weights) -> Region | None:
    """Return a quarter of the image that has as little as possible in common with a region.

    Parameters
    ----------
    weights : ndarray
        float32, H×W, 0..1: the region.

    Returns
    -------
    Region or None
        None where the image is a single pixel.
    """
    height, width = weights.shape
    if height == width == 1:
        return None
    rows = [(0, (height + 1) // 2), (height // 2, height)]
    columns = [(0, (width + 1) // 2), (width // 2, width)]
    quarters = [(top, left, bottom, right) for top, bottom in rows for left, right in columns]
    top, left, bottom, right = min(quarters, key=lambda box: float(weights[box[0] : box[2], box[1] : box[3]].sum()))
    return Region.box(top, left, bottom, right)


def _two_questions(asked: Asked, prediction: Prediction) -> tuple[Question, Question] | None:
    question, weights = prediction.question(asked.target)
    region = other_region(weights)
    if region is None:
        return None
    other = Target(asked.target.class_, region, against=asked.target.against, score=asked.target.score)
    return question, prediction.question(other)[0]


def _compare(
    prediction: Prediction,
    questions: tuple[Question, Question],
    name: str,
    parameters: Mapping[str, Any],
    layers: Sequence[str],
) -> Generator[None, None, dict[str, tuple[Map, Map]]]:
    """Return both questions' maps at each layer that has one for the first, yielding after each backward pass."""
    method = find_method(name)
    found: list[dict[str, Map]] = []
    for question in questions if layers else ():
        maps = method.run(prediction, question, layers, method.check(parameters), Progress())
        plain = {layer: one.map if isinstance(one, Measured) else one for layer, one in maps.items()}
        found.append({layer: values.cpu().numpy() for layer, values in plain.items() if isinstance(values, Tensor)})
        yield
    if not found:
        return {}
    one, other = found
    return {layer: (one[layer], other[layer]) for layer in one if layer in other and _usable(one[layer], other[layer])}


def _usable(one: Map, other: Map) -> bool:
    return bool(np.isfinite(one).all() and np.isfinite(other).all() and one.any())


def _other_methods(name: str) -> list[str]:
    """Return the quick methods at home at the same kind of place that may be tried."""
    home = find_method(name).at
    quick = (method for method in all_methods().values() if method.quick and method.at == home)
    return [method.name for method in quick if method.name != name][:_TRIED]


def _layers_before(layer: str, prediction: Prediction) -> list[str]:
    """Return the nearest layers before one that are no coarser than it, the nearest first."""
    names = list(prediction.layers)
    if layer not in names:
        return []
    at = prediction.layers[layer]
    earlier = [prediction.layers[name] for name in names[: names.index(layer)]]
    fine = [other.name for other in earlier if other.height >= at.height and other.width >= at.width]
    return fine[: -_LAYERS_TRIED - 1 : -1]


def _key(asked: Asked, prediction: Prediction, image: str) -> Key:
    model = prediction.model
    classes = [
        "" if class_ is None else model.classes[model.class_index(class_)]
        for class_ in (asked.target.class_, asked.target.against)
    ]
    parameters = json.dumps(asked.parameters, sort_keys=True, default=str)
    return (image, *classes, asked.target.score, asked.layer, asked.method, parameters)
