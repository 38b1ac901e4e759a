"""One image seen by one model: the mask, and the forward pass kept for explaining."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .attribution import Attribution, AttributionGrid, Cost
from .errors import CannotExplain, EmptyRegion, InvalidInput, PredictionClosed, UnknownName, UnsupportedNetwork
from .geometry import Geometry, resize
from .graph import data_flow
from .layers import INPUT, Capture, Layer, reaches, saved_bytes
from .methods import Method, find_method
from .outputs import Logits
from .progress import Progress
from .region import Region, Weights
from .rerun import Rerun
from .segments import superpixels
from .target import Question, Score, Target

if TYPE_CHECKING:
    from typing_extensions import Self

    from .model import SegmentationModel

__all__ = ["ForwardPass", "Prediction"]

_KEPT_DIVISIONS = 2


@dataclass
class ForwardPass:
    """What one run of the network left behind, with its graph.

    Parameters
    ----------
    input : Tensor
        1×C×h×w, requires a gradient.
    output : Logits
        The class scores, how they were read, and their temperature.
    capture : Capture
        The layers' outputs.
    """

    input: Tensor
    output: Logits
    capture: Capture

    @property
    def logits(self) -> Tensor:
        """float32, 1×K×h×w, at the network's own resolution."""
        return self.output.values

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width of the network's input."""
        return self.input.shape[2], self.input.shape[3]


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
        self._temperature = forward_pass.output.temperature
        self._lock = threading.RLock()
        self._superpixels: OrderedDict[int, NDArray[np.int32]] = OrderedDict()
        self._reruns: dict[str, Rerun] = {}
        self._nodes = reaches(forward_pass.logits)
        _, channels, *input_size = forward_pass.input.shape
        self.input = Layer(INPUT, "Input", channels, *input_size)
        self.layers: Mapping[str, Layer] = MappingProxyType(self._find_layers(forward_pass))

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
        return np.asarray(self._image_logits().argmax(dim=0).to(torch.int32).cpu().numpy())

    @cached_property
    def probabilities(self) -> NDArray[np.float32]:
        """The probability of each class at each pixel of the image, float32, K×H×W, 0..1."""
        return np.asarray(torch.softmax(self._image_logits() / self._temperature, dim=0).cpu().numpy())

    @cached_property
    def confidence(self) -> NDArray[np.float32]:
        """The probability of the predicted class at each pixel of the image, float32, H×W, 0..1."""
        scores = self._image_logits() / self._temperature
        # In place: one float for each class and pixel is the most memory that an image takes.
        scores -= scores.amax(dim=0)
        return np.asarray((1 / scores.exp_().sum(dim=0)).cpu().numpy())

    @cached_property
    def default_layer(self) -> str:
        """The layer to explain when none is given: the last one with more channels than there are classes."""
        names = [name for name, layer in self.layers.items() if layer.channels > len(self.model.classes)]
        return (names or list(self.layers) or [INPUT])[-1]

    @cached_property
    def edges(self) -> tuple[tuple[str, str], ...]:
        """Which layer feeds which: pairs (from, to) of names from :attr:`layers` and ``"input"``; none once closed."""
        if (forward_pass := self._pass) is None:
            return ()
        outputs = {name: forward_pass.capture[name].output for name in self.layers}
        return data_flow({INPUT: forward_pass.input} | outputs)

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
        if (forward_pass := self._pass) is None:
            return 0
        network = self.model.network
        weights = {tensor.untyped_storage().data_ptr() for tensor in (*network.parameters(), *network.buffers())}
        kept = [captured.output for captured in forward_pass.capture.outputs.values() if captured.kept]
        return saved_bytes(self._nodes, [*kept, forward_pass.input, forward_pass.logits], excluding=weights)

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
        target = _target(class_, region, against, score)
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
        index = self.model.class_index(target.class_)
        against = None if target.against is None else self.model.class_index(target.against)
        if against == index:
            raise InvalidInput(
                f"The class {self.model.classes[index]!r} is set against itself; choose another contrast class."
            )
        weights = (target.region or Region.predicted(index)).weights(self)
        if not weights.any():
            raise EmptyRegion(_nothing_there(target, self.model.classes[index]))
        with torch.inference_mode(mode=False):
            placed = self.geometry.to_input(torch.from_numpy(weights).to(self._logits.device))
            question = Question.over(
                placed, class_index=index, against_index=against, kind=target.score, temperature=self._temperature
            )
        return question, weights

    def activations_and_gradients(
        self, question: Question, layers: Sequence[str]
    ) -> dict[str, tuple[Tensor, Tensor] | CannotExplain]:
        """Return each layer's output and the score's gradient by it, from one backward pass.

        The backward pass ends at the earliest of the layers.

        Parameters
        ----------
        question : Question
            From :meth:`question`.
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
            forward_pass = self._open_pass(layers)
            outputs = {name: self._output(forward_pass, name) for name in layers}
            usable = {name: tensor for name, tensor in outputs.items() if tensor.requires_grad}
            gradients = dict(zip(usable, self._backward(forward_pass, question, list(usable.values())), strict=True))
            return {name: self._pair(forward_pass, name, outputs[name], gradients.get(name)) for name in layers}

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
            self._output(forward_pass, layer)
            if layer not in self._reruns:
                self._reruns[layer] = Rerun(self.model, forward_pass, layer)
            return self._reruns[layer]

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
            self._nodes = set()
            self._reruns.clear()

    def __enter__(self) -> Self:
        """Return the prediction itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the prediction."""
        self.close()

    def _ask(
        self, target: Target, layers: list[str], method: Method, given: Mapping[str, Any], progress: Progress
    ) -> dict[str, Attribution | CannotExplain]:
        parameters = method.check(given)
        forward_pass = self._open_pass(layers)
        for name in layers:
            self._output(forward_pass, name)
        start, passes = time.perf_counter(), progress.passes
        with torch.inference_mode(mode=False):
            question, weights = self.question(target)
            maps = method.run(self, question, layers, parameters, progress)
        cost = Cost(time.perf_counter() - start, progress.passes - passes)
        answers: dict[str, Attribution | CannotExplain] = {}
        for name, values in maps.items():
            if isinstance(values, CannotExplain):
                answers[name] = values
            elif not bool(torch.isfinite(values).all()):
                answers[name] = CannotExplain(
                    f"The {method.title} map at the layer {name!r} holds NaN or infinite values; choose another layer "
                    "or score."
                )
            else:
                answers[name] = Attribution(
                    self, target, weights, name, method, parameters, values.detach().float(), cost
                )
        return answers

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
            capture = self._pass.capture
            if not all(capture[name].kept for name in layers if name in capture):
                self._pass = self._whole_pass(self._pass)
            return self._pass

    def _whole_pass(self, forward_pass: ForwardPass) -> ForwardPass:
        """Run the network again and keep everything, since a layer that the model doesn't offer was asked about."""
        whole = self.model.forward_pass(forward_pass.input.detach()[0], self.geometry, whole=True)
        if not torch.allclose(whole.logits, forward_pass.logits, rtol=1e-4, atol=1e-4):
            raise CannotExplain(
                "The layer's output wasn't kept, and the network gives other logits when it is run again: its forward "
                "is random, or keeps something from run to run. Name the layer in the model's layers=."
            )
        self._nodes = reaches(whole.logits)
        self._reruns.clear()
        self.__dict__.pop("_pass_bytes", None)
        return whole

    def _output(self, forward_pass: ForwardPass, name: str) -> Tensor:
        if name == INPUT and name not in forward_pass.capture:
            return forward_pass.input
        if name not in forward_pass.capture:
            raise UnknownName("layer", name, dict.fromkeys((*self.layers, INPUT, *forward_pass.capture.names())))
        return forward_pass.capture[name].output

    def _backward(
        self, forward_pass: ForwardPass, question: Question, outputs: list[Tensor]
    ) -> Sequence[Tensor | None]:
        if not outputs:
            return []
        with torch.inference_mode(mode=False), torch.enable_grad():
            score = question.score(forward_pass.logits).sum()
            try:
                return torch.autograd.grad(score, outputs, retain_graph=True, allow_unused=True)
            except RuntimeError as error:
                if "modified by an inplace operation" not in str(error):
                    raise
                raise UnsupportedNetwork(
                    "What the backward pass needs was overwritten: the network's weights were changed after this "
                    "prediction was made (then predict the image again), or its forward works in place where gradients "
                    "can't follow."
                ) from error

    def _pair(
        self, forward_pass: ForwardPass, name: str, output: Tensor, gradient: Tensor | None
    ) -> tuple[Tensor, Tensor] | CannotExplain:
        captured = forward_pass.capture.get(name)
        activation = output.detach()
        try:
            activation = captured.to_map(activation, forward_pass.input_size) if captured else activation
        except CannotExplain as error:
            return error
        if gradient is None or _is_zero(gradient):
            return CannotExplain(
                f"The layer {name!r} doesn't influence this score: its gradient is "
                f"{'missing' if gradient is None else 'zero everywhere'}. Choose another layer, class or region."
            )
        gradient = captured.to_map(gradient, forward_pass.input_size) if captured else gradient
        return activation[0].float(), gradient[0].float()

    def _image_logits(self) -> Tensor:
        """Return the logits at the image's pixels, K×H×W."""
        return self.geometry.to_image(resize(self._logits[0], self.geometry.input))

    def _find_layers(self, forward_pass: ForwardPass) -> dict[str, Layer]:
        capture = forward_pass.capture
        if self.model.layers is not None:
            missing = [name for name in self.model.layers if name not in capture]
            if missing:
                raise UnknownName("layer", missing[0], capture.names())
        names = capture.outputs if self.model.layers is None else self.model.layers
        described = {
            name: capture[name].describe(forward_pass.input_size)
            for name in names
            if capture[name].intact and capture[name].output.grad_fn in self._nodes
        }
        return {name: Layer(name, *_size(layer)) for name, layer in described.items() if layer is not None}


def _is_zero(values: Tensor) -> bool:
    # A few numbers nearly always settle it; to look at all of them takes longer than to make the map.
    return not (bool(values[..., ::61].any()) or bool(values.any()))


def _size(layer: Layer) -> tuple[str, int, int, int]:
    return layer.type, layer.channels, layer.height, layer.width


def _target(class_: str | int | Target, region: Region | None, against: str | int | None, score: Score) -> Target:
    if not isinstance(class_, Target):
        return Target(class_, region, against=against, score=score)
    if region is not None or against is not None or score != "logit":
        raise InvalidInput("A Target was given together with region, against or score; say them in the Target alone.")
    return class_


def _nothing_there(target: Target, class_: str) -> str:
    if target.region is None:
        return (
            f"No pixel of the image is predicted as {class_!r}; give another region, for instance Region.everywhere()."
        )
    return "The region holds no pixel of the image, so there is nothing to explain; choose another region."
