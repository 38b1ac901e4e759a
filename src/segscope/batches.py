"""What a comparison runs at once: methods that share a backward pass, or one method alone."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from .attribution import Cost, Result
from .errors import CannotExplain, MissingExtra, UnsupportedNetwork
from .progress import Progress
from .region import Weights
from .target import Question, Target
from .variants import Variant

if TYPE_CHECKING:
    from .methods.base import Answer
    from .prediction import Prediction

__all__ = ["Batch", "Cell", "run_batch"]


class Cell(NamedTuple):
    """One place in a comparison.

    Parameters
    ----------
    class_ : str
        Name of the class.
    method : str
        Name of the method, with its parameters where it is compared with itself.
    layer : str
        Name of the layer, or ``"input"``.
    """

    class_: str
    method: str
    layer: str


@dataclass(frozen=True)
class Batch:
    """Maps that come from one run: of one class, by one method or several that share it, at some layers.

    Parameters
    ----------
    class_ : str
        The class.
    variants : tuple of Variant
        One method, or several that can share a backward pass.
    layers : tuple of str
        Where they are asked.
    """

    class_: str
    variants: tuple[Variant, ...]
    layers: tuple[str, ...]

    @property
    def cells(self) -> list[Cell]:
        """The places whose maps it gives."""
        return [Cell(self.class_, variant.name, layer) for variant in self.variants for layer in self.layers]


def run_batch(prediction: Prediction, target: Target, batch: Batch, progress: Progress) -> tuple[Weights, list[Result]]:
    """Ask a question once for all methods of a batch.

    Parameters
    ----------
    prediction : Prediction
        What is explained.
    target : Target
        The question.
    batch : Batch
        Methods and layers.
    progress : Progress
        Told of every pass.

    Returns
    -------
    weights : ndarray
        float32, H×W, 0..1: the pixels asked about.
    results : list of (dict, Cost)
        For each method its maps by layer, or why there are none, and what they cost; a shared backward pass counts for
        each method that shares it, as each would need it alone.
    """
    run = _share_pass if batch.variants[0].method.combine is not None else _run_alone
    return prediction.answer(target, lambda seen, question, told: run(seen, question, batch, told), progress)


def _share_pass(prediction: Prediction, question: Question, batch: Batch, progress: Progress) -> list[Result]:
    """Give methods that need activations and gradients both from one backward pass."""
    start = time.perf_counter()
    pairs = _pairs(prediction, question, batch.layers)
    progress.advance()
    shared = time.perf_counter() - start
    results = []
    for variant in batch.variants:
        start = time.perf_counter()
        maps = {layer: _combined(variant, pair) for layer, pair in pairs.items()}
        results.append((maps, Cost(shared + time.perf_counter() - start, 1)))
    return results


def _pairs(prediction: Prediction, question: Question, layers: Sequence[str]) -> dict[str, Any]:
    """Return activation and gradient of each layer, or why there are none, which doesn't harm the other layers."""
    try:
        return dict(prediction.activations_and_gradients(question, layers))
    except CannotExplain as error:
        if len(layers) == 1:
            return {layers[0]: error}
        return {layer: _pairs(prediction, question, [layer])[layer] for layer in layers}


def _combined(variant: Variant, pair: Any) -> Answer:
    if isinstance(pair, CannotExplain) or variant.method.combine is None:
        return pair  # type: ignore[no-any-return] # the reason
    try:
        return variant.method.combine(*pair, **variant.parameters)
    except CannotExplain as error:
        return error


def _run_alone(prediction: Prediction, question: Question, batch: Batch, progress: Progress) -> list[Result]:
    (variant,) = batch.variants
    start, passes = time.perf_counter(), progress.passes
    try:
        maps = variant.method.run(prediction, question, batch.layers, variant.parameters, progress)
    except (CannotExplain, MissingExtra, UnsupportedNetwork) as error:
        maps = {layer: CannotExplain(str(error)) for layer in batch.layers}
    return [(maps, Cost(time.perf_counter() - start, progress.passes - passes))]
