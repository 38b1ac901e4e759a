"""Integrated, expected and blur-integrated gradients against fine sums of gradients by finite differences."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients

from segscope import Region, SegmentationModel
from segscope.methods import all_methods
from segscope.target import Score

from .slow import CLASS, REGION, Array, Linear, Rectified, Scored, Smooth, exact, image, slow_gradient, slow_score

PATHS = ["integrated-gradients", "expected-gradients", "blur-integrated-gradients"]


@pytest.mark.parametrize("place", ["input", "stem"])
@pytest.mark.parametrize("baseline", ["zero", "mean"])
def test_integrated_gradients_equal_their_paper(place: str, baseline: str) -> None:
    """Sundararajan et al. 2017, equation 3, as a fine Riemann sum."""
    with SegmentationModel(Smooth()).predict(image()) as prediction:
        found = prediction.explain(
            CLASS, REGION, layer=place, method="integrated-gradients", baseline=baseline, steps=20
        )
    network = exact(Smooth())
    function = network if place == "input" else network.after_stem
    values = image().double().numpy()
    if place == "stem":
        with torch.no_grad():
            values = network.stem(torch.from_numpy(values)[None])[0].numpy()
    absent = np.zeros_like(values)
    if baseline == "mean":
        for channel in range(len(values)):
            absent[channel] = values[channel].mean()
    expected, parts = np.zeros(values.shape[1:]), 150
    for part in range(parts):
        point = absent + (part + 0.5) / parts * (values - absent)
        expected += ((values - absent) * slow_gradient(function, point)).sum(0) / parts
    np.testing.assert_allclose(found.map, expected, rtol=0, atol=2e-4 * abs(expected).max())
    difference = slow_score(function, values) - slow_score(function, absent)
    assert found.measures["score_difference"] == pytest.approx(difference, rel=1e-4)
    assert found.measures["completeness_error"] == pytest.approx(found.map.sum() - difference, abs=1e-5)
    assert found.cost.passes == 22


def test_integrated_gradients_equal_captum_on_the_bare_network() -> None:
    with SegmentationModel(Rectified()).predict(image()) as prediction:
        found = prediction.explain(CLASS, REGION, method="integrated-gradients", steps=16)
    expected = IntegratedGradients(Scored(Rectified())).attribute(image()[None].requires_grad_(), n_steps=16)
    np.testing.assert_allclose(found.map, expected.detach()[0].sum(0), rtol=1e-4, atol=1e-6)


def slow_blur(values: Array, deviation: float) -> Array:
    """Gaussian blur by its definition; the border's values go on beyond it."""
    if deviation == 0:
        return values
    radius = math.ceil(4 * deviation)
    for axis in (1, 2):
        result = np.zeros_like(values)
        length = values.shape[axis]
        for cell in range(length):
            weights = {offset: math.exp(-0.5 * (offset / deviation) ** 2) for offset in range(-radius, radius + 1)}
            for offset, weight in weights.items():
                source = min(max(cell + offset, 0), length - 1)
                part = np.take(values, source, axis) * weight / sum(weights.values())
                result[(slice(None),) * axis + (cell,)] += part
        values = result
    return values


def test_blur_integrated_gradients_equal_their_paper() -> None:
    """Xu et al. 2020, section 4: the gradient along the path of blurs, in fine steps of even width."""
    with SegmentationModel(Smooth()).predict(image()) as prediction:
        found = prediction.explain(CLASS, REGION, method="blur-integrated-gradients", blur=0.4, steps=100)
    network, values = exact(Smooth()), image().double().numpy()
    deviations = np.linspace(0.4 * 6, 0, 121)
    expected = np.zeros(values.shape[1:])
    for high, low in itertools.pairwise(deviations):
        gradient = slow_gradient(network, slow_blur(values, (high + low) / 2))
        expected += (gradient * (slow_blur(values, low) - slow_blur(values, high))).sum(0)
    np.testing.assert_allclose(found.map, expected, rtol=0, atol=5e-3 * abs(expected).max())
    difference = slow_score(network, values) - slow_score(network, slow_blur(values, 0.4 * 6))
    assert found.measures["score_difference"] == pytest.approx(difference, rel=1e-3)


@pytest.mark.parametrize("references", ["noise", "shuffled"])
def test_expected_gradients_equal_their_paper(references: str) -> None:
    """Erion et al. 2021, equation 3, with a point in each part of the way."""
    with SegmentationModel(Smooth()).predict(image()) as prediction:
        found = prediction.explain(CLASS, REGION, method="expected-gradients", references=references, samples=4, seed=5)
    network, values = exact(Smooth()), image().double().numpy()
    generator = torch.Generator().manual_seed(5)
    expected, absent = np.zeros((6, 6)), 0.0
    for sample in range(4):
        if references == "noise":
            uniform = torch.rand(values.shape, generator=generator).double().numpy()
            reference = np.stack([v.min() + u * (v.max() - v.min()) for v, u in zip(values, uniform, strict=True)])
        else:
            order = torch.rand(36, generator=generator).argsort().numpy()
            reference = np.stack([channel.ravel()[order].reshape(6, 6) for channel in values])
        alpha = (sample + float(torch.rand(1, 1, 1, generator=generator))) / 4
        gradient = slow_gradient(network, reference + alpha * (values - reference))
        expected += ((values - reference) * gradient).sum(0) / 4
        absent += slow_score(network, reference) / 4
    np.testing.assert_allclose(found.map, expected, rtol=1e-3, atol=1e-5)
    difference = slow_score(network, values) - absent
    assert found.measures["score_difference"] == pytest.approx(difference, rel=1e-4)
    assert found.measures["completeness_error"] == pytest.approx(expected.sum() - difference, abs=1e-4)


def test_expected_gradients_come_to_be_complete() -> None:
    with SegmentationModel(Smooth()).predict(image()) as prediction:
        found = [
            prediction.explain(CLASS, REGION, method="expected-gradients", samples=samples) for samples in (2, 400)
        ]
    few, many = (abs(answer.measures["completeness_error"]) for answer in found)
    assert many < 0.2 * few


def test_integrated_gradients_of_a_linear_network_are_input_times_gradient() -> None:
    with SegmentationModel(Linear()).predict(image()) as prediction:
        plain = prediction.explain(CLASS, REGION, method="input-x-gradient")
        found = prediction.explain(CLASS, REGION, method="integrated-gradients", steps=1)
    np.testing.assert_allclose(found.map, plain.map, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("method", PATHS)
def test_linear_network_is_complete_with_one_step(method: str) -> None:
    few: dict[str, Any] = {"samples": 1} if method == "expected-gradients" else {"steps": 1}
    with SegmentationModel(Linear()).predict(image()) as prediction:
        found = prediction.explain(CLASS, REGION, method=method, **few)
    assert found.measures["completeness_error"] == pytest.approx(0, abs=1e-5)
    assert found.map.sum() == pytest.approx(found.measures["score_difference"], abs=1e-5)


@pytest.mark.parametrize("method", ["integrated-gradients", "blur-integrated-gradients"])
@pytest.mark.parametrize("score", ["logit", "probability"])
def test_more_steps_make_the_error_smaller(method: str, score: Score) -> None:
    with SegmentationModel(Rectified()).predict(image(12, 14)) as prediction:
        errors = [
            abs(
                prediction.explain(
                    CLASS, Region.pixel(4, 5), against=2, score=score, method=method, steps=steps
                ).measures["completeness_error"]
            )
            for steps in (2, 200)
        ]
    assert errors[1] < 0.1 * errors[0]


@pytest.mark.parametrize("method", PATHS)
def test_memory_does_not_change_the_map(method: str) -> None:
    found = []
    for memory in (2**29, 40_000, 1):
        with SegmentationModel(Rectified(), memory=memory).predict(image()) as prediction:
            found.append(prediction.explain(CLASS, REGION, method=method))
    for other in found[1:]:
        np.testing.assert_allclose(other.map, found[0].map, rtol=1e-3, atol=1e-6)
        assert other.measures == pytest.approx(found[0].measures, abs=1e-5)


@pytest.mark.parametrize(
    "method", [name for name in PATHS if any(p.name == "seed" for p in all_methods()[name].parameters)]
)
def test_seed_decides(method: str) -> None:
    noise: dict[str, Any] = {"baseline": "noise"} if method == "integrated-gradients" else {}
    with SegmentationModel(Smooth()).predict(image()) as prediction:
        one, same, other = (
            prediction.explain(CLASS, REGION, method=method, seed=seed, **noise).map for seed in (3, 3, 4)
        )
    assert np.array_equal(one, same)
    assert not np.allclose(one, other)


@pytest.mark.parametrize("method", PATHS)
def test_progress_ends_the_work(method: str) -> None:
    told: list[float] = []

    def tell(share: float) -> None:
        told.append(share)
        if share > 0.3:
            raise KeyboardInterrupt

    network = Smooth()
    with SegmentationModel(network, memory=1).predict(image()) as prediction:
        with pytest.raises(KeyboardInterrupt):
            prediction.explain(CLASS, REGION, method=method, progress=tell)
        assert 0.3 < told[-1] < 0.4
        assert told == sorted(told)
        prediction.explain(CLASS, REGION, method=method)
    assert all(parameter.requires_grad and parameter.grad is None for parameter in network.parameters())


def test_measures_stand_in_the_provenance() -> None:
    with SegmentationModel(Smooth()).predict(image()) as prediction:
        found = prediction.explain(CLASS, REGION, method="integrated-gradients")
        plain = prediction.explain(CLASS, REGION, method="saliency")
    assert found.provenance["measures"] == found.measures
    assert set(found.measures) == {"completeness_error", "score_difference"}
    assert plain.measures == {}
