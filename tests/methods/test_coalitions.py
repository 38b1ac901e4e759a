"""Feature ablation, KernelSHAP and LIME against loops, permutations, scikit-learn and Captum."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from captum._utils.models.linear_model import SkLearnRidge
from captum.attr import FeatureAblation, KernelShap, Lime, ShapleyValues
from numpy.typing import NDArray

from segscope import SegmentationModel
from segscope.methods import Place
from segscope.methods.coalitions import kernel_shap, lime, shapley_coalitions, shapley_values, surrogate
from segscope.methods.place import Randomness

from .perturbing import REGION, SIZE, Array, Patchwork, slow_baseline, slow_score, small_place

FEW = 6


def patches_of(place: Place) -> tuple[Array, int]:
    labels = place.superpixels(FEW).numpy()
    return labels, int(labels.max()) + 1


def slow_values(name: str, labels: Array, baseline: str, curved: bool = True) -> dict[tuple[int, ...], float]:
    """Return the score of every coalition of patches."""
    score, values = slow_score(name, curved=curved)
    absent = slow_baseline(values, baseline)
    patches = labels.max() + 1
    found = {}
    for size in range(patches + 1):
        for coalition in itertools.combinations(range(patches), size):
            maps = values.copy()
            for row in range(SIZE[0]):
                for column in range(SIZE[1]):
                    if labels[row, column] not in coalition:
                        maps[:, row, column] = absent[:, row, column]
            found[coalition] = score(maps)
    return found


def slow_shapley(scores: dict[tuple[int, ...], float], patches: int) -> list[float]:
    """Return each patch's mean contribution over all orders: the definition."""
    total = [0.0] * patches
    for order in itertools.permutations(range(patches)):
        for position, patch in enumerate(order):
            before, after = tuple(sorted(order[:position])), tuple(sorted(order[: position + 1]))
            total[patch] += (scores[after] - scores[before]) / math.factorial(patches)
    return total


@pytest.mark.parametrize("name", ["input", "stem"])
@pytest.mark.parametrize("baseline", ["zero", "mean"])
def test_feature_ablation_equals_its_definition(name: str, baseline: str) -> None:
    with small_place(name) as place:
        labels, patches = patches_of(place)
        found = place.prediction.explain(
            1, REGION, layer=name, method="feature-ablation", superpixels=FEW, baseline=baseline
        )
    scores = slow_values(name, labels, baseline)
    everyone = tuple(range(patches))
    for patch in everyone:
        fall = scores[everyone] - scores[tuple(other for other in everyone if other != patch)]
        np.testing.assert_allclose(found.map[labels == patch], fall, rtol=0, atol=1e-5)
    assert found.cost.passes == patches + 1


def test_feature_ablation_equals_captum() -> None:
    with small_place() as place:
        found = place.prediction.explain(1, REGION, method="feature-ablation", superpixels=FEW)
        expected = FeatureAblation(place.function).attribute(
            place.values[None], feature_mask=place.superpixels(FEW)[None, None]
        )
    np.testing.assert_allclose(found.map, expected[0, 0].detach().numpy(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["input", "stem"])
@pytest.mark.parametrize("baseline", ["zero", "mean"])
def test_kernel_shap_with_few_patches_gives_the_shapley_values(name: str, baseline: str) -> None:
    with small_place(name) as place:
        labels, patches = patches_of(place)
        found = place.prediction.explain(
            1, REGION, layer=name, method="kernel-shap", superpixels=FEW, baseline=baseline
        )
    assert 4 <= patches <= 8
    expected = slow_shapley(slow_values(name, labels, baseline), patches)
    np.testing.assert_allclose(found.map, np.array(expected)[labels], rtol=0, atol=1e-5)
    assert found.cost.passes == 2**patches


def test_shapley_values_equal_captums() -> None:
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    labels = rows // 5 * 2 + columns // 6
    coalitions, weights = shapley_coalitions(4, 14, Randomness(0))
    with small_place() as place:
        none, whole = scores_by_hand(place, labels, np.array([[False] * 4, [True] * 4]))
        found = shapley_values(coalitions, weights, scores_by_hand(place, labels, coalitions) - none, whole - none)
        mask = torch.from_numpy(labels)[None, None]
        expected = ShapleyValues(place.score).attribute(place.values[None], feature_mask=mask)
    np.testing.assert_allclose(found[labels], expected[0, 0].numpy(), rtol=0, atol=1e-5)


def test_sampled_kernel_shap_comes_near_the_shapley_values_and_nearer_than_captum() -> None:
    with small_place() as place:
        labels, patches = patches_of(place)
        expected = np.array(slow_shapley(slow_values("input", labels, "zero"), patches))
        errors, peers = [], []
        for seed in range(5):
            coalitions, weights = shapley_coalitions(patches, 40, Randomness(seed))
            assert len(coalitions) == 40
            values = scores_by_hand(place, labels, coalitions)
            none, whole = scores_by_hand(place, labels, np.array([[False] * patches, [True] * patches]))
            errors.append(np.abs(shapley_values(coalitions, weights, values - none, whole - none) - expected).mean())
            torch.manual_seed(seed)
            peer = KernelShap(place.score).attribute(
                place.values[None], feature_mask=torch.from_numpy(labels)[None, None], n_samples=42
            )
            first = [np.argwhere(labels == patch)[0] for patch in range(patches)]
            peers.append(np.abs([peer[0, 0, row, column] for row, column in first] - expected).mean())
    assert np.mean(errors) < 0.1 * np.abs(expected).mean()
    assert np.mean(errors) < np.mean(peers)


def scores_by_hand(place: Place, labels: Array, coalitions: NDArray[np.bool_]) -> Array:
    kept = torch.from_numpy(coalitions[:, labels]).float()
    return place.score(kept[:, None] * place.values).double().numpy()


@pytest.mark.parametrize("samples", [10, 30, 200])
@pytest.mark.parametrize("superpixels", [2, 12, 60])
def test_shapley_values_add_up_to_the_score_less_the_baselines(superpixels: int, samples: int) -> None:
    with small_place() as place:
        labels = place.superpixels(superpixels).numpy()
        found = kernel_shap(place, superpixels=superpixels, samples=samples, baseline="mean", seed=1).numpy()
        ends = torch.stack([place.values, place.baseline("mean")])
        whole, none = place.score(ends).tolist()
    values = [found[labels == patch][0] for patch in range(labels.max() + 1)]
    assert sum(values) == pytest.approx(whole - none, abs=1e-5)


def test_patches_that_do_the_same_have_the_same_shapley_value() -> None:
    coalitions, weights = shapley_coalitions(5, 100, Randomness(0))
    assert len(coalitions) == 30
    gains = np.array([(row[0] + row[1]) ** 2 + 3.0 * row[2] for row in coalitions.astype(float)])
    found = shapley_values(coalitions, weights, gains, 7.0)
    np.testing.assert_allclose(found, [2, 2, 3, 0, 0], atol=1e-9)


@pytest.mark.parametrize("samples", [30, 100])
def test_sampled_shapley_values_of_a_sum_are_its_terms(samples: int) -> None:
    terms = np.random.default_rng(0).normal(size=12)
    coalitions, weights = shapley_coalitions(12, samples, Randomness(0))
    assert len(coalitions) == samples
    found = shapley_values(coalitions, weights, coalitions @ terms, terms.sum())
    np.testing.assert_allclose(found, terms, atol=1e-9)


def test_coalitions_are_drawn_by_the_shapley_kernel_in_pairs() -> None:
    patches = 7
    coalitions, weights = shapley_coalitions(patches, 100, Randomness(0))
    assert len(coalitions) == 100
    assert np.array_equal(coalitions[::2], ~coalitions[1::2])
    assert set(weights) == {1.0}
    coalitions, _ = shapley_coalitions(20, 40_000, Randomness(0))
    sizes = coalitions.sum(axis=1)
    assert 1 <= sizes.min() <= sizes.max() <= 19
    shares = np.array([1 / (size * (20 - size)) for size in range(1, 20)])
    shares /= shares.sum()
    found = np.bincount(sizes, minlength=20)[1:] / len(sizes)
    # A pair has both a size and its complement, so that half as many draws count.
    assert (np.abs(found - shares) < 4 * np.sqrt(shares / 20_000)).all()
    present = coalitions[::2].mean(axis=0)
    assert np.abs(present - 0.5).max() < 4 * 0.5 / math.sqrt(20_000)


def test_a_single_patch_has_the_whole_difference() -> None:
    coalitions, weights = shapley_coalitions(1, 10, Randomness(0))
    np.testing.assert_allclose(shapley_values(coalitions, weights, np.zeros(0), 2.5), [2.5])


@pytest.mark.parametrize("penalty", [0.0, 1.0, 30.0])
@pytest.mark.parametrize("width", [0.1, 0.25, 2.0])
def test_surrogate_equals_scikit_learn_with_weights_by_hand(penalty: float, width: float) -> None:
    generator = np.random.default_rng(0)
    coalitions = generator.random((80, 9)) < 0.5
    coalitions[0], coalitions[1] = True, False
    scores = generator.normal(size=80)
    weights = []
    for row in coalitions.astype(float):
        length = math.sqrt(row @ row)
        cosine = row.sum() / (length * 3) if length else 0.0
        weights.append(math.sqrt(math.exp(-((1 - cosine) ** 2) / width**2)))
    ridge = pytest.importorskip("sklearn.linear_model").Ridge(alpha=penalty, solver="svd")
    expected = ridge.fit(coalitions, scores, sample_weight=weights).coef_
    np.testing.assert_allclose(surrogate(coalitions, scores, width=width, penalty=penalty), expected, atol=1e-8)


@pytest.mark.parametrize("name", ["input", "stem"])
def test_lime_equals_its_paper(name: str) -> None:
    with small_place(name) as place:
        labels, patches = patches_of(place)
        found = place.prediction.explain(
            1, REGION, layer=name, method="lime", superpixels=FEW, samples=40, seed=3, baseline="mean"
        )
        drawn = place.random(3).rand((40, patches)).numpy() < 0.5
    drawn[0] = True
    values = slow_values(name, labels, "mean")
    scores = [values[tuple(map(int, np.flatnonzero(row)))] for row in drawn]
    # Minimise Σ weight·(score − intercept − coefficients·row)² + penalty·|coefficients|² by its normal equations.
    matrix, right = np.zeros((patches + 1, patches + 1)), np.zeros(patches + 1)
    for row, reached in zip(drawn, scores, strict=True):
        weight = math.exp(-((1 - math.sqrt(row.mean())) ** 2) / (2 * 0.25**2))
        extended = np.append(row.astype(float), 1.0)
        matrix += weight * np.outer(extended, extended)
        right += weight * reached * extended
    matrix[range(patches), range(patches)] += 1.0
    expected = np.linalg.solve(matrix, right)[:patches]
    np.testing.assert_allclose(found.map, expected[labels], rtol=0, atol=1e-5)
    assert found.cost.passes == 40


def test_lime_and_captums_agree_where_the_score_is_a_sum() -> None:
    with small_place(curved=False) as place:
        labels = place.superpixels(FEW)
        found = lime(place, superpixels=FEW, samples=60, width=0.25, penalty=1e-6, baseline="zero", seed=0)
        torch.manual_seed(0)
        expected = Lime(place.score, interpretable_model=SkLearnRidge(alpha=1e-6)).attribute(
            place.values[None], feature_mask=labels[None, None], n_samples=60
        )
    np.testing.assert_allclose(found.numpy(), expected[0, 0].numpy(), rtol=0, atol=1e-3)


def test_all_three_agree_where_the_score_is_a_sum() -> None:
    with small_place(curved=False) as place:
        few: dict[str, Any] = {"superpixels": 10, "baseline": "mean"}
        maps = [
            place.prediction.explain(1, REGION, method=method, **few, **more).map
            for method, more in (
                ("feature-ablation", {}),
                ("kernel-shap", {"samples": 60}),
                ("lime", {"samples": 60, "penalty": 0.0}),
            )
        ]
    np.testing.assert_allclose(maps[1], maps[0], rtol=0, atol=2e-5)
    np.testing.assert_allclose(maps[2], maps[0], rtol=0, atol=2e-5)


@pytest.mark.parametrize("method", ["feature-ablation", "kernel-shap", "lime"])
def test_the_patch_that_counts_is_found(method: str) -> None:
    image = torch.ones(3, *SIZE)
    image[:, 2:5, 7:11] = 2
    with SegmentationModel(Patchwork(slice(2, 5), slice(7, 11))).predict(image) as prediction:
        found = prediction.explain(0, REGION, method=method, superpixels=12).map
    assert found[2:5, 7:11].mean() > 4 * np.abs(found[6:, :6]).mean()
