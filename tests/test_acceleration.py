"""A faster copy: the same maps at every layer that is left, and reasons where there is none."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from segscope import CannotExplain, Region, SegmentationModel
from tests.networks import ZOO, Case

FOLDABLE = {
    "plain": {"0.0": "0.1", "1.0": "1.1"},
    "unet": {f"{name}.0": f"{name}.1" for name in ("down1", "down2", "bottom", "join2", "join1")},
    "resnet": {"stem.0": "stem.1"}
    | {
        f"{block}.conv{number}": f"{block}.bn{number}"
        for block in ("layer1.0", "layer1.1", "layer2")
        for number in (1, 2)
    },
    "dict with auxiliary head": {f"{name}.0": f"{name}.1" for name in ("backbone.0", "backbone.2", "classifier.0")},
    "one channel": {"0.0": "0.1", "1.0": "1.1"},
    "deep supervision": {"first.0": "first.1", "second.0": "second.1"},
    "twelve channels in": {"0.0": "0.1", "1.0": "1.1"},
}
CASES = pytest.mark.parametrize("case", ZOO, ids=[case.name for case in ZOO])


def state(network: nn.Module) -> dict[str, Any]:
    weights = {name: (value, value.clone(), value._version) for name, value in network.state_dict().items()}
    flags = [(each.requires_grad, each.grad) for each in network.parameters()]
    return {"weights": weights, "flags": flags, "modules": [type(module) for module in network.modules()]}


@CASES
@pytest.mark.parametrize("inplace", [True, False])
def test_maps_of_faster_copy_equal_those_of_the_network(case: Case, inplace: bool) -> None:
    network = case.build(inplace=inplace)
    plain = SegmentationModel(network)
    fast = plain.faster(case.input())
    expected = FOLDABLE.get(case.name, {})
    if case.name == "pspnet":
        expected = {f"{name}.convolution": f"{name}.normalisation" for name, _ in list(network.named_children())[:-2]}
    assert fast.acceleration.folded == expected
    assert bool(expected) is not bool(fast.acceleration.reason)
    image = case.input(seed=5)
    with plain.predict(image) as first, fast.predict(image) as second:
        assert list(second.layers) == [name for name in first.layers if name not in expected]
        for method in ("grad-cam", "hires-cam"):
            theirs = first.explain_all(region=Region.everywhere(), method=method, relu=False)
            ours = second.explain_all(region=Region.everywhere(), method=method, relu=False)
            assert set(ours) == {key for key in theirs if key[1] not in expected}
            for key, attribution in ours.items():
                limit = np.abs(theirs[key].map).max()
                np.testing.assert_allclose(attribution.map, theirs[key].map, rtol=0, atol=1e-5 * limit)


@CASES
def test_faster_copy_leaves_the_network_alone(case: Case) -> None:
    network = case.build().train()
    before = state(network)
    fast = SegmentationModel(network).faster(case.input())
    with fast.predict(case.input()) as prediction:
        prediction.explain_all(region=Region.everywhere())
    after = state(network)
    for name, (tensor, values, version) in before["weights"].items():
        assert after["weights"][name][2] == version
        assert tensor.equal(values)
    assert before["flags"] == after["flags"]
    assert before["modules"] == after["modules"]
    assert all(module.training for module in network.modules())
    assert not any(module._forward_hooks for module in network.modules())


def test_unchanged_weights_are_shared() -> None:
    network = ZOO[0].build()
    fast = SegmentationModel(network).faster(ZOO[0].input())
    theirs, ours = dict(network.named_parameters()), dict(fast.network.named_parameters())
    assert ours["3.weight"].data_ptr() == theirs["3.weight"].data_ptr()
    assert ours["0.0.weight"].data_ptr() != theirs["0.0.weight"].data_ptr()


def test_layer_asked_for_by_name_is_not_folded() -> None:
    case = ZOO[0]
    model = SegmentationModel(case.build(), layers=["0.0", "1"]).faster(case.input())
    assert model.acceleration.folded == {"1.0": "1.1"}
    with model.predict(case.input()) as prediction:
        assert list(prediction.layers) == ["0.0", "1"]


def test_folded_layer_is_refused_with_the_way_out() -> None:
    case = ZOO[0]
    model = SegmentationModel(case.build()).faster(case.input())
    with model.predict(case.input()) as prediction, pytest.raises(CannotExplain, match="ask about '0.1'"):
        prediction.explain(0, Region.everywhere(), layer="0.0")


def test_methods_that_run_the_network_again_work_on_the_copy() -> None:
    case = ZOO[0]
    model = SegmentationModel(case.build())
    with model.predict(case.input()) as plain, model.faster(case.input()).predict(case.input()) as fast:
        for layer in ("0.1", "1", "input"):
            maps = torch.stack([plain.rerun(layer).values * factor for factor in (0.5, 2.0)])
            torch.testing.assert_close(
                fast.rerun(layer).logits(maps), plain.rerun(layer).logits(maps), rtol=1e-4, atol=1e-5
            )


def test_options_keep_the_faster_network() -> None:
    case = ZOO[0]
    fast = SegmentationModel(case.build()).faster(case.input())
    other = fast.with_options(classes=("a", "b", "c", "d"))
    assert other.network is fast.network
    assert other.acceleration == fast.acceleration
    assert SegmentationModel(case.build()).acceleration.folded == {}


class Peeking(nn.Sequential):
    """Uses the convolution's output beside the batch norm, in one of several ways."""

    def __init__(self, way: str) -> None:
        super().__init__(nn.Conv2d(3, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6, eps=0.5), nn.Conv2d(6, 4, 1))
        self.way = way

    def forward(self, images: Tensor) -> Tensor:
        convolution, norm, head = self
        maps = convolution(images)
        normalised = norm(maps * 2 if self.way == "between" else maps)
        if self.way == "skip":
            normalised = normalised + maps
        if self.way == "detached":
            normalised = normalised * maps.detach().sigmoid()
        if self.way == "weight":
            normalised = normalised * dict(norm.named_parameters())["weight"].sum()
        return head(normalised)


@pytest.mark.parametrize(
    ("way", "reason"),
    [
        ("skip", "no batch norm whose only source"),
        ("between", "no batch norm whose only source"),
        ("detached", "changes the logits"),
        ("weight", "KeyError"),
    ],
)
def test_nothing_is_folded_where_it_would_change_what_is_computed(way: str, reason: str) -> None:
    network = Peeking(way).eval()
    model = SegmentationModel(network)
    fast = model.faster(torch.rand(3, 12, 14))
    assert fast.network is network
    assert fast.acceleration.folded == {}
    assert reason in fast.acceleration.reason
    assert fast.acceleration.reason in str(fast.acceleration)


def test_network_that_cannot_be_copied_stays() -> None:
    class Stubborn(type(ZOO[0].build())):  # type: ignore[misc]
        def __deepcopy__(self, memo: dict[int, Any]) -> Any:
            raise TypeError("not this one")

    network = Stubborn(False).eval()
    fast = SegmentationModel(network).faster(torch.rand(3, 8, 8))
    assert fast.network is network
    assert "not this one" in fast.acceleration.reason


def test_numbers_of_half_precision_stay() -> None:
    network = copy.deepcopy(ZOO[0].build()).to(torch.bfloat16)
    assert "bfloat16" in SegmentationModel(network).faster(torch.rand(3, 8, 8)).acceleration.reason


def test_container_that_ends_in_the_convolution_keeps_its_meaning() -> None:
    network = nn.Sequential(nn.Sequential(nn.Conv2d(3, 5, 3)), nn.BatchNorm2d(5), nn.Conv2d(5, 2, 1)).eval()
    model = SegmentationModel(network)
    fast = model.faster(torch.rand(3, 9, 9))
    with model.predict(torch.rand(3, 9, 9)) as plain:
        assert "0" in plain.layers
    assert fast.acceleration.folded == {}


def test_only_offered_layers_are_kept_and_others_come_by_another_pass() -> None:
    case = ZOO[0]
    network = case.build(inplace=False)
    calls = [0]
    network.register_forward_pre_hook(lambda *_: calls.__setitem__(0, calls[0] + 1))
    model = SegmentationModel(network, layers=["1"])
    with model.predict(case.input()) as prediction, SegmentationModel(network).predict(case.input()) as whole:
        calls[0] = 0
        assert prediction.nbytes < whole.nbytes
        prediction.explain(0, Region.everywhere(), layer="1")
        assert calls[0] == 0
        small = prediction.nbytes
        both = prediction.explain_all([0], ["0.1", "1"], region=Region.everywhere())
        assert calls[0] == 1
        assert prediction.nbytes > small
        for layer in ("0.1", "1"):
            theirs = whole.explain(0, Region.everywhere(), layer=layer)
            np.testing.assert_array_equal(both[model.classes[0], layer].map, theirs.map)
        assert prediction.layers.keys() == {"1"}


def test_pass_that_cannot_be_repeated_says_so() -> None:
    class Random(nn.Sequential):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images + torch.rand(()))

    network = Random(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 1))
    with SegmentationModel(network, layers=["0"]).predict(torch.rand(3, 8, 8)) as prediction:
        prediction.explain(0, Region.everywhere(), layer="0")
        with pytest.raises(CannotExplain, match="run again"):
            prediction.explain(0, Region.everywhere(), layer="1")
