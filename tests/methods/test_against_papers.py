"""Each method against a slow reference written from its paper: loops, and gradients by finite differences.

Nothing here uses segscope's own resizing, regions, scores or gradients.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from segscope import Region, SegmentationModel

SIZE, STRIDE, CHANNELS, CLASSES = (8, 10), 2, 5, 3
Array = NDArray[np.float64]


class Smooth(nn.Module):
    """Smooth everywhere, so that finite differences are exact; its logits have half the input's resolution."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, CHANNELS, 3, STRIDE, 1), nn.Tanh())
        self.body = nn.Conv2d(CHANNELS, 6, 3, padding=1)
        self.head = nn.Conv2d(6, CLASSES, 1)

    def after_stem(self, maps: Tensor) -> Tensor:
        return self.head(torch.tanh(2 * self.body(maps)) ** 2 + 0.1 * maps.sum(1, keepdim=True))

    def forward(self, images: Tensor) -> Tensor:
        return self.after_stem(self.stem(images))


@functools.cache
def setting() -> tuple[Smooth, Tensor]:
    torch.manual_seed(5)
    network = Smooth()
    for parameter in network.parameters():
        parameter.data.mul_(1.5)
    image = torch.randn(3, *SIZE)
    with torch.no_grad():  # every class is predicted somewhere
        network.head.bias -= network(image[None]).mean((0, 2, 3))
    return network, image


def upsampled(logits: Array) -> Array:
    """Bilinear interpolation with pixel centres at half-integers, from its definition."""
    classes, height, width = logits.shape
    result = np.zeros((classes, *SIZE))
    for row in range(SIZE[0]):
        for column in range(SIZE[1]):
            y = min(max((row + 0.5) * height / SIZE[0] - 0.5, 0), height - 1)
            x = min(max((column + 0.5) * width / SIZE[1] - 0.5, 0), width - 1)
            top, left = math.floor(y), math.floor(x)
            bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
            for r, c, weight in (
                (top, left, (1 - (y - top)) * (1 - (x - left))),
                (top, right, (1 - (y - top)) * (x - left)),
                (bottom, left, (y - top) * (1 - (x - left))),
                (bottom, right, (y - top) * (x - left)),
            ):
                result[:, row, column] += weight * logits[:, r, c]
    return result


def score(logits: Array, weights: Array, class_index: int, against: int | None, kind: str) -> float:
    """The region-weighted mean of the class's logit (less the other's), or of its probability."""
    full = upsampled(logits)
    total = mean = 0.0
    for row in range(SIZE[0]):
        for column in range(SIZE[1]):
            values = [float(value) for value in full[:, row, column]]
            if kind == "probability":
                exponentials = [math.exp(value) for value in values]
                values = [value / sum(exponentials) for value in exponentials]
            value = values[class_index] - (0.0 if against is None else values[against])
            mean += weights[row, column] * value
            total += weights[row, column]
    return mean / total


@functools.cache
def upsampling_matrix() -> Array:
    """The interpolation as a matrix, so that many perturbed logits can be scored."""
    height, width = SIZE[0] // STRIDE, SIZE[1] // STRIDE
    return np.stack([upsampled(unit.reshape(1, height, width)).ravel() for unit in np.eye(height * width)])


@functools.cache
def region(kind: str) -> tuple[Region | None, Array]:
    weights = np.zeros(SIZE)
    if kind == "pixel":
        weights[3, 7] = 1
        return Region.pixel(3, 7), weights
    if kind == "box":
        weights[2:6, 1:8] = 1
        return Region.box(2, 1, 6, 8), weights
    if kind == "soft":
        weights = np.random.default_rng(1).random(SIZE).astype(np.float32).astype(np.float64)
        return Region.mask(weights), weights
    network, image = setting()
    labels = upsampled(network(image[None])[0].detach().double().numpy()).argmax(0)
    return (None if kind == "default" else Region.predicted(1)), (labels == 1).astype(float)


@functools.cache
def reference_gradient(place: str, kind: str, against: int | None, score_kind: str) -> tuple[Array, Array]:
    """Activation and gradient by central differences in double precision."""
    network, image = setting()
    exact = Smooth().double()
    exact.load_state_dict(network.state_dict())
    function = exact if place == "input" else exact.after_stem
    with torch.no_grad():
        activation = image.double()[None] if place == "input" else exact.stem(image.double()[None])
        step = 1e-4
        unit = torch.eye(activation.numel(), dtype=torch.float64).reshape(-1, *activation.shape[1:]) * step
        logits = torch.cat([function(activation + unit), function(activation - unit)]).numpy()
    weights = region(kind)[1]
    weights = weights / weights.sum()
    full = (logits.reshape(len(logits), CLASSES, -1) @ upsampling_matrix()).reshape(-1, CLASSES, *SIZE)
    if score_kind == "probability":
        full = np.exp(full) / np.exp(full).sum(1, keepdims=True)
    values = full[:, 1] - (0 if against is None else full[:, against])
    scores = (values * weights).sum((1, 2))
    half = len(scores) // 2
    gradient = ((scores[:half] - scores[half:]) / (2 * step)).reshape(activation.shape[1:])
    return activation[0].numpy(), gradient


def reference_map(method: str, activation: Array, gradient: Array, relu: bool) -> Array:
    """The map, place by place and channel by channel, as the paper writes it."""
    channels, height, width = activation.shape
    result = np.zeros((height, width))
    for row in range(height):
        for column in range(width):
            terms = []
            for channel in range(channels):
                a, g = activation[channel, row, column], gradient[channel, row, column]
                if method == "grad-cam":  # Selvaraju et al. 2017, equations 1 and 2
                    alpha = 0.0
                    for i in range(height):
                        for j in range(width):
                            alpha += gradient[channel, i, j] / (height * width)
                    terms.append(alpha * a)
                elif method in ("hires-cam", "input-x-gradient"):  # Draelos and Carin 2020; Shrikumar et al. 2016
                    terms.append(a * g)
                elif method == "layer-cam":  # Jiang et al. 2021, equations 5 to 7
                    terms.append(max(g, 0.0) * a)
                else:  # Simonyan et al. 2014, section 3.1
                    terms.append(abs(g))
            value = max(terms) if method == "saliency" else sum(terms)
            result[row, column] = max(value, 0.0) if relu and method.endswith("cam") else value
    return result


QUESTIONS = [
    (kind, against, score_kind)
    for kind in ("default", "predicted", "pixel", "box", "soft")
    for against in (None, 2)
    for score_kind in ("logit", "probability")
]


@pytest.mark.parametrize(("kind", "against", "score_kind"), QUESTIONS)
@pytest.mark.parametrize("place", ["stem", "input"])
@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        ("grad-cam", {}),
        ("grad-cam", {"relu": False}),
        ("hires-cam", {}),
        ("hires-cam", {"relu": False}),
        ("layer-cam", {}),
        ("layer-cam", {"relu": False}),
        ("saliency", {}),
        ("input-x-gradient", {}),
    ],
)
def test_method_equals_its_paper(  # noqa: PLR0917 # pytest gives them by name
    method: str, parameters: dict[str, Any], place: str, kind: str, against: int | None, score_kind: Any
) -> None:
    network, image = setting()
    asked, weights = region(kind)
    with SegmentationModel(network).predict(image) as prediction:
        found = prediction.explain(
            1, asked, layer=place, method=method, against=against, score=score_kind, **parameters
        )
    activation, gradient = reference_gradient(place, kind, against, score_kind)
    expected = reference_map(method, activation, gradient, parameters.get("relu", True))
    np.testing.assert_allclose(found.map, expected, rtol=0, atol=2e-5 * np.abs(expected).max() + 1e-9)
    logits = network(image[None])[0].detach().double().numpy()
    assert found.score == pytest.approx(score(logits, weights, 1, against, score_kind), rel=1e-5, abs=1e-7)
    assert found.signed == ("relu" in parameters or method == "input-x-gradient")


def test_hires_cam_before_a_linear_classifier_adds_up_to_the_score_less_its_bias() -> None:
    network = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 3, 1))
    with SegmentationModel(network).predict(torch.rand(3, 9, 7)) as prediction:
        found = prediction.explain(2, Region.box(1, 2, 6, 5), layer="1", method="hires-cam", relu=False)
    assert found.map.sum() == pytest.approx(found.score - network.get_parameter("2.bias")[2].item(), abs=1e-5)


def test_grad_cam_before_a_1x1_classifier_is_the_same_for_every_region_up_to_scale() -> None:
    network = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 3, 1))
    with SegmentationModel(network).predict(torch.rand(3, 9, 7)) as prediction:
        one, other = (prediction.explain(2, Region.pixel(*at), layer="1", relu=False) for at in ((1, 1), (7, 5)))
        np.testing.assert_allclose(one.map, other.map, rtol=1e-4, atol=1e-6)
