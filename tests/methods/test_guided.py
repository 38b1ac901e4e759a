"""Guided backpropagation and guided Grad-CAM against the rule written out by hand, and against Captum."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from captum.attr import GuidedBackprop, GuidedGradCam
from torch import Tensor, nn
from torch.nn import functional

from segscope import CannotExplain, SegmentationModel
from tests.networks import ZOO

from .slow import CLASS, REGION, Functional, Rectified, Scored, Smooth, exact, image


class TwoLayers(nn.Module):
    """Two convolutions with an activation function between, and one that is nowhere near a rectifier at the end."""

    def __init__(self, activation: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.activation = activation
        self.first = nn.Conv2d(2, 3, 3, padding=1)
        self.second = nn.Conv2d(3, 4, 3, padding=1)
        self.head = nn.Conv2d(4, 3, 1)
        generator = torch.Generator().manual_seed(8)
        for parameter in self.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.5

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.activation(self.second(self.activation(self.first(images)))))


def rule(network: TwoLayers, values: Tensor, top: float) -> np.ndarray:
    """Springenberg et al. 2015, section 3.4: R = 1[f > 0] · 1[R > 0] · R, layer by layer, with plain arrays."""
    weights = np.zeros((1, 3, 6, 6))
    weights[0, CLASS, 1:5, 1:4] = 1 / 12
    kernels = [module.weight.detach().double().numpy() for module in (network.first, network.second, network.head)]
    first = network.first(values.double()[None])
    second = network.second(first.clamp(0, top))

    def back(arriving: np.ndarray, kernel: np.ndarray) -> np.ndarray:
        """The transposed convolution by its definition."""
        outputs, inputs, size, _ = kernel.shape
        padded = np.zeros((inputs, 6 + size - 1, 6 + size - 1))
        for row in range(6):
            for column in range(6):
                for output in range(outputs):
                    padded[:, row : row + size, column : column + size] += (
                        arriving[output, row, column] * kernel[output]
                    )
        edge = size // 2
        return padded[:, edge : edge + 6, edge : edge + 6]

    arriving = weights[0]
    for kernel, before in ((kernels[2], second), (kernels[1], first)):
        arriving = back(arriving, kernel)
        forward = before.detach().numpy()[0]
        arriving = np.where((forward > 0) & (forward < top) & (arriving > 0), arriving, 0)
    return back(arriving, kernels[0])


@pytest.mark.parametrize(
    ("activation", "top"),
    [
        (nn.ReLU(), np.inf),
        (nn.ReLU(inplace=True), np.inf),
        (functional.relu, np.inf),
        (torch.relu_, np.inf),
        (lambda maps: maps.relu(), np.inf),
        (lambda maps: maps.clamp(min=0), np.inf),
        (lambda maps: maps.clamp_min_(0), np.inf),
        (lambda maps: functional.threshold(maps, 0, 0), np.inf),
        (nn.ReLU6(), 6.0),
        (lambda maps: functional.hardtanh(maps, 0, 1), 1.0),
        (lambda maps: maps.clamp(0, 1), 1.0),
    ],
)
@pytest.mark.parametrize("absolute", [True, False])
def test_guided_backpropagation_equals_its_paper(activation: Callable[[Tensor], Tensor], top: float, absolute) -> None:
    network = TwoLayers(activation)
    with SegmentationModel(network).predict(image()) as prediction:
        found = prediction.explain(CLASS, REGION, method="guided-backpropagation", absolute=absolute)
    guided = rule(TwoLayers(activation).double(), image(), top)
    expected = abs(guided).max(0) if absolute else guided.sum(0)
    np.testing.assert_allclose(found.map, expected, rtol=1e-4, atol=1e-6)
    assert found.signed is not absolute


@pytest.mark.parametrize("network", [Rectified(), Functional()], ids=["modules", "functions in place"])
def test_equals_captum_on_modules_and_the_same_on_functions(network: nn.Module) -> None:
    with SegmentationModel(network).predict(image()) as prediction:
        guided = prediction.explain(CLASS, REGION, method="guided-backpropagation", absolute=False)
        fine = prediction.explain(CLASS, REGION, layer="norm", method="guided-grad-cam")
    peer = Scored(exact(Rectified()))
    inputs = image().double()[None].requires_grad_()
    with pytest.warns(UserWarning, match="Setting backward hooks on ReLU"):
        expected = GuidedBackprop(peer).attribute(inputs)[0]
    np.testing.assert_allclose(guided.map, expected.sum(0).detach(), rtol=1e-4, atol=1e-6)
    with pytest.warns(UserWarning, match="Setting backward hooks on ReLU"):
        product = GuidedGradCam(peer, peer.network.norm).attribute(inputs, interpolate_mode="bilinear")[0]
    assert abs(product).max() > 0
    np.testing.assert_allclose(fine.map, product.abs().amax(0).detach(), rtol=1e-3, atol=1e-6)
    assert fine.map.shape == (6, 6)


@pytest.mark.parametrize("method", ["guided-backpropagation", "guided-grad-cam"])
def test_network_without_rectifiers_is_refused(method: str) -> None:
    network = Smooth()
    with (
        SegmentationModel(network).predict(image()) as prediction,
        pytest.raises(CannotExplain, match="there is none between 'input' and the score"),
    ):
        prediction.explain(CLASS, REGION, method=method)
    assert all(not module._forward_hooks for module in network.modules())


def test_layer_behind_the_last_rectifier_is_refused() -> None:
    with (
        SegmentationModel(Rectified()).predict(image()) as prediction,
        pytest.raises(CannotExplain, match="there is none between 'relu2' and the score"),
    ):
        prediction.explain(CLASS, REGION, layer="relu2", method="guided-backpropagation")


@pytest.mark.parametrize("clamp", [lambda maps: maps.clamp(min=-0.5), lambda maps: maps.clamp(max=1.0)])
def test_other_bounds_are_no_rectifiers(clamp: Callable[[Tensor], Tensor]) -> None:
    with (
        SegmentationModel(TwoLayers(clamp)).predict(image()) as prediction,
        pytest.raises(CannotExplain, match="there is none"),
    ):
        prediction.explain(CLASS, REGION, method="guided-backpropagation")


def test_kept_pass_answers_as_before() -> None:
    """The rule stays in its own backward pass."""
    with SegmentationModel(Rectified()).predict(image()) as prediction:
        before = prediction.explain(CLASS, REGION, method="saliency").map
        guided = prediction.explain(CLASS, REGION, method="guided-backpropagation").map
        assert np.array_equal(prediction.explain(CLASS, REGION, method="saliency").map, before)
    assert not np.allclose(before, guided)


@pytest.mark.parametrize("case", [case for case in ZOO if case.name != "grouped"], ids=lambda case: case.name)
def test_in_place_equals_out_of_place(case) -> None:
    maps = []
    for inplace in (True, False):
        with SegmentationModel(case.build(inplace=inplace), output="logits").predict(case.input()) as prediction:
            maps.append(prediction.explain(1, REGION, method="guided-backpropagation").map)
    np.testing.assert_allclose(maps[0], maps[1], rtol=1e-4, atol=1e-6)
