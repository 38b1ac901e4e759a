"""DeepLIFT: differences from a baseline, handed back through the network operation by operation.

Own code: the network runs once on the baseline and once on the image, and the second run replaces each nonlinear
operation by one with the same value and the slope between the two runs. So it makes no difference whether it is a
module or a function, in place or not, used once or often. Captum's DeepLift sees modules only, and none may be used
twice or work in place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..errors import CannotExplain
from ..layers import exchanged, first_tensor
from .base import Measured
from .operations import Operation, Operations, names
from .place import BASELINE, SEED, Place, place_method

__all__ = ["deeplift"]

_ELEMENTWISE = names(
    "relu relu6 leaky_relu prelu rrelu elu celu selu gelu silu mish hardswish hardsigmoid hardtanh sigmoid tanh "
    "softplus softsign tanhshrink logsigmoid hardshrink softshrink threshold clamp clamp_min clamp_max clip exp expm1 "
    "log log1p sqrt rsqrt square pow abs reciprocal rdiv rtruediv erf sin cos"
)
_POOLING = names("max_pool1d max_pool2d max_pool3d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d")
_PRODUCTS = names("mul multiply imul rmul matmul rmatmul bmm mm einsum")
_QUOTIENTS = names("div divide truediv itruediv")
_MIXING = names(
    "softmax log_softmax logsumexp layer_norm group_norm instance_norm rms_norm normalize glu "
    "scaled_dot_product_attention multi_head_attention_forward"
)

Rule: TypeAlias = Callable[[Operation, list[Tensor], list[Tensor], Tensor], Tensor]

# Below this difference, in the units of what goes into an operation, the slope is the derivative.
_SAME = 1e-6
_POINTS = 16


@place_method(
    name="deeplift",
    family="gradient",
    title="DeepLIFT",
    summary="The score's difference from a baseline's, shared out backwards through the network by differences.",
    citation="Shrikumar, Greenside and Kundaje 2017, Learning important features through propagating activation "
    "differences",
    url="https://arxiv.org/abs/1704.02685",
    cannot="Compares with one baseline that somebody chose; how a network is written decides how the difference is "
    "shared out, so that two networks with the same function may get different maps.",
    at="input",
    signed=True,
    parameters=(BASELINE, SEED),
)
def deeplift(place: Place, *, baseline: str = "zero", seed: int = 0) -> Measured:
    """Multiply the difference from the baseline with the multipliers of the rescale rule.

    Parameters
    ----------
    place : Place
        Where; at a layer the baseline is one of the layer's output.
    baseline : {"zero", "mean", "blur", "noise"}
        What the image is compared with.
    seed : int
        Of a noisy baseline.

    Returns
    -------
    Measured
        float32, h×w, in units of the score; positive for the class. It adds up to ``score_difference``, image less
        baseline, but for ``completeness_error`` (sum less difference): that is large where a network has operations
        without a rule.

    Raises
    ------
    CannotExplain
        When the network does something else for the baseline than for the image.

    Notes
    -----
    Rules: functions of one number have the slope between baseline and image (the paper's rescale rule; its
    RevealCancel rule isn't there). A maximum goes to the cell that was the largest in whichever run had the larger
    maximum. The paper has no rule for products of two maps, softmax, attention and normalisation over the image; their
    slope is the mean of the derivative on the straight line between the two runs, of which the rescale rule is the case
    for one number. Where the paper takes the score of a class less the mean over the classes, there is ``against``.
    """
    place.progress.expect(2)
    absent = place.baseline(baseline, seed=seed)
    with torch.inference_mode(mode=False), torch.enable_grad():
        with _Noting() as noted:
            # Detached at once, so that only one of the two passes is kept.
            start = place.function(absent[None].clone().requires_grad_()).detach()
        leaf = place.values[None].clone().requires_grad_()
        with _Rescaling(noted.kept) as rescaling:
            score = place.function(leaf)
        rescaling.finish()
        multipliers = torch.autograd.grad(score.sum(), leaf)[0][0]
    shares = (multipliers * (place.values - absent)).sum(dim=0)
    difference = float(score.detach() - start)
    error = float(shares.double().sum()) - difference
    return Measured(shares, {"completeness_error": error, "score_difference": difference})


class _Noting(Operations):
    """Keeps what goes into each nonlinear operation."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[tuple[str, list[Tensor]]] = []

    def handle(self, operation: Operation) -> Any:
        if _rule(operation) is not None:
            self.kept.append((operation.name, [tensor.detach().clone() for tensor in operation.inputs]))
        return operation()


class _Rescaling(Operations):
    """Gives each nonlinear operation the slope between two runs."""

    def __init__(self, kept: list[tuple[str, list[Tensor]]]) -> None:
        super().__init__()
        self._kept = kept
        self._next = 0

    def handle(self, operation: Operation) -> Any:
        rule = _rule(operation)
        if rule is None:
            return operation()
        values = [tensor.detach().clone() for tensor in operation.inputs]
        copies = [value.clone() for value in values]
        found = operation(copies)
        value = first_tensor(found)
        if value is None:
            return operation()
        result = rule(operation, values, self._baseline(operation), value.clone())
        for tensor, copy in zip(operation.inputs, copies, strict=True):
            if value is copy:  # the operation works in place, and the network may look there
                return tensor.copy_(result)
        return exchanged(found, value, result)

    def finish(self) -> None:
        """Make sure that both runs had as many operations."""
        if self._next != len(self._kept):
            raise _other_way()

    def _baseline(self, operation: Operation) -> list[Tensor]:
        name, inputs = self._kept[self._next] if self._next < len(self._kept) else ("", [])
        shapes = [tensor.shape for tensor in operation.inputs]
        if name != operation.name or [tensor.shape for tensor in inputs] != shapes:
            raise _other_way()
        self._next += 1
        return inputs


def _rule(operation: Operation) -> Rule | None:
    """Return how an operation is handled; None for linear ones, and those that aren't known."""
    name, several = operation.name, operation.uses > 1
    if name in _ELEMENTWISE and not several:
        return _rescaled
    if name in _POOLING and not operation.keywords.get("return_indices"):
        return _pooled
    if name in _PRODUCTS | _QUOTIENTS:
        return _averaged if several else None
    return _averaged if name in _MIXING else None


def _rescaled(operation: Operation, values: list[Tensor], baseline: list[Tensor], value: Tensor) -> Tensor:
    """Rescale rule: the slope between baseline and image, or the derivative where they are the same."""
    leaf = values[0].requires_grad_()
    derivative = torch.autograd.grad(operation.result([leaf]).sum(), leaf)[0]
    difference = values[0].detach() - baseline[0]
    same = difference.abs() <= _SAME
    change = value.detach() - operation.result(baseline).detach()
    slope = torch.where(same, derivative, change / torch.where(same, 1, difference))
    return _with_slope(value, operation.inputs[0], slope)


def _pooled(operation: Operation, values: list[Tensor], baseline: list[Tensor], value: Tensor) -> Tensor:
    """Hand a maximum's difference to the cell that was largest in the run with the larger maximum."""
    axes = int(operation.name[-2])
    with_indices = getattr(functional, operation.name)
    _, where = operation(values, function=with_indices, return_indices=True)
    before, where_before = operation(baseline, function=with_indices, return_indices=True)
    cells = torch.where(value >= before, where, where_before).flatten(-axes)

    def chosen(maps: Tensor) -> Tensor:
        return maps.flatten(-axes).gather(-1, cells).reshape(value.shape)

    difference = chosen(values[0] - baseline[0])
    same = difference.abs() <= _SAME
    slope = torch.where(same, 1, (value - before) / torch.where(same, 1, difference))
    return _with_slope(value, chosen(operation.inputs[0]), slope)


def _averaged(operation: Operation, values: list[Tensor], baseline: list[Tensor], value: Tensor) -> Tensor:
    """Give an operation of many numbers its mean derivative on the straight line from the baseline."""
    # In the middle is enough for products, whose derivative changes steadily.
    points, weights = np.polynomial.legendre.leggauss(1 if operation.name in _PRODUCTS else _POINTS)
    result = value.detach()
    for point, weight in zip(points.tolist(), weights.tolist(), strict=True):
        share = (point + 1) / 2
        moved = [
            first + share * (last - first) + (tensor - tensor.detach())
            for tensor, first, last in zip(operation.inputs, baseline, values, strict=True)
        ]
        term = operation.result(moved)
        result = result + weight / 2 * (term - term.detach())
    return result


def _with_slope(value: Tensor, source: Tensor, slope: Tensor) -> Tensor:
    """Return the value, with this slope by the source as its gradient."""
    return value.detach() + slope.detach() * (source - source.detach())


def _other_way() -> CannotExplain:
    return CannotExplain(
        "The network does something else for the baseline than for the image, so that their operations can't be "
        "compared; choose another baseline or method."
    )
