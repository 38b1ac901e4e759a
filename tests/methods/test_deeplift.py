"""DeepLIFT against its chain rule written out with matrices, against Captum, and by its completeness."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from captum.attr import DeepLift
from torch import Tensor, nn
from torch.nn import functional

from segscope import CannotExplain, Region, SegmentationModel
from tests.networks import ZOO

from .slow import BOX, CLASS, REGION, Array, Functional, Linear, Rectified, Scored, Smooth, exact, image, score


def matrix(function, shape: tuple[int, ...]) -> Array:
    """A linear map as a matrix, column by column."""
    with torch.no_grad():
        offset = function(torch.zeros(1, *shape, dtype=torch.float64)).ravel()
        units = torch.eye(int(np.prod(shape)), dtype=torch.float64).reshape(-1, 1, *shape)
        return torch.stack([function(unit).ravel() - offset for unit in units], 1).numpy()


@pytest.mark.parametrize("baseline", ["zero", "mean"])
def test_deeplift_equals_its_paper(baseline: str) -> None:
    """Shrikumar et al. 2017, sections 3.3 (chain rule), 3.5.1 (linear rule) and 3.5.2 (rescale rule)."""
    with SegmentationModel(Smooth()).predict(image()) as prediction:
        found = prediction.explain(CLASS, REGION, method="deeplift", baseline=baseline)
    network = exact(Smooth())
    present = image().double().numpy()
    absent = np.zeros_like(present)
    if baseline == "mean":
        absent += present.mean((1, 2), keepdims=True)

    def before(values: Array) -> list[Array]:
        """What goes into and comes out of each function of one number."""
        with torch.no_grad():
            first = network.stem[0](torch.from_numpy(values)[None])
            second = 2 * network.body(first.tanh())
            third = second.sigmoid()
        return [part.numpy().ravel() for part in (first, first.tanh(), second, third, third**2)]

    here, there = before(present), before(absent)
    change = [one - other for one, other in zip(here, there, strict=True)]
    chosen = np.zeros((3, 6, 6))
    chosen[CLASS, BOX[0] : BOX[2], BOX[1] : BOX[3]] = 1 / 12
    multipliers = chosen.ravel() @ matrix(network.head, (4, 6, 6))
    multipliers *= change[4] / change[3]
    multipliers *= change[3] / change[2]
    multipliers = 2 * multipliers @ matrix(network.body, (4, 6, 6))
    multipliers *= change[1] / change[0]
    multipliers = multipliers @ matrix(network.stem[0], (2, 6, 6))
    expected = (multipliers.reshape(2, 6, 6) * (present - absent)).sum(0)
    np.testing.assert_allclose(found.map, expected, rtol=1e-4, atol=1e-5)
    assert found.cost.passes == 2


@pytest.mark.parametrize("network", [Rectified(), Functional()], ids=["modules", "functions in place"])
def test_equals_captum_on_modules_and_the_same_on_functions(network: nn.Module) -> None:
    with SegmentationModel(network).predict(image()) as prediction:
        found = prediction.explain(CLASS, REGION, method="deeplift", baseline="blur")
        question, _ = prediction.question(found.target)
        absent = _blurred(prediction, question)
    peer = DeepLift(Scored(exact(Rectified())))
    inputs = image().double()[None].requires_grad_()
    with pytest.warns(UserWarning, match="Setting forward, backward hooks"):
        expected = peer.attribute(inputs, absent.double()[None])[0].detach()
    np.testing.assert_allclose(found.map, expected.sum(0), rtol=1e-3, atol=1e-5)


def _blurred(prediction, question) -> Tensor:
    from segscope.methods import Place
    from segscope.progress import Progress

    return Place(prediction, question, "input", Progress()).baseline("blur")


@pytest.mark.parametrize("baseline", ["zero", "mean", "blur", "noise"])
@pytest.mark.parametrize("place", ["input", "conv1", "norm"])
@pytest.mark.parametrize("kind", ["logit", "probability"])
@pytest.mark.parametrize("network", [Rectified(), Functional()], ids=["modules", "functions in place"])
def test_sum_is_the_difference_of_scores(network: nn.Module, kind, place: str, baseline: str) -> None:
    with SegmentationModel(network).predict(image()) as prediction:
        found = prediction.explain(
            CLASS, REGION, against=2, layer=place, score=kind, method="deeplift", baseline=baseline
        )
    assert found.map.sum() == pytest.approx(found.measures["score_difference"], abs=1e-5)
    assert found.measures["completeness_error"] == pytest.approx(0, abs=1e-5)
    if place == "input" and baseline == "zero" and kind == "logit":
        with torch.no_grad():
            expected = score(Rectified(), torch.stack([image(), torch.zeros_like(image())]))
            other = score(lambda maps: Rectified()(maps).roll(-1, 1), torch.stack([image(), torch.zeros_like(image())]))
        difference = (expected - other).diff().item()
        assert found.measures["score_difference"] == pytest.approx(-difference, rel=1e-4)


@pytest.mark.parametrize("case", ZOO, ids=lambda case: case.name)
def test_sum_is_the_difference_of_scores_for_networks_of_every_build(case) -> None:
    for inplace in (True, False):
        with SegmentationModel(case.build(inplace=inplace), output="logits").predict(case.input()) as prediction:
            found = prediction.explain(0, REGION, method="deeplift", baseline="noise", seed=2)
        difference = found.measures["score_difference"]
        assert abs(difference) > 1e-3
        # The mean derivative of layer norm is a sum of sixteen.
        precision = 0.03 if case.name in ("channel last", "transformer") else 1e-4
        assert found.measures["completeness_error"] == pytest.approx(0, abs=precision * abs(difference))


class Operated(nn.Module):
    """One operation in the middle of a network."""

    def __init__(self, operation) -> None:
        super().__init__()
        self.operation = operation
        self.stem = nn.Conv2d(2, 4, 3, padding=1)
        self.head = nn.Conv2d(4, 3, 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.operation(self.stem(images)))


def gated(maps: Tensor) -> Tensor:
    gate = maps.mean((2, 3), keepdim=True).sigmoid()
    other = maps + 1
    other *= gate
    return other * maps


def attended(maps: Tensor) -> Tensor:
    tokens = maps.flatten(2).transpose(1, 2)
    weights = (tokens @ tokens.transpose(1, 2)).softmax(-1)
    own = functional.scaled_dot_product_attention(tokens, tokens, tokens)
    return (weights @ tokens + own).transpose(1, 2).reshape(maps.shape)


@pytest.mark.parametrize(
    "operation",
    [
        gated,
        attended,
        lambda maps: functional.gelu(maps) + functional.leaky_relu(maps, 0.1),
        lambda maps: functional.hardswish(maps, inplace=True),
        lambda maps: functional.softplus(maps).sqrt_() + maps.abs() ** 1.5,
        lambda maps: maps / (1 + maps.square().mean((2, 3), keepdim=True)),
        lambda maps: functional.layer_norm(maps, maps.shape[1:]) + functional.instance_norm(maps),
        lambda maps: torch.einsum("bchw,bdhw->bchw", maps, maps),
        lambda maps: functional.adaptive_max_pool2d(maps, (3, 2)),
        lambda maps: functional.max_pool2d(maps, 3, 1, 1) + maps.flatten(2).softmax(2).reshape(maps.shape),
    ],
)
def test_sum_is_the_difference_of_scores_for_many_operations(operation) -> None:
    torch.manual_seed(1)
    with SegmentationModel(Operated(operation)).predict(image()) as prediction:
        found = prediction.explain(CLASS, Region.everywhere(), method="deeplift", baseline="noise")
    assert found.measures["completeness_error"] == pytest.approx(0, abs=3e-5)


def test_operation_without_a_rule_shows_in_the_error() -> None:
    with SegmentationModel(Operated(lambda maps: maps.cumprod(1) * 5)).predict(image()) as prediction:
        found = prediction.explain(CLASS, Region.everywhere(), method="deeplift", baseline="noise")
    difference = found.measures["score_difference"]
    assert abs(found.measures["completeness_error"]) > 0.01 * abs(difference)
    assert found.measures["completeness_error"] == pytest.approx(found.map.sum() - difference, abs=1e-5)


def test_linear_network_gets_input_times_gradient() -> None:
    with SegmentationModel(Linear()).predict(image()) as prediction:
        plain = prediction.explain(CLASS, REGION, method="input-x-gradient")
        found = prediction.explain(CLASS, REGION, method="deeplift")
    np.testing.assert_allclose(found.map, plain.map, rtol=1e-4, atol=1e-6)


def test_network_that_goes_another_way_for_the_baseline_is_refused() -> None:
    class Branching(Operated):
        def forward(self, images: Tensor) -> Tensor:
            maps = self.stem(images)
            return self.head(maps.relu() if images.abs().sum() > 1 else maps.sigmoid())

    network = Branching(None)
    with SegmentationModel(network).predict(image()) as prediction:
        with pytest.raises(CannotExplain, match="does something else for the baseline"):
            prediction.explain(CLASS, REGION, method="deeplift")
        assert prediction.explain(CLASS, REGION, method="deeplift", baseline="mean").map.any()
    assert all(parameter.requires_grad and parameter.grad is None for parameter in network.parameters())
