"""How class activation maps relate to each other, and what those that run the network again cost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from segscope import CannotExplain, Prediction, Region, SegmentationModel
from segscope.testing import check_method
from tests.networks import ZOO

BOX = Region.box(3, 4, 20, 30)


@pytest.mark.parametrize("layer", ["0", "1"])
@pytest.mark.parametrize("relu", [True, False])
def test_seg_xres_cam_lies_between_hires_cam_and_grad_cam(prediction: Prediction, layer: str, relu: bool) -> None:
    asked: dict[str, Any] = {"layer": layer, "relu": relu}
    for pool_size, method in ((1, "hires-cam"), (4096, "grad-cam")):
        other = prediction.explain("leaf", BOX, method=method, **asked)
        found = prediction.explain("leaf", BOX, method="seg-xres-cam", pool_size=pool_size, **asked)
        np.testing.assert_allclose(found.map, other.map, rtol=1e-4, atol=1e-5 * np.abs(other.map).max())


def test_finer_cam_without_strength_is_grad_cam(prediction: Prediction) -> None:
    plain = prediction.explain("leaf", BOX, relu=False)
    finer = prediction.explain("leaf", BOX, method="finer-cam", strength=0, relu=False)
    np.testing.assert_array_equal(finer.map, plain.map)


def test_finer_cam_of_a_contrast_at_full_strength_is_grad_cam(prediction: Prediction) -> None:
    plain = prediction.explain("leaf", BOX, against="stem", relu=False)
    finer = prediction.explain("leaf", BOX, against="stem", method="finer-cam", strength=1, relu=False)
    np.testing.assert_array_equal(finer.map, plain.map)
    half = prediction.explain("leaf", BOX, against="stem", method="finer-cam", strength=0.5, relu=False)
    alone = prediction.explain("leaf", BOX, relu=False)
    np.testing.assert_allclose(half.map, (plain.map + alone.map) / 2, rtol=1e-4, atol=1e-7)


def test_finer_cam_answers_for_all_layers_from_one_backward_pass(prediction: Prediction) -> None:
    grid = prediction.explain_all(["leaf"], method="finer-cam", region=BOX)
    assert len(grid) == len(prediction.layers) > 2
    assert {attribution.cost.passes for attribution in grid.values()} == {1}


def test_finer_cam_of_a_network_with_one_channel_is_grad_cam_of_a_larger_score() -> None:
    case = next(case for case in ZOO if case.name == "one channel")
    with SegmentationModel(case.build()).predict(case.input()) as prediction:
        plain = prediction.explain(1, Region.everywhere())
        finer = prediction.explain(1, Region.everywhere(), method="finer-cam")
    np.testing.assert_allclose(finer.map, 1.6 * plain.map, rtol=1e-4, atol=1e-6 * plain.map.max())


@pytest.mark.parametrize("layer", ["0", "1"])
def test_eigen_cam_is_the_same_for_every_question(prediction: Prediction, layer: str) -> None:
    one = prediction.explain("leaf", BOX, method="eigen-cam", layer=layer)
    other = prediction.explain("stem", Region.pixel(30, 40), method="eigen-cam", layer=layer)
    np.testing.assert_array_equal(one.map, other.map)


class Linear(nn.Sequential):
    """Everything behind the rectifier is linear; the bias moves all scores alike."""

    def __init__(self, bias: float = 0.0) -> None:
        super().__init__(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 3, 3, padding=1))
        generator = torch.Generator().manual_seed(3)
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.4, generator=generator)
        self.get_parameter("2.bias").data += bias


def linear(method: str, image: Tensor, bias: float = 0.0, **asked: Any) -> Any:
    with SegmentationModel(Linear(bias)).predict(image) as prediction:
        return prediction.explain(2, Region.box(1, 2, 6, 5), layer="1", method=method, relu=False, **asked)


def test_ablation_cam_before_a_linear_head_has_the_weights_of_the_gradient() -> None:
    image = torch.randn(3, 9, 7)
    network = Linear()
    activation = network[1](network[0](image[None]))[0].detach().requires_grad_()
    score = network[2](activation[None])[0, 2, 1:6, 2:5].mean()
    (gradient,) = torch.autograd.grad(score, activation)
    weights = (activation * gradient).sum((1, 2))
    expected = (weights[:, None, None] * activation).sum(0).detach().numpy()
    np.testing.assert_allclose(linear("ablation-cam", image).map, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("method", ["ablation-cam", "score-cam"])
def test_constant_added_to_all_scores_changes_nothing(method: str) -> None:
    """With scores that are negative as well: the paper of Ablation-CAM divides by the score."""
    image = torch.randn(3, 9, 7)
    one, other = (linear(method, image, bias) for bias in (0.0, -30.0))
    assert other.score < 0
    np.testing.assert_allclose(other.map, one.map, rtol=1e-3, atol=1e-4 * np.abs(one.map).max())


@pytest.mark.parametrize("method", ["ablation-cam", "score-cam"])
@pytest.mark.parametrize("layer", ["0", "1"])
def test_map_does_not_depend_on_how_many_passes_fit_into_memory(method: str, layer: str, image: np.ndarray) -> None:
    found = []
    for memory in (1, 400_000, 2**30):
        with SegmentationModel(ZOO[0].build(), memory=memory).predict(image) as prediction:
            found.append(prediction.explain(1, BOX, layer=layer, method=method, relu=False).map)
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], rtol=0, atol=1e-5 * np.abs(found[0]).max())


def test_score_cam_by_increases_grows_with_the_score() -> None:
    class Tripled(Linear):
        def forward(self, images: Tensor) -> Tensor:
            return 3 * super().forward(images)

    image = torch.randn(3, 9, 7)
    maps = []
    for network in (Linear(), Tripled()):
        with SegmentationModel(network).predict(image) as prediction:
            asked: dict[str, Any] = {"layer": "1", "weighting": "increase", "relu": False}
            maps.append(prediction.explain(2, Region.everywhere(), method="score-cam", **asked).map)
    np.testing.assert_allclose(maps[1], 3 * maps[0], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(("method", "others"), [("ablation-cam", 1), ("score-cam", 0)])
def test_channels_limit_the_passes_to_the_most_active(
    method: str, others: int, prediction: Prediction, network: nn.Module
) -> None:
    every = prediction.explain("leaf", BOX, layer="0", method=method, relu=False)
    few = prediction.explain("leaf", BOX, layer="0", method=method, relu=False, channels=2)
    more = prediction.explain("leaf", BOX, layer="0", method=method, relu=False, channels=1000)
    assert (every.cost.passes, few.cost.passes) == (6 + others, 2 + others)
    np.testing.assert_array_equal(more.map, every.map)
    assert not np.allclose(few.map, every.map)


class Strong(nn.Module):
    """Two of its channels tower above the others, one is dead and one is the same everywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Linear()
        self.scale = nn.Parameter(torch.tensor([0.0, 1.0, 50.0, 1.0, 50.0, 1.0])[:, None, None])
        self.features = nn.ReLU()

    def forward(self, images: Tensor) -> Tensor:
        maps = self.stem[1](self.stem[0](images)) * self.scale
        level = torch.tensor([0.0, 0.0, 0.0, 0.0, 0.0, 1.0])[:, None, None]
        return self.stem[2](self.features(maps * (1 - level) + level))


@pytest.mark.parametrize(("method", "passes"), [("ablation-cam", 6), ("score-cam", 4)])
def test_channels_that_cannot_matter_cost_no_pass(method: str, passes: int) -> None:
    with SegmentationModel(Strong()).predict(torch.randn(3, 9, 7)) as prediction:
        asked: dict[str, Any] = {"layer": "features", "method": method, "relu": False}
        every = prediction.explain(2, Region.everywhere(), **asked)
        strongest = prediction.explain(2, Region.everywhere(), channels=2, **asked)
    assert every.cost.passes == passes
    assert np.corrcoef(every.map.ravel(), strongest.map.ravel())[0, 1] > 0.99


def test_score_cam_cannot_mask_with_channels_that_are_the_same_everywhere() -> None:
    class Pooled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv2d(3, 4, 3, padding=1)
            self.pool = nn.AdaptiveAvgPool2d(1)
            self.head = nn.Conv2d(4, 3, 1)

        def forward(self, images: Tensor) -> Tensor:
            maps = self.stem(images)
            return self.head(maps + self.pool(maps))

    with SegmentationModel(Pooled()).predict(torch.randn(3, 8, 8)) as prediction:
        with pytest.raises(CannotExplain, match="Every channel of the layer 'pool' is the same everywhere"):
            prediction.explain(1, Region.everywhere(), layer="pool", method="score-cam")
        found = prediction.explain(1, Region.everywhere(), layer="pool", method="ablation-cam", relu=False)
        assert found.map.shape == (1, 1)


@pytest.mark.parametrize("method", ["score-cam", "ablation-cam"])
def test_work_can_be_cancelled_between_passes(method: str, image: np.ndarray) -> None:
    class Cancelled(Exception):
        pass

    def cancel(share: float) -> None:
        if share > 0.4:
            raise Cancelled(str(share))

    with SegmentationModel(ZOO[0].build(), memory=1).predict(image) as prediction:
        with pytest.raises(Cancelled, match="0.5"):
            prediction.explain(1, BOX, layer="1", method=method, progress=cancel)
        prediction.explain(1, BOX, layer="1", method=method)


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        ("score-cam", {"weighting": "increase", "baseline": "noise", "seed": 3}),
        ("score-cam", {"channels": 2, "baseline": "blur"}),
        ("ablation-cam", {"channels": 2, "baseline": "noise", "relu": False}),
        ("seg-xres-cam", {"pool_size": 5, "pooling": "max", "relu": False}),
        ("finer-cam", {"comparisons": 1, "strength": 2}),
        ("eigen-grad-cam", {"centred": True, "relu": False}),
    ],
)
def test_conformance_with_other_parameters(method: str, parameters: dict[str, Any]) -> None:
    check_method(method, **parameters)


@pytest.mark.parametrize("case", ZOO, ids=lambda case: case.name)
@pytest.mark.parametrize("method", ["score-cam", "ablation-cam", "finer-cam", "eigen-grad-cam", "xgrad-cam"])
def test_every_kind_of_network_is_served(case: Any, method: str) -> None:
    with SegmentationModel(case.build()).predict(case.input()) as prediction:
        layer = [layer.name for layer in prediction.layers.values() if layer.height * layer.width > 1][-2]
        found = prediction.explain(1, Region.everywhere(), layer=layer, method=method, relu=False)
    assert np.isfinite(found.map).all()
    assert found.map.any()
