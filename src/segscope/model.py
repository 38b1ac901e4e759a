"""A network with its classes and preprocessing, ready to be asked."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .colors import class_colors, to_rgb
from .errors import InvalidImage, InvalidInput, UnknownName, UnsupportedNetwork
from .geometry import Geometry
from .image import ImageLike, picture_of, read_mask, read_pixels, read_tensor
from .layers import Capture, capturing
from .outputs import OUTPUTS, Output, read_logits
from .prediction import ForwardPass, Prediction
from .preprocess import Preprocess

__all__ = ["SegmentationModel"]


class SegmentationModel:
    """A segmentation network with classes and preprocessing, whose predictions can be explained.

    The network is left exactly as it came: weights, gradients, ``requires_grad``, mode and hooks. It is evaluated as in
    ``eval()`` mode, whatever mode it is in.

    Parameters
    ----------
    network : Module
        Any network that takes a float B×C×h×w tensor; :func:`segscope.outputs.read_logits` lists the outputs understood.
    classes : sequence of str, optional
        Names of the classes, in the order of the channels. Without them they are named after the first prediction.
    colors : sequence of str, optional
        A ``"#RRGGBB"`` for each class; colour-blind safe ones otherwise.
    preprocess : Preprocess, optional
        How an image becomes the input. Without it, pixels are scaled to 0..1 and the image keeps its size.
    device : str or torch.device, optional
        Where to run. When the network lives elsewhere, a copy of it is made there. Without it: where the network is.
    layers : sequence of str, optional
        Names of the layers to offer, in this order. Without it: every layer whose output is a map and reaches the logits.
    output : {"auto", "logits", "probabilities"} or callable
        What the network's numbers are, or a function that gets what it returned and gives the logits.
    channels_last : bool, optional
        Whether its output has the channels last; found out from the classes otherwise.
    name : str, optional
        The model's name for people; the network's class otherwise.

    Raises
    ------
    InvalidInput
        When the network isn't a ``torch.nn.Module``, class names repeat, or colours don't fit the classes.

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
    ) -> None:
        if not isinstance(network, nn.Module):
            raise InvalidInput(f"The network is a {type(network).__name__}; expected a torch.nn.Module.")
        if not callable(output) and output not in OUTPUTS:
            raise UnknownName("kind of output", output, OUTPUTS)
        self.network = _on_device(network, device)
        self.preprocess = preprocess or Preprocess(channels=None)
        self.layers = None if layers is None else tuple(layers)
        self.name = name or type(network).__name__
        self._classes = None if classes is None else _checked_classes(classes)
        self._colors = None if colors is None else _checked_colors(colors, self._classes)
        self._output = output
        self._channels_last = channels_last
        self._lock = threading.RLock()
        # Modules whose output is overwritten in place later; None (all of them) until a first pass has shown which.
        inplace = any(getattr(module, "inplace", False) for module in network.modules())
        self._copied: set[str] | None = None if inplace else set()

    @classmethod
    def load(
        cls,
        source: str,
        *,
        classes: Sequence[str] | None = None,
        preprocess: Preprocess | None = None,
        device: str | torch.device | None = None,
    ) -> SegmentationModel:
        """Load a model by name.

        Parameters
        ----------
        source : str
            ``"demo"`` for the network that comes with segscope; ``"module:function"`` or ``"file.py:function"`` for a function
            without arguments that returns a network or a :class:`SegmentationModel`.
        classes, preprocess, device
            As in the constructor; each overrides what the source says.

        Raises
        ------
        InvalidInput
            When the source can't be read, imported or called.
        """
        from .sources import load_model

        return load_model(source, classes=classes, preprocess=preprocess, device=device)

    def with_options(
        self,
        *,
        classes: Sequence[str] | None = None,
        preprocess: Preprocess | None = None,
        device: str | torch.device | None = None,
    ) -> SegmentationModel:
        """Return a model of the same network with some options changed.

        Parameters
        ----------
        classes, preprocess, device
            As in the constructor; what isn't given stays as it is. New class names keep the colours if they are as many.

        Raises
        ------
        InvalidInput
            As the constructor does.
        """
        colors = self._colors if classes is None or len(classes) == len(self._colors or ()) else None
        return SegmentationModel(
            self.network,
            classes=self._classes if classes is None else classes,
            colors=colors,
            preprocess=preprocess or self.preprocess,
            device=device,
            layers=self.layers,
            output=self._output,
            channels_last=self._channels_last,
            name=self.name,
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

    def class_index(self, class_: str | int) -> int:
        """Return the index of a class.

        Parameters
        ----------
        class_ : str or int
            Its name or index.

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

    def predict(self, image: ImageLike, *, truth: ImageLike | None = None) -> Prediction:
        """Run the network once on an image, and keep the pass for explaining.

        Parameters
        ----------
        image : path, file object, PIL image, ndarray or Tensor
            A uint8 or uint16 array is H×W×C. A floating-point C×H×W tensor or array is taken as the network's input as it is.
        truth : path, PIL image or ndarray, optional
            The true mask: H×W of class indices, for :meth:`Region.true` and :meth:`Region.errors`. Indices beyond the
            classes belong to none.

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
        picture, tensor, geometry = self._prepare(image)
        true_mask = None if truth is None else read_mask(truth, size=geometry.image)
        return Prediction(self, picture, geometry, self._run(tensor, geometry), truth=true_mask)

    def _prepare(self, image: ImageLike) -> tuple[NDArray[np.uint8], Tensor, Geometry]:
        tensor = read_tensor(image)
        if tensor is not None:
            wanted = self.preprocess.channels
            if wanted is not None and tensor.shape[0] != wanted:
                raise InvalidImage(
                    f"The tensor has shape {tuple(tensor.shape)}; the network takes {wanted}×height×width."
                )
            picture = picture_of(tensor.permute(1, 2, 0).cpu().numpy())
            return picture, tensor, Geometry.identity((tensor.shape[1], tensor.shape[2]))
        pixels = read_pixels(image, channels=self.preprocess.channels or self._stem_channels())
        tensor, geometry = self.preprocess(pixels)
        return picture_of(pixels), tensor, geometry

    def _stem_channels(self) -> int | None:
        """Return the channels of the first convolution, as a guess of how to open an image file."""
        convolution = next((module for module in self.network.modules() if isinstance(module, nn.Conv2d)), None)
        return convolution.in_channels if convolution is not None and convolution.in_channels in (1, 3, 4) else None

    def _run(self, tensor: Tensor, geometry: Geometry) -> ForwardPass:
        leaf = tensor[None].to(self.device, self.dtype).requires_grad_()
        with self._lock, _undisturbed(self.network), torch.inference_mode(False), torch.enable_grad():
            raw, capture = self._forward(leaf)
            if not capture.intact():
                # The network wrote over an activation where it hadn't before: once more, now with a copy of that one.
                self._copied = (self._copied or set()) | capture.overwritten()
                raw, capture = self._forward(leaf)
            self._copied = (self._copied or set()) | capture.overwritten()
            capture.settle()
            logits = read_logits(
                raw,
                classes=len(self.classes) or None,
                input_size=geometry.input,
                output=self._output,
                channels_last=self._channels_last,
            )
            if self._classes is None:
                self._classes = tuple(f"class {index}" for index in range(logits.values.shape[1]))
        return ForwardPass(leaf, logits.values, logits.temperature, capture)

    def _forward(self, leaf: Tensor) -> tuple[Any, Capture]:
        with capturing(self.network, copy=self._copied) as capture:
            try:
                # A clone, since a network may write over its input.
                return self.network(leaf.clone()), capture
            except Exception as error:
                raise UnsupportedNetwork(
                    f"The network failed on an input of shape {tuple(leaf.shape)}: {type(error).__name__}: {error}. "
                    "Check the image's channels and size, and the model's preprocessing."
                ) from error

    def _tensors(self) -> Iterator[Tensor]:
        yield from self.network.parameters()
        yield from self.network.buffers()


@contextmanager
def _undisturbed(network: nn.Module) -> Iterator[None]:
    """Evaluate a network with its parameters frozen, and leave modes and ``requires_grad`` as they were."""
    modes = [(module, module.training) for module in network.modules()]
    required = [(parameter, parameter.requires_grad) for parameter in network.parameters()]
    try:
        for module, _ in modes:
            module.training = False
        for parameter, _ in required:
            parameter.requires_grad_(False)
        yield
    finally:
        for module, training in modes:
            module.training = training
        for parameter, requires_grad in required:
            parameter.requires_grad_(requires_grad)


def _on_device(network: nn.Module, device: str | torch.device | None) -> nn.Module:
    if device is None:
        return network
    try:
        wanted = torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:
        raise InvalidInput(f"The device {str(device)!r} can't be used: {str(error).splitlines()[0]}") from None
    here = all(tensor.device == wanted for tensor in (*network.parameters(), *network.buffers()))
    return network if here else copy.deepcopy(network).to(wanted)


def _checked_classes(classes: Sequence[str]) -> tuple[str, ...]:
    names = (classes,) if isinstance(classes, str) else tuple(classes)
    if len(names) < 2 or not all(isinstance(name, str) and name for name in names) or len(set(names)) < len(names):
        raise InvalidInput(f"The classes are {names!r}; expected at least two different names.")
    return names


def _checked_colors(colors: Sequence[str], classes: tuple[str, ...] | None) -> tuple[str, ...]:
    valid = all(isinstance(color, str) and len(color) == 7 and color[0] == "#" for color in colors)
    try:
        to_rgb(tuple(colors))
    except (ValueError, TypeError):
        valid = False
    if not valid or (classes is not None and len(colors) != len(classes)):
        raise InvalidInput(f"The colours are {tuple(colors)!r}; expected one '#RRGGBB' for each class.")
    return tuple(colors)
