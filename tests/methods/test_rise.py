"""RISE against loops, and its masks against the share that was asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from segscope import SegmentationModel
from segscope.methods.place import Randomness
from segscope.methods.rise import RandomMasks

from .perturbing import REGION, SIZE, Patchwork, bilinear, slow_baseline, slow_mix, slow_score, small_place


def slow_masks(drawn: RandomMasks) -> list[np.ndarray]:
    """Enlarge each grid by one cell more than the image needs, and cut the image's size out at the shift."""
    masks = []
    for grid, (top, left) in zip(drawn._grids.double().numpy(), drawn._shifts.tolist(), strict=True):
        cell = [int(np.ceil(length / cells)) for length, cells in zip(SIZE, grid.shape, strict=True)]
        enlarged = bilinear(grid, (cell[0] * (grid.shape[0] + 1), cell[1] * (grid.shape[1] + 1)))
        masks.append(enlarged[top : top + SIZE[0], left : left + SIZE[1]])
    return masks


@pytest.mark.parametrize("name", ["input", "stem"])
@pytest.mark.parametrize("baseline", ["zero", "mean"])
@pytest.mark.parametrize("centred", [True, False])
def test_rise_equals_its_paper(name: str, baseline: str, centred: bool) -> None:
    with small_place(name) as place:
        found = place.prediction.explain(
            1,
            REGION,
            layer=name,
            method="rise",
            masks=20,
            cells=4,
            keep=0.4,
            centred=centred,
            baseline=baseline,
            seed=5,
        )
    drawn = RandomMasks(Randomness(5), 20, SIZE, (3, 4), 0.4)
    score, values = slow_score(name)
    absent = slow_baseline(values, baseline)
    masks = slow_masks(drawn)
    scores = [score(slow_mix(values, absent, mask)) for mask in masks]
    middle = sum(scores) / len(scores) if centred else 0.0
    expected = np.zeros(SIZE)
    for mask, reached in zip(masks, scores, strict=True):  # Petsiuk et al. 2018, equation 6
        expected += (reached - middle) * mask / (len(masks) * 0.4)
    np.testing.assert_allclose(found.map, expected, rtol=0, atol=1e-5)
    assert found.cost.passes == 20


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9])
@pytest.mark.parametrize(("size", "grid"), [((30, 41), (5, 7)), ((28, 28), (7, 7)), ((3, 3), (1, 1)), ((7, 9), (7, 9))])
def test_masks_keep_the_share_that_was_asked_for(keep: float, size: tuple[int, int], grid: tuple[int, int]) -> None:
    count = 4000
    masks = RandomMasks(Randomness(1), count, size, grid, keep)[slice(0, count)]
    assert masks.shape == (count, *size)
    assert 0 <= float(masks.min()) <= float(masks.max()) <= 1
    # A pixel's share is at most as spread as a single cell's, which is kept or not.
    error = (keep * (1 - keep) / count) ** 0.5
    assert float((masks.mean(dim=0) - keep).abs().max()) < 4.5 * error
    assert abs(float(masks.mean()) - keep) < 3 * error


def test_masks_are_shifted_by_up_to_a_cell() -> None:
    drawn = RandomMasks(Randomness(1), 2000, (30, 41), (5, 7), 0.5)
    assert drawn._shifts.amin(0).tolist() == [0, 0]
    assert drawn._shifts.amax(0).tolist() == [6, 6]


def test_a_mask_is_the_same_in_every_batch() -> None:
    drawn = RandomMasks(Randomness(2), 9, SIZE, (3, 4), 0.5)
    together = drawn[slice(0, 9)]
    for index in range(9):
        assert torch.equal(drawn[slice(index, index + 1)][0], together[index])


def test_rise_finds_the_patch_that_counts() -> None:
    with SegmentationModel(Patchwork(slice(2, 4), slice(7, 10))).predict(torch.ones(3, *SIZE)) as prediction:
        found = prediction.explain(0, REGION, method="rise", cells=6).map
    row, column = np.unravel_index(found.argmax(), SIZE)
    assert 1 <= row < 5
    assert 6 <= column < 11


def test_rise_without_centring_lies_near_the_mean_score_and_with_it_near_zero() -> None:
    with small_place(curved=False) as place:
        asked: dict[str, Any] = {"method": "rise", "masks": 1000, "seed": 1}
        raw, centred = (place.prediction.explain(1, REGION, centred=centred, **asked).map for centred in (False, True))
        drawn = RandomMasks(place.random(1), 1000, SIZE, (5, 7), 0.5)[slice(0, 1000)]
        mean = place.score(drawn[:, None] * place.values).mean()
    # What is taken off is the mean score times how often the cell was visible.
    np.testing.assert_allclose(raw - centred, float(mean) * drawn.mean(0).numpy() / 0.5, rtol=0, atol=1e-5)


def test_noise_falls_with_more_masks() -> None:
    with small_place() as place:

        def spread(masks: int) -> float:
            maps = [place.prediction.explain(1, REGION, method="rise", masks=masks, seed=seed).map for seed in range(4)]
            return float(np.std(maps, axis=0).mean())

        assert spread(1600) < 0.5 * spread(100)
