"""Images that the network sees in windows, held against one network that does all of it in one pass."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import segscope
from segscope import CannotExplain, Preprocess, Region, SegmentationModel, Windows
from tests.networks import ZOO, Plain
from tests.test_untouched import assert_same, state, used

SIZE = (40, 56)
WINDOWS = Windows(24, overlap=1 / 3)


class Downsampling(nn.Module):
    """Logits at half of the input's resolution."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, stride=2, padding=1)
        self.body = Plain(inplace=True, channels=6)

    def forward(self, images: Tensor) -> Tensor:
        return self.body(functional.silu(self.stem(images)))


class AllAtOnce(nn.Module):
    """The windows cut, run, resized and blended inside of one network: slow, and by other means."""

    def __init__(self, network: nn.Module, windows: Windows) -> None:
        super().__init__()
        self.network = network
        self.windows = windows

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        total, shares = torch.zeros(()), torch.zeros(())
        for window in self.windows.cut((height, width)).windows:
            rows, columns = window.box
            logits = self.network(images[..., rows, columns])
            size = (rows.stop - rows.start, columns.stop - columns.start)
            logits = functional.interpolate(logits, size, mode="bilinear", align_corners=False)
            around = (columns.start, width - columns.stop, rows.start, height - rows.stop)
            total = total + functional.pad(logits * window.share, around)
            shares = shares + functional.pad(window.share, around)
        return total / shares


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(3)
    made = Downsampling()
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 1.5)
    return made.eval()


@pytest.fixture(scope="module")
def tensor() -> Tensor:
    return torch.randn(3, *SIZE, generator=torch.Generator().manual_seed(4))


@pytest.fixture(scope="module")
def seen(network: nn.Module, tensor: Tensor) -> segscope.Prediction:
    return SegmentationModel(network, windows=WINDOWS).predict(tensor)


@pytest.fixture(scope="module")
def expected(network: nn.Module, tensor: Tensor) -> segscope.Prediction:
    return SegmentationModel(AllAtOnce(network, WINDOWS)).predict(tensor)


def test_logits_are_those_of_the_windows_blended(seen: segscope.Prediction, expected: segscope.Prediction) -> None:
    np.testing.assert_allclose(seen.logits, expected.logits, atol=1e-5)
    np.testing.assert_array_equal(seen.mask, expected.mask)
    np.testing.assert_allclose(seen.probabilities, expected.probabilities, atol=1e-5)
    np.testing.assert_allclose(seen.confidence, expected.confidence, atol=1e-5)


@pytest.mark.parametrize("score", ["logit", "probability"])
@pytest.mark.parametrize("against", [None, 2])
@pytest.mark.parametrize("region", [Region.pixel(20, 21), Region.box(3, 5, 30, 50), Region.everywhere(), None])
def test_gradients_are_those_of_all_windows_at_once(
    seen: segscope.Prediction, expected: segscope.Prediction, region: Region | None, against: int | None, score: Any
) -> None:
    asked = {"layer": "input", "method": "input-x-gradient", "against": against, "score": score}
    found, wanted = (prediction.explain(1, region, **asked) for prediction in (seen, expected))
    assert wanted.limit > 0
    np.testing.assert_allclose(found.values, wanted.values, atol=1e-5 * wanted.limit)
    assert found.score == pytest.approx(wanted.score, abs=1e-5)
    np.testing.assert_array_equal(found.region_weights, wanted.region_weights)


@pytest.mark.parametrize("score", ["logit", "probability"])
def test_maps_at_a_layer_are_added_up_in_their_place(
    seen: segscope.Prediction, expected: segscope.Prediction, score: Any
) -> None:
    region = Region.box(10, 12, 33, 41)
    found = seen.explain(1, region, layer="stem", relu=False, score=score)
    total = np.zeros((SIZE[0] // 2, SIZE[1] // 2))
    for call, window in enumerate(WINDOWS.cut(SIZE).windows, start=1):
        name = "network.stem" if call == 1 else f"network.stem#{call}"
        rows, columns = (slice(side.start // 2, side.stop // 2) for side in window.box)
        try:
            part = expected.explain(1, region, layer=name, relu=False, score=score)
        except CannotExplain:  # the region isn't seen there
            continue
        total[rows, columns] += part.map
    np.testing.assert_allclose(found.map, total, atol=1e-5 * np.abs(total).max())
    assert found.values.shape == SIZE


def test_a_map_is_zero_where_no_window_shows_the_region(seen: segscope.Prediction) -> None:
    values = seen.explain(0, Region.pixel(0, 0), method="saliency").values
    assert values[:24, :24].any()
    assert not values[24:].any()
    assert not values[:, 24:].any()


def test_one_window_is_the_plain_prediction(network: nn.Module, tensor: Tensor) -> None:
    plain = SegmentationModel(network).predict(tensor)
    single = SegmentationModel(network, windows=64).predict(tensor)
    np.testing.assert_array_equal(single.logits, plain.logits)
    assert single.activation("stem").shape == plain.activation("stem").shape


@pytest.mark.parametrize("fit", ["resize", "letterbox"])
def test_windows_are_preprocessed_like_images(network: nn.Module, fit: Any) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (30, 45, 3), dtype=np.uint8)
    preprocess = Preprocess((16, 24), fit=fit, multiple_of=8, mean=0.4, std=0.3)
    windows = Windows((20, 20), overlap=0)
    model = SegmentationModel(network, preprocess=preprocess)
    seen = model.with_options(windows=windows).predict(pixels)
    total = np.zeros((4, 30, 45))
    for window in windows.cut((30, 45)).windows:
        part = model.predict(pixels[window.box])
        logits = part.geometry.to_image(
            functional.interpolate(torch.from_numpy(part.logits)[None], part.geometry.input, mode="bilinear")[0]
        )
        total[(slice(None), *window.box)] += (logits * window.share).numpy()
    np.testing.assert_allclose(seen.logits, total, atol=1e-4)
    for layer in seen.layers.values():
        found = seen.explain(1, Region.box(5, 5, 28, 40), layer=layer.name, relu=False)
        assert found.map.shape == (layer.height, layer.width)
        assert found.limit > 0


def test_grids_and_comparisons_ask_every_window(seen: segscope.Prediction) -> None:
    layers = list(seen.layers)
    assert (seen.layers["stem"].height, seen.layers["stem"].width) == (20, 28)
    grid = seen.explain_all([0, 1], region=Region.everywhere())
    alone = seen.explain(1, Region.everywhere(), layer=layers[0])
    np.testing.assert_allclose(grid["class 1", layers[0]].map, alone.map, atol=1e-6)
    comparison = seen.compare(1, Region.box(4, 4, 30, 30), methods=["grad-cam", "occlusion", "lime"], layers=["stem"])
    assert not comparison.skipped
    single = seen.explain(1, Region.box(4, 4, 30, 30), layer="stem", method="occlusion")
    np.testing.assert_allclose(comparison["class 1", "occlusion", "stem"].map, single.map, atol=1e-6)


def test_completeness_over_all_windows(seen: segscope.Prediction) -> None:
    found = seen.explain(2, Region.everywhere(), method="integrated-gradients", steps=200)
    assert abs(found.measures["completeness_error"]) < 0.02 * np.abs(found.map).sum()


def test_what_needs_one_pass_says_so(seen: segscope.Prediction) -> None:
    for ask in (seen.table, seen.reasons, seen.contributions, seen.activation, seen.rerun):
        with pytest.raises(CannotExplain, match=r"40×56 pixels in 6 windows of 24×24"):
            ask("stem")


def test_the_windows_asked_last_are_kept_within_the_memory(network: nn.Module, tensor: Tensor) -> None:
    model = SegmentationModel(network, windows=WINDOWS)
    prediction = model.predict(tensor)
    before = prediction.nbytes
    prediction.explain(0, Region.everywhere())
    everything = prediction.nbytes - before
    assert everything > 0
    model.memory = everything // 3
    again = model.predict(tensor)
    again.explain(0, Region.everywhere())
    assert 0 < again.nbytes - before <= model.memory
    again.close()
    assert again.nbytes == 0
    with pytest.raises(segscope.PredictionClosed, match="closed"):
        again.explain(0, Region.everywhere())
    assert again.mask.shape == SIZE


def test_progress_of_the_windows_can_end_the_work(network: nn.Module, tensor: Tensor) -> None:
    model = SegmentationModel(network, windows=WINDOWS)
    told: list[float] = []
    model.predict(tensor, progress=told.append)
    assert told == sorted(told)
    assert told[-1] == 1
    assert len(told) == 6

    def stop(share: float) -> None:
        if share > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.predict(tensor, progress=stop)
    told.clear()
    model.predict(tensor).explain(0, Region.everywhere(), method="occlusion", progress=told.append)
    assert told == sorted(told)
    assert told[-1] == pytest.approx(1)


def test_the_true_mask_is_the_whole_images(network: nn.Module, tensor: Tensor) -> None:
    truth = np.zeros(SIZE, dtype=np.uint8)
    truth[30:, 40:] = 1
    prediction = SegmentationModel(network, windows=WINDOWS).predict(tensor, truth=truth)
    found = prediction.explain(1, Region.true(1))
    assert found.region_weights.sum() == truth.sum()


@pytest.mark.parametrize("case", ZOO, ids=[case.name for case in ZOO])
def test_every_kind_of_network_in_windows(case: Any) -> None:
    height, width = case.size
    model = SegmentationModel(used(case.build()), windows=Windows(case.size, overlap=0.2))
    before = state(model.network)
    generator = torch.Generator().manual_seed(1)
    image = torch.randn(case.channels, height * 2 - 3, width + width // 2, generator=generator)
    with model.predict(image) as prediction:
        assert prediction.mask.shape == image.shape[1:]
        label = int(prediction.mask[height, width])
        for method in ("grad-cam", "saliency"):
            found = prediction.explain(
                label, Region.pixel(height, width), method=method, layer=prediction.default_layer
            )
            assert found.limit >= 0
            assert np.isfinite(found.values).all()
    assert_same(before, state(model.network))
