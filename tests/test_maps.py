"""Maps against a plain forward and backward pass, on networks of every build."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import segscope
from segscope import Region, SegmentationModel
from tests.networks import ZOO, Case

EVERY_CASE = pytest.mark.parametrize("case", ZOO, ids=[case.name for case in ZOO])


def first_tensor(output: Any) -> Tensor:
    return output if isinstance(output, Tensor) else output[0]


def gradient_of(output: Tensor) -> Tensor:
    assert output.grad is not None
    return output.grad


def plain_maps(case: Case, network: nn.Module, image: Tensor, names: list[str]) -> tuple[int, dict[str, np.ndarray]]:
    """Grad-CAM over the pixels predicted as the commonest class, with hooks, retain_grad and backward()."""
    outputs: dict[str, list[Any]] = defaultdict(list)

    def keep(name: str) -> Any:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            if first_tensor(output).requires_grad:
                first_tensor(output).retain_grad()
            outputs[name].append(output)

        return hook

    modules = dict(network.named_modules())
    handles = [modules[name].register_forward_hook(keep(name)) for name in {name.split("#")[0] for name in names}]
    logits = functional.interpolate(case.read(network(image[None])), case.size, mode="bilinear", align_corners=False)
    for handle in handles:
        handle.remove()
    labels = logits[0].argmax(0)
    class_index = int(labels.flatten().bincount().argmax())
    logits[0, class_index][labels == class_index].mean().backward()
    maps = {}
    for name in names:
        module, _, call = name.partition("#")
        output = first_tensor(outputs[module][int(call or 1) - 1])
        activation, gradient = case.unfold(module, output), case.unfold(module, gradient_of(output))
        weights = gradient.mean(dim=(1, 2))
        maps[name] = (weights[:, None, None] * activation).sum(0).relu().detach().numpy()
    return class_index, maps


@EVERY_CASE
def test_grad_cam_equals_plain_forward_and_backward(case: Case) -> None:
    image = case.input()
    with SegmentationModel(case.build()).predict(image) as prediction:
        names = list(prediction.layers)
        class_index, expected = plain_maps(case, case.build(inplace=False), image, names)
        grid = prediction.explain_all([class_index], names)
        assert len(names) >= 4
        for name in names:
            found = grid[f"class {class_index}", name].map
            assert found.shape == expected[name].shape
            np.testing.assert_allclose(
                found, expected[name], rtol=0, atol=1e-5 * max(1e-3, expected[name].max()), err_msg=name
            )


@EVERY_CASE
def test_logits_equal_the_networks_own(case: Case) -> None:
    image = case.input()
    expected = case.read(case.build(inplace=False)(image[None]))[0].detach().numpy()
    with SegmentationModel(case.build()).predict(image) as prediction:
        np.testing.assert_allclose(prediction.logits, expected, rtol=0, atol=1e-5)


# Methods that run the network again see of it only what test_rerun.py holds to each network.
@EVERY_CASE
@pytest.mark.parametrize("method", sorted(name for name, each in segscope.methods.all_methods().items() if each.quick))
def test_in_place_equals_out_of_place_at_every_layer(case: Case, method: str) -> None:
    image = case.input()
    with (
        SegmentationModel(case.build()).predict(image) as inplace,
        SegmentationModel(case.build(inplace=False)).predict(image) as outofplace,
    ):
        assert list(inplace.layers) == list(outofplace.layers)
        found, expected = (
            prediction.explain_all([1], method=method, region=Region.everywhere())
            for prediction in (inplace, outofplace)
        )
        assert list(found) == list(expected)
        assert found.skipped.keys() == expected.skipped.keys()
        for key, attribution in expected.items():
            np.testing.assert_allclose(found[key].map, attribution.map, rtol=1e-4, atol=1e-6, err_msg=str(key))


@EVERY_CASE
def test_second_image_equals_a_fresh_model(case: Case) -> None:
    warm = SegmentationModel(case.build())
    warm.predict(case.input(seed=1)).close()
    with warm.predict(case.input()) as second, SegmentationModel(case.build()).predict(case.input()) as fresh:
        assert list(second.layers) == list(fresh.layers)
        for key, attribution in fresh.explain_all([0], region=Region.everywhere()).items():
            np.testing.assert_array_equal(
                second.explain(*key[:1], Region.everywhere(), layer=key[1]).map, attribution.map
            )


@EVERY_CASE
def test_all_at_once_equals_one_by_one(case: Case) -> None:
    with SegmentationModel(case.build()).predict(case.input()) as prediction:
        grid = prediction.explain_all()
        assert grid
        for (class_, layer), attribution in grid.items():
            np.testing.assert_array_equal(prediction.explain(class_, layer=layer).map, attribution.map)


@EVERY_CASE
def test_twice_the_same(case: Case) -> None:
    model = SegmentationModel(case.build())
    first, second = (model.predict(case.input()).explain(0, Region.everywhere(), layer="input") for _ in range(2))
    np.testing.assert_array_equal(first.values, second.values)


def test_order_of_images_does_not_matter() -> None:
    model = SegmentationModel(ZOO[2].build())
    inputs = [ZOO[2].input(seed) for seed in range(3)]
    forward = [model.predict(image).explain(1, Region.everywhere(), layer="layer1").map for image in inputs]
    predictions = [model.predict(image) for image in reversed(inputs)]
    backward = [prediction.explain(1, Region.everywhere(), layer="layer1").map for prediction in predictions]
    for one, other in zip(forward, reversed(backward), strict=True):
        np.testing.assert_array_equal(one, other)


class Scaled(nn.Module):
    def __init__(self, network: nn.Module, factor: float) -> None:
        super().__init__()
        self.network, self.factor = network, factor

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images) * self.factor


@pytest.mark.parametrize("method", ["grad-cam", "hires-cam", "layer-cam", "saliency", "input-x-gradient"])
def test_scaling_the_target_scales_the_map(method: str) -> None:
    case = ZOO[1]
    one, three = (
        SegmentationModel(Scaled(case.build(), factor))
        .predict(case.input())
        .explain(2, Region.box(3, 4, 20, 30), method=method)
        for factor in (1.0, 3.0)
    )
    np.testing.assert_allclose(three.map, 3 * one.map, rtol=1e-4, atol=1e-6)
    assert three.score == pytest.approx(3 * one.score, rel=1e-5)


class Symmetric(nn.Module):
    """Convolutions whose kernels are their own mirror image, so that a flipped image gives a flipped result."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, padding=1)
        self.second = nn.Conv2d(6, 5, 3, padding=1)
        self.head = nn.Conv2d(5, 3, 1)
        for convolution in (self.first, self.second):
            convolution.weight.data = (convolution.weight.data + convolution.weight.data.flip(3)) / 2

    def forward(self, images: Tensor) -> Tensor:
        return self.head(torch.tanh(self.second(torch.tanh(self.first(images)))))


@pytest.mark.parametrize("method", ["grad-cam", "hires-cam", "layer-cam", "saliency", "input-x-gradient"])
@pytest.mark.parametrize("layer", ["first", "second", "input"])
def test_flipping_the_image_flips_the_map(method: str, layer: str, image: np.ndarray) -> None:
    model = SegmentationModel(Symmetric())
    asked: dict[str, Any] = {"layer": layer, "method": method} | ({"relu": False} if method.endswith("cam") else {})
    straight = model.predict(image).explain(1, Region.box(5, 6, 20, 30), **asked)
    flipped = model.predict(image[:, ::-1]).explain(1, Region.box(5, 56 - 30, 20, 56 - 6), **asked)
    scale = np.abs(straight.values).max()
    assert scale > 0
    np.testing.assert_allclose(flipped.values[:, ::-1], straight.values, rtol=0, atol=1e-5 * scale)
