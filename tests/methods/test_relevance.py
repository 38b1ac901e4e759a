"""Layer-wise relevance propagation: its rules written out, zennit's own composites, and that nothing is lost."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations

from segscope import CannotExplain, Preprocess, Region, SegmentationModel
from segscope.methods.relevance import COMPOSITES
from tests.networks import ZOO

pytest.importorskip("zennit")
SIZE = (6, 8)
REGION = Region.box(1, 2, 5, 7)
Array = NDArray[np.float64]


class Small(nn.Module):
    """Two convolutions with biases and a linear layer between them, for each rule its place."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.dense = nn.Linear(4, 5)
        self.head = nn.Conv2d(5, 3, 3, padding=1, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        maps = functional.relu(self.stem(images))
        return self.head(torch.tanh(self.dense(maps.permute(0, 2, 3, 1))).permute(0, 3, 1, 2))


@cache
def small() -> tuple[Small, Tensor]:
    torch.manual_seed(2)
    network = Small()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.5)
    return network, torch.rand(3, *SIZE) * 2 - 0.5


def matrix_of(function: Callable[[Tensor], Tensor], shape: tuple[int, ...]) -> tuple[Array, Array]:
    """A linear layer's matrix (outputs × inputs) and bias, found by unit vectors."""
    units = torch.eye(int(np.prod(shape)), dtype=torch.float64).reshape(-1, *shape)
    with torch.no_grad():
        bias = function(torch.zeros(1, *shape, dtype=torch.float64)).flatten()
        columns = function(units).flatten(1) - bias
    return columns.T.numpy(), bias.numpy()


def stable(values: Array, epsilon: float = 1e-6) -> Array:
    return values + np.where(values < 0, -epsilon, epsilon)


def share(parts: Array, denominator: Array, above: Array) -> Array:
    """Each input's relevance: the sum over outputs of part / denominator · relevance."""
    found = np.zeros(parts.shape[1])
    for j in range(parts.shape[0]):
        for i in np.flatnonzero(parts[j]):
            found[i] += parts[j, i] / denominator[j] * above[j]
    return found


def propagate(rule: str, weights: Array, bias: Array, values: Array, above: Array, **options: Any) -> Array:
    """One rule, as Bach et al. 2015, Montavon et al. 2017 and 2019 and Lapuschkin et al. 2019 write it."""
    positive, negative = np.maximum(weights, 0), np.minimum(weights, 0)
    up, down = np.maximum(values, 0), np.minimum(values, 0)
    for_it = up * positive + down * negative
    against_it = up * negative + down * positive
    if rule == "epsilon":
        return share(values * weights, stable(weights @ values + bias, options.get("epsilon", 1e-6)), above)
    if rule == "z-plus":
        return share(for_it, stable(for_it.sum(1) + np.maximum(bias, 0)), above)
    if rule == "alpha-beta":
        plus = share(for_it, stable(for_it.sum(1) + np.maximum(bias, 0)), above)
        return 2 * plus - share(against_it, stable(against_it.sum(1) + np.minimum(bias, 0)), above)
    if rule == "flat":
        connected = (weights != 0).astype(float)
        return share(connected, connected.sum(1), above)
    if rule == "box":
        parts = values * weights - options["low"] * positive - options["high"] * negative
        totals = weights @ values + bias
        totals = totals - (positive @ options["low"] + np.maximum(bias, 0))
        totals = totals - (negative @ options["high"] + np.minimum(bias, 0))
        return share(parts, stable(totals), above)
    output = weights @ values + bias
    gamma = 0.25
    # Where the output is positive, what speaks for it counts more; where it is negative, what speaks against it.
    strong = for_it * (1 + gamma) + against_it
    weak = for_it + against_it * (1 + gamma)
    pulled = strong.sum(1) + bias + gamma * np.maximum(bias, 0)
    pushed = weak.sum(1) + bias + gamma * np.minimum(bias, 0)
    found = share(strong, stable(pulled), above * (output > 0))
    return found + share(weak, stable(pushed), above * (output < 0))


RULES = {
    "epsilon-plus-flat": ("flat", "epsilon", "z-plus"),
    "epsilon-plus": ("z-plus", "epsilon", "z-plus"),
    "epsilon-alpha2-beta1-flat": ("flat", "epsilon", "alpha-beta"),
    "epsilon-alpha2-beta1": ("alpha-beta", "epsilon", "alpha-beta"),
    "epsilon-gamma-box": ("box", "epsilon", "gamma"),
    "epsilon": ("epsilon", "epsilon", "epsilon"),
}


def reference(composite: str, class_index: int, **options: Any) -> dict[str, Array]:
    """Relevance at the input and after the first convolution, from matrices and loops in double precision."""
    network, image = small()
    exact = Small().double()
    exact.load_state_dict(network.state_dict())
    first, dense, last = RULES[composite]
    pixels = image.double().numpy().ravel()
    stem, stem_bias = matrix_of(exact.stem, (3, *SIZE))
    made = stem @ pixels + stem_bias
    rectified = np.maximum(made, 0)
    middle, middle_bias = matrix_of(lambda maps: exact.dense(maps.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), (4, *SIZE))
    squashed = np.tanh(middle @ rectified + middle_bias)
    head, head_bias = matrix_of(exact.head, (5, *SIZE))
    logits = (head @ squashed + head_bias).reshape(3, *SIZE)
    above = np.zeros_like(logits)
    above[class_index, 1:5, 2:7] = logits[class_index, 1:5, 2:7] / 20
    relevance = propagate(last, head, head_bias, squashed, above.ravel(), **options)
    relevance = propagate(dense, middle, middle_bias, rectified, relevance, **options)
    box = {
        "low": np.repeat(np.minimum(image.amin((1, 2)).double().numpy(), -1), SIZE[0] * SIZE[1]),
        "high": np.repeat(np.maximum(image.amax((1, 2)).double().numpy(), 1), SIZE[0] * SIZE[1]),
    }
    at_input = propagate(first, stem, stem_bias, pixels, relevance, **box, **options)
    return {
        "stem": relevance.reshape(4, *SIZE).sum(0),
        "input": at_input.reshape(3, *SIZE).sum(0),
        "score": above.sum(),
    }


@pytest.mark.parametrize("composite", COMPOSITES)
def test_composite_equals_its_rules_written_out(composite: str) -> None:
    network, image = small()
    model = SegmentationModel(network, preprocess=Preprocess(mean=0.5, std=0.5))
    expected = reference(composite, 2)
    with model.predict(image) as prediction:
        for layer in ("stem", "input"):
            found = prediction.explain(2, REGION, method="lrp", layer=layer, composite=composite)
            scale = np.abs(expected[layer]).max()
            np.testing.assert_allclose(found.map, expected[layer], rtol=0, atol=1e-3 * scale)
            assert found.score == pytest.approx(expected["score"], rel=1e-4)


@pytest.mark.parametrize("epsilon", [0.01, 1.0])
def test_epsilon_is_that_of_the_rule(epsilon: float) -> None:
    network, image = small()
    with SegmentationModel(network).predict(image) as prediction:
        found = prediction.explain(2, REGION, method="lrp", composite="epsilon", epsilon=epsilon)
    expected = reference("epsilon", 2, epsilon=epsilon)["input"]
    np.testing.assert_allclose(found.map, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


def sequential() -> nn.Sequential:
    torch.manual_seed(3)
    network = nn.Sequential(
        *(nn.Conv2d(3, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU(inplace=True), nn.MaxPool2d(2)),
        *(nn.ConvTranspose2d(6, 5, 2, 2), nn.BatchNorm2d(5), nn.SiLU(), nn.AvgPool2d(2), nn.Conv2d(5, 3, 1)),
    )
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.3)
    return network.eval()


@pytest.mark.parametrize("composite", [name for name in COMPOSITES if name not in ("epsilon", "epsilon-gamma-box")])
def test_composite_equals_zennits_own(composite: str) -> None:
    from zennit.attribution import Gradient
    from zennit.canonizers import SequentialMergeBatchNorm
    from zennit.composites import COMPOSITES as THEIRS

    network, image = sequential(), torch.randn(3, 8, 10)
    with SegmentationModel(network).predict(image) as prediction:
        found = prediction.explain(1, Region.everywhere(), method="lrp", composite=composite)
    theirs = THEIRS[composite.replace("-", "_")](canonizers=[SequentialMergeBatchNorm()])
    other = sequential()
    with Gradient(model=other, composite=theirs) as attributor:

        def seed(output: Tensor) -> Tensor:
            mask = torch.zeros_like(output)
            mask[:, 1] = 1 / output[0, 1].numel()
            return output.detach() * mask

        _, relevance = attributor(image[None].clone(), seed)
    expected = relevance[0].sum(0).detach().numpy()
    np.testing.assert_allclose(found.map, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


class Functions(nn.Module):
    """Without biases: additions, joins, interpolation and pooling by function, some in place."""

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, padding=1, bias=False)
        self.second = nn.Conv2d(6, 6, 3, padding=1, bias=False)
        self.third = nn.ConvTranspose2d(6, 4, 2, 2, bias=False)
        self.weight = nn.Parameter(torch.rand(6, 6, 1, 1) - 0.3)
        self.head = nn.Conv2d(10, channels, 1, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        first = self.first(images * 2).relu_()
        low = functional.max_pool2d(first, 2)
        second = functional.gelu(self.second(low)) / 3
        second += low
        second = second - 0.5 * functional.conv2d(low, self.weight)
        second.mul_(2)
        second[:, :2] *= 0.5
        wide = functional.interpolate(second, scale_factor=2.0, mode="bilinear")
        mean = torch.stack([wide, first]).mean(0) + functional.adaptive_avg_pool2d(first, 1)
        return self.head(torch.cat([mean, functional.dropout(self.third(second), 0.5, self.training)], 1))


@pytest.mark.parametrize("against", [None, 0])
# Alpha-2-beta-1 loses or doubles relevance at units where all inputs have one sign.
@pytest.mark.parametrize("composite", [name for name in COMPOSITES if "alpha" not in name])
def test_relevance_adds_up_to_the_score_without_biases(composite: str, against: int | None) -> None:
    torch.manual_seed(1)
    with SegmentationModel(Functions().eval()).predict(torch.rand(3, 8, 12)) as prediction:
        found = prediction.explain(1, REGION, method="lrp", composite=composite, against=against)
        first = prediction.explain(1, REGION, method="lrp", composite=composite, against=against, layer="first")
    largest = max(1.0, float(np.abs(found.map).sum()))
    assert found.map.sum() == pytest.approx(found.score, abs=2e-3 * largest)
    assert first.map.sum() == pytest.approx(found.score, abs=2e-3 * largest)


@pytest.mark.parametrize("class_index", [0, 1])
def test_relevance_of_one_channel_adds_up_for_both_classes(class_index: int) -> None:
    torch.manual_seed(1)
    with SegmentationModel(Functions(channels=1).eval()).predict(torch.rand(3, 8, 12)) as prediction:
        found = prediction.explain(class_index, REGION, method="lrp", composite="epsilon-plus")
    assert found.map.sum() == pytest.approx(found.score, rel=1e-3)


@pytest.mark.parametrize("case", ZOO, ids=lambda case: case.name)
@pytest.mark.parametrize("inplace", [False, True])
def test_networks_of_every_make_are_served_or_told_why(case: Any, inplace: bool) -> None:
    reasons = {"transformer": "multi_head_attention", "called twice": "run more than once", "grouped": "multiplies two"}
    network = case.build(inplace=inplace)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with SegmentationModel(network).predict(case.input()) as prediction:
        if case.name in reasons:
            with pytest.raises(CannotExplain, match=reasons[case.name]):
                prediction.explain(1, Region.everywhere(), method="lrp")
        else:
            layers = ["input", prediction.default_layer]
            grid = prediction.explain_all([1], layers, method="lrp", region=Region.everywhere())
            assert all(np.abs(found.map).max() > 0 for found in grid.values())
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize("name", ["unet", "resnet", "list in place"])
def test_relevance_is_the_same_whether_the_network_works_in_place(name: str) -> None:
    case = next(case for case in ZOO if case.name == name)
    maps = []
    for inplace in (False, True):
        with SegmentationModel(case.build(inplace=inplace)).predict(case.input()) as prediction:
            maps.append(prediction.explain(1, Region.everywhere(), method="lrp").map)
    np.testing.assert_allclose(maps[0], maps[1], rtol=1e-4, atol=1e-6)


class Odd(nn.Module):
    """A convolution, and then something for which there is no rule."""

    def __init__(self, then: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.body, self.then = nn.Conv2d(3, 3, 3, padding=1), then

    def forward(self, images: Tensor) -> Tensor:
        return self.then(self.body(images))


def random_bias(maps: Tensor) -> Tensor:
    return maps + torch.rand(1)


@pytest.mark.parametrize(
    ("then", "reason"),
    [
        (lambda maps: maps * maps.sigmoid(), r"multiplies two things that both depend on the image \(mul\)"),
        (lambda maps: 1 / maps, "calls the function '(rdiv|rtruediv|reciprocal)'"),
        (torch.exp, "calls the function 'exp'"),
        (lambda maps: functional.glu(torch.cat([maps, maps], 1), 1), "calls the function 'glu'"),
        (lambda maps: maps.softmax(1), "puts out probabilities"),
        (random_bias, "gives other logits than the network itself"),
    ],
)
def test_network_without_rules_is_told_so(then: Callable[[Tensor], Tensor], reason: str) -> None:
    with (
        SegmentationModel(Odd(then)).predict(torch.rand(3, 8, 8)) as prediction,
        pytest.raises(CannotExplain, match=reason),
    ):
        prediction.explain(1, Region.everywhere(), method="lrp")


def test_weights_with_a_parametrisation_are_taken_as_they_are() -> None:
    plain, normed = (nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 3, 1)) for _ in range(2))
    plain.load_state_dict(normed.state_dict())
    parametrizations.weight_norm(normed[0])
    image = torch.rand(3, 8, 8)
    maps = []
    for network in (plain, normed):
        with SegmentationModel(network).predict(image) as prediction:
            maps.append(prediction.explain(1, Region.everywhere(), method="lrp").map)
    np.testing.assert_allclose(maps[0], maps[1], rtol=1e-4)
