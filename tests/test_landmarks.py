"""The layers worth a look first, in networks whose wiring is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from segscope import SegmentationModel
from segscope.examination import examine
from segscope.landmarks import suggested_layers
from segscope.layers import Layer


def layer(name: str, side: int) -> tuple[str, Layer]:
    return name, Layer(name, "Conv2d", 8, side, side)


def suggestions(network: nn.Module, *, side: int = 32) -> tuple[str, dict[str, str]]:
    with SegmentationModel(network).predict(torch.rand(3, side, side)) as prediction:
        return prediction.default_layer, {each.layer: each.why for each in examine(prediction).suggestions}


class Named(nn.Module):
    """Convolutions by name, wired by ``forward``."""

    def __init__(self, sizes: dict[str, tuple[Any, ...]]) -> None:
        super().__init__()
        for name, size in sizes.items():
            self.add_module(name, nn.Conv2d(*size))

    def __getattr__(self, name: str) -> Any:
        return super().__getattr__(name)


def grown(maps: torch.Tensor, side: int) -> torch.Tensor:
    return functional.interpolate(maps, (side, side), mode="bilinear")


def test_pyramid_levels_and_ends_of_stages() -> None:
    sides = {"stem": 64, "one": 32, "two": 32, "deep": 16, "p1": 1, "p2": 2, "p3": 3, "join": 16, "head": 16}
    layers = dict(layer(name, side) for name, side in sides.items())
    levels = ("p1", "p2", "p3")
    chain = [("input", "stem"), ("stem", "one"), ("one", "two"), ("two", "deep")]
    edges = [*chain, *(("deep", level) for level in levels), *((each, "join") for each in ("deep", *levels))]
    found = {
        each.layer: each.why
        for each in suggested_layers(
            layers, [*edges, ("join", "head")], {"join": {"deep", *levels}, "head": {"join"}}, default="join"
        )
    }
    assert list(found) == ["join", "p1", "p2", "p3", "deep", "stem", "two"]
    assert found["join"] == "the last map before the head"
    assert found["p2"] == "a level that meets others in join"
    assert found["deep"] == "what the levels that meet in join are made of"
    assert found["two"] == "the end of the stage at 32×32"


def test_what_is_fed_by_parts_of_itself_is_no_level() -> None:
    layers = dict(layer(name, 8) for name in ("start", "first", "second", "block"))
    edges = [("input", "start"), ("start", "first"), ("first", "second")]
    edges += [(name, "block") for name in ("start", "first", "second")]
    found = suggested_layers(layers, edges, {"block": {"start", "first", "second"}}, default="block")
    assert not any("level" in each.why for each in found)


class UNet(Named):
    """Its decoder ends with fewer channels than there are classes."""

    def __init__(self) -> None:
        super().__init__(
            {
                "one": (3, 8, 3, 1, 1),
                "two": (8, 12, 3, 2, 1),
                "three": (12, 16, 3, 2, 1),
                "up_two": (28, 12, 3, 1, 1),
                "up_one": (20, 6, 3, 1, 1),
                "head": (6, 21, 1),
            }
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        one = torch.relu(self.one(images))
        two = torch.relu(self.two(one))
        deep = torch.relu(self.three(two))
        up = torch.relu(self.up_two(torch.cat([grown(deep, 16), two], dim=1)))
        return self.head(torch.relu(self.up_one(torch.cat([grown(up, 32), one], dim=1))))


def test_unet() -> None:
    default, found = suggestions(UNet())
    assert default == "up_one"
    assert found == {
        "up_one": "the last map before the head",
        "one": "read by the decoder at 32×32",
        "two": "read by the decoder at 16×16",
        "three": "the end of the stage at 8×8",
    }


class Gated(Named):
    """The last thing made before the head is a gate of one cell."""

    def __init__(self) -> None:
        super().__init__({"deep": (3, 8, 3, 2, 1), "map": (8, 10, 1), "gate": (8, 10, 1), "head": (10, 4, 1)})

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        deep = torch.relu(self.deep(images))
        features = torch.relu(self.map(deep))
        gate = torch.sigmoid(self.gate(functional.adaptive_avg_pool2d(deep, 1)))
        return grown(self.head(features * gate), images.shape[2])


def test_gate_is_no_map() -> None:
    assert suggestions(Gated())[0] == "map"


class HeadOfParts(Named):
    """Each head scores some of the classes."""

    def __init__(self) -> None:
        super().__init__({"deep": (3, 8, 3, 2, 1), "two": (8, 2, 1), "three": (8, 3, 1), "last": (8, 1, 1)})

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        deep = torch.relu(self.deep(images))
        return grown(torch.cat([self.two(deep), self.three(deep), self.last(deep)], dim=1), images.shape[2])


def test_heads_of_some_classes_each_are_the_head_together() -> None:
    assert suggestions(HeadOfParts())[0] == "deep"


class Attending(Named):
    """Queries, keys and values of tokens, with the tokens beside them."""

    def __init__(self) -> None:
        super().__init__({"stem": (3, 8, 4, 4)})
        self.norm = nn.LayerNorm(8)
        self.query, self.key, self.value = (nn.Linear(8, 8) for _ in range(3))
        self.after = nn.Linear(8, 8)
        self.head = nn.Conv2d(8, 3, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        tokens = self.stem(images).flatten(2).transpose(1, 2)
        read = self.norm(tokens)
        mixed = torch.softmax(self.query(read) @ self.key(read).transpose(1, 2), dim=-1) @ self.value(read)
        tokens = tokens + self.after(mixed)
        return self.head(tokens.transpose(1, 2).unflatten(2, (8, 8)))


def test_queries_and_keys_are_no_levels() -> None:
    default, found = suggestions(Attending())
    assert default == "after"
    assert not any("level" in why for why in found.values())


class Blocks(nn.Module):
    """A stem, then numbered blocks of parts, the first of which widens before it halves."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU())
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(4, 12, 1), nn.ReLU(), nn.Conv2d(12, 4, 3, stride, 1)) for stride in (1, 2, 1, 2)
        )
        self.head = nn.Conv2d(4, 2, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps = self.stem(images)
        for block in self.blocks:
            maps = block(maps)
        return self.head(maps)


def test_stages_end_with_whole_blocks() -> None:
    _, found = suggestions(Blocks())
    assert list(found) == ["blocks.3", "blocks.0", "blocks.2"]


class Queries(nn.Module):
    """Masks by queries that read a coarse map made after the one that the masks come from."""

    def __init__(self, classes: int = 3, queries: int = 5) -> None:
        super().__init__()
        self.backbone = nn.Conv2d(3, 8, 3, 2, 1)
        self.pixels = nn.Conv2d(8, 6, 1)
        self.coarse = nn.Conv2d(8, 6, 4, 4)
        self.queries = nn.Parameter(torch.randn(queries, 6))
        self.classes, self.masks = nn.Linear(6, classes + 1), Masks()

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        maps = torch.relu(self.backbone(images))
        pixels = self.pixels(maps)
        keys = self.coarse(maps).flatten(2)
        read = torch.softmax(self.queries @ keys, dim=-1) @ keys.transpose(1, 2)
        return {"class_queries_logits": self.classes(read), "masks_queries_logits": self.masks(read, pixels)}


class Masks(nn.Module):
    def forward(self, queries: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
        return torch.einsum("bqc,bchw->bqhw", queries, pixels)


def test_networks_that_classify_masks_lead_to_the_map_the_masks_come_from() -> None:
    assert suggestions(Queries())[0] == "pixels"


@pytest.mark.parametrize(
    ("offered", "expected"), [(["one", "two"], "two"), (["head"], "head"), (["up_one", "head"], "up_one")]
)
def test_only_layers_on_offer_are_chosen(offered: Sequence[str], expected: str) -> None:
    with SegmentationModel(UNet(), layers=offered).predict(torch.rand(3, 32, 32)) as prediction:
        assert prediction.default_layer == expected
        assert {each.layer for each in examine(prediction).suggestions} <= set(offered)
