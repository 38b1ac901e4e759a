"""How often the network runs forward and backward, and how far back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import segscope
from segscope import Region, SegmentationModel
from tests.networks import ZOO, Case

FUNCTIONAL = ("resnet", "functional in place", "list in place")


def counted(network: nn.Module) -> list[int]:
    calls = [0]

    def count(*_: Any) -> None:
        calls[0] += 1

    network.register_forward_pre_hook(count)
    return calls


@pytest.mark.parametrize("case", ZOO, ids=[case.name for case in ZOO])
def test_one_forward_pass_an_image(case: Case) -> None:
    network = case.build()
    calls = counted(network)
    model = SegmentationModel(network)
    prediction = model.predict(case.input())
    # A network that works in place by function alone can't be told in advance: its very first pass is made twice.
    first = calls[0]
    assert first == 1 or (case.name in FUNCTIONAL and first == 2)
    for _ in range(3):
        prediction = model.predict(case.input())
    assert calls[0] == first + 3
    prediction.explain_all(region=Region.everywhere())
    prediction.explain(0, Region.everywhere(), method="saliency", layer="input")
    assert calls[0] == first + 3


class Marked(torch.autograd.Function):
    """Passes on what it gets, and writes down that the backward pass came by."""

    log: list[str] = []  # noqa: RUF012

    @staticmethod
    def forward(context: Any, values: Tensor, name: str) -> Tensor:
        context.name = name
        return values.clone()

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        Marked.log.append(context.name)
        return gradient, None


class Stage(nn.Module):
    def __init__(self, name: str, inputs: int, outputs: int) -> None:
        super().__init__()
        self.name = name
        self.convolution = nn.Conv2d(inputs, outputs, 3, padding=1)

    def forward(self, maps: Tensor) -> Tensor:
        return torch.tanh(self.convolution(Marked.apply(maps, self.name)))


@pytest.fixture
def staged() -> segscope.Prediction:
    network = nn.Sequential(*(Stage(f"stage {i}", inputs, 4) for i, inputs in enumerate((3, 4, 4, 4))))
    Marked.log.clear()
    return SegmentationModel(network).predict(torch.rand(3, 8, 9))


def test_one_backward_pass_for_all_layers_of_a_target(staged: segscope.Prediction) -> None:
    grid = staged.explain_all([1], region=Region.everywhere())
    assert len(grid) == 8  # four stages and their convolutions
    assert sorted(Marked.log) == sorted(set(Marked.log))


def test_one_backward_pass_a_class(staged: segscope.Prediction) -> None:
    staged.explain_all(region=Region.everywhere(), layers=["0", "1", "2"])
    assert Marked.log.count("stage 3") == 4


@pytest.mark.parametrize(
    ("layers", "passed"),
    [
        (["2"], ["stage 3"]),
        (["1"], ["stage 3", "stage 2"]),
        (["2", "0"], ["stage 3", "stage 2", "stage 1"]),
        (["input"], ["stage 3", "stage 2", "stage 1", "stage 0"]),
        (["3"], []),
    ],
)
def test_backward_pass_ends_at_the_earliest_layer(
    staged: segscope.Prediction, layers: list[str], passed: list[str]
) -> None:
    staged.explain_all([1], layers, region=Region.everywhere())
    assert Marked.log == passed


def test_parameters_get_no_gradients_computed() -> None:
    seen: list[Tensor] = []
    network = ZOO[0].build()
    for parameter in network.parameters():
        parameter.register_hook(seen.append)
    with SegmentationModel(network).predict(ZOO[0].input()) as prediction:
        prediction.explain_all(region=Region.everywhere())
    assert seen == []


def test_parameters_are_frozen_during_the_forward_pass() -> None:
    network = ZOO[0].build()
    seen: list[bool] = []
    network.register_forward_pre_hook(lambda *_: seen.extend(each.requires_grad for each in network.parameters()))
    SegmentationModel(network).predict(ZOO[0].input())
    assert seen
    assert not any(seen)


LATE = ["4", "6"]


def deep(between: nn.Module | None = None) -> nn.Sequential:
    """Return seven convolutions, with another module in the place of the fourth."""
    torch.manual_seed(0)
    parts = [nn.Conv2d(3 if place == 0 else 4, 4, 3, padding=1) for place in range(7)]
    return nn.Sequential(*parts[:3], between or parts[3], *parts[4:])


def both(network: nn.Module, layers: list[str]) -> tuple[segscope.Prediction, segscope.Prediction]:
    """Predict with late layers alone, and with all."""
    image = torch.rand(3, 16, 20)
    return SegmentationModel(network, layers=layers).predict(image), SegmentationModel(network).predict(image)


def expect_same(some: segscope.Prediction, whole: segscope.Prediction, layers: list[str]) -> None:
    assert torch.equal(some.kept_pass.logits, whole.kept_pass.logits)
    found, expected = (
        each.explain_all(layers=layers, region=Region.everywhere(), relu=False) for each in (some, whole)
    )
    assert list(found) == list(expected)
    for key, attribution in found.items():
        np.testing.assert_array_equal(attribution.map, expected[key].map)


def test_nothing_is_kept_for_a_backward_pass_before_late_layers() -> None:
    late, whole = both(deep(), LATE)
    expect_same(late, whole, LATE)
    a_map = 4 * 16 * 20 * 4
    # The input, what the two layers put out, and what came into the last one.
    assert late.kept_pass.nbytes(late.model.network) <= 3 * 16 * 20 * 4 + 3 * a_map
    assert whole.kept_pass.nbytes(whole.model.network) >= 7 * a_map
    # Early layers are as quick to begin at as the input, which can then be asked about as well.
    assert SegmentationModel(deep(), layers=["1", "6"]).predict(torch.rand(3, 16, 20)).kept_pass.capture.holds("input")


def test_input_is_asked_about_with_late_layers_for_one_more_pass_once() -> None:
    network = deep()
    calls = counted(network)
    model = SegmentationModel(network, layers=LATE)
    image = torch.rand(3, 16, 20)
    maps, edges = [], []
    for expected in (2, 3, 4):
        prediction = model.predict(image)
        maps.append(prediction.explain(0, Region.everywhere(), layer="input", method="saliency").map)
        edges.append(prediction.edges)
        assert calls[0] == expected
    whole = SegmentationModel(network).predict(image)
    for found in maps:
        np.testing.assert_array_equal(
            found, whole.explain(0, Region.everywhere(), layer="input", method="saliency").map
        )
    assert set(edges) == {(("input", "4"), ("4", "6"))}


class Detour(nn.Module):
    """Goes on with what a part of it had put out, not with what comes from the part."""

    def __init__(self) -> None:
        super().__init__()
        self.part = nn.Conv2d(4, 4, 1)
        self.part.register_forward_hook(self._note)

    def _note(self, _module: nn.Module, _inputs: Any, output: Tensor) -> None:
        self.noted = output

    def forward(self, maps: Tensor) -> Tensor:
        self.part(maps)
        return self.noted * 2


class Owned(nn.Module):
    """Puts out a map of its own, whatever comes in."""

    map: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("map", torch.rand(1, 4, 1, 1))

    def forward(self) -> Tensor:
        return self.map


class Adding(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.owned = Owned()

    def forward(self, maps: Tensor) -> Tensor:
        return maps + self.owned()


def test_late_layer_that_the_network_goes_around_is_explained_from_the_input() -> None:
    network = nn.Sequential(*(nn.Conv2d(3 if place == 0 else 4, 4, 1) for place in range(4)), Detour())
    some, whole = both(network, ["4.part"])
    assert some.kept_pass.capture.holds("input")
    expect_same(some, whole, ["4.part"])


def test_graph_that_begins_at_a_layer_leaves_the_networks_own_tensors_alone() -> None:
    network = deep()
    network.append(Adding())
    some, whole = both(network, ["7.owned", "7"])
    assert not some.kept_pass.capture.holds("input")
    owned = network[7].owned.map
    assert owned.grad_fn is None
    assert not owned.requires_grad
    expect_same(some, whole, ["7"])


@pytest.mark.parametrize("inplace", [False, True])
def test_late_layers_may_be_written_over(inplace: bool) -> None:
    network = deep()
    network.insert(6, nn.ReLU(inplace=inplace))
    some, whole = both(network, ["5", "6", "7"])
    assert not some.kept_pass.capture.holds("input")
    expect_same(some, whole, ["5", "6", "7"])
