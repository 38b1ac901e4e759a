"""Whatever a segmentation network returns, as logits B×K×h×w."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor

from .errors import UnsupportedNetwork

__all__ = [
    "OUTPUTS",
    "Logits",
    "Output",
    "Reading",
    "find_again",
    "read_again",
    "read_logits",
    "read_tensor_again",
]

Output: TypeAlias = "Literal['auto', 'logits', 'probabilities'] | Callable[[Any], Tensor]"
OUTPUTS = ("auto", "logits", "probabilities")

# Autograd's names of what moves or resizes numbers and leaves their meaning.
_MOVING = ("Alias", "Clone", "Permute", "Select", "Slice", "Squeeze", "ToCopy", "Transpose", "Unsqueeze")
_RESHAPING = {*_MOVING, "UnsafeView", "UpsampleBilinear2D", "UpsampleNearest2D", "View"}

# What transformers calls the two outputs of networks that classify masks.
_QUERIES = ("class_queries_logits", "masks_queries_logits")


class Reading(NamedTuple):
    """How a network's output was read, so that the next one is read in the same way whatever its numbers are.

    Parameters
    ----------
    output : {"logits", "probabilities"} or callable
        What the numbers are, or the function that finds them.
    probabilities : bool
        Whether the numbers become their logarithm.
    channels_last : bool
        Whether the channels come last.
    """

    output: Output
    probabilities: bool
    channels_last: bool


class Logits(NamedTuple):
    """A network's class scores.

    Parameters
    ----------
    values : Tensor
        float32, B×K×h×w, at the network's own resolution.
    temperature : float
        The probabilities are ``softmax(values / temperature)``: 1, or 2 where one channel z became −z and z, so that
        the second class has the probability sigmoid(z) that such a network means.
    reading : Reading
        How they were found in the output.
    queries : int
        How many queries the network classifies masks by; 0 where it classifies pixels.
    """

    values: Tensor
    temperature: float
    reading: Reading
    queries: int = 0


def read_logits(
    raw: Any, *, classes: int | None, input_size: tuple[int, int], output: Output, channels_last: bool | None
) -> Logits:
    """Find the class scores in what a network returned.

    Parameters
    ----------
    raw : object
        A tensor; a mapping with ``"out"`` or ``"logits"``; an object with ``logits``; a tuple or list whose first is
        the logits; a mapping or object with ``class_queries_logits`` and ``masks_queries_logits``, as networks that
        classify masks have them (MaskFormer, Mask2Former, OneFormer, EoMT). Channels come first (B×K×h×w) or last
        (B×h×w×K); one channel, B×1×h×w or B×h×w, means two classes.
    classes : int, optional
        How many classes there should be; tells where the channels are.
    input_size : (int, int)
        Height and width of the network's input; tells it when the classes don't.
    output : {"auto", "logits", "probabilities"} or callable
        What the numbers are. ``"auto"`` takes them as probabilities where they lie in 0..1 and add up to one over at
        least two channels, or where the one channel comes out of a sigmoid, and as logits otherwise. A function gets
        what the network returned, and returns the logits.
    channels_last : bool, optional
        Where the channels are, when it should not be found out.

    Returns
    -------
    Logits
        With K ≥ 2 classes. One channel z becomes −z and z. Probabilities become their logarithm, which softmax turns
        back into them (of one channel: the log-odds). Of queries, each class has the logarithm of its share, added up
        over the queries: the query's probability of the class times that of the pixel's being in the query's mask.

    Raises
    ------
    UnsupportedNetwork
        When no scores are found, their number isn't the classes', or they are NaN or infinite.
    """
    tensor = _called(output, raw) if callable(output) else _find(raw)
    if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
        raise UnsupportedNetwork(
            f"The network's output ({_describe(raw)}) holds no class scores; expected a floating-point tensor, "
            "a mapping with 'out' or 'logits', an object with .logits, or a tuple whose first is the logits. Otherwise "
            "pass output=function."
        )
    tensor = _with_batch(tensor)
    if channels_last is None:
        channels_last = _is_channels_last(tensor, classes, input_size)
    logits = _channels_first(tensor, channels_last=channels_last).float()
    if not bool(torch.isfinite(logits).all()):
        raise UnsupportedNetwork(
            "The network's logits hold NaN or infinite values; check its weights and the preprocessing."
        )
    temperature = 2.0 if logits.shape[1] == 1 else 1.0
    probabilities = output == "probabilities"
    if output == "auto":
        # Numbers of half precision add up to one less closely.
        probabilities = _are_probabilities(logits, torch.finfo(tensor.dtype).eps)
    logits = _as_logits(logits, probabilities=probabilities)
    if classes is not None and logits.shape[1] != classes:
        raise UnsupportedNetwork(
            f"The network puts out {logits.shape[1]} classes (shape {tuple(tensor.shape)}), but {classes} class names "
            "were given."
        )
    masks = None if callable(output) else _part(raw, _QUERIES[1])
    queries = masks.shape[1] if isinstance(masks, Tensor) else 0
    return Logits(logits, temperature, Reading(output, probabilities, channels_last), queries)


def read_again(raw: Any, reading: Reading) -> Tensor:
    """Find the class scores of any number of images in what the network returned, as they were found the first time.

    Parameters
    ----------
    raw : object
        What the network returned.
    reading : Reading
        Of an earlier output of the same network.

    Returns
    -------
    Tensor
        float32, B×K×h×w.
    """
    return read_tensor_again(find_again(raw, reading), reading)


def find_again(raw: Any, reading: Reading) -> Tensor:
    """Find the tensor of class scores in what the network returned, as it was found the first time.

    Parameters
    ----------
    raw : object
        What the network returned.
    reading : Reading
        Of an earlier output of the same network.

    Returns
    -------
    Tensor
        As the network made it.
    """
    tensor = _called(reading.output, raw) if callable(reading.output) else _find(raw)
    assert isinstance(tensor, Tensor)  # noqa: S101  # as it was the first time
    return tensor


def read_tensor_again(tensor: Tensor, reading: Reading) -> Tensor:
    """Make logits of the tensor that :func:`find_again` found.

    Parameters
    ----------
    tensor : Tensor
        As the network made it.
    reading : Reading
        Of an earlier output of the same network.

    Returns
    -------
    Tensor
        float32, B×K×h×w.
    """
    tensor = tensor[:, None] if tensor.ndim == 3 else tensor
    return _as_logits(
        _channels_first(tensor, channels_last=reading.channels_last).float(), probabilities=reading.probabilities
    )


def _find(raw: Any) -> Any:
    if isinstance(raw, Tensor):
        return raw
    queries = [_part(raw, name) for name in _QUERIES]
    if all(isinstance(part, Tensor) for part in queries):
        return _joined(*queries)
    if isinstance(raw, Mapping):
        values = [raw[key] for key in ("out", "logits") if key in raw] or (list(raw.values()) if len(raw) == 1 else [])
        return _find(values[0]) if values else None
    if isinstance(getattr(raw, "logits", None), Tensor):
        return raw.logits
    if isinstance(raw, (tuple, list)) and raw:
        return _find(raw[0])
    return None


def _part(raw: Any, name: str) -> Any:
    return raw.get(name) if isinstance(raw, Mapping) else getattr(raw, name, None)


def _joined(classes: Tensor, masks: Tensor) -> Tensor:
    """Join queries, B×Q×(K+1) and B×Q×h×w, to B×K×h×w; the last class stands for nothing."""
    # The logarithm makes shares of what is added up: softmax divides it by its sum over the classes.
    scores = torch.einsum("bqk,bqhw->bkhw", classes.softmax(-1)[..., :-1], masks.sigmoid())
    return scores.clamp(min=torch.finfo(scores.dtype).tiny).log()


def _with_batch(tensor: Tensor) -> Tensor:
    if tensor.ndim == 3:
        tensor = tensor[:, None] if tensor.shape[0] == 1 else tensor[None]
    if tensor.ndim != 4 or tensor.shape[0] != 1 or tensor.numel() == 0:
        raise UnsupportedNetwork(
            f"The network's scores have shape {tuple(tensor.shape)}; expected 1×classes×height×width or "
            "1×height×width×classes. If they are elsewhere in its output, pass output=function, which picks them."
        )
    return tensor


def _channels_first(tensor: Tensor, *, channels_last: bool) -> Tensor:
    return tensor.permute(0, 3, 1, 2) if channels_last else tensor


def _is_channels_last(tensor: Tensor, classes: int | None, input_size: tuple[int, int]) -> bool:
    """Decide by the number of classes, and where that fits both ways by the proportions of the input."""
    counts = {classes} | ({1} if classes == 2 else set())
    first, last = tensor.shape[1] in counts, tensor.shape[3] in counts
    if first != last:
        return last
    heights, widths = input_size
    skew_first = abs(tensor.shape[2] * widths - tensor.shape[3] * heights)
    skew_last = abs(tensor.shape[1] * widths - tensor.shape[2] * heights)
    return skew_last < skew_first


def _are_probabilities(values: Tensor, precision: float) -> bool:
    if values.shape[1] == 1:
        return _comes_from_sigmoid(values)
    return bool(values.min() >= 0) and bool(((values.sum(1) - 1).abs() < max(1e-4, 2 * precision)).all())


def _comes_from_sigmoid(values: Tensor) -> bool:
    """Tell by the graph, since one channel of logits may happen to lie in 0..1 as well."""
    node = values.grad_fn
    while node is not None and node.name().partition("Backward")[0] in _RESHAPING:
        node = node.next_functions[0][0]
    return node is not None and node.name().startswith("SigmoidBackward")


def _as_logits(values: Tensor, *, probabilities: bool) -> Tensor:
    if values.shape[1] == 1:
        log_odds = torch.logit(values, eps=1e-7) if probabilities else values
        return torch.cat([-log_odds, log_odds], dim=1)
    return values.clamp(min=torch.finfo(values.dtype).tiny).log() if probabilities else values


def _called(function: Callable[[Any], Tensor], raw: Any) -> Tensor:
    try:
        return function(raw)
    except Exception as error:
        raise UnsupportedNetwork(
            f"The function output= failed on the network's output ({_describe(raw)}): {type(error).__name__}: {error}."
        ) from error


def _describe(raw: Any) -> str:
    if isinstance(raw, Tensor):
        return f"a tensor of {raw.dtype} with shape {tuple(raw.shape)}"
    if isinstance(raw, Mapping):
        return f"a mapping with the keys {', '.join(map(repr, raw)) or 'none'}"
    return f"a {type(raw).__name__}"
