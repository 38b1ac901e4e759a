"""A copy of a network that computes the same numbers in less time: batch norms become part of convolutions.

Maps with the channels last in memory were tried as well: on CPUs they gain nothing in the backward pass, and their
sums have four times the rounding error, so that now and then a rectifier lets through what it shouldn't. They are left
out.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from .layers import Capture, reaches

if TYPE_CHECKING:
    from .geometry import Geometry
    from .model import SegmentationModel

__all__ = ["PRECISION", "Acceleration", "FoldedNorm", "accelerate", "foldable", "folded_copy"]

PRECISION = 1e-5
"""The largest difference of the logits, relative to the largest of them, at which two networks count as the same."""

_CONVOLUTIONS = {nn.Conv1d: nn.BatchNorm1d, nn.Conv2d: nn.BatchNorm2d, nn.Conv3d: nn.BatchNorm3d}
"""What can take a batch norm over, and which one."""


@dataclass(frozen=True, kw_only=True)
class Acceleration:
    """What was done to make a network faster, and what couldn't be done.

    Parameters
    ----------
    folded : mapping of str to str
        For each convolution that took a batch norm over, by name, that norm. The convolution's own output doesn't exist
        any more, so that it is no layer; the norm's does, under the norm's name.
    reason : str
        Why nothing was done; empty where something was.

    Examples
    --------
    >>> print(Acceleration(folded={"conv": "norm"}))
    1 batch norm folded into its convolution
    >>> print(Acceleration(reason="The network has no batch norm."))
    nothing could be made faster: The network has no batch norm.
    """

    folded: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    reason: str = ""

    def __str__(self) -> str:
        """Say it in one line for people."""
        count = len(self.folded)
        if not count:
            return "nothing could be made faster" + (f": {self.reason}" if self.reason else "")
        plural = "s" if count > 1 else ""
        return f"{count} batch norm{plural} folded into {'their' if plural else 'its'} convolution{plural}"


class FoldedNorm(nn.Identity):
    """Stands where a batch norm was which the convolution before it took over: it hands on the norm's output."""


def accelerate(model: SegmentationModel, tensor: Tensor, geometry: Geometry) -> SegmentationModel:
    """Find the faster copy of a model's network that gives the same logits on an input.

    Parameters
    ----------
    model : SegmentationModel
        The model.
    tensor : Tensor
        float, C×h×w: a preprocessed image.
    geometry : Geometry
        Where the image lies in it.

    Returns
    -------
    SegmentationModel
        A model of the copy, or of the very network where there is none.

    Raises
    ------
    SegscopeError
        When the network itself fails on the input.
    """
    if model.dtype not in (torch.float32, torch.float64):
        return _unchanged(model, f"numbers of {model.dtype} are too coarse to tell whether a copy computes the same.")
    model.forward_pass(tensor, geometry, whole=True)
    # Once it is known what is written over in place, a pass copies nothing else, and the graph is the network's own.
    plain = model.forward_pass(tensor, geometry, whole=True)
    folded = foldable(model.network, plain.capture, plain.logits, kept=model.layers or ())
    if not folded:
        return _unchanged(model, "the network has no batch norm whose only source is a convolution of its own.")
    try:
        faster = model.with_network(folded_copy(model.network, folded), Acceleration(folded=folded))
        logits = faster.forward_pass(tensor, geometry).logits
    except Exception as error:  # noqa: BLE001  # a network may refuse to be copied, or look into its batch norms
        return _unchanged(model, f"its copy fails with {type(error).__name__} ({str(error).partition(chr(10))[0]}).")
    scale = float(plain.logits.detach().abs().max())
    difference = float((logits - plain.logits).detach().abs().max())
    if difference > PRECISION * scale:
        return _unchanged(model, f"folding changes the logits by {difference:.1e}, where the largest is {scale:.1e}.")
    return faster


def _unchanged(model: SegmentationModel, reason: str) -> SegmentationModel:
    return model.with_network(model.network, Acceleration(reason=reason))


def foldable(network: nn.Module, capture: Capture, logits: Tensor, *, kept: Collection[str] = ()) -> dict[str, str]:
    """Find the batch norms that the convolutions before them can take over.

    Such a norm's only source is the convolution's output, which goes nowhere else: so says the graph that the forward
    pass left behind, whatever Python the network is made of.

    Parameters
    ----------
    network : Module
        In ``eval()`` mode when it ran.
    capture : Capture
        All outputs of its forward pass, none of them copied without need.
    logits : Tensor
        What it computed, with its graph.
    kept : collection of str
        Convolutions whose own output is still wanted.

    Returns
    -------
    dict
        The norm's name by the convolution's.
    """
    modules = dict(network.named_modules())
    users = Counter(parent for node in reaches(logits) for parent, _ in node.next_functions)
    # A container whose output is the convolution's would change its meaning: it took over the convolution's entry.
    convolutions = {
        capture.outputs[name].output.grad_fn: name
        for name, module in modules.items()
        if type(module) in _CONVOLUTIONS and name in capture.outputs and _is_plain(module, name, capture)
    }
    pairs = {}
    for name, module in modules.items():
        if name not in capture or not _is_plain(module, name, capture):
            continue
        node = capture[name].output.grad_fn
        source = node.next_functions[0][0] if node is not None and node.next_functions else None
        convolution = convolutions.get(source)
        if convolution is None or convolution in kept or users[source] != 1:
            continue
        if type(module) is _CONVOLUTIONS[type(modules[convolution])] and module.running_mean is not None:
            pairs[convolution] = name
    return pairs


def _is_plain(module: nn.Module, name: str, capture: Capture) -> bool:
    """Tell whether a module was called once, and does what its class does and nothing else."""
    adapted = module._forward_hooks or module._forward_pre_hooks or nn.utils.parametrize.is_parametrized(module)  # noqa: SLF001
    aliased = name in capture.aliases.values() and isinstance(module, tuple(_CONVOLUTIONS))
    return not adapted and not aliased and f"{name}#2" not in capture


def folded_copy(network: nn.Module, folded: Mapping[str, str]) -> nn.Module:
    """Copy a network, with batch norms folded into convolutions.

    Parameters
    ----------
    network : Module
        It isn't changed; weights that stay the same are shared with it.
    folded : mapping of str to str
        As :func:`foldable` returns them.

    Returns
    -------
    Module
        The copy, frozen.
    """
    # Tensors of their own that share the numbers: freezing them doesn't freeze the user's.
    shared = {id(weight): nn.Parameter(weight.detach(), requires_grad=False) for weight in network.parameters()}
    copied = copy.deepcopy(network, shared)
    for convolution, norm in folded.items():
        _fold(copied.get_submodule(convolution), copied.get_submodule(norm))
        parent, _, child = norm.rpartition(".")
        setattr(copied.get_submodule(parent), child, FoldedNorm())
    return copied


@torch.no_grad()
def _fold(convolution: nn.Module, norm: nn.Module) -> None:
    """Scale a convolution's kernels as the norm scales its channels, and shift its bias likewise."""
    numbers = (convolution.weight, convolution.bias, norm.running_mean, norm.running_var, norm.weight, norm.bias)
    # In double precision: the folded weights are then as exact as their own type can hold.
    weight, bias, mean, variance, *affine = (
        None if part is None else cast("Tensor", part).double() for part in numbers
    )
    folded = fuse_conv_bn_weights(weight, bias, mean, variance, cast("float", norm.eps), *affine)  # type: ignore[arg-type]
    dtype = cast("Tensor", convolution.weight).dtype
    convolution.weight, convolution.bias = (nn.Parameter(part.to(dtype), requires_grad=False) for part in folded)
