"""One image seen by one model: the mask, and the forward pass kept for explaining."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .attribution import Attribution, AttributionGrid, Cost, Result, answers_of
from .comparison import Comparison
from .contributions import pointwise_contributions
from .errors import CannotExplain, EmptyRegion, InvalidInput, PredictionClosed, UnsupportedNetwork
from .forward_pass import ForwardPass
from .geometry import Geometry, resize
from .graph import data_flow
from .landmarks import last_map
from .layers import INPUT, Layer
from .methods import Method, find_method
from .progress import Progress
from .randomness import other_random_numbers
from .reasons import Reasons, Settings, make_reasons
from .region import Region, Weights
from .rerun import Rerun
from .segments import superpixels
from .table import Table, TableMethod, make_table
from .target import Question, Score, Scored, Target, as_target
from .variants import Methods, read_methods

if TYPE_CHECKING:
    from typing_extensions import Self

    from .model import SegmentationModel

__all__ = ["Prediction"]

_KEPT_DIVISIONS = 2


class Prediction:
    """What a network made of one image: the mask, the scores, and a forward pass that answers questions.

    Predictions come from :meth:`SegmentationModel.predict`. Use one in a ``with`` block, or :meth:`close` it, to give
    its memory back; mask, logits and probabilities stay.

    Attributes
    ----------
    model : SegmentationModel
        The model.
    image : ndarray
        uint8, H×W×3: the image as people see it.
    geometry : Geometry
        Where the image lies in the network's input.
    input : Layer
        The network's input, as the node that all layers come after.
    truth : ndarray or None
        int32, H×W: the true class indices.
    default_layer : str
        The layer to explain when none is given: the last map before the head.
    """

    def __init__(
        self,
        model: SegmentationModel,
        image: NDArray[np.uint8],
        geometry: Geometry,
        forward_pass: ForwardPass,
        *,
        truth: NDArray[np.int32] | None = None,
    ) -> None:
        self.model = model
        self.image = image
        self.geometry = geometry
        self.truth = truth
        self._pass: ForwardPass | None = forward_pass
        self._logits = forward_pass.logits.detach()
        self._temperature = forward_pass.scores.temperature
        self._lock = threading.RLock()
        self._superpixels: OrderedDict[int, NDArray[np.int32]] = OrderedDict()
        self._reruns: dict[str, Rerun] = {}
        _, channels, *input_size = forward_pass.input.shape
        self.input = Layer(INPUT, "Input", channels, *input_size)
        self.layers: Mapping[str, Layer] = MappingProxyType(forward_pass.layers(model.layers))
        inner = {name: layer for name, layer in self.layers.items() if name not in model.inputs}
        self.default_layer = last_map(inner, forward_pass.outputs(inner), forward_pass.scores)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the image in pixels."""
        return self.geometry.image

    @property
    def closed(self) -> bool:
        """Whether the kept forward pass was given back, so that nothing can be explained any more."""
        return self._pass is None

    @property
    def logits(self) -> NDArray[np.float32]:
        """The network's scores, float32, K×h×w at its own resolution; one channel z came to be −z and z."""
        return np.array(self._logits[0].cpu().numpy())

    @cached_property
    def mask(self) -> NDArray[np.int32]:
        """The most probable class of each pixel of the image, int32, H×W."""
        return _joined([logits.argmax(dim=0).to(torch.int32) for logits in self._image_logits()])

    @cached_property
    def probabilities(self) -> NDArray[np.float32]:
        """The probability of each class at each pixel of the image, float32, K×H×W, 0..1."""
        return _joined([torch.softmax(logits / self._temperature, dim=0) for logits in self._image_logits()])

    @cached_property
    def confidence(self) -> NDArray[np.float32]:
        """The probability of the predicted class at each pixel of the image, float32, H×W, 0..1."""
        return _joined([_largest_share(logits / self._temperature) for logits in self._image_logits()])

    @cached_property
    def edges(self) -> tuple[tuple[str, str], ...]:
        """Which layer feeds which: pairs (from, to) of names from :attr:`layers` and ``"input"``; none once closed."""
        with self._lock:
            return () if self._pass is None else data_flow(self._holding([INPUT]).outputs([INPUT, *self.layers]))

    @property
    def nbytes(self) -> int:
        """Bytes of memory held: the kept forward pass without the network's weights, and pictures; 0 once closed."""
        if self.closed:
            return 0
        pictures = (
            self.image,
            self.truth,
            self.__dict__.get("mask"),
            self.__dict__.get("probabilities"),
            self.__dict__.get("confidence"),
            *tuple(self._superpixels.values()),
        )
        return self._pass_bytes + sum(picture.nbytes for picture in pictures if picture is not None)

    @cached_property
    def _pass_bytes(self) -> int:
        return 0 if self._pass is None else self._pass.nbytes(self.model.network)

    def explain(
        self,
        class_: str | int | Target,
        region: Region | None = None,
        *,
        layer: str | None = None,
        method: str = "grad-cam",
        against: str | int | None = None,
        score: Score = "logit",
        progress: Callable[[float], None] | None = None,
        **parameters: Any,
    ) -> Attribution:
        """Explain the score of a class over a region by the importance of each place of a layer.

        Parameters
        ----------
        class_ : str, int or Target
            Name or index of the class, or a whole target in place of ``region``, ``against`` and ``score``.
        region : Region, optional
            The pixels asked about; those predicted as the class otherwise.
        layer : str, optional
            A name from :attr:`layers`, or any other module's, or ``"input"``. The method's usual place otherwise.
        method : str
            A name from ``segscope methods``.
        against : str or int, optional
            The contrast class.
        score : {"logit", "probability"}
            What is explained.
        progress : callable, optional
            Called with the share of the work that is done, 0..1, by methods that run the network many times; what it
            raises ends the work.
        **parameters
            The method's own.

        Returns
        -------
        Attribution
            The raw importance map.

        Raises
        ------
        UnknownName
            When a class, layer, method or parameter doesn't exist.
        EmptyRegion
            When the region holds no pixel.
        CannotExplain
            When the layer has no map or doesn't influence the score, or the method can't serve it.
        UnsupportedNetwork
            When gradients don't flow through the network.
        PredictionClosed
            When the prediction was closed.
        """
        target = as_target(class_, region, against, score)
        chosen = find_method(method)
        name = layer if layer is not None else INPUT if chosen.at == "input" else self.default_layer
        found = self._ask(target, [name], chosen, parameters, Progress(progress))[name]
        if isinstance(found, CannotExplain):
            raise found
        return found

    def explain_all(
        self,
        classes: Iterable[str | int] | None = None,
        layers: Iterable[str] | None = None,
        *,
        method: str = "grad-cam",
        region: Region | None = None,
        against: str | int | None = None,
        score: Score = "logit",
        progress: Callable[[float], None] | None = None,
        **parameters: Any,
    ) -> AttributionGrid:
        """Explain every class at every layer, by quick methods with one backward pass a class.

        Parameters
        ----------
        classes : iterable of str or int, optional
            The classes, or one. Without it: all of them; those that aren't predicted anywhere are left out and listed
            in ``skipped``, unless a region is given.
        layers : iterable of str, optional
            The layers, or one. Without it: all of :attr:`layers`; those that don't influence a class are left out
            likewise.
        method, region, against, score, progress, **parameters
            As in :meth:`explain`.

        Returns
        -------
        AttributionGrid
            ``grid["cap", "block5_conv3"]`` is an :class:`Attribution`.

        Raises
        ------
        EmptyRegion
            When the region, or that of a class which was named, holds no pixel.
        SegscopeError
            As :meth:`explain` does, for classes and layers that were named.
        """
        chosen = find_method(method)
        classes = [classes] if isinstance(classes, (str, int)) else classes
        layers = [layers] if isinstance(layers, str) else layers
        names = list(self.layers) if layers is None else list(dict.fromkeys(layers))
        indices = (
            range(len(self.model.classes))
            if classes is None
            else [self.model.class_index(class_) for class_ in classes]
        )
        wanted = [self.model.classes[index] for index in dict.fromkeys(indices)]
        if against is not None and classes is None:
            wanted.remove(self.model.classes[self.model.class_index(against)])
        maps: dict[tuple[str, str], Attribution] = {}
        skipped: dict[tuple[str, str], str] = {}
        told = Progress(progress)
        for index, class_ in enumerate(wanted):
            target = Target(class_, region, against=against, score=score)
            try:
                with told.part(index, len(wanted)):
                    found = self._ask(target, names, chosen, parameters, told)
            except EmptyRegion as error:
                if classes is not None or region is not None:
                    raise
                skipped |= {(class_, name): str(error) for name in names}
                continue
            for name, answer in found.items():
                if isinstance(answer, Attribution):
                    maps[class_, name] = answer
                elif layers is not None:
                    raise answer
                else:
                    skipped[class_, name] = str(answer)
        return AttributionGrid(maps, skipped)

    def compare(
        self,
        class_: str | int | None = None,
        region: Region | None = None,
        *,
        classes: Iterable[str | int] | None = None,
        methods: Methods = None,
        layers: Iterable[str] | None = None,
        against: str | int | None = None,
        score: Score = "logit",
        progress: Callable[[float], None] | None = None,
        run: bool = True,
    ) -> Comparison:
        """Explain the same by several methods, at several layers where wanted, and set the maps side by side.

        Parameters
        ----------
        class_ : str or int, optional
            Name or index of the class.
        region : Region, optional
            The pixels asked about; those predicted as the class otherwise.
        classes : iterable of str or int, optional
            Several classes, in place of one.
        methods : iterable or mapping, optional
            Names of methods, or pairs (name, parameters), or a mapping of names to parameters. None for all quick
            methods, which share their backward passes; ``"all"`` for all.
        layers : iterable of str, optional
            Layers to ask every method about, or one; ``"input"`` for the image. Without it: each method's usual place.
        against, score
            As in :meth:`explain`.
        progress : callable, optional
            Called with the share of the work that is done, 0..1; what it raises ends the work.
        run : bool
            Whether to work out all maps now; else :meth:`Comparison.steps` gives them one by one, and what it had
            given stays when it is interrupted.

        Returns
        -------
        Comparison
            ``comparison["cap", "grad-cam", "aggregation_conv"]`` is an :class:`Attribution`; where a method can't
            serve a layer, the reason is in ``skipped``.

        Raises
        ------
        InvalidInput
            When no class is named, or both ``class_`` and ``classes``, or a method's parameter is out of range.
        UnknownName
            When a class, layer, method or parameter doesn't exist.
        EmptyRegion
            When the region of a class holds no pixel.
        UnsupportedNetwork
            When gradients don't flow through the network.
        PredictionClosed
            When the prediction was closed.
        """
        wanted = [self.model.classes[self.model.class_index(name)] for name in _one_or_several(class_, classes)]
        targets = {name: Target(name, region, against=against, score=score) for name in wanted}
        places = None if layers is None else tuple(dict.fromkeys([layers] if isinstance(layers, str) else layers))
        # A layer that is there but can't be explained is a reason in the comparison; a wrong name is an error.
        self._check_layers(places or ())
        for target in targets.values():
            self.question(target)
        comparison = Comparison(self, targets, read_methods(methods), places)
        if run:
            for _ in comparison.steps(progress):
                pass
        return comparison

    def question(self, target: Target) -> tuple[Question, Weights]:
        """Put a target into the network's own terms.

        Parameters
        ----------
        target : Target
            Class, region and contrast.

        Returns
        -------
        question : Question
            The target at the size of the network's input.
        weights : ndarray
            float32, H×W: the region in the image.

        Raises
        ------
        UnknownName
            When a class doesn't exist.
        InvalidInput
            When the contrast class is the class itself.
        EmptyRegion
            When the region holds no pixel.
        """
        return self.questions([target])[0]

    def questions(self, targets: Iterable[Target]) -> list[tuple[Question, Weights]]:
        """Put many targets into the network's own terms; a region that several of them share is worked out once.

        Parameters
        ----------
        targets : iterable of Target
            Classes, regions and contrasts.

        Returns
        -------
        list of (Question, ndarray)
            As :meth:`question` gives for each; those of the same region share one array.

        Raises
        ------
        UnknownName, InvalidInput, EmptyRegion
            As :meth:`question` does.
        """
        # By identity: equal regions may hold large arrays. Those that were asked about are kept alive meanwhile.
        placed: dict[int, tuple[Region, Question, Weights]] = {}
        found = []
        for target in targets:
            index, against = self._channels(target)
            region = target.region or Region.predicted(index)
            if target.region is None or id(region) not in placed:
                placed[id(region)] = (region, *self._place(region, index))
            _, question, weights = placed[id(region)]
            contrast = () if against is None else ((against, 1.0),)
            asked = replace(question, class_index=index, contrast=contrast, kind=target.score)
            found.append((asked, weights))
        return found

    def answer(
        self, target: Target, run: Callable[[Prediction, Question, Progress], list[Result]], progress: Progress
    ) -> tuple[Weights, list[Result]]:
        """Put a target to whatever finds maps in a kept pass.

        Parameters
        ----------
        target : Target
            Class, region and contrast.
        run : callable
            Takes the prediction whose pass is asked, the question in its terms and the progress, and returns maps by
            layer with their cost, for one method or several.
        progress : Progress
            Told of every pass.

        Returns
        -------
        weights : ndarray
            float32, H×W, 0..1: the region in the image.
        results : list of (dict, Cost)
            What ``run`` returned.

        Raises
        ------
        UnknownName, InvalidInput, EmptyRegion
            As :meth:`question` does.
        """
        with torch.inference_mode(mode=False):
            question, weights = self.question(target)
            return weights, run(self, question, progress)

    def score(self, target: Target) -> float:
        """Return the score that a target asks about.

        Parameters
        ----------
        target : Target
            Class, region and contrast.

        Returns
        -------
        float
            In logits, or as a probability.

        Raises
        ------
        UnknownName, InvalidInput, EmptyRegion
            As :meth:`question` does.
        """
        with torch.no_grad():
            return float(self.question(target)[0].score(self._logits))

    def activation(self, layer: str) -> Tensor:
        """Return what a layer put out.

        Parameters
        ----------
        layer : str
            A layer's name, or ``"input"`` for the preprocessed image.

        Returns
        -------
        Tensor
            float32, C×h×w, on the network's device.

        Raises
        ------
        CannotExplain
            When the output isn't a map, or was overwritten.
        UnknownName
            When the layer doesn't exist.
        PredictionClosed
            When the prediction was closed.
        """
        with self._lock:
            return self._open_pass([layer]).activation(layer)

    def activations_and_gradients(
        self, question: Scored, layers: Sequence[str]
    ) -> dict[str, tuple[Tensor, Tensor] | CannotExplain]:
        """Return each layer's output and the score's gradient by it, from one backward pass.

        The backward pass ends at the earliest of the layers.

        Parameters
        ----------
        question : Question
            From :meth:`question`, or anything else with such a ``score``.
        layers : sequence of str
            Names of layers, or ``"input"``.

        Returns
        -------
        dict
            For each layer two float32 C×h×w tensors, or the error that says why it can't be explained.

        Raises
        ------
        UnknownName
            When a layer doesn't exist.
        UnsupportedNetwork
            When gradients don't flow through the network.
        PredictionClosed
            When the prediction was closed.
        """
        with self._lock:
            return self._open_pass(layers).activations_and_gradients(question, layers)

    def rerun(self, layer: str) -> Rerun:
        """Return the network as a function of what stands at a layer; found out once for each layer.

        Parameters
        ----------
        layer : str
            A layer's name, or ``"input"``.

        Returns
        -------
        Rerun
            Gives logits for other maps there.

        Raises
        ------
        CannotExplain
            When the layer's output isn't a map, or the network can't be run again from there.
        UnknownName
            When the layer doesn't exist.
        PredictionClosed
            When the prediction was closed.
        """
        with self._lock:
            forward_pass = self._open_pass([layer])
            if layer not in self._reruns:
                self._reruns[layer] = Rerun(self.model, forward_pass, layer)
            return self._reruns[layer]

    @property
    def kept_pass(self) -> ForwardPass:
        """The forward pass that was kept, for methods that run a changed copy of the network beside it.

        Raises
        ------
        PredictionClosed
            When the prediction was closed.
        """
        with self._lock:
            return self._open_pass()

    def table(
        self, layer: str, *, method: TableMethod = "grad-cam", progress: Callable[[float], None] | None = None
    ) -> Table:
        """Work out the weight of every channel of a layer for every logit, from which any question is answered at once.

        Grad-CAM's weight of channel k for the logit of class c at p is the derivative of that logit along a constant
        map in channel k. So one forward-mode pass a channel gives the weights for all classes and pixels, where a
        backward pass gives them for one score.

        Parameters
        ----------
        layer : str
            A layer's name, or ``"input"``.
        method : {"grad-cam", "xgrad-cam"}
            Whose weights.
        progress : callable, optional
            Called with the share of the work that is done, 0..1; what it raises ends the work.

        Returns
        -------
        Table
            ``table.explain(…)`` equals ``prediction.explain(…, layer=layer, method=method)``. Where an operation of
            the network has no forward mode the table is made of one backward pass a logit, and ``table.reason`` says
            so.

        Raises
        ------
        CannotExplain
            When the layer has no map, the logits don't depend on it, or the table would be larger than the model's
            memory.
        UnknownName
            When there is no such layer, or no table for the method.
        PredictionClosed
            When the prediction was closed.
        """
        self._open_pass()
        return make_table(self, layer, method, Progress(progress))

    def contributions(self, layer: str) -> Tensor:
        """Return what each place of a layer contributes to each class's logit there, where logits depend on it so.

        Before a 1×1 classifier a logit depends on its own place alone. There the HiResCAM map of any score is
        Σ g[c] · contributions[c], without rectifier, with g the derivative of the score by the logits: no backward pass
        is needed any more.

        Parameters
        ----------
        layer : str
            A layer's name.

        Returns
        -------
        Tensor
            float32, K×h×w, in logits: for each class and place, the sum over channels of activation times the logit's
            derivative. Positive where the place speaks for the class.

        Raises
        ------
        CannotExplain
            When a logit depends on other places of the layer than its own, as measured with random weights, or the
            layer has another resolution than the logits.
        UnknownName
            When the layer doesn't exist.
        PredictionClosed
            When the prediction was closed.
        """
        return pointwise_contributions(self, layer)

    def reasons(
        self, layer: str, *, clusters: int = 6, seed: int = 0, progress: Callable[[float], None] | None = None
    ) -> Reasons:
        """Tell pixels apart by *why* they got their label: by which channels of a layer speak for it.

        Parameters
        ----------
        layer : str
            A layer's name.
        clusters : int
            Into how many groups of like reasons pixels are divided, 1..32.
        seed : int
            Start of the random numbers of the division.
        progress : callable, optional
            Called with the share of the work that is done, 0..1; what it raises ends the work.

        Returns
        -------
        Reasons
            Components to colour by, groups, and outliers within each segment of the predicted mask.

        Raises
        ------
        InvalidInput
            When the number of groups is out of range.
        CannotExplain
            When the layer has no map, the logits don't depend on it, or its vectors would be larger than the model's
            memory.
        UnknownName
            When the layer doesn't exist.
        PredictionClosed
            When the prediction was closed.
        """
        return make_reasons(self, layer, Settings(clusters, seed), Progress(progress))

    def superpixels(self, count: int = 200) -> NDArray[np.int32]:
        """Return which patch of similar colour each pixel of the image belongs to; the two counts used last are kept.

        Parameters
        ----------
        count : int
            About how many patches there are, 1..5000.

        Returns
        -------
        ndarray
            int32, H×W: the number of each pixel's patch, from 0.

        Raises
        ------
        InvalidRegion
            When the count is out of range.
        """
        with self._lock:
            if count not in self._superpixels:
                self._superpixels[count] = superpixels(self.image, count)
            self._superpixels.move_to_end(count)
            while len(self._superpixels) > _KEPT_DIVISIONS:
                self._superpixels.popitem(last=False)
            return self._superpixels[count]

    def close(self) -> None:
        """Give back the memory of the kept forward pass. Closing twice does no harm."""
        with self._lock:
            self._pass = None
            self._reruns.clear()

    def __enter__(self) -> Self:
        """Return the prediction itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the prediction."""
        self.close()

    def _channels(self, target: Target) -> tuple[int, int | None]:
        """Return the channels of a target's class and contrast class."""
        index = self.model.class_index(target.class_)
        against = None if target.against is None else self.model.class_index(target.against)
        if against == index:
            raise InvalidInput(
                f"The class {self.model.classes[index]!r} is set against itself; choose another contrast class."
            )
        return index, against

    def _place(self, region: Region, index: int) -> tuple[Question, Weights]:
        """Return a question over a region's pixels of the network's input, and the region's weights in the image."""
        weights = region.weights(self)
        if not weights.any():
            raise EmptyRegion(_nothing_there(region, index, self.model.classes))
        with torch.inference_mode(mode=False):
            placed = self.geometry.to_input(torch.from_numpy(weights).to(self._logits.device))
            question = Question.over(
                placed, class_index=index, against_index=None, kind="logit", temperature=self._temperature
            )
        return question, weights

    def _ask(
        self, target: Target, layers: list[str], method: Method, given: Mapping[str, Any], progress: Progress
    ) -> dict[str, Attribution | CannotExplain]:
        parameters = method.check(given)
        self._check_layers(layers)

        def run(prediction: Prediction, question: Question, told: Progress) -> list[Result]:
            start, passes = time.perf_counter(), told.passes
            maps = method.run(prediction, question, layers, parameters, told)
            return [(maps, Cost(time.perf_counter() - start, told.passes - passes))]

        weights, [(maps, cost)] = self.answer(target, run, progress)
        return answers_of(self, target, weights, method=method, parameters=parameters, maps=maps, cost=cost)

    def _check_layers(self, names: Sequence[str]) -> None:
        """Refuse names that the network doesn't have."""
        forward_pass = self._open_pass(names)
        for name in names:
            forward_pass.output(name)

    def _open_pass(self, layers: Iterable[str] = ()) -> ForwardPass:
        """Return the forward pass, with the numbers that these layers put out in it."""
        with self._lock:
            if self._pass is None:
                raise PredictionClosed(
                    "The prediction was closed, so that it can't be explained any more; predict the image again."
                )
            if not self._pass.logits.requires_grad:
                raise UnsupportedNetwork(
                    "Gradients don't flow from the network's output to its input; its forward runs under "
                    "torch.no_grad(), detaches, or is made of integer operations. Give the network without that."
                )
            return self._holding(layers)

    def _holding(self, layers: Iterable[str]) -> ForwardPass:
        """Return the forward pass, run again where these layers aren't in it."""
        assert self._pass is not None  # noqa: S101  # it is open
        missing = {name for name in layers if not self._pass.capture.holds(name)}
        if missing:
            self._pass = self._pass_again(self._pass, missing)
        return self._pass

    def _pass_again(self, forward_pass: ForwardPass, missing: set[str]) -> ForwardPass:
        """Run the network again, since layers that weren't kept, or the input, were asked about."""
        tensor = forward_pass.input.detach()[0]
        with other_random_numbers():
            again = self.model.forward_pass(
                tensor, self.geometry, whole=missing != {INPUT}, from_input=INPUT in missing
            )
        if not torch.allclose(again.logits, forward_pass.logits, rtol=1e-4, atol=1e-4):
            raise CannotExplain(
                "The layer's output wasn't kept, and the network gives other logits when it is run again: its forward "
                "is random, or keeps something from run to run. Name the layer in the model's layers=; for the input, "
                "predict the image again."
            )
        self._reruns.clear()
        self.__dict__.pop("_pass_bytes", None)
        return again

    def _image_logits(self) -> Iterator[Tensor]:
        """Give the logits at the image's pixels from the top down, K×rows×W each."""
        yield self.geometry.to_image(resize(self._logits[0], self.geometry.input))


def _joined(bands: list[Tensor]) -> NDArray[Any]:
    """Join bands of the image's rows, each …×rows×W."""
    arrays = [band.cpu().numpy() for band in bands]
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays, axis=-2)


def _largest_share(scores: Tensor) -> Tensor:
    """Return the largest of each pixel's probabilities, in place of the scores K×h×w."""
    # In place: one float for each class and pixel is the most memory that an image takes.
    scores -= scores.amax(dim=0)
    return 1 / scores.exp_().sum(dim=0)


def _one_or_several(class_: str | int | None, classes: Iterable[str | int] | None) -> list[str | int]:
    if (class_ is None) == (classes is None):
        raise InvalidInput(
            f"{'No class is' if class_ is None else 'Both class_ and classes are'} given; expected class_='cap' or "
            "classes=['cap', 'stipe']."
        )
    if class_ is not None:
        return [class_]
    several: list[str | int] = [classes] if isinstance(classes, (str, int)) else list(classes or ())
    if not several:
        raise InvalidInput("The list of classes is empty; name one at least.")
    return several


def _nothing_there(region: Region, index: int, classes: Sequence[str]) -> str:
    if region == Region.predicted(index):
        return (
            f"No pixel of the image is predicted as {classes[index]!r}; give another region, for instance "
            "Region.everywhere()."
        )
    return "The region holds no pixel of the image, so there is nothing to explain; choose another region."
