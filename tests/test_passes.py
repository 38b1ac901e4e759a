"""How often the network runs forward and backward, and how far back."""

from __future__ import annotations

from typing import Any

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
