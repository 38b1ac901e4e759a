"""Occlusion against loops, and against Captum."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from captum.attr import Occlusion

from segscope import SegmentationModel
from segscope.methods.occlusion import window_starts

from .perturbing import REGION, SIZE, Patchwork, place_of, slow_baseline, slow_score, small, small_place


@pytest.mark.parametrize("name", ["input", "stem"])
@pytest.mark.parametrize("baseline", ["zero", "mean"])
@pytest.mark.parametrize(("size", "stride"), [(0.25, 0.5), (0.4, 1.0), (0.01, 1.0), (1.0, 0.5)])
def test_occlusion_equals_its_paper(name: str, baseline: str, size: float, stride: float) -> None:
    network, image = small()
    with SegmentationModel(network).predict(image) as prediction:
        found = prediction.explain(
            1, REGION, layer=name, method="occlusion", size=size, stride=stride, baseline=baseline
        )
    score, values = slow_score(name)
    absent = slow_baseline(values, baseline)
    side = max(1, round(size * SIZE[1]))
    heights = min(side, SIZE[0]), side
    step = max(1, round(stride * side))
    falls: list[list[list[float]]] = [[[] for _ in range(SIZE[1])] for _ in range(SIZE[0])]
    whole = score(values)
    tops = sorted({min(top, SIZE[0] - heights[0]) for top in range(0, SIZE[0], step)})
    lefts = sorted({min(left, SIZE[1] - heights[1]) for left in range(0, SIZE[1], step)})
    for top in tops:
        for left in lefts:
            hidden = values.copy()
            cells = [(row, column) for row in range(top, top + heights[0]) for column in range(left, left + heights[1])]
            for row, column in cells:
                hidden[:, row, column] = absent[:, row, column]
            fall = whole - score(hidden)
            for row, column in cells:
                falls[row][column].append(fall)
    expected = np.array([[np.mean(cell) for cell in row] for row in falls])
    np.testing.assert_allclose(found.map, expected, rtol=0, atol=1e-5)
    assert found.signed
    assert found.cost.passes == 1 + len(tops) * len(lefts)


@pytest.mark.parametrize("name", ["input", "stem"])
def test_occlusion_equals_captum_where_windows_fit(name: str) -> None:
    with small_place(name) as place:
        found = place.prediction.explain(1, REGION, layer=name, method="occlusion", size=0.25, stride=1.0)
        channels = place.values.shape[0]
        expected = Occlusion(place.function).attribute(
            place.values[None], sliding_window_shapes=(channels, 3, 3), strides=(channels, 3, 3)
        )
    np.testing.assert_allclose(found.map, expected[0, 0].detach().numpy(), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("length", "side", "step"), [(10, 3, 2), (10, 10, 1), (1, 1, 1), (11, 4, 4), (224, 34, 17)])
def test_windows_cover_all_and_are_all_of_one_size(length: int, side: int, step: int) -> None:
    starts = window_starts(length, side, step)
    covered = {cell for start in starts for cell in range(start, start + side)}
    assert covered == set(range(length))
    assert starts == sorted(set(starts))


def test_occlusion_finds_the_patch_that_counts() -> None:
    with SegmentationModel(Patchwork(slice(2, 4), slice(7, 10))).predict(torch.ones(3, *SIZE)) as prediction:
        found = prediction.explain(0, REGION, method="occlusion", size=0.2, stride=0.5).map
    row, column = np.unravel_index(found.argmax(), SIZE)
    assert 2 <= row < 4
    assert 7 <= column < 10
    assert found[7:, :5].max() < 0.02 * found.max()


def test_occlusion_at_default_settings_stays_within_200_windows() -> None:
    side = round(0.15 * 224)
    assert len(window_starts(224, side, round(side * 0.5))) ** 2 <= 200


def test_default_place_is_the_input() -> None:
    with small_place() as place:
        assert place.prediction.explain(1, REGION, method="occlusion").layer == place_of(place.prediction).name
