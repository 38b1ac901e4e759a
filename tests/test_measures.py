"""What sums up a map, against slow loops and cases worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats  # type: ignore[import-untyped]

from segscope.measures import correlation, gini, rank_correlation, ranks, share_of_classes, share_on, spread

MAPS = [np.random.default_rng(seed).normal(size=(7, 9)) for seed in range(3)]
MAPS.append(np.maximum(MAPS[0], 0))
ZEROS = np.zeros((4, 5))


@pytest.mark.parametrize("values", MAPS)
def test_share_adds_up_what_lies_on_the_pixels(values):
    mask = np.arange(63).reshape(7, 9) % 5
    total = sum(max(value, 0) for value in values.ravel())
    for class_ in range(5):
        on = sum(max(values[at], 0) for at in np.ndindex(7, 9) if mask[at] == class_)
        assert share_on(values, mask == class_) == pytest.approx(on / total)
        assert share_of_classes(values, mask, classes=5)[class_] == pytest.approx(on / total)
    assert share_of_classes(values, mask, classes=5).sum() == pytest.approx(1)


def test_share_takes_weights_between_zero_and_one():
    assert share_on([[1, 1]], [[0.5, 0.25]]) == 0.375


def test_pixels_of_no_class_count_in_the_whole_only():
    assert share_of_classes([[1.0, 1, 2]], [[0, -1, 255]], classes=2).tolist() == [0.25, 0]


@pytest.mark.parametrize("values", [ZEROS, -np.ones((4, 5))])
def test_measures_of_a_map_without_positive_importance_are_undefined(values):
    assert math.isnan(share_on(values, np.ones((4, 5))))
    assert math.isnan(spread(values))
    assert np.isnan(share_of_classes(values, np.zeros((4, 5), int), classes=3)).all()


@pytest.mark.parametrize("values", MAPS)
def test_gini_is_the_mean_difference_of_magnitudes(values):
    """The economists' definition: the mean absolute difference of all pairs over twice the mean."""
    magnitudes = np.abs(values).ravel().tolist()
    count = len(magnitudes)
    differences = sum(abs(one - two) for one in magnitudes for two in magnitudes) / count**2
    assert gini(values) == pytest.approx(differences / (2 * sum(magnitudes) / count))


def test_gini_of_known_cases():
    assert gini(np.full((6, 6), -3.0)) == pytest.approx(0)
    one = np.zeros(50)
    one[7] = 4
    assert gini(one) == pytest.approx(1 - 1 / 50)
    assert math.isnan(gini(ZEROS))
    assert math.isnan(gini([]))


@pytest.mark.parametrize("values", MAPS)
def test_gini_has_the_properties_of_a_sparsity(values):
    """Scaling and cloning change nothing, giving to the rich raises it, adding to all lowers it."""
    magnitudes = np.abs(values).ravel()
    value = gini(magnitudes)
    assert gini(magnitudes * 1e-20) == pytest.approx(value)
    assert gini(np.concatenate([magnitudes, magnitudes])) == pytest.approx(value)
    richer = magnitudes.copy()
    richer[magnitudes.argmax()] += 1
    assert gini(richer) > value > gini(magnitudes + 1)


@pytest.mark.parametrize("values", MAPS)
def test_spread_is_the_distance_from_the_centre(values):
    positive = np.maximum(values, 0)
    total = positive.sum()
    centre = [sum(positive[at] * at[axis] for at in np.ndindex(7, 9)) / total for axis in (0, 1)]
    square = sum(positive[at] * math.dist(at, centre) ** 2 for at in np.ndindex(7, 9)) / total
    assert spread(values) == pytest.approx(math.sqrt(square) / math.hypot(7, 9))
    assert spread(values[::-1] * 1e-9) == pytest.approx(spread(values))


def test_spread_of_known_cases():
    point = ZEROS.copy()
    point[1, 3] = 2
    assert spread(point) == 0
    assert spread(np.ones((200, 300))) == pytest.approx(1 / math.sqrt(12), rel=1e-4)
    corners = np.zeros((100, 100))
    corners[0, 0] = corners[-1, -1] = 1
    assert spread(corners) == pytest.approx(0.5 * 99 / 100)


@pytest.mark.parametrize("values", MAPS)
def test_equal_values_share_their_rank(values):
    np.testing.assert_array_equal(ranks(values.round(1)), stats.rankdata(values.round(1).ravel()))


def test_rank_correlation_is_spearmans():
    maps = [*MAPS, np.round(MAPS[1]), -(MAPS[2] ** 3)]
    found = rank_correlation([each.ravel() for each in maps])
    for row, one in enumerate(maps):
        for column, two in enumerate(maps):
            assert found[row, column] == pytest.approx(stats.spearmanr(one.ravel(), two.ravel()).statistic)
    assert (found == found.T).all()


def test_rank_correlation_depends_on_the_order_alone():
    values = MAPS[0].ravel()
    assert rank_correlation([values, np.exp(values)])[0, 1] == pytest.approx(1)


def test_correlation_is_pearsons():
    flat = [each.ravel() for each in MAPS]
    np.testing.assert_allclose(correlation(flat), np.corrcoef(flat), atol=1e-12)
    np.testing.assert_allclose(correlation([flat[0] * 1e-30, flat[1]]), np.corrcoef(flat[0], flat[1]), atol=1e-9)


@pytest.mark.parametrize("function", [correlation, rank_correlation])
@pytest.mark.parametrize("constant", [0.0, 0.1, -7.3])
def test_map_without_differences_agrees_with_none(function, constant):
    found = function([MAPS[0].ravel(), np.full(63, constant), MAPS[1].ravel()])
    assert np.isnan(found[1]).all()
    assert np.isnan(found[:, 1]).all()
    assert np.isfinite(found[::2, ::2]).all()
