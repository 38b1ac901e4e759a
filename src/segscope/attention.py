"""The attention matrices of a network, found while it runs, whatever it is made of."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge
from torch.overrides import TorchFunctionMode

from .errors import CannotExplain

__all__ = ["Attention", "AttentionCapture", "attention_gradients"]


@dataclass(frozen=True)
class Attention:
    """What one attention layer gave each token to look at.

    Parameters
    ----------
    weights : Tensor
        float, heads×queries×keys, detached; rows add up to one.
    edge : GradientEdge
        Where in the graph they were made.
    """

    weights: Tensor
    edge: GradientEdge


def attention_gradients(score: Tensor, attentions: Sequence[Attention]) -> list[Tensor]:
    """Return the derivative of a score by attention weights, from one backward pass.

    Parameters
    ----------
    score : Tensor
        One number, from the run in which the attention was captured.
    attentions : sequence of Attention
        The layers.

    Returns
    -------
    list of Tensor
        float, heads×queries×keys each; zero where the score doesn't depend on a layer.
    """
    gradients = torch.autograd.grad(score, [attention.edge for attention in attentions], allow_unused=True)
    return [
        torch.zeros_like(attention.weights) if gradient is None else gradient.reshape(attention.weights.shape)
        for attention, gradient in zip(attentions, gradients, strict=True)
    ]


class AttentionCapture(TorchFunctionMode):
    """A context in which every attention that a network computes is kept; the network itself isn't touched.

    Found are ``scaled_dot_product_attention``, which is computed step by step here so that its weights exist,
    ``nn.MultiheadAttention``, and every softmax over the last axis whose result goes into a matrix product. Kernels of
    other packages aren't seen. Gradients must be enabled, and the network's input require one.

    Parameters
    ----------
    memory : int
        About how many bytes the matrices may take.

    Attributes
    ----------
    found : list of Attention
        In the order in which they were computed.

    Raises
    ------
    CannotExplain
        When attention is computed within windows of the image, each with weights of its own, without gradients, or
        takes too much memory.
    """

    def __init__(self, *, memory: int) -> None:
        super().__init__()
        self.found: list[Attention] = []
        self._memory = memory
        self._left = memory
        # What a softmax gave, and views of it: the tensor, and the softmax's own result.
        self._softmaxes: dict[int, tuple[Tensor, Tensor]] = {}

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call a function of PyTorch, and keep the attention that it computes."""
        options = dict(kwargs or {})
        name = getattr(func, "__name__", "").strip("_")
        if name == "scaled_dot_product_attention":
            return self._attend(*args, **options)
        if name == "multi_head_attention_forward":
            return self._many_heads(func, args, options)
        result = func(*args, **options)
        if name == "softmax" and _over_last_axis(result, args, options):
            self._softmaxes[id(result)] = result, result
        elif name in _PASSING and isinstance(result, Tensor) and args and id(args[0]) in self._softmaxes:
            self._softmaxes[id(result)] = result, self._softmaxes[id(args[0])][1]
        elif name in _PRODUCTS:
            for operand in _tensors(args):
                if id(operand) in self._softmaxes:
                    self._keep(self._softmaxes.pop(id(operand))[1])
        return result

    def _attend(  # noqa: PLR0917  # PyTorch's signature
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,  # noqa: ARG002  # networks are explained in eval mode
        is_causal: bool = False,  # noqa: FBT001, FBT002
        scale: float | None = None,
        enable_gqa: bool = False,  # noqa: FBT001, FBT002
    ) -> Tensor:
        """Compute scaled dot-product attention as its definition has it."""
        if enable_gqa:
            repeats = query.shape[-3] // key.shape[-3]
            key, value = key.repeat_interleave(repeats, -3), value.repeat_interleave(repeats, -3)
        self._check_memory(math.prod(query.shape[:-1]) * key.shape[-2] * query.element_size())
        logits = query @ key.mT * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
        if is_causal:
            attn_mask = torch.ones(logits.shape[-2:], dtype=torch.bool, device=logits.device).tril()
        if attn_mask is not None and attn_mask.dtype == torch.bool:
            logits = logits.masked_fill(~attn_mask, -math.inf)
        elif attn_mask is not None:
            logits = logits + attn_mask
        weights = logits.softmax(dim=-1)
        self._keep(weights)
        return weights @ value

    def _many_heads(self, func: Callable[..., Any], args: Sequence[Any], options: dict[str, Any]) -> Any:
        """Run PyTorch's own module for attention in the way that hands out the weights, and return what was asked."""
        wanted, averaged = options.get("need_weights", True), options.get("average_attn_weights", True)
        output, weights = func(*args, **{**options, "need_weights": True, "average_attn_weights": False})
        self._keep(weights)
        if not wanted:
            return output, None
        return output, weights.mean(dim=-3) if averaged else weights

    def _keep(self, weights: Tensor) -> None:
        if weights.grad_fn is None:
            raise CannotExplain(
                "The network's attention is computed without gradients, so that it can't be followed; choose another "
                "method."
            )
        windows = math.prod(weights.shape[:-3])
        if windows != 1:
            raise CannotExplain(
                f"The network's attention is divided into {windows} windows of {weights.shape[-1]} tokens each, as in "
                "Swin: no matrix relates all tokens of the image, so that there is nothing to roll out. Choose a "
                "method that works with gradients or perturbations."
            )
        self._check_memory(weights.numel() * weights.element_size())
        self._left -= 3 * weights.numel() * weights.element_size()
        # The weights that were handed out may be a view of those that the output was computed from: the softmax's.
        node = weights.grad_fn
        while "Softmax" not in node.name() and node.next_functions and node.next_functions[0][0] is not None:
            node = node.next_functions[0][0]
        self.found.append(Attention(weights.detach().reshape(-1, *weights.shape[-2:]), GradientEdge(node, 0)))

    def _check_memory(self, size: int) -> None:
        # The matrix, what the backward pass keeps of it, and its gradient.
        if 3 * size > self._left:
            raise CannotExplain(
                f"The attention matrices, one of which takes {size / 2**20:.0f} MiB, don't fit into the model's memory "
                f"of {self._memory / 2**20:.0f} MiB; give the model more, or a smaller image."
            )


_PRODUCTS = {"matmul", "rmatmul", "bmm", "baddbmm", "einsum"}
# What hands weights on, laid out otherwise, in another precision, or without a share that only training drops.
_PASSING = {
    *("dropout", "dropout1d", "dropout2d", "to", "type_as", "type", "float", "half", "bfloat16", "contiguous", "clone"),
    *("view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "transpose", "permute", "swapaxes", "movedim"),
    "get",  # .mT and the like
}


def _over_last_axis(result: object, args: Sequence[Any], options: Mapping[str, Any]) -> bool:
    axis = options.get("dim", args[1] if len(args) > 1 else None)
    return isinstance(result, Tensor) and result.ndim > 1 and axis in (-1, result.ndim - 1)


def _tensors(args: Sequence[Any]) -> Iterator[Tensor]:
    for arg in args:
        if isinstance(arg, Tensor):
            yield arg
        elif isinstance(arg, (tuple, list)):
            yield from _tensors(arg)
