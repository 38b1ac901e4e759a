"""What all perturbation methods keep to: batches and seeds, channels replaced as a whole, and 1×1 maps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from segscope import Region, SegmentationModel
from segscope.methods.perturbed import grid_size, mixed

from .perturbing import REGION, small, small_place

FAST: dict[str, dict[str, Any]] = {
    "occlusion": {},
    "rise": {"masks": 50},
    "feature-ablation": {"superpixels": 30},
    "kernel-shap": {"superpixels": 30, "samples": 70},
    "lime": {"superpixels": 30, "samples": 70},
    "grid-saliency": {"steps": 10},
    "extremal-perturbation": {"steps": 10},
}
RANDOM = ("rise", "kernel-shap", "lime")
AT_LAYERS = ("occlusion", "rise", "feature-ablation", "kernel-shap", "lime")


@pytest.mark.parametrize("method", FAST)
def test_memory_changes_no_map(method: str) -> None:
    maps = []
    for memory in (1, 2**29):
        network, image = small()
        with SegmentationModel(network, memory=memory).predict(image) as prediction:
            maps.append(prediction.explain(1, REGION, method=method, **FAST[method]).map)
    np.testing.assert_allclose(maps[0], maps[1], rtol=0, atol=2e-5 * np.abs(maps[1]).max())


@pytest.mark.parametrize("method", FAST)
def test_same_seed_gives_the_same_map(method: str) -> None:
    with small_place() as place:
        asked = {"method": method, "baseline": "noise", **FAST[method]}
        one, again, other = (place.prediction.explain(1, REGION, seed=seed, **asked).map for seed in (4, 4, 5))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("method", RANDOM)
def test_other_seed_draws_otherwise(method: str) -> None:
    with small_place() as place:
        one, other = (
            place.prediction.explain(1, REGION, method=method, seed=seed, **FAST[method]).map for seed in (4, 5)
        )
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("method", FAST)
def test_progress_is_told_to_the_end(method: str) -> None:
    told: list[float] = []
    with small_place(memory=1) as place:
        place.prediction.explain(1, REGION, method=method, progress=told.append, **FAST[method])
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert len(set(told)) > 5


@pytest.mark.parametrize("method", FAST)
def test_probability_and_contrast_can_be_asked_for(method: str) -> None:
    with small_place() as place:
        found = place.prediction.explain(1, REGION, against=2, score="probability", method=method, **FAST[method])
    assert found.map.any()


class Pooled(nn.Module):
    """Has a layer whose map is a single cell, as pyramid pooling does."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Conv2d(4, 3, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps = self.stem(images)
        return self.head(maps + self.pool(maps))


@pytest.mark.parametrize("method", AT_LAYERS)
def test_layer_of_a_single_cell(method: str) -> None:
    torch.manual_seed(0)
    with SegmentationModel(Pooled()).predict(torch.randn(3, 9, 12)) as prediction:
        found = prediction.explain(1, Region.box(1, 2, 6, 8), layer="pool", method=method, **FAST[method])
        score = found.score
        change = prediction.explain(1, Region.box(1, 2, 6, 8), layer="pool", method="feature-ablation").map.item()
    assert found.map.shape == (1, 1)
    assert np.isfinite(score)
    if method in ("occlusion", "feature-ablation", "kernel-shap"):
        assert found.map.item() == pytest.approx(change, abs=1e-5)
    else:
        assert np.sign(found.map.item()) == np.sign(change)


def test_mixing_is_exact_at_both_ends() -> None:
    with small_place() as place:
        absent = place.baseline("noise")
        maps = mixed(place, absent, torch.stack([torch.zeros(place.size), torch.ones(place.size)]))
        assert torch.equal(maps[0], absent)
        assert torch.equal(maps[1], place.values)


@pytest.mark.parametrize(
    ("size", "cells", "expected"),
    [
        ((224, 224), 7, (7, 7)),
        ((100, 200), 8, (4, 8)),
        ((3, 3), 8, (3, 3)),
        ((1, 300), 10, (1, 10)),
        ((5, 4), 1, (1, 1)),
    ],
)
def test_grid_has_square_cells(size: tuple[int, int], cells: int, expected: tuple[int, int]) -> None:
    assert grid_size(size, cells) == expected
