"""FullGrad against its definition: every bias at every place, by finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from segscope import Region, SegmentationModel
from tests.networks import ZOO

from .slow import BOX, CLASS, REGION, Array, Functional, Linear, Rectified, Smooth, exact, image


def with_biases(network: Rectified, images: Tensor, biases: list[Tensor]) -> Tensor:
    """The network's score as a function of the image and of each layer's bias at each place (batches of all)."""
    norm = network.norm
    scale = norm.weight / (norm.get_buffer("running_var") + norm.eps).sqrt()
    maps = functional.conv2d(images, network.conv1.weight, padding=1) + biases[0]
    maps = functional.max_pool2d(maps.relu(), 2)
    maps = functional.conv2d(maps, network.conv2.weight, padding=1) + biases[1]
    maps = (maps * scale[:, None, None] + biases[2]).relu()
    logits = functional.conv2d(maps, network.head.weight) + biases[3]
    logits = functional.interpolate(logits, (6, 6), mode="bilinear", align_corners=False)
    return logits[:, CLASS, BOX[0] : BOX[2], BOX[1] : BOX[3]].mean((1, 2))


def slow_terms(network: Rectified) -> list[Array]:
    """Input times gradient, and each bias times its gradient at each place (Srinivas and Fleuret 2019, equation 3)."""
    norm = network.norm
    scale = norm.weight / (norm.get_buffer("running_var") + norm.eps).sqrt()
    values = [
        network.conv1.bias,
        network.conv2.bias,
        norm.bias - norm.get_buffer("running_mean") * scale,
        network.head.bias,
    ]
    sizes = [(6, 6), (3, 3), (3, 3), (3, 3)]
    points = [image().double()]
    points += [value.detach()[:, None, None].expand(-1, *size) for value, size in zip(values, sizes, strict=True)]
    terms = []
    for index, point in enumerate(points):
        unit = torch.eye(point.numel(), dtype=torch.float64).reshape(-1, *point.shape) * 1e-5
        scores = []
        for sign in (1, -1):
            moved = [other[None].expand(len(unit), *other.shape) for other in points]
            moved[index] = moved[index] + sign * unit
            with torch.no_grad():
                scores.append(with_biases(network, moved[0], moved[1:]))
        gradient = ((scores[0] - scores[1]) / 2e-5).reshape(point.shape)
        terms.append((gradient * point).numpy())
    return terms


def enlarged(values: Array) -> Array:
    """A map of 3×3 cells as 6×6 pixels, bilinearly, with the same sum."""
    if values.shape == (6, 6):
        return values
    result = np.zeros((6, 6))
    for row in range(6):
        for column in range(6):
            y, x = (min(max((place + 0.5) / 2 - 0.5, 0), 2) for place in (row, column))
            top, left = min(int(y), 1), min(int(x), 1)
            for r, c in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
                result[row, column] += (1 - abs(y - r)) * (1 - abs(x - c)) * values[r, c] / 4
    return result


@pytest.mark.parametrize("absolute", [True, False])
@pytest.mark.parametrize("network", [Rectified(), Functional()], ids=["modules", "functions in place"])
def test_fullgrad_equals_its_paper(network: nn.Module, absolute: bool) -> None:
    with SegmentationModel(network).predict(image()) as prediction:
        found = prediction.explain(CLASS, REGION, method="fullgrad", absolute=absolute)
    terms = slow_terms(exact(Rectified()))
    expected = np.zeros((6, 6))
    for term in terms:
        expected += enlarged((abs(term) if absolute else term).sum(0))
    np.testing.assert_allclose(found.map, expected, rtol=1e-4, atol=1e-5)
    assert sum(term.sum() for term in terms) == pytest.approx(found.score, abs=1e-5)
    assert found.signed is not absolute
    assert found.cost.passes == 1


@pytest.mark.parametrize("place", ["input", "conv1", "relu1", "conv2", "norm", "relu2", "head"])
@pytest.mark.parametrize("kind", ["logit", "probability"])
def test_terms_add_up_to_the_score(place: str, kind) -> None:
    with SegmentationModel(Rectified()).predict(image()) as prediction:
        found = prediction.explain(CLASS, REGION, against=0, layer=place, score=kind, method="fullgrad", absolute=False)
    assert found.measures["completeness_error"] == pytest.approx(0, abs=1e-6)
    assert found.measures["without_place"] == 0
    assert found.map.sum() == pytest.approx(found.score, abs=1e-5)


@pytest.mark.parametrize("case", ZOO, ids=lambda case: case.name)
def test_terms_add_up_to_the_score_for_networks_of_every_build(case) -> None:
    for inplace in (True, False):
        with SegmentationModel(case.build(inplace=inplace), output="logits").predict(case.input()) as prediction:
            found = prediction.explain(1, REGION, method="fullgrad", absolute=False)
        scale = abs(found.score) + float(abs(found.map).sum())
        assert found.measures["completeness_error"] == pytest.approx(0, abs=1e-5 * scale)
        assert found.map.sum() + found.measures["without_place"] == pytest.approx(found.score, abs=1e-3 * scale)


def test_terms_of_a_smooth_network_add_up_by_their_implicit_biases() -> None:
    with SegmentationModel(Smooth()).predict(image()) as prediction:
        found = prediction.explain(CLASS, REGION, method="fullgrad", absolute=False)
    assert found.map.sum() == pytest.approx(found.score, abs=1e-5)


def test_network_without_biases_gets_input_times_gradient() -> None:
    network = Linear()
    for parameter in network.parameters():
        if parameter.ndim == 1:
            parameter.data.zero_()
    with SegmentationModel(network).predict(image()) as prediction:
        plain = prediction.explain(CLASS, REGION, method="input-x-gradient")
        found = prediction.explain(CLASS, REGION, method="fullgrad", absolute=False)
    np.testing.assert_allclose(found.map, plain.map, rtol=1e-4, atol=1e-6)


def test_what_cannot_be_seen_shows_in_the_error() -> None:
    class Scripted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(2, 3, 3, padding=1)
            self.own = Tripled.apply

        def forward(self, images: Tensor) -> Tensor:
            return self.own(self.conv(images))

    class Tripled(torch.autograd.Function):
        """Adds a bias that nobody can see."""

        @staticmethod
        def forward(_context, maps: Tensor) -> Tensor:
            return 3 * maps + 2

        @staticmethod
        def backward(_context, gradient: Tensor) -> Tensor:
            return 3 * gradient

    with SegmentationModel(Scripted()).predict(image()) as prediction:
        found = prediction.explain(CLASS, Region.everywhere(), method="fullgrad")
    assert found.measures["completeness_error"] == pytest.approx(-2, abs=1e-5)


def test_terms_of_a_pooled_vector_are_spread_or_told() -> None:
    class Pooled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(2, 3, 3, padding=1)
            self.gate = nn.Linear(3, 3)

        def forward(self, images: Tensor) -> Tensor:
            maps = self.conv(images)
            return maps + self.gate(maps.mean((2, 3)))[:, :, None, None]

    torch.manual_seed(0)
    network = Pooled()
    with SegmentationModel(network).predict(image()) as prediction:
        found = prediction.explain(CLASS, Region.everywhere(), method="fullgrad", absolute=False)
    assert found.measures["without_place"] == pytest.approx(network.gate.bias[CLASS].item(), rel=1e-4)
    assert found.measures["completeness_error"] == pytest.approx(0, abs=1e-6)
