"""Operations in their own way give what PyTorch gives: forward bit for bit, backward too or nearly so."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from segscope import Region, SegmentationModel
from segscope.quick import QuickOperations, _BatchNorm, _MaxPool

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
    with QuickOperations():
        found = pooled(values, kernel, options)
    assert type(found[0].grad_fn).__name__.startswith(_MaxPool.__name__) == (not channels_last)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0, equal_nan=True)
        assert ours.stride() == theirs.stride()


def test_maps_in_another_order_in_memory_are_left_to_pytorch() -> None:
    # As tokens behind a class token are laid out.
    values = torch.randn(1, 65, 5)[:, 1:].transpose(1, 2).reshape(1, 5, 8, 8).requires_grad_()
    expected = functional.max_pool2d(values, 2)
    with QuickOperations():
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
    with QuickOperations():
        found = functional.max_pool2d(values, kernel, **options)
    for ours, theirs in zip(*(each if isinstance(each, tuple) else (each,) for each in (found, expected)), strict=True):
        assert torch.equal(ours, theirs)
        assert ours.grad_fn is None or not type(ours.grad_fn).__name__.startswith(_MaxPool.__name__)


@pytest.mark.parametrize(("kernel", "options"), [(9, {}), (2, {"padding": 2}), (2, {"stride": 0})])
def test_what_pytorch_refuses_is_refused(kernel: int, options: dict[str, Any]) -> None:
    with QuickOperations(), pytest.raises(RuntimeError, match=r"(?i)pad|size|stride"):
        functional.max_pool2d(torch.randn(1, 2, 6, 6), kernel, **options)


def test_second_derivative_is_that_of_pytorch() -> None:
    def second(leaf: Tensor) -> Tensor:
        score = functional.max_pool2d(leaf**2, 2).pow(2).sum()
        (first,) = torch.autograd.grad(score, leaf, create_graph=True)
        return torch.autograd.grad(first.sum(), leaf)[0]

    values = torch.randn(1, 2, 6, 8)
    expected = second(values.clone().requires_grad_())
    with QuickOperations():
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


def norm(channels: int, *, affine: bool = True, dtype: torch.dtype = torch.float32) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(6)
    mean, weight, bias = (torch.randn(channels, generator=generator, dtype=dtype) for _ in range(3))
    variance = torch.rand(channels, generator=generator, dtype=dtype) + 0.1
    learnt = {"weight": weight, "bias": bias} if affine else {}
    return {"running_mean": mean, "running_var": variance, "eps": 1e-3, **learnt}


def normalised(values: Tensor, options: dict[str, Any]) -> tuple[Tensor, Tensor]:
    leaf = values.clone(memory_format=torch.preserve_format).requires_grad_()
    found = functional.batch_norm(leaf, **options)
    (gradient,) = torch.autograd.grad(found, leaf, torch.randn(found.shape, dtype=found.dtype).sin())
    return found, gradient


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("layout", ["plain", "channels last", "transposed"])
@pytest.mark.parametrize("shape", [(2, 5, 7, 9), (1, 5, 6, 4), (3, 5), (2, 5, 8), (1, 5, 2, 3, 4)])
def test_batch_norm_equals_pytorch(shape: tuple[int, ...], layout: str, dtype: torch.dtype, affine: bool) -> None:
    values = torch.randn(shape, dtype=dtype)
    if layout == "channels last" and len(shape) == 4:
        values = values.to(memory_format=torch.channels_last)
    if layout == "transposed":
        values = values.transpose(0, -1).contiguous().transpose(0, -1)
    options = norm(5, affine=affine, dtype=dtype)
    torch.manual_seed(1)
    expected = normalised(values, options)
    torch.manual_seed(1)
    with QuickOperations():
        found = normalised(values, options)
    assert type(found[0].grad_fn).__name__.startswith(_BatchNorm.__name__)
    assert torch.equal(found[0], expected[0])
    assert found[0].stride() == expected[0].stride()
    torch.testing.assert_close(found[1], expected[1])


@pytest.mark.parametrize("kind", ["training", "weight asks", "half", "mixed", "another tensor"])
def test_other_batch_norms_are_left_to_pytorch(kind: str) -> None:
    options, values = norm(5), torch.randn(2, 5, 7, 9)
    if kind == "training":
        options["training"] = True
    elif kind == "weight asks":
        options["weight"].requires_grad_()
    elif kind == "half":
        options, values = norm(5, dtype=torch.bfloat16), values.bfloat16()
    elif kind == "mixed":
        values = values.bfloat16()
    else:
        values = values.as_subclass(Named)
    expected = functional.batch_norm(values.requires_grad_(), **{**options, **copied(options, kind)})
    with QuickOperations():
        found = functional.batch_norm(values, **{**options, **copied(options, kind)})
    assert torch.equal(found, expected)
    assert not type(found.grad_fn).__name__.startswith(_BatchNorm.__name__)


class Named(Tensor):
    """A tensor of somebody's own kind."""


def copied(options: dict[str, Any], kind: str) -> dict[str, Any]:
    """Statistics of their own, where the call changes them."""
    return {name: options[name].clone() for name in ("running_mean", "running_var") if kind == "training"}


def test_batch_norm_keeps_no_map_and_what_follows_may_write_over_its_own() -> None:
    norm = nn.BatchNorm2d(6)
    nn.init.normal_(norm.weight)
    layers = nn.Sequential(nn.Conv2d(3, 6, 3), norm, nn.ReLU(inplace=True), nn.Conv2d(6, 2, 1)).eval()
    layers.requires_grad_(False)
    leaf = torch.rand(1, 3, 12, 15, requires_grad=True)
    (expected,) = torch.autograd.grad(layers(leaf)[0, 1].sum(), leaf)
    kept: list[tuple[int, ...]] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tuple(tensor.shape))
        return tensor

    with QuickOperations(), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        found = layers(leaf)
    (gradient,) = torch.autograd.grad(found[0, 1].sum(), leaf)
    torch.testing.assert_close(gradient, expected)
    # The image, and what the rectifier put out: kept by itself and by the second convolution.
    assert sorted(shape for shape in kept if shape[0] == 1) == [(1, 3, 12, 15), (1, 6, 10, 13), (1, 6, 10, 13)]


def test_statistics_that_change_later_do_not_change_the_gradient() -> None:
    layer = nn.BatchNorm2d(4).eval().requires_grad_(False)
    leaf = torch.rand(2, 4, 5, 6, requires_grad=True)
    with QuickOperations():
        found = layer(leaf)
    layer.get_buffer("running_var").mul_(9)
    (gradient,) = torch.autograd.grad(found.sum(), leaf)
    torch.testing.assert_close(gradient, torch.full_like(gradient, (1 + layer.eps) ** -0.5))


def test_second_derivative_of_batch_norm_is_that_of_pytorch() -> None:
    def second(leaf: Tensor) -> Tensor:
        score = functional.batch_norm(leaf**2, **norm(3)).pow(3).sum()
        (first,) = torch.autograd.grad(score, leaf, create_graph=True)
        return torch.autograd.grad(first.sum(), leaf)[0]

    values = torch.randn(2, 3, 6, 8)
    expected = second(values.clone().requires_grad_())
    with QuickOperations():
        found = second(values.clone().requires_grad_())
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
