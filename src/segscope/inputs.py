"""Networks that take several images at once: an image and its depth, an image and the one before."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .errors import InvalidImage, InvalidInput, shown
from .geometry import Geometry
from .image import ImageLike, default_bands
from .layers import INPUT
from .preprocess import Preprocess

__all__ = [
    "Inputs",
    "SeveralInputs",
    "Values",
    "check_stack",
    "first_bands",
    "join_inputs",
    "needs_several",
    "read_inputs",
]

Inputs: TypeAlias = Mapping[str, ImageLike]
"""An image for each of a network's inputs, by name."""

Values: TypeAlias = "NDArray[Any] | Tensor"
"""An image's pixels, H×W×C of uint8 or uint16; or the network's input as it is, float32 C×h×w."""


class SeveralInputs(nn.Module):
    """A network of several inputs as one that takes them stacked along the channels.

    :class:`SegmentationModel` takes it as any other network, and its ``predict`` takes a mapping of names to images.
    Each input is a layer of its own name: asked about it, a method explains this input while the others stay as they
    are. Asked about ``"input"``, it explains all of them together. The network's layers are called ``network.…``.

    Parameters
    ----------
    network : Module
        Its ``forward`` takes a float B×C×h×w tensor for each input, all of one height and width.
    inputs : mapping of str to int
        The inputs' names and channels, in the order of the stack; the first one is the image that people see. They are
        handed over by keyword where they are all parameters of ``forward``, else in this order.

    Raises
    ------
    InvalidInput
        When the network isn't a ``torch.nn.Module``, names or channels can't be used, or ``forward`` takes other
        inputs.

    Examples
    --------
    >>> class Fusion(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.colors, self.heights = nn.Conv2d(3, 2, 1), nn.Conv2d(1, 2, 1)
    ...
    ...     def forward(self, image, depth):
    ...         return self.colors(image) + self.heights(depth)
    >>> network = SeveralInputs(Fusion(), {"image": 3, "depth": 1})
    >>> network(torch.zeros(1, 4, 8, 8)).shape
    torch.Size([1, 2, 8, 8])
    """

    def __init__(self, network: nn.Module, inputs: Mapping[str, int]) -> None:
        super().__init__()
        if not isinstance(network, nn.Module):
            raise InvalidInput(f"The network is a {type(network).__name__}; expected a torch.nn.Module.")
        self.network = network
        self.inputs = _checked_inputs(inputs)
        for name in self.inputs:
            if name == INPUT or hasattr(self, name):
                raise InvalidInput(f"An input can't be called {name!r}; choose another name.")
            # What a method can ask about, and put something else in place of.
            self.add_module(name, nn.Identity())
        self._by_name = _taken_by_name(network, tuple(self.inputs))
        self.training = network.training

    @property
    def channels(self) -> int:
        """Channels of the stack."""
        return sum(self.inputs.values())

    def forward(self, stack: Tensor) -> Any:
        """Run the network.

        Parameters
        ----------
        stack : Tensor
            float, B×C×h×w: the inputs along the channels.

        Returns
        -------
        object
            What the network puts out.
        """
        given, start = {}, 0
        for name, count in self.inputs.items():
            # Not torch.split, whose parts a network can't write over.
            given[name] = self.get_submodule(name)(stack.narrow(1, start, count).contiguous())
            start += count
        return self.network(**given) if self._by_name else self.network(*given.values())


def read_inputs(
    given: Inputs, inputs: Mapping[str, int], read: Callable[[ImageLike, int | None], Values]
) -> list[Values]:
    """Read the images of a network's inputs.

    Parameters
    ----------
    given : mapping of str to ImageLike
        Each by its name.
    inputs : mapping of str to int
        Names and channels of the network's inputs; none where it takes one image.
    read : callable
        Reads an image, given the channels wanted.

    Returns
    -------
    list of ndarray or Tensor
        In the order of the network's inputs.

    Raises
    ------
    InvalidImage
        When one is missing, unknown, of other channels or another size, or isn't an image.
    """
    if not inputs:
        raise InvalidImage(
            f"Several images came ({', '.join(map(str, given))}), and the network takes one; make a network of several "
            "inputs with segscope.SeveralInputs."
        )
    unknown = [name for name in given if name not in inputs]
    missing = [name for name in inputs if name not in given]
    if unknown or missing:
        wrong = f"{', '.join(map(str, unknown))} is none of them" if unknown else f"{', '.join(missing)} is missing"
        raise InvalidImage(f"The network's inputs are {_listed(inputs)}; {wrong}.")
    values = [_read_input(name, given[name], channels, read) for name, channels in inputs.items()]
    sizes = [tuple(value.shape[1:]) if isinstance(value, Tensor) else value.shape[:2] for value in values]
    if len(set(sizes)) > 1:
        listed = ", ".join(f"{name} {height}×{width}" for name, (height, width) in zip(inputs, sizes, strict=True))
        raise InvalidImage(f"The inputs differ in size: {listed} (height×width); expected one size.")
    return values


def check_stack(values: Values, inputs: Mapping[str, int]) -> Values:
    """Return what came in place of several inputs, once it is known that it holds all of them.

    Parameters
    ----------
    values : ndarray or Tensor
        An image.
    inputs : mapping of str to int
        Names and channels of the network's inputs.

    Returns
    -------
    ndarray or Tensor
        The same.

    Raises
    ------
    InvalidImage
        When it has another number of channels than all inputs together.
    """
    if _channels(values) != sum(inputs.values()):
        names = ", ".join(f'"{name}": …' for name in inputs)
        raise InvalidImage(
            f"The image has {_channels(values)} channels, and the network's inputs are {_listed(inputs)}; give each by "
            f"its name, predict({{{names}}}) or --input NAME=FILE on the command line, or one image of "
            f"{sum(inputs.values())} channels that holds them in this order."
        )
    return values


def join_inputs(values: Sequence[Values], preprocess: Preprocess) -> tuple[Tensor, Geometry]:
    """Turn an image, or those of several inputs, into what a network takes.

    Parameters
    ----------
    values : sequence of ndarray or Tensor
        In the order of the stack, of one size. Pixels are preprocessed; what is of floating point beside them is
        resized and padded alike, but not normalised. Where all are of floating point they are taken as they are.
    preprocess : Preprocess
        Its channels are those of all together.

    Returns
    -------
    stack : Tensor
        float32, C×h×w.
    geometry : Geometry
        Where the images lie in it.

    Raises
    ------
    InvalidImage
        When the channels aren't as many as the network takes.
    """
    floating = [value for value in values if isinstance(value, Tensor)]
    if len(floating) == len(values):
        stack = torch.cat(floating) if len(floating) > 1 else floating[0]
        if preprocess.channels not in (None, len(stack)):
            raise InvalidImage(
                f"The tensor has shape {tuple(stack.shape)}; the network takes {preprocess.channels}×height×width."
            )
        return stack, Geometry.identity((stack.shape[1], stack.shape[2]))
    stack, geometry = preprocess(_joined_pixels(values))
    for value, part in zip(values, torch.split(stack, [_channels(value) for value in values]), strict=True):
        if isinstance(value, Tensor):
            part.copy_(geometry.to_input(value.cpu(), fill=preprocess.fill))
    return stack, geometry


def first_bands(inputs: Mapping[str, int]) -> tuple[int, ...] | None:
    """Return the bands of the stack that show the first of several inputs.

    Parameters
    ----------
    inputs : mapping of str to int
        Names and channels.

    Returns
    -------
    tuple of int or None
        One or three, counted from 0; None without inputs.
    """
    return default_bands(next(iter(inputs.values()))) if inputs else None


def needs_several(network: nn.Module) -> str | None:
    """Tell what to do with a network that can't run on one image, where its ``forward`` shows that.

    Parameters
    ----------
    network : Module
        Any.

    Returns
    -------
    str or None
        Sentences; None where one input is enough.
    """
    required = _required(network)
    if len(required) < 2:
        return None
    listed = ", ".join(f'"{name}": …' for name in required)
    return (
        f"The network's forward takes {len(required)} inputs: {', '.join(required)}. Hand it over with their channels: "
        f"segscope.SeveralInputs(network, {{{listed}}}). An input that isn't an image isn't supported."
    )


def _required(network: nn.Module) -> tuple[str, ...]:
    return tuple(name for name, parameter in _parameters(network).items() if _is_required(parameter))


def _is_required(parameter: inspect.Parameter) -> bool:
    return parameter.default is parameter.empty and parameter.kind not in (
        parameter.VAR_POSITIONAL,
        parameter.VAR_KEYWORD,
    )


def _parameters(network: nn.Module) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(network.forward).parameters
    except (TypeError, ValueError):  # a forward that isn't written in Python
        return {}


def _joined_pixels(values: Sequence[Values]) -> NDArray[Any]:
    """Return the pixels of all, of 16 bits where there are several: these hold those of 8 bits exactly."""
    if len(values) == 1 and not isinstance(values[0], Tensor):
        return values[0]
    return np.concatenate([_sixteen_bits(value) for value in values], axis=2)


def _sixteen_bits(value: Values) -> NDArray[np.uint16]:
    if isinstance(value, Tensor):  # its place is kept
        return np.zeros((*value.shape[1:], len(value)), np.uint16)
    return value.astype(np.uint16) * np.uint16(257 if value.dtype == np.uint8 else 1)


def _read_input(name: str, image: ImageLike, channels: int, read: Callable[[ImageLike, int | None], Values]) -> Values:
    if isinstance(image, (np.ndarray, Tensor)):
        if image.ndim < 2:
            raise InvalidImage(
                f"The input {name!r} has shape {tuple(image.shape)}; every input must be an image, and one without "
                "height and width isn't supported: keep it in a network around yours."
            )
        floating = image.is_floating_point() if isinstance(image, Tensor) else image.dtype.kind == "f"
        image = image[None] if floating and image.ndim == 2 else image
    try:
        value = read(image, channels)
    except InvalidImage as error:
        raise InvalidImage(f"The input {name!r} can't be used. {error}") from error
    if _channels(value) != channels:
        raise InvalidImage(f"The input {name!r} has {_channels(value)} channels; the network takes {channels}.")
    return value


def _channels(value: Values) -> int:
    return len(value) if isinstance(value, Tensor) else int(value.shape[2])


def _listed(inputs: Mapping[str, int]) -> str:
    return ", ".join(f"{name} ({count} channel{'s' if count > 1 else ''})" for name, count in inputs.items())


def _checked_inputs(inputs: Mapping[str, int]) -> dict[str, int]:
    found = dict(inputs) if isinstance(inputs, Mapping) else {}
    if len(found) < 2 or not all(
        isinstance(name, str)
        and name.isidentifier()
        and isinstance(count, (int, np.integer))
        and not isinstance(count, bool)
        and count > 0
        for name, count in found.items()
    ):
        raise InvalidInput(
            f"The inputs are {shown(inputs)}; expected two or more names with their channels, for instance "
            '{"image": 3, "depth": 1}. Every input must be an image: one without height and width, as a vector of '
            "numbers, isn't supported."
        )
    return {name: int(count) for name, count in found.items()}


def _taken_by_name(network: nn.Module, names: tuple[str, ...]) -> bool:
    """Tell whether all inputs are parameters of the network's forward, once it is known that it can take them."""
    parameters = _parameters(network)
    if not parameters:
        return False
    known = [
        name for name in names if name in parameters and parameters[name].kind != inspect.Parameter.POSITIONAL_ONLY
    ]
    by_name = len(known) == len(names)
    most = sum(parameter.kind <= parameter.POSITIONAL_OR_KEYWORD for parameter in parameters.values())
    variable = any(parameter.kind == parameter.VAR_POSITIONAL for parameter in parameters.values())
    required = _required(network)
    missing = [name for name in required if name not in names] if by_name else required[len(names) :]
    if missing or (known and not by_name) or (not by_name and len(names) > most and not variable):
        raise InvalidInput(
            f"The inputs are called {', '.join(names)}, and the network's forward takes {', '.join(parameters)}; give "
            "all of them by the same names, or as many by other names in the same order."
        )
    return by_name
