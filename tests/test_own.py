"""Networks of people's own, of every make that they are known to be of: each held to all that is promised."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from segscope import InvalidInput, Region, SegmentationModel, SeveralInputs
from tests import works
from tests.matrix import Cell, check
from tests.networks import CLASSES, ZOO, Activated, Case, Plain, UNet, block
from tests.test_inputs import INPUTS, Fusion
from tests.test_untouched import assert_same, state


def zoo(name: str) -> Case:
    return next(case for case in ZOO if case.name == name)


def same(name: str, title: str, **changes: Any) -> Cell:
    """A cell of a network that other tests ask as well."""
    case = zoo(name)
    return replace(Cell(title, case.build, case.read, case.size, case.channels), **changes)


class Gated(nn.Module):
    """A U-Net whose skip is weighted by what the coarse map attends to (Oktay et al. 2018)."""

    def __init__(self) -> None:
        super().__init__()
        self.down = block(3, 6, inplace=True)
        self.bottom = block(6, 8, inplace=True)
        self.of_skip, self.of_coarse = nn.Conv2d(6, 4, 1), nn.Conv2d(8, 4, 1)
        self.gate = nn.Conv2d(4, 1, 1)
        self.join = block(14, 8, inplace=True)
        self.head = nn.Conv2d(8, CLASSES, 1)

    def forward(self, images: Tensor) -> Tensor:
        skip = self.down(images)
        coarse = functional.interpolate(
            self.bottom(functional.max_pool2d(skip, 2)), skip.shape[2:], mode="bilinear", align_corners=False
        )
        attended = torch.sigmoid(self.gate(functional.relu(self.of_skip(skip) + self.of_coarse(coarse), inplace=True)))
        return self.head(self.join(torch.cat([skip * attended, coarse], 1)))


class Resizing(nn.Module):
    """Works at a size of its own, and gives back the image's."""

    def __init__(self) -> None:
        super().__init__()
        self.body = block(3, 6, inplace=True)
        self.head = nn.Conv2d(6, CLASSES, 1)

    def forward(self, images: Tensor) -> Tensor:
        small = functional.interpolate(images, (24, 20), mode="bilinear", align_corners=False)
        return functional.interpolate(self.head(self.body(small)), images.shape[2:], mode="bicubic")


class AlwaysInPlace(nn.Module):
    """Writes over every map that it can."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, padding=1)
        self.second = nn.Conv2d(6, 6, 3, padding=1)
        self.head = nn.Conv2d(6, CLASSES, 1)

    def forward(self, images: Tensor) -> Tensor:
        images.sub_(0.1)
        maps = self.first(images).mul_(0.5).add_(0.1).relu_()
        maps = self.second(maps).mul_(2).add_(maps)
        return self.head(functional.dropout(maps, inplace=True, training=self.training)).div_(2)


class MadeOnFirstUse(nn.Module):
    """Makes its head when it is first run, and keeps it."""

    def __init__(self) -> None:
        super().__init__()
        self.body = block(3, 6, inplace=True)
        self.head: nn.Module | None = None

    def forward(self, images: Tensor) -> Tensor:
        maps = self.body(images)
        if self.head is None:
            self.head = nn.Sequential(nn.Conv2d(6, 5, 1), nn.BatchNorm2d(5), nn.Conv2d(5, CLASSES, 1))
        return self.head(maps)


@dataclass
class Scores:
    """What some networks return."""

    logits: Tensor
    auxiliary: tuple[Tensor, ...]


class Returning(nn.Module):
    """A network whose output is wrapped in another way."""

    def __init__(self, wrap: Callable[[Tensor, Tensor], Any]) -> None:
        super().__init__()
        self.body = block(3, 6, inplace=True)
        self.head, self.auxiliary = nn.Conv2d(6, CLASSES, 1), nn.Conv2d(6, CLASSES, 1)
        self.wrap = wrap

    def forward(self, images: Tensor) -> Any:
        maps = self.body(images)
        return self.wrap(self.head(maps), self.auxiliary(maps))


def returning(title: str, wrap: Callable[[Tensor, Tensor], Any], read: Callable[[Any], Tensor]) -> Cell:
    return Cell(title, lambda: Returning(wrap).eval(), read, size=(20, 28))


def log_odds(raw: Tensor) -> Tensor:
    return torch.logit(raw)


def compiled(network: nn.Module) -> nn.Module:
    whole: Any = torch.compile(network, backend="eager")
    return whole


def of_type(dtype: torch.dtype) -> nn.Module:
    return zoo("unet").build().to(dtype)


OWN = [
    Cell("one channel and a sigmoid", lambda: Activated(True, 1, torch.sigmoid), log_odds),
    same("one channel", "one channel, as logits", read=lambda raw: raw),
    Cell("two channels", lambda: Plain(True, classes=2)),
    Cell("softmax at the end", lambda: Activated(True, 4, nn.Softmax(1)), torch.log),
    same("channel last", "channels last"),
    same("deep supervision", "deep supervision, a list of outputs"),
    returning("a tuple of outputs", lambda main, other: (main, other), lambda raw: raw[0]),
    same("dict with auxiliary head", "a dictionary with an auxiliary head"),
    returning("a dictionary in a dictionary", lambda main, other: {"out": {"logits": main}, "aux": other},
              lambda raw: raw["out"]["logits"]),
    returning("an object with .logits", lambda main, other: Scores(main, (other,)), lambda raw: raw.logits),
    Cell("attention gates", Gated),
    Cell("written over in place everywhere", AlwaysInPlace),
    same("functional in place", "in place by function"),
    same("called twice", "shared modules, called twice"),
    Cell("resizes inside, and back", Resizing),
    Cell("makes its head on first use", MadeOnFirstUse),
    Cell("frozen", lambda: zoo("unet").build().requires_grad_(False)),
    Cell("float16", lambda: of_type(torch.float16), precision=2e-2),
    Cell("bfloat16", lambda: of_type(torch.bfloat16), precision=1e-1),
    Cell("float64", lambda: of_type(torch.float64)),
    Cell("image and depth", lambda: SegmentationModel(SeveralInputs(Fusion(), INPUTS)), channels=4),
    *(Cell(f"bands: {count}", partial(Plain, True, channels=count), channels=count) for count in (1, 4, 12)),
    Cell("in a DataParallel", lambda: SegmentationModel(nn.DataParallel(zoo("unet").build()))),
    Cell("compiled", lambda: SegmentationModel(compiled(zoo("unet").build()))),
    same("transformer", "tokens behind a class token"),
    same("grouped", "depthwise convolutions and channel attention"),
    same("pspnet", "the example network"),
]  # fmt: skip


@pytest.mark.parametrize("cell", OWN, ids=str)
def test_own_network_works(cell: Cell, request: pytest.FixtureRequest) -> None:
    row = str(check(cell))
    writing = request.config.getoption("--works")
    assert writing or row in works.section("own"), "pytest tests/test_own.py --works writes the table anew"


def test_table_has_no_other_rows(request: pytest.FixtureRequest) -> None:
    assert (
        request.config.getoption("--works")
        or len([line for line in works.section("own") if line.startswith("| ")]) == len(OWN) + 1
    )


def test_parts_made_on_first_use_are_evaluated_and_kept() -> None:
    network = MadeOnFirstUse().eval()
    image = torch.randn(3, 12, 16)
    with SegmentationModel(network).predict(image) as prediction:
        assert prediction.default_layer == "head.1"
        found = prediction.logits
    with torch.no_grad():
        np.testing.assert_array_equal(network.eval()(image[None])[0].numpy(), found)


def test_batch_norms_in_training_mode_are_warned_of_and_evaluated() -> None:
    network = zoo("unet").build()
    expected = SegmentationModel(network).predict(zoo("unet").input()).logits
    network.train()
    with pytest.warns(UserWarning, match=r"\(5 of 5\) are in training mode") as told:
        model = SegmentationModel(network)
    assert told[0].filename == __file__
    np.testing.assert_array_equal(model.predict(zoo("unet").input()).logits, expected)
    assert network.training
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Once is enough for each network.
        model.with_options(classes=("a", "b", "c", "d"))


@pytest.mark.parametrize("wrap", [nn.DataParallel, compiled])
def test_what_is_around_a_network_is_left_there(wrap: Callable[[nn.Module], Any]) -> None:
    network = wrap(zoo("unet").build())
    before = state(network)
    model = SegmentationModel(network)
    with model.predict(zoo("unet").input()) as prediction:
        assert list(prediction.layers)[:2] == ["down1.0", "down1.1"]
        prediction.explain(1, Region.everywhere())
    assert_same(before, state(network))
    assert model.name == "UNet"


class Partly(nn.Module):
    """Compiled, in a part and in place."""

    def __init__(self) -> None:
        super().__init__()
        self.runs = 0
        self.body = torch.compile(zoo("unet").build(), backend=self.compiling)
        self.last = nn.Sequential(nn.Conv2d(CLASSES, CLASSES, 1))
        self.last.compile(backend=self.compiling)

    def compiling(self, graph: Any, _inputs: Any) -> Any:
        self.runs += 1
        return graph.forward

    def forward(self, images: Tensor) -> Tensor:
        return self.last(self.body(images))


def test_parts_that_are_compiled_are_run_as_they_were_written() -> None:
    network = Partly()
    image = zoo("unet").input()
    before = state(network)
    with SegmentationModel(network).predict(image) as prediction:
        assert "body.join1" in prediction.layers
        assert prediction.explain(1, Region.everywhere(), layer="body.bottom", relu=False).limit > 0
        found = prediction.logits
    assert network.runs == 0
    assert_same(before, state(network))
    with torch.no_grad():
        np.testing.assert_allclose(network.eval()(image[None])[0].numpy(), found, rtol=1e-4, atol=1e-5)
    assert network.runs > 0


def test_network_without_weights_is_refused() -> None:
    with torch.device("meta"):
        hollow = UNet(inplace=True)
    with pytest.raises(InvalidInput, match=r"on the device 'meta'.*load_state_dict\(state, assign=True\)"):
        SegmentationModel(hollow)


def test_network_with_some_weights_missing_is_refused() -> None:
    network = zoo("unet").build()
    network.head = nn.Conv2d(6, 4, 1, device="meta")
    with pytest.raises(InvalidInput, match=r"2 of the network's \d+ weights are on the device 'meta'.*\(head\.weight"):
        SegmentationModel(network)


def test_network_whose_layers_have_no_size_yet_is_refused() -> None:
    with pytest.raises(InvalidInput, match="run it once on an input before"):
        SegmentationModel(nn.Sequential(nn.LazyConv2d(4, 1), nn.Conv2d(4, 2, 1)))
