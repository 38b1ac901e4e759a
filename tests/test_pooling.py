"""Max pooling in its own way gives bit for bit what PyTorch gives, forward and backward."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from segscope import Region, SegmentationModel
from segscope.pooling import QuickPooling, _MaxPool

CALLS: list[tuple[Any, dict[str, Any]]] = [
    (2, {}),
    (2, {"stride": 2}),
    ((2, 3), {}),
    (3, {"stride": 2, "padding": 1}),
    (3, {"stride": 1, "padding": 1}),
    ([3, 2], {"stride": (1, 3), "padding": [1, 0]}),
]


def maps(kind: str, *, channels_last: bool) -> Tensor:
    values = torch.randn(2, 5, 13, 16)
    if kind == "ties":
        values = values.mul(1.5).round().relu()
    if kind == "not a number":
        values[0, 1, 3, 4] = torch.nan
        values[1, 2, 5:8] = -torch.inf
    return values.to(memory_format=torch.channels_last) if channels_last else values


def pooled(values: Tensor, kernel: Any, options: dict[str, Any]) -> tuple[Tensor, Tensor, Tensor]:
    leaf = values.clone().requires_grad_()
    found = functional.max_pool2d(leaf, kernel, **options)
    weights = torch.arange(found.numel()).reshape(found.shape).float()
    first, second = (torch.autograd.grad(found, leaf, weights * sign, retain_graph=True)[0] for sign in (1, -1))
    return found, first, second


@pytest.mark.parametrize("kind", ["random", "ties", "not a number"])
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize(("kernel", "options"), CALLS)
def test_equals_pytorch_bit_for_bit(kernel: Any, options: dict[str, Any], channels_last: bool, kind: str) -> None:
    values = maps(kind, channels_last=channels_last)
    expected = pooled(values, kernel, options)
    with QuickPooling():
        found = pooled(values, kernel, options)
    assert type(found[0].grad_fn).__name__.startswith(_MaxPool.__name__) == (not channels_last)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0, equal_nan=True)
        assert ours.stride() == theirs.stride()


def test_maps_in_another_order_in_memory_are_left_to_pytorch() -> None:
    # As tokens behind a class token are laid out.
    values = torch.randn(1, 65, 5)[:, 1:].transpose(1, 2).reshape(1, 5, 8, 8).requires_grad_()
    expected = functional.max_pool2d(values, 2)
    with QuickPooling():
        found = functional.max_pool2d(values, 2)
    assert not type(found.grad_fn).__name__.startswith(_MaxPool.__name__)
    assert found.stride() == expected.stride()


@pytest.mark.parametrize(
    ("shape", "kernel", "options"),
    [
        ((1, 2, 7, 9), 2, {"ceil_mode": True}),
        ((1, 2, 7, 9), 2, {"dilation": 2}),
        ((2, 7, 9), 2, {}),
        ((1, 2, 7, 9), 1, {"stride": 2}),
        ((1, 2, 7, 9), (2, 1), {}),
        ((1, 2, 7, 9), 2, {"return_indices": True}),
    ],
)
def test_other_calls_are_left_to_pytorch(shape: tuple[int, ...], kernel: int, options: dict[str, Any]) -> None:
    values = torch.randn(shape, requires_grad=True)
    expected = functional.max_pool2d(values, kernel, **options)
    with QuickPooling():
        found = functional.max_pool2d(values, kernel, **options)
    for ours, theirs in zip(*(each if isinstance(each, tuple) else (each,) for each in (found, expected)), strict=True):
        assert torch.equal(ours, theirs)
        assert ours.grad_fn is None or not type(ours.grad_fn).__name__.startswith(_MaxPool.__name__)


@pytest.mark.parametrize(("kernel", "options"), [(9, {}), (2, {"padding": 2}), (2, {"stride": 0})])
def test_what_pytorch_refuses_is_refused(kernel: int, options: dict[str, Any]) -> None:
    with QuickPooling(), pytest.raises(RuntimeError, match=r"(?i)pad|size|stride"):
        functional.max_pool2d(torch.randn(1, 2, 6, 6), kernel, **options)


def test_second_derivative_is_that_of_pytorch() -> None:
    def second(leaf: Tensor) -> Tensor:
        score = functional.max_pool2d(leaf**2, 2).pow(2).sum()
        (first,) = torch.autograd.grad(score, leaf, create_graph=True)
        return torch.autograd.grad(first.sum(), leaf)[0]

    values = torch.randn(1, 2, 6, 8)
    expected = second(values.clone().requires_grad_())
    with QuickPooling():
        found = second(values.clone().requires_grad_())
    torch.testing.assert_close(found, expected)


def test_prediction_of_a_network_that_pools_equals_the_bare_network_bit_for_bit() -> None:
    network = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.MaxPool2d(3, 2, 1), nn.Conv2d(6, 4, 1)).eval()
    image = torch.rand(3, 21, 30)
    leaf = image[None].clone().requires_grad_()
    logits = network(leaf)
    with SegmentationModel(network).predict(image) as prediction:
        assert torch.equal(torch.from_numpy(prediction.logits), logits[0])
        map_ = prediction.explain(1, Region.everywhere(), layer="input", method="saliency").map
    (gradient,) = torch.autograd.grad(functional.interpolate(logits, (21, 30), mode="bilinear")[0, 1].mean(), leaf)
    torch.testing.assert_close(torch.from_numpy(map_), gradient[0].abs().amax(0), rtol=1e-5, atol=1e-9)
