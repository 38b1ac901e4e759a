"""How relevance passes through what a network calls as functions, where no module stands for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from .errors import CannotExplain

__all__ = ["RelevanceMode"]

# What acts on each number by itself, or rescales a map: its output's relevance is its input's.
_PASSING = {
    *("relu", "relu6", "leaky_relu", "elu", "celu", "selu", "gelu", "silu", "mish", "hardswish", "hardsigmoid"),
    *(
        "hardtanh",
        "sigmoid",
        "tanh",
        "softplus",
        "softsign",
        "logsigmoid",
        "prelu",
        "rrelu",
        "clamp",
        "clamp_min",
        "clip",
    ),
    *("threshold", "batch_norm", "layer_norm", "group_norm", "instance_norm", "local_response_norm"),
}
# What is linear in its one differentiable operand, or adds up several: each term gets its share of the sum.
_LINEAR = {
    *("add", "iadd", "radd", "sub", "isub", "rsub", "sum", "mean", "neg", "negative"),
    *("avg_pool1d", "avg_pool2d", "adaptive_avg_pool1d", "adaptive_avg_pool2d", "lp_pool2d", "fold"),
    *("interpolate", "upsample", "upsample_bilinear", "upsample_nearest"),
}
# What is linear only where no more than one operand depends on the input.
_BILINEAR = {
    *("mul", "imul", "rmul", "multiply", "div", "idiv", "truediv", "itruediv", "true_divide", "divide"),
    *("matmul", "rmatmul", "bmm", "mm", "einsum", "linear", "conv1d", "conv2d", "conv_transpose2d", "grid_sample"),
}
_OUT_OF_PLACE = {"__iadd__": "add", "__isub__": "sub", "__imul__": "mul", "__itruediv__": "div", "__idiv__": "div"}
_QUOTIENTS = {"div", "idiv", "truediv", "itruediv", "true_divide", "divide", "rtruediv", "rdiv"}
# What moves numbers, or chooses among them: relevance goes where the gradient does.
_MOVING = {
    *("cat", "concat", "concatenate", "stack", "hstack", "vstack", "dstack", "split", "split_with_sizes", "chunk"),
    *("unbind", "tensor_split", "getitem", "setitem", "select", "narrow", "index_select", "gather", "take_along_dim"),
    *("view", "view_as", "reshape", "reshape_as", "flatten", "unflatten", "squeeze", "unsqueeze", "permute"),
    *("transpose", "swapaxes", "swapdims", "movedim", "moveaxis", "t", "get", "contiguous", "clone", "expand"),
    *("expand_as", "repeat", "tile", "broadcast_to", "broadcast_tensors", "repeat_interleave", "roll", "flip", "rot90"),
    *("pad", "constant_pad_nd", "pixel_shuffle", "pixel_unshuffle", "channel_shuffle", "native_channel_shuffle"),
    *("unfold", "max_pool1d", "max_pool2d", "max_pool2d_with_indices", "adaptive_max_pool2d", "max", "amax", "maximum"),
    *("adaptive_max_pool2d_with_indices", "dropout", "dropout1d", "dropout2d", "alpha_dropout", "feature_dropout"),
    *("to", "type", "type_as", "float", "double", "half", "bfloat16", "cpu", "cuda", "copy", "where", "masked_fill"),
    *("requires_grad", "iter", "meshgrid", "identity", "max_unpool2d", "zero", "fill"),
}


class RelevanceMode(TorchFunctionMode):
    """A context in which the functions that a network calls get a backward pass that hands on relevance.

    Additions, means and interpolations divide it by what each term contributed (the epsilon rule), functions of single
    numbers and normalisations pass it on, and what only moves numbers does so with their relevance. What multiplies
    two maps has no rule. Modules with rules of their own are run in :meth:`module`.

    Parameters
    ----------
    epsilon : float
        Added to denominators, with their sign.

    Raises
    ------
    CannotExplain
        When the network calls a function that relevance can't be handed through.
    """

    def __init__(self, *, epsilon: float) -> None:
        super().__init__()
        self._epsilon = epsilon
        self._inside = 0

    def module(self, forward: Callable[..., Any]) -> Callable[..., Any]:
        """Return a module's forward function so that what it calls is left to the module's own rule.

        Parameters
        ----------
        forward : callable
            The function.

        Returns
        -------
        callable
            With the same arguments.
        """

        def run(*args: Any, **options: Any) -> Any:
            self._inside += 1
            try:
                return forward(*args, **options)
            finally:
                self._inside -= 1

        return run

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call a function of PyTorch so that its backward pass hands on relevance."""
        options = dict(kwargs or {})
        operands = _differentiable([*args, *options.values()])
        name = getattr(func, "__name__", "").strip("_")
        if self._inside or not operands or name in _MOVING or not torch.is_grad_enabled():
            return func(*args, **options)
        if name in _PASSING:
            return self._pass(func, name, args, options)
        if name in _LINEAR or (name in _BILINEAR and len(operands) == 1 and not _divides_by(name, args)):
            return self._share(func, args, options)
        result = func(*args, **options)
        if _differentiable([result]):
            raise CannotExplain(_no_rule(name, operands))
        return result

    def _pass(self, func: Callable[..., Any], name: str, args: Sequence[Any], options: dict[str, Any]) -> Tensor:
        signal = args[0] if args else options["input"]
        result = func(*_mapped(args, Tensor.detach), **_mapped(options, Tensor.detach))
        if not _differentiable([signal]) or signal.shape != result.shape:
            raise CannotExplain(_no_rule(name, [signal]))
        passed: Tensor = _Pass.apply(signal, result)  # type: ignore[no-untyped-call] # PyTorch's own
        return passed

    def _share(self, func: Callable[..., Any], args: Sequence[Any], options: dict[str, Any]) -> Tensor:
        name = getattr(func, "__name__", "")
        other = _OUT_OF_PLACE.get(name, name.rstrip("_") if name.endswith("_") and not name.endswith("__") else "")
        linear = getattr(Tensor, other) if other else func
        result = linear(*_mapped(args, _Weight.apply), **_mapped(options, _Weight.apply))
        divided: Tensor = _Divide.apply(result, self._epsilon)  # type: ignore[no-untyped-call] # PyTorch's own
        return args[0].copy_(divided) if other else divided


class _Pass(torch.autograd.Function):
    """The result of a function, whose relevance is that of what went in."""

    @staticmethod
    def forward(ctx: Any, signal: Tensor, result: Tensor) -> Tensor:  # noqa: ARG004  # PyTorch's signature
        return result.clone()

    @staticmethod
    def backward(ctx: Any, *relevance: Tensor) -> tuple[Tensor, None]:  # noqa: ARG004
        return relevance[0], None


class _Weight(torch.autograd.Function):
    """A term; what comes back for it is multiplied by it."""

    @staticmethod
    def forward(ctx: Any, term: Tensor) -> Tensor:
        # A clone each, since the network may write over the term.
        ctx.save_for_backward(term.clone())
        return term.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        found: Tensor = ctx.saved_tensors[0] * gradients[0]
        return found


class _Divide(torch.autograd.Function):
    """A sum; its relevance is divided by it."""

    @staticmethod
    def forward(ctx: Any, total: Tensor, epsilon: float) -> Tensor:
        ctx.epsilon = epsilon
        ctx.save_for_backward(total.clone())
        return total.clone()

    @staticmethod
    def backward(ctx: Any, *relevance: Tensor) -> tuple[Tensor, None]:
        (total,) = ctx.saved_tensors
        return relevance[0] / (total + torch.where(total < 0, -ctx.epsilon, ctx.epsilon)), None


def _divides_by(name: str, args: Sequence[Any]) -> bool:
    return name in _QUOTIENTS and not _differentiable(args[:1])


def _differentiable(values: Sequence[Any]) -> list[Tensor]:
    """Return the tensors among some values that need a gradient, in lists and tuples too."""
    found: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            found += [value] if value.requires_grad else []
        elif isinstance(value, (tuple, list)):
            found += _differentiable(value)
    return found


def _mapped(values: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Return values with every tensor that needs a gradient changed."""
    if isinstance(values, Tensor):
        return change(values) if values.requires_grad else values
    if isinstance(values, dict):
        return {key: _mapped(value, change) for key, value in values.items()}
    if type(values) in (tuple, list):
        return type(values)(_mapped(value, change) for value in values)
    return values


def _no_rule(name: str, operands: Sequence[Tensor]) -> str:
    several = name in _BILINEAR and len(operands) > 1
    product = f"multiplies two things that both depend on the image ({name})"
    return (
        f"The network {product if several else f'calls the function {name!r}'}, for which relevance propagation has no "
        "rule here. Choose another method, for a transformer one that follows its attention."
    )
