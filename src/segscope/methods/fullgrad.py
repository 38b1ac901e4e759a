"""FullGrad: input times gradient, and what every bias of the network adds at its own place.

Own code: while the network runs, each operation tells its bias, and the one backward pass brings the gradient to it.
Captum has no FullGrad; the authors' code knows the biases of convolutions, linear layers and batch norms as modules.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from ..geometry import resize
from ..layers import Captured, first_tensor
from .base import Measured, Parameter
from .operations import Operation, Operations
from .place import Place, place_method

__all__ = ["fullgrad"]

# A bias below this share of the operation's largest output is rounding.
_ROUNDING = 1e-6


@place_method(
    name="fullgrad",
    family="gradient",
    title="FullGrad",
    summary="Input times gradient, and every layer's bias times its gradient: together they are the whole score.",
    citation="Srinivas and Fleuret 2019, Full-gradient representation for neural network visualization",
    url="https://arxiv.org/abs/1905.00780",
    cannot="Sizes without signs by default, so that evidence against the class looks like evidence for it; coarse "
    "layers are stretched over the image, and the map is as blurred as they are.",
    at="input",
    signed=False,
    parameters=(
        Parameter(
            name="absolute",
            kind="bool",
            default=True,
            description="Add sizes up, as the paper does; with signs otherwise: then the map adds up to the score.",
        ),
    ),
)
def fullgrad(place: Place, *, absolute: bool = True) -> Measured:
    """Add up what stands at the place times its gradient, and every bias after it times its gradient.

    Parameters
    ----------
    place : Place
        Where; at a layer the score is taken apart from there on.
    absolute : bool
        Add up absolute values, channel by channel.

    Returns
    -------
    Measured
        float32, h×w, in units of the score. ``completeness_error`` is the sum of all terms with their signs less the
        score: zero up to rounding, unless there are operations that can't be seen or differentiated twice.
        ``without_place`` is the sum of the terms that belong to no place of the image and are left out of the map.

    Notes
    -----
    An operation's bias is its output less its derivative times its input: the bias of a convolution, β − γμ/σ of a
    batch norm, nothing for rectifiers and poolings, and for smooth functions and normalisations the implicit bias of
    their linearisation, so that the parts add up to the score for every network.
    The paper brings each layer's map to the range 0 to 1 before it adds them up. Here they stay raw, and a map that is
    brought to another size keeps its sum: what a cell says is shared out among the pixels that it covers.
    """
    with torch.inference_mode(mode=False), torch.enable_grad():
        leaf = place.values[None].clone().requires_grad_()
        with _Biases(place, absolute=absolute) as biases:
            score = place.function(leaf)
        gradient = torch.autograd.grad(score.sum(), leaf)[0]
    biases.add(gradient * leaf.detach())
    return Measured(
        biases.total(),
        {"completeness_error": biases.sum - float(score.detach()), "without_place": biases.without_place},
    )


class _Biases(Operations):
    """Adds up, during a forward and a backward pass, each operation's bias times its gradient.

    Parameters
    ----------
    place : Place
        Where the pass starts.
    absolute : bool
        Whether absolute values are added up.
    """

    def __init__(self, place: Place, *, absolute: bool) -> None:
        super().__init__()
        geometry = place.prediction.geometry
        layers = place.prediction.layers.values()
        self.sum = self.without_place = 0.0
        self._absolute = absolute
        self._size = place.size
        self._input_size = geometry.input
        self._known = {geometry.input, place.size, *((layer.height, layer.width) for layer in layers)}
        self._maps: dict[tuple[int, int], Tensor] = {}

    def handle(self, operation: Operation) -> Any:
        bias = _bias(operation)
        result = operation()
        tensor = first_tensor(result)
        if bias is not None and tensor is not None and tensor.requires_grad:
            tensor.register_hook(lambda gradient: self.add(gradient * bias))  # type: ignore[no-untyped-call] # PyTorch's
        return result

    def add(self, terms: Tensor) -> None:
        """Add the terms of one operation, of the shape of its output."""
        total = float(terms.double().sum())
        self.sum += total
        maps = self._as_maps(terms)
        if maps is None:
            self.without_place += total
            return
        summed = (maps.abs() if self._absolute else maps).float().sum(dim=0)
        size = (summed.shape[0], summed.shape[1])
        self._maps[size] = self._maps[size] + summed if size in self._maps else summed

    def total(self) -> Tensor:
        """Return all maps as one, at the place's size."""
        return torch.stack([_spread(summed, self._size) for summed in self._maps.values()]).sum(dim=0)

    def _as_maps(self, terms: Tensor) -> Tensor | None:
        """Return terms as C×h×w, or None where they have no place in the image."""
        if terms.ndim == 3 and terms.shape[1] == 1 < terms.shape[0]:
            terms = terms.transpose(0, 1)  # tokens that come first
        if terms.ndim == 3 and terms.shape[0] == 1 and tuple(terms.shape[1:]) in self._known:
            return terms
        captured = Captured("", "", terms, 0)
        layout = captured.layout(self._input_size)
        if layout is None or (layout.height, layout.width) not in self._known:
            return None
        if terms.ndim == 3 and layout.extra:
            self.without_place += float(terms[:, : layout.extra].double().sum())
        return captured.to_map(terms, self._input_size)[0]


def _spread(values: Tensor, size: tuple[int, int]) -> Tensor:
    """Bring a map to another size bilinearly, so that it keeps its sum."""
    rows, columns = (_shares(old, new).to(values) for old, new in zip(values.shape, size, strict=True))
    return rows @ values @ columns.T


def _shares(old: int, new: int) -> Tensor:
    """Return what share of each old cell goes to each new one, new×old: each column adds up to one."""
    if new < old:
        # Which new cells would an old one be interpolated from?
        return resize(torch.eye(new), (new, old))
    shares = resize(torch.eye(old), (old, new)).T
    return shares / shares.sum(dim=0)


def _bias(operation: Operation) -> Tensor | None:
    """Return an operation's output less its derivative times its inputs; None where that is nothing or can't be."""
    leaves = [tensor.detach().clone().requires_grad_() for tensor in operation.inputs]
    try:
        # Of the ways to compute attention only this has a second derivative; the choice is PyTorch's for the process.
        with sdpa_kernel(SDPBackend.MATH) if "attention" in operation.name else nullcontext():
            value = operation.result(leaves)
            bias = value.detach() - _linear(value, leaves)
    except Exception:  # noqa: BLE001  # whatever isn't a differentiable function of tensors; the error measured tells
        return None
    return bias if bool(bias.abs().amax() > _ROUNDING * value.detach().abs().amax()) else None


def _linear(value: Tensor, leaves: list[Tensor]) -> Tensor:
    """Return the derivative of a value times the leaves themselves."""
    # The backward pass is linear in what it is given, and its own derivative by that is the forward one.
    given = torch.zeros_like(value, requires_grad=True)
    gradients = torch.autograd.grad(value, leaves, given, create_graph=True, allow_unused=True)
    used = [(gradient, leaf.detach()) for gradient, leaf in zip(gradients, leaves, strict=True) if gradient is not None]
    return torch.autograd.grad([gradient for gradient, _ in used], given, [leaf for _, leaf in used])[0]
