"""A network with its classes and preprocessing, ready to be asked."""

from __future__ import annotations

import copy
import itertools
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from .colors import class_colors, to_rgb
from .errors import InvalidImage, InvalidInput, SegscopeError, UnknownName, UnsupportedNetwork, shown
from .forward_pass import ForwardPass
from .geometry import Geometry
from .image import ImageLike, picture_of, read_bands, read_mask, read_pixels, read_tensor
from .inputs import Inputs, SeveralInputs, Values, check_stack, first_bands, join_inputs, needs_several, read_inputs
from .layers import Capture, capturing, come_late, copying, is_overwritten, reaches
from .outputs import OUTPUTS, Logits, Output, Reading, read_again, read_logits
from .prediction import Prediction
from .preprocess import Preprocess
from .progress import Progress
from .quick import QuickOperations
from .rest import at_rest, bare, warn_of_training
from .stacks import read_stack
from .windowed import WindowedPrediction
from .windows import Cut, Windows

__all__ = ["DEFAULT_MEMORY", "SegmentationModel"]

DEFAULT_MEMORY = 2**29
"""Bytes that the passes which a method runs at once may take."""


class SegmentationModel:
    """A segmentation network with classes and preprocessing, whose predictions can be explained.

    The network is left exactly as it came: weights, gradients, ``requires_grad``, mode and hooks. It is evaluated as in
    ``eval()`` mode, whatever mode it is in.

    Parameters
    ----------
    network : Module
        Any network that takes a float B×C×h×w tensor; :func:`segscope.outputs.read_logits` lists the outputs
        understood.
    classes : sequence of str, optional
        Names of the classes, in the order of the channels. Without them they are named after the first prediction.
    colors : sequence of str, optional
        A ``"#RRGGBB"`` for each class; colour-blind safe ones otherwise.
    preprocess : Preprocess, optional
        How an image becomes the input. Without it, pixels are scaled to 0..1 and the image keeps its size.
    device : str or torch.device, optional
        Where to run. When the network lives elsewhere, a copy of it is made there. Without it: where the network is.
    layers : sequence of str, optional
        Names of the layers to offer, in this order. Without it: every layer whose output is a map and reaches the
        logits. Late layers alone make predictions smaller and quicker; a first question about any other layer or the
        input runs the network once more.
    output : {"auto", "logits", "probabilities"} or callable
        What the network's numbers are, or a function that gets what it returned and gives the logits.
    channels_last : bool, optional
        Whether its output has the channels last; found out from the classes otherwise.
    name : str, optional
        The model's name for people; the network's class otherwise.
    memory : int
        About how many bytes the passes that a method runs at once may take: it bounds their batches.
    windows : Windows or int or (int, int), optional
        How an image that is larger is cut into windows which the network sees one by one; a number or two are the size
        of a window. Without it the network sees every image whole.
    shown_bands : sequence of int, optional
        The three bands of an image that people see as red, green and blue, or the one that they see as grey, counted
        from 0. Without it: the first three, or the first one where there are fewer. The network gets all of them.

    Raises
    ------
    InvalidInput
        When the network isn't a ``torch.nn.Module`` or has no weights yet, class names repeat, colours don't fit the
        classes, or the network has no such bands.

    Examples
    --------
    >>> network = torch.nn.Conv2d(3, 2, kernel_size=3, padding=1)
    >>> model = SegmentationModel(network, classes=("background", "cell"))
    >>> model.predict(np.zeros((8, 8, 3), dtype=np.uint8)).mask.shape
    (8, 8)
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        classes: Sequence[str] | None = None,
        colors: Sequence[str] | None = None,
        preprocess: Preprocess | None = None,
        device: str | torch.device | None = None,
        layers: Sequence[str] | None = None,
        output: Output = "auto",
        channels_last: bool | None = None,
        name: str | None = None,
        memory: int = DEFAULT_MEMORY,
        windows: Windows | int | tuple[int, int] | None = None,
        shown_bands: Sequence[int] | None = None,
    ) -> None:
        if not isinstance(network, nn.Module):
            raise InvalidInput(f"The network is a {type(network).__name__}; expected a torch.nn.Module.")
        if not callable(output) and output not in OUTPUTS:
            raise UnknownName("kind of output", output, OUTPUTS)
        if preprocess is not None and not isinstance(preprocess, Preprocess):
            raise InvalidInput(f"preprocess is a {type(preprocess).__name__}; expected a segscope.Preprocess.")
        network = bare(network)
        _check_weights(network)
        warn_of_training(network, stacklevel=2)
        self.network = _on_device(network, device)
        preprocess = preprocess or Preprocess()
        self.preprocess = replace(preprocess, channels=sum(self.inputs.values())) if self.inputs else preprocess
        self.layers = None if layers is None else _names_of(layers)
        self.name = name or type(network.network if isinstance(network, SeveralInputs) else network).__name__
        self.memory = memory
        self.windows = Windows(windows) if isinstance(windows, (int, tuple, list)) else windows
        self.shown_bands = (
            first_bands(self.inputs) if shown_bands is None else read_bands(shown_bands, count=self.bands)
        )
        self._classes = None if classes is None else _checked_classes(classes)
        self._colors = None if colors is None else _checked_colors(colors, self._classes)
        self._output = output
        self._channels_last = channels_last
        # Modules whose output is overwritten in place later; None (all of them) until a first pass has shown which.
        inplace = any(getattr(module, "inplace", False) for module in network.modules())
        self._copied: set[str] | None = None if inplace else set()
        self._follows = True
        # A graph that begins at late layers saves the memory of all that comes before.
        self._begins_late = self.layers is not None and come_late(self.network, self.layers)

    @classmethod
    def load(
        cls,
        source: str,
        *,
        weights: str | os.PathLike[str] | None = None,
        classes: Sequence[str] | None = None,
        colors: Sequence[str] | None = None,
        preprocess: Preprocess | None = None,
        device: str | torch.device | None = None,
        windows: Windows | int | tuple[int, int] | None = None,
    ) -> SegmentationModel:
        """Load a model by name.

        Parameters
        ----------
        source : str
            ``"demo"`` for the network that comes with segscope; ``"module:function"`` or ``"file.py:function"`` for a
            function without arguments that returns a network or a :class:`SegmentationModel`;
            ``"torchvision:NAME"``, ``"smp:ARCHITECTURE/ENCODER"``, ``"hf:ID or folder"``, ``"onnx:FILE"``,
            ``"keras:FILE"`` or ``"export:FILE.pt2"`` for what other libraries make, whose class names and preprocessing
            are taken over; or a source of another package.
        weights : path, optional
            A file of weights for the network: safetensors, or what ``torch.save(network.state_dict(), …)`` wrote; no
            code in it runs. ``"random"`` for random ones, where a source would ask for weights.
        classes, colors, preprocess, device, windows
            As in the constructor; each overrides what the source says.

        Returns
        -------
        SegmentationModel
            The model.

        Raises
        ------
        InvalidInput
            When the source can't be read, imported or called, or the weights don't fit.
        MissingExtra
            When the source needs a package that isn't installed; the message names the ``pip install``.
        """
        from .sources import load_model

        return load_model(
            source,
            weights=weights,
            classes=classes,
            colors=colors,
            preprocess=preprocess,
            device=device,
            windows=windows,
        )

    def with_options(
        self,
        *,
        classes: Sequence[str] | None = None,
        colors: Sequence[str] | None = None,
        preprocess: Preprocess | None = None,
        device: str | torch.device | None = None,
        windows: Windows | int | tuple[int, int] | None = None,
        shown_bands: Sequence[int] | None = None,
    ) -> SegmentationModel:
        """Return a model of the same network with some options changed.

        Parameters
        ----------
        classes, colors, preprocess, device, windows, shown_bands
            As in the constructor; what isn't given stays as it is. New class names keep the colours if they are as
            many.

        Returns
        -------
        SegmentationModel
            The new model; it shares the network, unless the device differs.

        Raises
        ------
        InvalidInput
            As the constructor does.
        """
        kept = self._colors if classes is None or len(classes) == len(self._colors or ()) else None
        return SegmentationModel(
            self.network,
            classes=self._classes if classes is None else classes,
            colors=kept if colors is None else colors,
            preprocess=preprocess or self.preprocess,
            device=device,
            layers=self.layers,
            output=self._output,
            channels_last=self._channels_last,
            name=self.name,
            memory=self.memory,
            windows=self.windows if windows is None else windows,
            shown_bands=self.shown_bands if shown_bands is None else shown_bands,
        )

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the channels; empty until they are known."""
        return self._classes or ()

    @property
    def colors(self) -> tuple[str, ...]:
        """A ``"#RRGGBB"`` for each class."""
        return self._colors or class_colors(len(self.classes))

    @property
    def palette(self) -> NDArray[np.uint8]:
        """The colours as numbers, uint8, K×3."""
        return to_rgb(self.colors)

    @property
    def device(self) -> torch.device:
        """Where the network lives."""
        return next((tensor.device for tensor in self._tensors()), torch.device("cpu"))

    @property
    def dtype(self) -> torch.dtype:
        """The floating-point type of the network's weights."""
        return next((tensor.dtype for tensor in self._tensors() if tensor.is_floating_point()), torch.float32)

    @property
    def bands(self) -> int | None:
        """Channels of the images that the network takes, as far as preprocessing or its first convolution tell."""
        return self.preprocess.channels or self._stem_channels()

    @property
    def inputs(self) -> Mapping[str, int]:
        """Names and channels of the network's inputs where it has several; empty otherwise."""
        return MappingProxyType(self.network.inputs if isinstance(self.network, SeveralInputs) else {})

    def class_index(self, class_: str | int) -> int:
        """Return the index of a class.

        Parameters
        ----------
        class_ : str or int
            Its name or index.

        Returns
        -------
        int
            Counted from 0.

        Raises
        ------
        UnknownName
            When there is no such class; the message gives the nearest names.
        """
        if isinstance(class_, str) and class_ in self.classes:
            return self.classes.index(class_)
        if isinstance(class_, (int, np.integer)) and not isinstance(class_, bool) and 0 <= class_ < len(self.classes):
            return int(class_)
        raise UnknownName("class", class_, self.classes)

    def predict(
        self,
        image: ImageLike | Inputs,
        *,
        truth: ImageLike | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> Prediction:
        """Run the network once on an image, and keep the pass for explaining.

        Parameters
        ----------
        image : path, file object, PIL image, ndarray or Tensor; or a mapping of these
            A uint8 or uint16 array is H×W×C. A floating-point C×H×W tensor or array is taken as the network's input as
            it is. A ``.npy`` file holds either; a TIFF file may have any number of bands.
            For a network of :class:`SeveralInputs`: each by its name, or all of them stacked.
        truth : path, PIL image or ndarray, optional
            The true mask: H×W of class indices, for :meth:`Region.true` and :meth:`Region.errors`. Indices beyond the
            classes belong to none.
        progress : callable, optional
            Called with the share of the work that is done, 0..1, where the image is seen in windows; what it raises
            ends the work.

        Returns
        -------
        Prediction
            Close it, or use it in a ``with`` block, to give its memory back.

        Raises
        ------
        InvalidImage
            When the image isn't one, is empty or has the wrong channels, or the true mask has another size.
        UnsupportedNetwork
            When the network fails, or its output can't be read.
        """
        source = self._read(image)
        picture = self._seen(source)
        size = (picture.shape[0], picture.shape[1])
        true_mask = None if truth is None else read_mask(truth, size=size)
        cut = self.cut(size)
        if cut is not None:
            return WindowedPrediction(self, source, picture, cut, Progress(progress), truth=true_mask)
        tensor, geometry = self.to_input(source)
        return Prediction(self, picture, geometry, self.forward_pass(tensor, geometry), truth=true_mask)

    @contextmanager
    def at_rest(self) -> Iterator[None]:
        """Hold the network in ``eval()`` mode with its parameters frozen; no other thread uses it meanwhile.

        Modes, ``requires_grad`` and the global random numbers are as they were afterwards.

        Yields
        ------
        None
        """
        with at_rest(self.network):
            yield

    def logits(self, inputs: Tensor, reading: Reading) -> Tensor:
        """Run the network :meth:`at_rest` on inputs of one size, and read its output as an earlier one was read.

        Parameters
        ----------
        inputs : Tensor
            float, B×C×h×w: preprocessed, on the network's device and in its type.
        reading : Reading
            How the output of an earlier pass was read.

        Returns
        -------
        Tensor
            float32, B×K×h×w.
        """
        with copying(self.network, self._copied or ()):
            # A clone, since a network may write over its input.
            return read_again(self.network(inputs.clone()), reading)

    def picture(self, image: ImageLike | Inputs, *, bands: Sequence[int] | None = None) -> NDArray[np.uint8]:
        """Return an image as people see it.

        Parameters
        ----------
        image
            As for :meth:`predict`.
        bands : sequence of int, optional
            The bands to show, in place of :attr:`shown_bands`.

        Returns
        -------
        ndarray
            uint8, H×W×3. Bands of 8 bits are as they are; others are stretched from their 2nd to their 98th percentile.

        Raises
        ------
        InvalidImage
            When it isn't an image.
        InvalidInput
            When it has no such bands.
        """
        return self._seen(self._read(image), None if bands is None else read_bands(bands))

    def cut(self, size: tuple[int, int]) -> Cut | None:
        """Return the windows in which the network sees an image of this size.

        Parameters
        ----------
        size : (int, int)
            Its height and width in pixels.

        Returns
        -------
        Cut or None
            None where the network sees it whole.
        """
        cut = None if self.windows is None else self.windows.cut(size)
        return cut if cut is not None and len(cut.windows) > 1 else None

    def to_input(self, source: Sequence[Values]) -> tuple[Tensor, Geometry]:
        """Return what the network is given for an image.

        Parameters
        ----------
        source : sequence of ndarray or Tensor
            The image, or each of the network's inputs: uint8 or uint16, H×W×C; or float, C×h×w, which is the network's
            input already.

        Returns
        -------
        tensor : Tensor
            float32, C×h×w.
        geometry : Geometry
            Where the image lies in it.

        Raises
        ------
        InvalidImage
            When the image has another number of channels than the network takes.
        """
        return join_inputs(source, self.preprocess)

    def _seen(self, values: Sequence[Values], bands: Sequence[int] | None = None) -> NDArray[np.uint8]:
        arrays = [value.permute(1, 2, 0).cpu().numpy() if isinstance(value, Tensor) else value for value in values]
        return picture_of(*arrays, bands=bands or self.shown_bands)

    def _read(self, image: ImageLike | Inputs) -> list[Values]:
        """Return what the image holds, or what each of the network's inputs does."""
        if isinstance(image, Mapping):
            return read_inputs(image, self.inputs, self._read_one)
        if self.inputs:
            return [check_stack(self._read_one(image, None), self.inputs)]
        stem = self._stem_channels()
        return [self._read_one(image, self.preprocess.channels or (stem if stem in (1, 3, 4) else None))]

    def _read_one(self, image: ImageLike, channels: int | None) -> Values:
        stack = read_stack(image, channels=channels or self.bands)
        given = image if stack is None else stack
        tensor = read_tensor(given)
        return read_pixels(given, channels=channels) if tensor is None else tensor

    def _stem_channels(self) -> int | None:
        """Return the channels that the first convolution takes: a guess of how to open an image file."""
        convolutions = (module for module in self.network.modules() if isinstance(module, nn.Conv2d))
        return next((convolution.in_channels for convolution in convolutions), None)

    def forward_pass(
        self, tensor: Tensor, geometry: Geometry, *, whole: bool = False, from_input: bool = False
    ) -> ForwardPass:
        """Run the network once on an input, and keep what the layers put out.

        Parameters
        ----------
        tensor : Tensor
            float, C×h×w: the preprocessed image.
        geometry : Geometry
            Where the image lies in it.
        whole : bool
            Whether every module's output is kept, though the model offers only some of them.
        from_input : bool
            Whether gradients have to go back to the input, in this pass and all later ones; where the model offers only
            late layers, they go no further than those.

        Returns
        -------
        ForwardPass
            Logits and outputs, with their graph.

        Raises
        ------
        UnsupportedNetwork
            When the network fails, or its output can't be read.
        """
        with self.at_rest(), torch.inference_mode(mode=False), torch.enable_grad():
            leaf = tensor[None].to(self.device, self.dtype, copy=True).requires_grad_()
            # What nobody asks about needn't be kept: that saves half of a prediction's memory, and time.
            wanted = None if whole else self.layers
            self._begins_late &= not from_input
            known = set(self.network.modules())
            logits, capture = self._forward(leaf, geometry, wanted)
            if not known.issuperset(self.network.modules()):
                # Parts that the network made in its first run were neither evaluated nor watched; it keeps them.
                with self.at_rest():
                    logits, capture = self._forward(leaf, geometry, wanted)
            if capture.beginning is not None and not capture.reaches(logits.values):
                # The network doesn't go on with what the hooks gave it, or with none of what a layer put out.
                self._begins_late = False
                logits, capture = self._forward(leaf, geometry, wanted)
            if wanted is not None and is_overwritten(reaches(logits.values)):
                # Something that isn't kept is written over, and was needed: to find out what, all is kept once.
                logits, capture = self._forward(leaf, geometry, None)
            if capture.overwritten() - (self._copied or set()) and not capture.intact() and self._follows:
                logits, capture = self._once_more(leaf, geometry, logits, capture)
            if self._follows:
                self._copied = (self._copied or set()) | capture.overwritten()
            capture.settle(queries=logits.queries)
            if self._classes is None:
                names = tuple(f"class {index}" for index in range(logits.values.shape[1]))
                self._colors = None if self._colors is None else _checked_colors(self._colors, names)
                self._classes = names
        return ForwardPass(leaf, logits, capture)

    def _once_more(self, leaf: Tensor, geometry: Geometry, logits: Logits, capture: Capture) -> tuple[Logits, Capture]:
        """Run again with copies of what the network wrote over, where it hadn't before."""
        self._copied = (self._copied or set()) | capture.overwritten()
        again, copied = self._forward(leaf, geometry, capture.wanted)
        scale = float(logits.values.detach().abs().max())
        if torch.allclose(again.values, logits.values, rtol=0, atol=1e-4 * scale):
            return again, copied
        # The network means to write over it: copies change what it computes, so that such layers can't be explained.
        self._follows, self._copied = False, set()
        return self._forward(leaf, geometry, capture.wanted)

    def _forward(self, leaf: Tensor, geometry: Geometry, wanted: Collection[str] | None) -> tuple[Logits, Capture]:
        beginning = leaf if wanted is not None and self._begins_late else None
        with (
            QuickOperations(),
            capturing(self.network, copy=self._copied, wanted=wanted, beginning=beginning) as capture,
        ):
            try:
                # A clone, since a network may write over its input.
                capture.image = (leaf if beginning is None else leaf.detach()).clone()
                raw = self.network(capture.image)
            except Exception as error:
                raise self._failure(leaf, error, started=bool(capture.outputs)) from error
        logits = read_logits(
            raw,
            classes=len(self.classes) or None,
            input_size=geometry.input,
            output=self._output,
            channels_last=self._channels_last,
        )
        return logits, capture

    def _failure(self, leaf: Tensor, error: Exception, *, started: bool) -> SegscopeError:
        several = None if started else needs_several(self.network)
        if several is not None:
            return UnsupportedNetwork(several)
        wanted = self._stem_channels()
        # Where no module got through, it is the first one that couldn't take the image.
        if not started and wanted not in (None, leaf.shape[1]):
            told = f"The image has {leaf.shape[1]} channels; the network's first convolution takes {wanted}."
            # Integers are read with their channels last, and so are images by most other tools.
            hint = (
                " Floating point is read as C×H×W: move the channels to the front, as np.moveaxis(image, -1, 0) does."
            )
            return InvalidImage(told + (hint if leaf.shape[3] == wanted else ""))
        return UnsupportedNetwork(
            f"The network failed on an input of shape {tuple(leaf.shape)}: {type(error).__name__}: {error}. "
            "Check the image's channels and size, and the model's preprocessing."
        )

    def _tensors(self) -> Iterator[Tensor]:
        yield from self.network.parameters()
        yield from self.network.buffers()


def _check_weights(network: nn.Module) -> None:
    """Refuse a network that is only a description of its weights."""
    tensors = dict(itertools.chain(network.named_parameters(), network.named_buffers()))
    lazy = [name for name, tensor in tensors.items() if is_lazy(tensor)]
    if lazy:
        raise InvalidInput(
            f"{len(lazy)} of the network's weights have no size before a first run ({lazy[0]}, …); run it once on an "
            "input before."
        )
    hollow = [name for name, tensor in tensors.items() if tensor.is_meta]
    if hollow:
        raise InvalidInput(
            f"{len(hollow)} of the network's {len(tensors)} weights are on the device 'meta', which holds no numbers "
            f"({hollow[0]}, …); load them with network.load_state_dict(state, assign=True), or give their file with "
            "--weights (weights=… in Python)."
        )


def _on_device(network: nn.Module, device: str | torch.device | None) -> nn.Module:
    if device is None:
        return network
    try:
        wanted = torch.empty(0, device=device).device
    except (RuntimeError, AssertionError, TypeError) as error:
        raise InvalidInput(f"The device {device!r} can't be used: {str(error).partition(chr(10))[0]}") from None
    if wanted.type == "meta":
        raise InvalidInput("The device 'meta' holds no numbers, so that nothing can be predicted there.")
    here = all(tensor.device == wanted for tensor in (*network.parameters(), *network.buffers()))
    return network if here else copy.deepcopy(network).to(wanted)


def _names_of(names: Iterable[str]) -> tuple[str, ...]:
    """Return names as a tuple; a single one needs no list around it."""
    if isinstance(names, str):
        return (names,)
    try:
        return tuple(names)
    except TypeError:
        raise InvalidInput(f"Names were expected, and {shown(names)} came.") from None


def _checked_classes(classes: Sequence[str]) -> tuple[str, ...]:
    names = _names_of(classes)
    if len(names) < 2 or not all(isinstance(name, str) and name for name in names) or len(set(names)) < len(names):
        raise InvalidInput(f"The classes are {names!r}; expected at least two different names.")
    return names


def _checked_colors(colors: Sequence[str], classes: tuple[str, ...] | None) -> tuple[str, ...]:
    given = _names_of(colors)
    valid = all(isinstance(color, str) and re.fullmatch("#[0-9a-fA-F]{6}", color) for color in given)
    if not valid or (classes is not None and len(given) != len(classes)):
        raise InvalidInput(f"The colours are {shown(given)}; expected one '#RRGGBB' for each class.")
    return given
