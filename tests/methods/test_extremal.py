"""Extremal perturbation: its parts against loops, its mask's area, and a network whose informative patch is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from segscope import CannotExplain, Region, SegmentationModel
from segscope.methods.extremal import _pyramid, area_loss, smooth_mask

from .perturbing import REGION, SIZE, Patchwork, small_place


@pytest.mark.parametrize("radius", [0.7, 1.5, 3.0])
def test_smooth_mask_equals_its_definition(radius: float) -> None:
    parameters = torch.rand(6, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = np.zeros((6, 7))
    reach = math.ceil(2 * radius)
    for row in range(6):
        for column in range(7):
            values = []
            for r in range(row - reach, row + reach + 1):
                for c in range(column - reach, column + reach + 1):
                    distance = math.hypot(r - row, c - column) / radius
                    kernel = math.exp(-2 * max(0.0, distance - 0.5) ** 2)
                    inside = 0 <= r < 6 and 0 <= c < 7
                    values.append(kernel * float(parameters[r, c]) if inside else 0.0)
            weights = [math.exp(20 * value) for value in values]
            expected[row, column] = sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights)
    np.testing.assert_allclose(smooth_mask(parameters, radius).numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("area", [0.1, 0.37, 0.9])
def test_area_loss_equals_its_definition(area: float) -> None:
    mask = torch.rand(8, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    ranked = sorted(mask.flatten().tolist())
    ones = round(area * 40)
    ideal = [0.0] * (40 - ones) + [1.0] * ones
    expected = sum((value - wanted) ** 2 for value, wanted in zip(ranked, ideal, strict=True)) / 40
    assert float(area_loss(mask, area)) == pytest.approx(expected)
    perfect = (mask >= ranked[40 - ones]).double()
    assert float(area_loss(perfect, area)) == 0


def test_pyramid_is_the_image_where_the_mask_is_one_and_ever_more_blurred_below() -> None:
    with small_place() as place:
        perturb = _pyramid(place)
        torch.testing.assert_close(perturb(torch.ones(SIZE))[0], place.values)
        roughness = [
            float(perturb(torch.full(SIZE, share))[0].diff(dim=2).abs().mean()) for share in (0.0, 0.3, 0.6, 0.9, 1.0)
        ]
        assert roughness == sorted(roughness)
        halfway = perturb(torch.full(SIZE, 6.5 / 7))[0]
        torch.testing.assert_close(halfway, (place.values + perturb(torch.full(SIZE, 6 / 7))[0]) / 2)
        mask = torch.zeros(SIZE)
        mask[:, 6:] = 1
        torch.testing.assert_close(perturb(mask)[0, :, :, 6:], place.values[:, :, 6:])


@pytest.mark.parametrize("baseline", ["pyramid", "zero"])
@pytest.mark.parametrize("area", [0.05, 0.1, 0.3])
def test_mask_has_the_area_that_was_asked_for_and_lies_on_the_patch_that_counts(area: float, baseline: str) -> None:
    image = torch.rand(3, 40, 48, generator=torch.Generator().manual_seed(0)) / 4
    image[:, 6:14, 30:40] += 2
    network = Patchwork(slice(6, 14), slice(30, 40))
    with SegmentationModel(network).predict(image) as prediction:
        found = prediction.explain(
            0, Region.box(30, 4, 38, 14), method="extremal-perturbation", area=area, baseline=baseline
        )
    mask = found.map
    assert mask.shape == (40, 48)
    assert 0 <= mask.min() <= mask.max() <= 1
    assert mask.mean() == pytest.approx(area, rel=0.15)
    assert mask[8:12, 33:37].min() > 0.9
    if area <= 0.1:
        assert mask[2:18, 26:44].sum() > 0.8 * mask.sum()
    assert found.cost.passes == 82


def test_layers_are_refused() -> None:
    with small_place() as place, pytest.raises(CannotExplain, match="can't explain the layer 'stem'"):
        place.prediction.explain(1, REGION, layer="stem", method="extremal-perturbation")
