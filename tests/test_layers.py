"""Layers: which are found, what they are called, and which can't be asked about."""

from __future__ import annotations

import collections
import weakref
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import segscope
from segscope import CannotExplain, Region, SegmentationModel, UnknownName
from segscope.layers import Layer, token_layout
from tests.networks import ZOO, Case, block


def case(name: str) -> Case:
    return next(case for case in ZOO if case.name == name)


@pytest.mark.parametrize("each", ZOO, ids=[each.name for each in ZOO])
def test_layer_offered_alone_is_what_it_is_among_all(each: Case) -> None:
    network = each.build()
    everywhere = Region.everywhere()
    with SegmentationModel(network).predict(each.input()) as whole:
        for name in whole.layers:
            with SegmentationModel(network, layers=[name]).predict(each.input()) as alone:
                assert list(alone.layers.values()) == [whole.layers[name]]
                assert torch.equal(alone.activation(name), whole.activation(name))
                found, expected = (each.explain(1, everywhere, layer=name, relu=False) for each in (alone, whole))
                np.testing.assert_array_equal(found.map, expected.map)


class Watching(nn.Module):
    """Notes whether what its first part put out is gone when its last part runs."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.last = nn.Conv2d(4, 2, 1)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.first(images)
        before = weakref.ref(maps)
        maps = self.norm(maps)
        self.freed = before() is None
        return self.last(maps)


@pytest.mark.parametrize(("layers", "freed"), [(["last"], True), (["first"], False), (None, False)])
def test_what_is_not_offered_is_freed_while_the_network_runs(layers: list[str] | None, freed: bool) -> None:
    network = Watching()
    with SegmentationModel(network, layers=layers).predict(torch.rand(3, 6, 7)):
        assert network.freed == freed


def test_layers_are_listed_in_forward_order_by_the_containers_name() -> None:
    layers = SegmentationModel(case("unet").build()).predict(case("unet").input()).layers
    expected = "down1.0 down1.1 down1 down2.0 down2.1 down2 bottom.0 bottom.1 bottom up2 join2.0 join2.1 join2 up1"
    assert " ".join(layers) == f"{expected} join1.0 join1.1 join1 head"
    assert layers["down2"] == Layer("down2", "Sequential", 8, 16, 16)
    assert layers["head"] == Layer("head", "Conv2d", 4, 32, 32)


def test_module_called_twice_has_a_layer_for_each_call() -> None:
    layers = SegmentationModel(case("called twice").build()).predict(case("called twice").input()).layers
    assert list(layers) == (
        ["stem", "shared", "block.0", "block.1", "block", "shared#2", "block.0#2", "block.1#2", "block#2", "head"]
    )


class Encoder(nn.Module):
    """Gives a list, as encoders do: the image itself, or its first map, before the others."""

    def __init__(self, *, image: bool) -> None:
        super().__init__()
        self.image = image
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.deep = nn.Conv2d(6, 8, 3, padding=1)

    def forward(self, image: Tensor) -> list[Tensor]:
        first = self.stem(image)
        return [image, first, self.deep(first)] if self.image else [first, self.deep(first)]


class FromEncoder(nn.Module):
    def __init__(self, *, image: bool) -> None:
        super().__init__()
        self.encoder = Encoder(image=image)
        self.head = nn.Conv2d(14, 4, 1)

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.head(torch.cat(self.encoder(image)[-2:], 1))
        return logits


@pytest.mark.parametrize("image", [True, False])
def test_encoder_that_gives_several_maps_is_no_layer_of_its_own(image: bool) -> None:
    prediction = SegmentationModel(FromEncoder(image=image)).predict(case("plain").input())
    assert list(prediction.layers) == ["encoder.stem", "encoder.deep", "head"]
    edges = ["input encoder.stem", "encoder.stem encoder.deep", "encoder.stem head", "encoder.deep head"]
    assert [" ".join(edge) for edge in prediction.edges] == edges
    if not image:
        assert prediction.explain(0, Region.everywhere(), layer="encoder").layer.startswith("encoder")


def test_names_of_one_output_share_their_map() -> None:
    prediction = SegmentationModel(case("plain").build()).predict(case("plain").input())
    assert "2" not in prediction.layers  # dropout, which passes on what block 1 put out
    maps = [prediction.explain(0, Region.everywhere(), layer=name).map for name in ("1", "1.2", "2")]
    np.testing.assert_array_equal(maps[0], maps[1])
    np.testing.assert_array_equal(maps[0], maps[2])
    grid = prediction.explain_all([0], ["1", "1.2", "2", "0"], region=Region.everywhere())
    np.testing.assert_array_equal(grid["class 0", "2"].map, maps[0])


def test_layers_that_do_not_reach_the_logits_are_not_listed() -> None:
    aux = case("dict with auxiliary head")
    prediction = SegmentationModel(aux.build()).predict(aux.input())
    assert "aux_classifier" not in prediction.layers
    with pytest.raises(CannotExplain, match=r"'aux_classifier' doesn't influence this score: its gradient is missing"):
        prediction.explain(0, Region.everywhere(), layer="aux_classifier")


def test_head_of_another_class_does_not_influence_the_score() -> None:
    class TwoHeads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 1, 3, padding=1), nn.Conv2d(3, 1, 3, padding=1)

        def forward(self, images: Tensor) -> Tensor:
            return torch.cat([self.first(images), self.second(images)], 1)

    prediction = SegmentationModel(TwoHeads(), classes=("sea", "land")).predict(torch.rand(3, 8, 8))
    prediction.explain("sea", Region.everywhere(), layer="first")
    with pytest.raises(CannotExplain, match=r"'second' doesn't influence this score: its gradient is zero everywhere"):
        prediction.explain("sea", Region.everywhere(), layer="second")
    grid = prediction.explain_all(region=Region.everywhere())
    assert set(grid) == {("sea", "first"), ("land", "second")}
    assert set(grid.skipped) == {("sea", "second"), ("land", "first")}
    assert "doesn't influence" in grid.skipped["sea", "second"]
    with pytest.raises(CannotExplain, match="doesn't influence"):
        prediction.explain_all(layers=["second"], region=Region.everywhere())


class Pooled(nn.Module):
    """Has layers whose output has no height and width."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = block(3, 5, True)
        self.squeeze = nn.Linear(5, 7)
        self.excite = nn.Linear(7, 5)
        self.loss = nn.Flatten(0)
        self.head = nn.Conv2d(5, 3, 1)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.stem(images)
        gate = self.excite(self.squeeze(maps.mean((2, 3))).relu()).sigmoid()
        scale = self.loss(gate.mean()).sum()
        return self.head(maps * gate[..., None, None] * scale)


def test_layer_without_spatial_map() -> None:
    prediction = SegmentationModel(Pooled()).predict(torch.rand(3, 10, 12))
    assert list(prediction.layers) == ["stem.0", "stem.1", "stem", "head"]
    for name, shape in (("squeeze", r"\(1, 7\)"), ("loss", r"\(1,\)")):
        with pytest.raises(CannotExplain, match=rf"'{name}' puts out a tensor of shape {shape}, which has no height"):
            prediction.explain(0, Region.everywhere(), layer=name)


@pytest.mark.parametrize(
    ("tokens", "size", "expected"),
    [
        (196, (224, 224), (14, 14)),
        (197, (224, 224), (14, 14)),
        (201, (224, 224), (14, 14)),
        (98, (224, 112), (14, 7)),
        (64 * 128 // 16, (64, 128), (16, 32)),
        (60, (24, 40), (6, 10)),
        (61, (24, 40), (6, 10)),
        (13, (224, 224), (3, 3)),
        (75, (224, 224), None),
    ],
)
def test_tokens_become_maps(tokens: int, size: tuple[int, int], expected: tuple[int, int] | None) -> None:
    from segscope.layers import Captured

    described = Captured("layer", "Linear", torch.zeros(1, tokens, 5), 0).describe(size)
    assert (described and (described.height, described.width)) == expected
    assert described is None or described.channels == 5


def test_layers_to_offer_can_be_chosen() -> None:
    unet = case("unet")
    model = SegmentationModel(unet.build(), layers=["bottom", "down1"])
    prediction = model.predict(unet.input())
    assert list(prediction.layers) == ["bottom", "down1"]
    assert (
        prediction.explain(0, Region.everywhere(), layer="join1").layer == "join1"
    )  # others can be asked about all the same
    assert list(SegmentationModel(unet.build(), layers="bottom").predict(unet.input()).layers) == ["bottom"]
    with pytest.raises(UnknownName, match=r"There is no layer 'bottm'. Did you mean 'bottom'"):
        SegmentationModel(unet.build(), layers=["bottm"]).predict(unet.input())


def test_default_layer_is_the_last_before_the_head(prediction: segscope.Prediction) -> None:
    assert prediction.default_layer == "1"
    assert prediction.explain(0, Region.everywhere()).layer == "1"
    assert SegmentationModel(nn.Conv2d(3, 2, 1)).predict(torch.rand(3, 4, 4)).default_layer == "input"


def test_input_is_a_layer_but_not_listed(prediction: segscope.Prediction) -> None:
    assert "input" not in prediction.layers
    attribution = prediction.explain(0, Region.everywhere(), layer="input", method="grad-cam")
    assert attribution.map.shape == prediction.size


def test_module_named_input_is_found() -> None:
    network = nn.Sequential(collections.OrderedDict(input=nn.Conv2d(3, 5, 3, 2, 1), head=nn.Conv2d(5, 2, 1)))
    prediction = SegmentationModel(network).predict(torch.rand(3, 8, 8))
    assert prediction.explain(0, Region.everywhere(), layer="input").map.shape == (4, 4)


@pytest.mark.parametrize("name", ["nowhere", 3, None.__class__, ["1"], ("1",)])
def test_unknown_layer(prediction: segscope.Prediction, name: Any) -> None:
    with pytest.raises(UnknownName, match="There is no layer"):
        prediction.explain(0, Region.everywhere(), layer=name)


def test_unknown_layer_names_each_choice_once(prediction: segscope.Prediction) -> None:
    with pytest.raises(UnknownName, match=r"Choose from: 0.0, 0.1, 0, 1.0, 1.1, 1, 3, input, 0.2, 1.2, 2\."):
        prediction.explain(0, Region.everywhere(), layer="zzz")


class Named(nn.Module):
    Pair = collections.namedtuple("Pair", "low high")

    def __init__(self, kind: str, inplace: bool) -> None:
        super().__init__()
        self.kind, self.inplace = kind, inplace
        self.convolution = nn.Conv2d(3, 6, 3, padding=1)

    def forward(self, images: Tensor) -> Any:
        maps = torch.sin(self.convolution(images))
        parts = {"low": maps, "high": torch.tanh(maps)}
        made = {"tuple": tuple(parts.values()), "named": self.Pair(**parts), "dict": parts, "ordered": None}
        return collections.OrderedDict(parts) if self.kind == "ordered" else made[self.kind]


class Overwritten(nn.Module):
    """Overwrites a map that came inside a structure."""

    def __init__(self, kind: str, inplace: bool) -> None:
        super().__init__()
        self.backbone, self.inplace = Named(kind, inplace), inplace
        self.head = nn.Conv2d(12, 3, 1)

    def forward(self, images: Tensor) -> Tensor:
        out = self.backbone(images)
        low, high = out.values() if isinstance(out, dict) else out
        return self.head(torch.cat([low.mul_(high) if self.inplace else low * high, high], 1))


@pytest.mark.parametrize("kind", ["tuple", "named", "dict", "ordered"])
def test_structures_are_captured_before_they_are_overwritten(kind: str) -> None:
    networks = [Overwritten(kind, inplace) for inplace in (True, False)]
    networks[1].load_state_dict(networks[0].state_dict())
    image = torch.rand(3, 9, 9)
    found, expected = (
        SegmentationModel(network).predict(image).explain(1, Region.everywhere(), layer="backbone", relu=False)
        for network in networks
    )
    np.testing.assert_allclose(found.map, expected.map, rtol=1e-5, atol=1e-6)


def test_layer_that_is_overwritten_on_purpose_is_refused_and_the_result_is_right() -> None:
    class Aliasing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.flat, self.head = nn.Conv2d(3, 6, 1), nn.Flatten(2), nn.Conv2d(6, 3, 1)

        def forward(self, images: Tensor) -> Tensor:
            maps = torch.sin(self.stem(images))
            flat = self.flat(maps)  # a view, so that it is doubled with the map
            maps.mul_(2)
            return self.head(maps + flat.view_as(maps))

    network, image = Aliasing(), torch.rand(3, 4, 4)
    model = SegmentationModel(network)
    for _ in range(2):
        prediction = model.predict(image)
        np.testing.assert_allclose(prediction.logits, network(image[None])[0].detach().numpy(), atol=1e-6)
        assert prediction.explain(0, Region.everywhere(), layer="stem", relu=False).limit > 0
        with pytest.raises(CannotExplain, match="'flat' is overwritten in place"):
            prediction.explain(0, Region.everywhere(), layer="flat")


def test_scripted_network_can_be_asked_about_its_input() -> None:
    with pytest.warns(DeprecationWarning, match="torch.jit.script"):
        scripted = torch.jit.script(ZOO[0].build())
    prediction = SegmentationModel(scripted).predict(ZOO[0].input())
    assert dict(prediction.layers) == {}
    expected = SegmentationModel(ZOO[0].build()).predict(ZOO[0].input()).explain(0, Region.everywhere(), layer="input")
    found = prediction.explain(0, Region.everywhere())
    np.testing.assert_allclose(found.map, expected.map, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("tokens", "size", "grid", "extra"),
    [
        (196, (224, 224), (14, 14), 0),
        (197, (224, 224), (14, 14), 1),
        (201, (224, 224), (14, 14), 5),
        (2049, (512, 1024), (32, 64), 1),
        (18, (12, 20), (3, 5), 3),  # 3×6 would fit up to rounding
        (12, (50, 66), (3, 4), 0),
    ],
)
def test_tokens_are_laid_out_in_the_proportions_of_the_input(
    tokens: int, size: tuple[int, int], grid: tuple[int, int], extra: int
) -> None:
    layout = token_layout(tokens, 7, size)
    assert layout is not None
    assert (layout.height, layout.width, layout.channels, layout.extra) == (*grid, 7, extra)


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [(100, None), (196, (14, 14, 0)), (100 + 1 + 196, (14, 14, 101)), (100 + 5 + 196, (14, 14, 105))],
)
def test_queries_stand_for_no_place(tokens: int, expected: tuple[int, int, int] | None) -> None:
    layout = token_layout(tokens, 7, (224, 224), queries=100)
    assert (layout and (layout.height, layout.width, layout.extra)) == expected
    assert token_layout(100, 7, (224, 224)) is not None
