"""Grid saliency against a descent with finite differences, and on a network whose context is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from segscope import CannotExplain, Region, SegmentationModel

from .perturbing import BOX, REGION, SIZE, Patchwork, bilinear, slow_baseline, slow_mix, slow_score, small_place


@pytest.mark.parametrize("baseline", ["zero", "mean"])
@pytest.mark.parametrize("weight", [0.1, 1.0])
def test_grid_saliency_equals_its_paper(baseline: str, weight: float) -> None:
    with small_place() as place:
        found = place.prediction.explain(
            1, REGION, method="grid-saliency", grid=4, weight=weight, steps=6, baseline=baseline
        )
    score, values = slow_score("input")
    absent = slow_baseline(values, baseline)
    region = np.zeros(SIZE)
    region[BOX[0] : BOX[2], BOX[1] : BOX[3]] = 1
    whole = score(values)
    scale = abs(whole - score(slow_mix(values, absent, region)))

    def loss(mask: Any) -> float:
        kept = (1 - region) * bilinear(mask, SIZE)
        lost = max(0.0, whole - score(slow_mix(values, absent, region + kept)))
        return lost / scale + weight * kept.sum() / (1 - region).sum()

    mask, speed = np.full((3, 4), 0.5), np.zeros((3, 4))
    tried = []
    for _ in range(6):
        tried.append((loss(mask), mask))
        gradient = np.zeros_like(mask)
        for cell in np.ndindex(mask.shape):
            step = np.zeros_like(mask)
            step[cell] = 1e-6
            gradient[cell] = (loss(mask + step) - loss(mask - step)) / 2e-6
        speed = 0.5 * speed + gradient * mask.size
        mask = np.clip(mask - 0.2 * speed, 0, 1)
    best = min(tried, key=lambda each: each[0])[1]
    np.testing.assert_allclose(found.map, (1 - region) * bilinear(best, SIZE), rtol=0, atol=1e-3)
    assert found.cost.passes == 6 + 2
    assert not found.signed


def test_context_that_the_score_depends_on_is_found_and_no_other() -> None:
    network = Patchwork(slice(8, 16), slice(24, 32))
    with SegmentationModel(network).predict(torch.ones(3, 24, 32)) as prediction:
        found = prediction.explain(0, Region.box(14, 2, 22, 10), method="grid-saliency", grid=8).map
    assert found.shape == (24, 32)
    assert found[10:14, 26:].min() > 0.9
    far = found.copy()
    far[4:20, 20:] = 0
    assert far.max() < 0.05


def test_region_itself_is_never_masked() -> None:
    """The score depends on the region alone, so that no context is needed."""
    network = Patchwork(slice(15, 21), slice(3, 9), here=1.0)
    with SegmentationModel(network).predict(torch.ones(3, 24, 32)) as prediction:
        found = prediction.explain(0, Region.box(14, 2, 22, 10), method="grid-saliency").map
    assert found.max() < 0.05


def test_dearer_context_leaves_less_of_it() -> None:
    with small_place() as place:
        cheap, dear = (
            place.prediction.explain(1, Region.box(3, 4, 5, 6), method="grid-saliency", weight=weight).map.sum()
            for weight in (0.05, 5.0)
        )
    assert dear < cheap


def test_scale_of_the_score_does_not_matter() -> None:
    image = torch.randn(3, 12, 16, generator=torch.Generator().manual_seed(0))
    maps = []
    for factor in (1.0, 1000.0):
        network = torch.nn.Sequential(Patchwork(slice(2, 5), slice(9, 14), here=0.3), Times(factor))
        with SegmentationModel(network).predict(image) as prediction:
            maps.append(prediction.explain(0, Region.box(6, 2, 10, 7), method="grid-saliency").map)
    np.testing.assert_allclose(maps[0], maps[1], atol=1e-3)


class Times(torch.nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return maps * self.factor


def test_whole_image_has_no_context() -> None:
    with small_place() as place, pytest.raises(CannotExplain, match="covers the whole image.*smaller region"):
        place.prediction.explain(1, Region.everywhere(), method="grid-saliency")


def test_layers_are_refused() -> None:
    with small_place() as place, pytest.raises(CannotExplain, match="can't explain the layer 'stem'"):
        place.prediction.explain(1, REGION, layer="stem", method="grid-saliency")
