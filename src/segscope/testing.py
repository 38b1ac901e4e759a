"""What every attribution method must keep to, as a test that any method's author can run."""

from __future__ import annotations

import json
import re
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from .attribution import Attribution
from .errors import CannotExplain, InvalidInput, UnknownName
from .methods import Method, find_method
from .model import SegmentationModel
from .prediction import Prediction
from .region import Region

__all__ = ["check_method"]

_REGION = Region.box(4, 2, 14, 17)
_CLASSES = ("sea", "land", "sand", "ice", "sky")


def check_method(
    name: str, *, network: Literal["convolutional", "transformer"] = "convolutional", **parameters: Any
) -> None:
    """Check a registered method: its description, its maps, and that it leaves the network alone.

    The method is asked about a small network with two heads, at its usual place and at every layer. It must give a
    finite float32 map of the layer's size (of the input's, when its ``size`` says so) or say why it can't, give the
    same twice and for all layers at once, respect its ``signed`` and ``linear``, refuse a layer that doesn't influence
    the class, and change neither the network nor the random state.

    Parameters
    ----------
    name : str
        The method's name in the registry.
    network : {"convolutional", "transformer"}
        What kind of network it is asked about: one that the method can serve.
    **parameters
        The method's own parameters to check it with.

    Raises
    ------
    AssertionError
        When the method breaks one of these rules; the message names the method and the rule.

    Examples
    --------
    >>> check_method("grad-cam", relu=False)
    """
    method = find_method(name)
    _check_description(method)
    _check_parameters(method)
    make = _NETWORKS[network]
    asked, image = make(), _image()
    before = _state(asked)
    with SegmentationModel(asked, classes=_CLASSES).predict(image) as prediction:
        places = [None, "input", *prediction.layers]
        answers = {place: _ask(prediction, method, place, parameters) for place in places}
        _require(method, isinstance(answers[None], Attribution), "answers at its usual place")
        for place, answer in answers.items():
            if isinstance(answer, Attribution):
                _check_map(method, prediction, answer)
                _check_same(method, answer, _ask(prediction, method, place, parameters), "gives the same map twice")
        _check_all_at_once(method, prediction, answers, parameters)
        blind = _ask(prediction, method, "other_head", parameters)
        _require(method, isinstance(blind, CannotExplain), "says so where a layer doesn't influence the class")
    after = _state(asked)
    unchanged = before.keys() == after.keys() and all(torch.equal(before[key], after[key]) for key in before)
    _require(method, unchanged, "leaves weights, gradients, modes, hooks and the random state alone")
    if method.linear:
        _check_linear(method, make, image, answers[None], parameters)


class _TwoHeads(nn.Module):
    """Sky comes from a head of its own, and its scores are the lowest, so that no class is compared with it."""

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.factor = factor
        self.stem = nn.Conv2d(3, 6, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.relu = nn.ReLU(inplace=True)
        self.body = nn.Conv2d(6, 8, 3, padding=1)
        self.head = nn.Conv2d(8, len(_CLASSES) - 1, 1)
        self.other_head = nn.Conv2d(8, 1, 1)
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.5, generator=generator)
        nn.init.constant_(self.get_parameter("other_head.bias"), -50.0)
        self.stem.weight.grad = torch.ones_like(self.stem.weight)

    def forward(self, images: Tensor) -> Tensor:
        maps = torch.tanh(self.body(self.relu(self.norm(self.stem(images)))))
        return torch.cat([self.head(maps), self.other_head(maps)], dim=1) * self.factor


class _Transformer(nn.Module):
    """Patches and a class token through two layers of attention; the heads are as above."""

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.factor = factor
        self.patches = nn.Conv2d(3, 8, 3, stride=3)
        self.token = nn.Parameter(torch.zeros(1, 1, 8))
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.query_key_value = nn.Linear(8, 24)
        self.head = nn.Conv2d(8, len(_CLASSES) - 1, 1)
        self.other_head = nn.Conv2d(8, 1, 1)
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.5, generator=generator)
        nn.init.constant_(self.get_parameter("other_head.bias"), -50.0)
        self.patches.weight.grad = torch.ones_like(self.patches.weight)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.patches(images)
        tokens = torch.cat([self.token.expand(len(maps), -1, -1), maps.flatten(2).mT], dim=1)
        tokens = tokens + self.attention(tokens, tokens, tokens)[0]
        tokens = tokens + functional.scaled_dot_product_attention(*self.query_key_value(tokens).chunk(3, dim=-1))
        maps = torch.tanh(tokens[:, 1:].mT.reshape(maps.shape))
        return torch.cat([self.head(maps), self.other_head(maps)], dim=1) * self.factor


_NETWORKS: dict[str, type[_TwoHeads | _Transformer]] = {"convolutional": _TwoHeads, "transformer": _Transformer}


def _image() -> Tensor:
    return torch.randn(3, 18, 24, generator=torch.Generator().manual_seed(2))


def _require(method: Method, condition: object, rule: str) -> None:
    if not condition:
        raise AssertionError(f"The method {method.name!r} breaks a rule: it {rule}.")


def _check_description(method: Method) -> None:
    _require(method, re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", method.name), "has a name in kebab-case")
    _require(method, method.title and method.title == method.title.strip(), "has a title")
    for field in ("summary", "cannot"):
        text = getattr(method, field)
        _require(method, text.endswith(".") and "\n" not in text, f"has a sentence on one line as {field}")
    _require(method, re.search(r"\b(19|20)\d\d\b", method.citation), "cites authors, year and title")
    _require(method, re.fullmatch(r"https://\S+", method.url), "gives the address of its paper")
    _require(method, method.at in ("layer", "input"), "is used at a layer or at the input")


def _check_parameters(method: Method) -> None:
    names = [parameter.name for parameter in method.parameters]
    _require(method, len(names) == len(set(names)), "names each parameter once")
    for parameter in method.parameters:
        _require(method, parameter.name.isidentifier(), f"has a keyword for the parameter {parameter.name!r}")
        _require(method, parameter.description.endswith("."), f"has a sentence on {parameter.name!r}")
        _require(
            method, parameter.check(parameter.default) == parameter.default, f"allows {parameter.name!r} its default"
        )
        _require(method, parameter.kind != "choice" or parameter.choices, f"has choices for {parameter.name!r}")
        _require(method, _refuses(method, {parameter.name: object()}), f"checks the type of {parameter.name!r}")
    _require(method, _refuses(method, {"no_such_parameter": 1}), "refuses unknown parameters")


def _refuses(method: Method, given: dict[str, object]) -> bool:
    try:
        method.check(given)
    except (InvalidInput, UnknownName):
        return True
    return False


def _ask(
    prediction: Prediction, method: Method, layer: str | None, parameters: dict[str, Any]
) -> Attribution | CannotExplain:
    try:
        return prediction.explain("land", _REGION, layer=layer, method=method.name, **parameters)
    except CannotExplain as error:
        return error


def _check_map(method: Method, prediction: Prediction, answer: Attribution) -> None:
    layer = prediction.layers.get(answer.layer)
    size = (layer.height, layer.width) if layer and method.size == "place" else prediction.size
    _require(method, answer.map.dtype == np.float32, f"gives float32 at {answer.layer!r}")
    _require(method, answer.map.shape == size, f"gives a map of the size {size} of {answer.layer!r}")
    _require(method, np.isfinite(answer.map).all(), f"gives finite numbers at {answer.layer!r}")
    _require(
        method, answer.signed or (answer.map >= 0).all(), f"is signed or has no negative numbers at {answer.layer!r}"
    )
    _require(method, answer.values.shape == prediction.size, "reaches the image's pixels")
    provenance = answer.provenance
    _require(method, json.loads(json.dumps(provenance)) == provenance, "has a provenance that JSON can hold")


def _check_same(method: Method, answer: object, other: object, rule: str) -> None:
    same = isinstance(answer, Attribution) and isinstance(other, Attribution) and np.array_equal(answer.map, other.map)
    _require(method, same, rule)


def _check_all_at_once(
    method: Method,
    prediction: Prediction,
    answers: dict[str | None, Attribution | CannotExplain],
    parameters: dict[str, Any],
) -> None:
    grid = (
        prediction.explain_all(["land"], method=method.name, region=_REGION, **parameters)
        if _all_serve(prediction, answers)
        else {}
    )
    for (_, layer), attribution in grid.items():
        _check_same(method, answers[layer], attribution, f"gives the same map at {layer!r} for all layers at once")


def _all_serve(prediction: Prediction, answers: dict[str | None, Attribution | CannotExplain]) -> bool:
    return any(isinstance(answers[layer], Attribution) for layer in prediction.layers)


def _check_linear(
    method: Method,
    make: type[_TwoHeads | _Transformer],
    image: Tensor,
    answer: object,
    parameters: dict[str, Any],
) -> None:
    doubled = make(factor=2.0)
    with SegmentationModel(doubled, classes=_CLASSES).predict(image) as prediction:
        other = _ask(prediction, method, None, parameters)
    same = (
        isinstance(answer, Attribution)
        and isinstance(other, Attribution)
        and np.allclose(other.map, 2 * answer.map, rtol=1e-3, atol=1e-4 * float(np.abs(other.map).max()))
    )
    _require(method, same, "doubles its map when the score doubles (or isn't declared linear)")


def _state(network: nn.Module) -> dict[str, Tensor]:
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    for name, parameter in network.named_parameters():
        state[f"{name} gradient"] = torch.zeros(0) if parameter.grad is None else parameter.grad.clone()
        state[f"{name} requires_grad"] = torch.tensor(parameter.requires_grad)
    for name, module in network.named_modules():
        hooks = len(module._forward_hooks) + len(module._forward_pre_hooks) + len(module._backward_hooks)  # noqa: SLF001
        state[f"{name} mode and hooks"] = torch.tensor([int(module.training), hooks])
    return state | {"random state": torch.get_rng_state()}
