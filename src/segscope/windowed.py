"""An image that the network sees in windows: what it made of them, put together, and asked window by window."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .attribution import Cost, Result
from .errors import CannotExplain
from .geometry import Geometry, resize
from .layers import Layer
from .methods import Measured
from .prediction import Prediction
from .target import Blend, Question
from .windows import Cut, Window

if TYPE_CHECKING:
    from .forward_pass import ForwardPass
    from .inputs import Values
    from .methods.base import Answer
    from .model import SegmentationModel
    from .progress import Progress
    from .region import Weights
    from .target import Target

__all__ = ["WindowedPrediction"]

# Rows of the image that are put together at once.
_BAND = 256


class WindowedPrediction(Prediction):
    """What a network made of an image that is larger than it takes, in overlapping windows.

    It is a :class:`Prediction`: mask, scores and regions are the whole image's. Where windows overlap, the logits are
    their weighted mean, as :class:`Windows` says. A question is put to each window that shows a part of the region:
    the window is run again, unless it was asked a moment ago, and explained as an image of its own, for the pixels of
    the region that it shows, weighted by how much it counts there. The maps of all windows are added up. For scores in
    logits and methods that are linear in the gradient, this is exact for the network and its windows taken as one;
    steps such as a rectifier happen in each window by itself. A map is zero where no window shows the region.

    Parameters
    ----------
    model : SegmentationModel
        The model.
    source : sequence of ndarray or Tensor
        The whole image, or each of the network's inputs: integer pixels H×W×C, or the network's own numbers, C×H×W.
    picture : ndarray
        uint8, H×W×3: the image as people see it.
    cut : Cut
        Its windows.
    progress : Progress
        Told of every window.
    truth : ndarray, optional
        int32, H×W: the true class indices.

    Raises
    ------
    UnsupportedNetwork
        When the network fails, or its output can't be read.
    """

    def __init__(  # noqa: PLR0917 # made by SegmentationModel alone
        self,
        model: SegmentationModel,
        source: Sequence[Values],
        picture: NDArray[np.uint8],
        cut: Cut,
        progress: Progress,
        truth: NDArray[np.int32] | None = None,
    ) -> None:
        self._of_window, first = _run(model, source, cut.windows[0])
        super().__init__(model, picture, Geometry.identity(cut.image), first, truth=truth)
        self._cut = cut
        self._source: Sequence[Values] | None = source
        self._reading = first.scores.reading
        self._asked: OrderedDict[int, Prediction] = OrderedDict()
        self.input = replace(self.input, height=cut.image[0], width=cut.image[1])
        self.layers = MappingProxyType({name: self._put_together(layer) for name, layer in self.layers.items()})
        self._seen = [self._logits[0]]
        progress.expect(len(cut.windows))
        progress.advance()
        for window in cut.windows[1:]:
            self._seen.append(self._logits_of(window))
            progress.advance()

    @property
    def logits(self) -> NDArray[np.float32]:
        """The scores of all windows together, float32, K×H×W at the image's own resolution."""
        return np.concatenate([logits.cpu().numpy() for logits in self._image_logits()], axis=1)

    @property
    def nbytes(self) -> int:
        """Bytes of memory held: the passes of the windows asked last, all logits and pictures; 0 once closed."""
        if self._source is None:
            return 0
        logits = sum(logits.nbytes for logits in self._seen)
        asked = sum(prediction.nbytes for prediction in tuple(self._asked.values()))
        return super().nbytes + logits + asked + sum(int(values.nbytes) for values in self._source)

    def close(self) -> None:
        """Give back the memory of the image and the kept passes. Closing twice does no harm."""
        with self._lock:
            super().close()
            self._asked.clear()
            self._source = None

    def score(self, target: Target) -> float:
        """Return the score that a target asks about, over all windows; as :meth:`Prediction.score` does.

        Parameters
        ----------
        target : Target
            Class, region and contrast.

        Returns
        -------
        float
            In logits, or as a probability.
        """
        question, _ = self.question(target)
        scores, first = 0.0, 0
        with torch.no_grad():
            for logits in self._image_logits():
                rows = slice(first, first + logits.shape[1])
                if bool(question.weights[rows].any()):
                    scores += float(replace(question, weights=question.weights[rows]).score(logits[None]))
                first = rows.stop
        return scores

    def answer(
        self, target: Target, run: Callable[[Prediction, Question, Progress], list[Result]], progress: Progress
    ) -> tuple[Weights, list[Result]]:
        """Put a target to each window that shows a part of its region, and add up the maps.

        Parameters
        ----------
        target, run, progress
            As for :meth:`Prediction.answer`.

        Returns
        -------
        weights : ndarray
            float32, H×W, 0..1: the region in the image.
        results : list of (dict, Cost)
            Maps that cover the whole image, each cell about as large as a window's. Numbers that were measured are
            means over the windows.
        """
        _, weights = self.question(target)
        touched = [index for index, window in enumerate(self._cut.windows) if weights[window.box].any()]
        totals: list[_Total] = []
        for part, index in enumerate(touched):
            with progress.part(part, len(touched)), torch.inference_mode(mode=False):
                prediction = self._ask_window(index)
                question, share = self._question_of(prediction, index, target, weights)
                results = run(prediction, question, progress)
                totals = totals or [_Total(self._cut) for _ in results]
                for total, result in zip(totals, results, strict=True):
                    total.add(prediction.geometry, self._cut.windows[index], share, result)
        return weights, [total.result() for total in totals]

    def _open_pass(self, layers: Iterable[str] = ()) -> ForwardPass:
        super()._open_pass(layers)
        raise CannotExplain(
            f"The network sees this image of {_by(self.size)} pixels in {len(self._cut.windows)} windows of "
            f"{_by(self._cut.size)}, so that there is no single pass to ask; explain() and compare() ask every window. "
            "Or predict a part of the image."
        )

    def _check_layers(self, names: Sequence[str]) -> None:
        forward_pass = super()._open_pass(names)
        for name in names:
            forward_pass.output(name)

    def _image_logits(self) -> Iterator[Tensor]:
        height, width = self.size
        for top in range(0, height, _BAND):
            yield self._blended((slice(top, min(top + _BAND, height)), slice(0, width)))

    def _blended(self, box: tuple[slice, slice], *, without: int | None = None) -> Tensor:
        """Return the logits of the windows in a box of the image, K×h×w, each times its share there."""
        rows, columns = box
        total = self._logits.new_zeros(self._logits.shape[1], rows.stop - rows.start, columns.stop - columns.start)
        for index, window in enumerate(self._cut.windows):
            inside = tuple(map(_common, window.box, box))
            if index == without or any(part.stop <= part.start for part in inside):
                continue
            here, there = _within(inside, window.box), _within(inside, box)
            logits = self._of_window.to_image(resize(self._seen[index], self._of_window.input))
            total[:, there[0], there[1]] += (logits * window.share.to(logits.device))[:, here[0], here[1]]
        return total

    def _ask_window(self, index: int) -> Prediction:
        """Return the prediction of one window, made now if it wasn't asked a moment ago."""
        with self._lock:
            super()._open_pass()  # or it is closed
            found = self._asked.pop(index, None)
            if found is None:
                window = self._cut.windows[index]
                assert self._source is not None  # noqa: S101  # it is open
                geometry, forward_pass = _run(self.model, self._source, window)
                found = Prediction(self.model, self.image[window.box], geometry, forward_pass)
            self._asked[index] = found
            while len(self._asked) > 1 and sum(kept.nbytes for kept in self._asked.values()) > self.model.memory:
                self._asked.popitem(last=False)
            return found

    def _question_of(
        self, prediction: Prediction, index: int, target: Target, weights: Weights
    ) -> tuple[Question, float]:
        """Return the part of a question that a window shows, and how much of the whole it is."""
        window = self._cut.windows[index]
        class_index, against = self._channels(target)
        here = torch.from_numpy(weights[window.box])
        blend = None
        if target.score == "logit":
            here = here * window.share
        else:
            others = self._blended(window.box, without=index)
            share = window.share.to(others.device)
            blend = Blend(prediction.geometry.to_input(share), prediction.geometry.to_input(others))
        placed = prediction.geometry.to_input(here.to(self._logits.device))
        question = Question.over(
            placed,
            class_index=class_index,
            against_index=against,
            kind=target.score,
            temperature=self._temperature,
        )
        return replace(question, blend=blend), float(here.sum(dtype=torch.float64) / weights.sum(dtype=np.float64))

    def _logits_of(self, window: Window) -> Tensor:
        """Return what the network makes of a window, K×h×w, without keeping the pass."""
        assert self._source is not None  # noqa: S101  # asked while it is being made
        tensor, _ = self.model.to_input(_part(self._source, window))
        with self.model.at_rest(), torch.inference_mode(mode=False), torch.no_grad():
            inputs = tensor[None].to(self._logits.device, self.model.dtype)
            return self.model.logits(inputs, self._reading)[0]

    def _put_together(self, layer: Layer) -> Layer:
        height, width = _grid(self._cut.image, self._of_window, (layer.height, layer.width))
        return replace(layer, height=height, width=width)


class _Total:
    """The maps of one method, added up over windows.

    Parameters
    ----------
    cut : Cut
        All windows.
    """

    def __init__(self, cut: Cut) -> None:
        self._cut = cut
        self._maps: dict[str, Tensor] = {}
        self._measures: dict[str, dict[str, float]] = {}
        self._weights: dict[str, float] = {}
        self._errors: dict[str, CannotExplain] = {}
        self._cost = Cost(0.0, 0)

    def add(self, geometry: Geometry, window: Window, share: float, result: Result) -> None:
        """Add what a window gave; it counts by its share of the question."""
        answers, cost = result
        self._cost = Cost(self._cost.seconds + cost.seconds, self._cost.passes + cost.passes)
        for name, answer in answers.items():
            if isinstance(answer, CannotExplain):
                self._errors.setdefault(name, answer)
                continue
            values, measures = answer if isinstance(answer, Measured) else (answer, {})
            self._add_map(name, geometry, window, share * values.detach().float())
            self._weights[name] = self._weights.get(name, 0.0) + share
            kept = self._measures.setdefault(name, {})
            for measure, number in measures.items():
                kept[measure] = kept.get(measure, 0.0) + share * number

    def result(self) -> Result:
        """Return the sums; where no window gave a map, the first one's reason."""
        answers: dict[str, Answer] = dict(self._errors)
        for name, values in self._maps.items():
            measures = {key: number / self._weights[name] for key, number in self._measures[name].items()}
            answers[name] = Measured(values, measures) if measures else values
        return answers, self._cost

    def _add_map(self, name: str, geometry: Geometry, window: Window, values: Tensor) -> None:
        size = _grid(self._cut.image, geometry, (values.shape[0], values.shape[1]))
        total = self._maps.setdefault(name, values.new_zeros(size))
        (down, rows), (across, columns) = (
            _points(pixels, length, count)
            for pixels, length, count in zip(window.box, self._cut.image, size, strict=True)
        )
        spacing = (self._cut.image[0] / size[0], self._cut.image[1] / size[1])
        total[down, across] += geometry.sample(values, rows, columns, spacing=spacing)


def _run(model: SegmentationModel, source: Sequence[Values], window: Window) -> tuple[Geometry, ForwardPass]:
    """Run the network on a window, and keep the pass."""
    tensor, geometry = model.to_input(_part(source, window))
    return geometry, model.forward_pass(tensor, geometry)


def _part(source: Sequence[Values], window: Window) -> list[Values]:
    return [
        values[(slice(None), *window.box)] if isinstance(values, Tensor) else values[window.box] for values in source
    ]


def _grid(image: tuple[int, int], geometry: Geometry, size: tuple[int, int]) -> tuple[int, int]:
    """Return the size of a map over the whole image, whose cells are those of a window's map or a little smaller."""
    height, width = (
        math.ceil(length * cells * content / (of_input * of_window) - 1e-6)
        for length, cells, content, of_input, of_window in zip(
            image, size, geometry.content, geometry.input, geometry.image, strict=True
        )
    )
    return height, width


def _points(pixels: slice, length: int, count: int) -> tuple[slice, Tensor]:
    """Return which of the cells that divide an axis have their centre in a window, and where in it."""
    centres = (torch.arange(count, dtype=torch.float64) + 0.5) * (length / count)
    inside = torch.nonzero((centres >= pixels.start) & (centres < pixels.stop)).flatten()
    cells = slice(int(inside[0]), int(inside[-1]) + 1)
    return cells, centres[cells] - pixels.start


def _common(one: slice, other: slice) -> slice:
    return slice(max(one.start, other.start), min(one.stop, other.stop))


def _within(parts: Sequence[slice], box: Sequence[slice]) -> list[slice]:
    """Return parts of the image in the coordinates of a box."""
    return [slice(part.start - whole.start, part.stop - whole.start) for part, whole in zip(parts, box, strict=True)]


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]}×{size[1]}"
