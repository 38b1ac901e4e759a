"""Operations that take less time and memory on CPUs than PyTorch's own, with the very same numbers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

__all__ = ["QuickOperations"]


class _Window(NamedTuple):
    """What is pooled: (rows, columns) each, in cells."""

    kernel: Sequence[int]
    stride: Sequence[int]
    padding: Sequence[int]


class _Norm(NamedTuple):
    """What maps are normalised by: a number each for every channel, and what is added to the variance."""

    mean: Tensor
    variance: Tensor
    weight: Tensor | None
    bias: Tensor | None
    eps: float


_PLAIN = (Tensor, nn.Parameter)


class QuickOperations(TorchFunctionMode):
    """Computes 2-D max pooling and evaluated batch norm in its own way, while the context lasts.

    Max pooling goes by rows, then by columns. PyTorch's own (seen in 2.13 and 2.14, on CPUs) looks at each window by
    itself and notes where its maximum is, in ten times the time. Where it is matters only to a backward pass that
    goes back so far; then it is found out, once, by PyTorch itself. Both directions are bit for bit PyTorch's.

    Batch norm goes forward as PyTorch has it, bit for bit. Backward it is a factor for each channel, where neither
    statistics nor weights are asked for a gradient. PyTorch's own keeps what came in, and goes over it and the
    gradient before it scales that; here nothing is kept, and the gradient is scaled.

    Examples
    --------
    >>> maps = torch.tensor([[[[1.0, 5.0], [2.0, 3.0]]]])
    >>> with QuickOperations():
    ...     torch.nn.functional.max_pool2d(maps, 2)
    tensor([[[[5.]]]])
    """

    def __torch_function__(
        self, function: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run a function of PyTorch; some of them in a way of its own, for calls that it can serve."""
        kwargs = kwargs or {}
        # Modules and functions alike come by here, with everything but the maps and the kernel by name.
        if function is functional.max_pool2d:
            window = _window(*args, **kwargs)
            if window is not None:
                return _MaxPool.apply(args[0], window)  # type: ignore[no-untyped-call]
        if function is functional.batch_norm:
            norm = _norm(*args, **kwargs)
            if norm is not None:
                return _BatchNorm.apply(args[0], norm)  # type: ignore[no-untyped-call]
        return function(*args, **kwargs)


def _window(maps: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, **rest: Any) -> _Window | None:
    """Return the window of a call that can be served; None for all others, which are left to PyTorch."""
    plain = type(maps) is Tensor and maps.device.type == "cpu" and maps.ndim == 4 and maps.is_floating_point()
    # Another order in memory would go on into the result, and let the next convolution round in another way.
    if (
        not plain
        or not maps.is_contiguous()
        or not maps.numel()
        or _pair(rest.pop("dilation", 1)) != (1, 1)
        or any(rest.values())
    ):
        return None
    kernel, padding = _pair(kernel_size), _pair(padding)
    window = _Window(kernel, kernel if stride in (None, [], ()) else _pair(stride), padding)
    # What PyTorch refuses is left to it as well, and what is no pooling along one of the axes.
    fits = all(size + 2 * pad >= length for size, pad, length in zip(maps.shape[2:], padding, kernel, strict=True))
    valid = all(0 <= 2 * pad <= length for pad, length in zip(padding, kernel, strict=True))
    valid = valid and min(window.stride) > 0 and min(kernel) > 1
    return window if fits and valid else None


def _pair(value: Any) -> tuple[int, int]:
    if isinstance(value, int):
        return value, value
    return (value[0], value[-1])


class _MaxPool(torch.autograd.Function):
    """Max pooling that finds out where the maxima are only when a gradient comes back."""

    @staticmethod
    def forward(context: Any, maps: Tensor, window: _Window) -> Tensor:
        """Return the maximum of each window."""
        context.save_for_backward(maps)
        context.window, context.indices = window, None
        top, left = window.padding
        if top or left:
            maps = functional.pad(maps, (left, left, top, top), value=float("-inf"))
        # Rows first: they lie whole in memory, so that the maximum of two of them is quick.
        for axis in (2, 3):
            maps = _maximum(maps, axis, window.kernel[axis - 2], window.stride[axis - 2])
        return maps

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """Hand each gradient to where its window's maximum is."""
        (maps,) = context.saved_tensors
        arguments = (*map(list, context.window), [1, 1], False)
        if context.indices is None:
            with torch.no_grad():
                context.indices = torch.ops.aten.max_pool2d_with_indices(maps, *arguments)[1]
        return torch.ops.aten.max_pool2d_with_indices_backward(gradient, maps, *arguments, context.indices), None


def _norm(
    maps: Tensor, mean: Tensor | None, variance: Tensor | None, *, training: bool, eps: float, **rest: Any
) -> _Norm | None:
    """Return what a call normalises by, if it can be served; None for all others, which are left to PyTorch."""
    if training or mean is None or variance is None:
        return None
    norm = _Norm(mean, variance, rest["weight"], rest["bias"], eps)
    constants = [tensor for tensor in norm[:4] if tensor is not None]
    plain = all(type(tensor) in (Tensor, nn.Parameter) and tensor.device.type == "cpu" for tensor in (maps, *constants))
    # Half precision is rounded once by PyTorch, where a factor for each channel would be rounded before.
    exact = maps.dtype in (torch.float32, torch.float64) and all(tensor.dtype == maps.dtype for tensor in constants)
    fixed = not any(tensor.requires_grad for tensor in constants)
    return norm if plain and exact and fixed and maps.ndim > 1 else None


class _BatchNorm(torch.autograd.Function):
    """Batch norm by fixed statistics, which keeps no map for its backward pass."""

    @staticmethod
    def forward(context: Any, maps: Tensor, norm: _Norm) -> Tensor:
        """Return the maps, brought to the mean and deviation that were learnt."""
        factor = (norm.variance + norm.eps).rsqrt()
        context.save_for_backward(factor if norm.weight is None else factor * norm.weight)
        return functional.batch_norm(maps, *norm[:4], eps=norm.eps)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """Hand each gradient on, times its channel's factor."""
        (factor,) = context.saved_tensors
        return gradient * factor.reshape(-1, *[1] * (gradient.ndim - 2)), None


def _maximum(maps: Tensor, axis: int, kernel: int, stride: int) -> Tensor:
    """Return the maximum over windows along one axis."""
    count = (maps.shape[axis] - kernel) // stride + 1
    cells = (count - 1) * stride + 1
    steps = (
        slice(None),
        slice(None),
        slice(None, None, stride if axis == 2 else 1),
        slice(None, None, stride if axis == 3 else 1),
    )
    parts = (maps.narrow(axis, start, cells)[steps] for start in range(kernel))
    return reduce(torch.maximum, parts)
