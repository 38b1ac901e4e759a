"""SmoothGrad and VarGrad against loops over noisy copies, with gradients by finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from segscope import SegmentationModel

from .slow import CLASS, REGION, Array, Linear, Smooth, exact, image, slow_gradient

PLACES = ["input", "stem"]


def slow_gradients(place: str, samples: int, noise: float, seed: int) -> list[Array]:
    """The gradient at each noisy copy: noise of a share of the range (Smilkov et al. 2017, sections 3 and 4)."""
    network = exact(Smooth())
    values = image().double().numpy()
    if place == "stem":
        with torch.no_grad():
            values = network.stem(torch.from_numpy(values)[None])[0].numpy()
    deviation = noise * (values.max() - values.min())
    generator = torch.Generator().manual_seed(seed)
    gradients = []
    for _ in range(samples):
        noisy = values + deviation * torch.randn(values.shape, generator=generator).double().numpy()
        gradients.append(slow_gradient(network if place == "input" else network.after_stem, noisy))
    return gradients


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("average", ["gradient", "absolute", "squared"])
def test_smoothgrad_equals_its_paper(place: str, average: str) -> None:
    with SegmentationModel(Smooth()).predict(image()) as prediction:
        found = prediction.explain(
            CLASS, REGION, layer=place, method="smoothgrad", samples=5, noise=0.2, average=average, seed=9
        )
    total: Array = np.zeros(1)
    for gradient in slow_gradients(place, 5, 0.2, 9):
        total = total + {"gradient": gradient, "absolute": abs(gradient), "squared": gradient**2}[average]
    np.testing.assert_allclose(found.map, abs(total / 5).max(0), rtol=1e-3, atol=1e-6)
    assert found.cost.passes == 5


@pytest.mark.parametrize("place", PLACES)
def test_vargrad_equals_its_paper(place: str) -> None:
    with SegmentationModel(Smooth()).predict(image()) as prediction:
        found = prediction.explain(CLASS, REGION, layer=place, method="vargrad", samples=5, noise=0.2, seed=9)
    gradients = slow_gradients(place, 5, 0.2, 9)
    mean = np.zeros_like(gradients[0])
    for gradient in gradients:
        mean += gradient / 5
    variance = np.zeros_like(mean)
    for gradient in gradients:
        variance += (gradient - mean) ** 2 / 5
    np.testing.assert_allclose(found.map, variance.max(0), rtol=2e-3, atol=1e-8)


@pytest.mark.parametrize("average", ["gradient", "absolute"])
def test_smoothgrad_without_noise_is_the_saliency(average: str) -> None:
    with SegmentationModel(Smooth()).predict(image()) as prediction:
        plain = prediction.explain(CLASS, REGION, method="saliency")
        found = prediction.explain(CLASS, REGION, method="smoothgrad", samples=3, noise=0, average=average)
    np.testing.assert_allclose(found.map, plain.map, rtol=1e-5)


def test_vargrad_of_a_linear_network_is_zero() -> None:
    with SegmentationModel(Linear()).predict(image()) as prediction:
        found = prediction.explain(CLASS, REGION, method="vargrad", samples=4, noise=0.5)
    np.testing.assert_allclose(found.map, 0, atol=1e-12)


@pytest.mark.parametrize("method", ["smoothgrad", "vargrad"])
def test_seed_decides_and_memory_does_not(method: str) -> None:
    maps = []
    for memory, seed in ((2**29, 1), (1, 1), (2**29, 2)):
        with SegmentationModel(Smooth(), memory=memory).predict(image()) as prediction:
            maps.append(prediction.explain(CLASS, REGION, method=method, samples=5, seed=seed).map)
    np.testing.assert_allclose(maps[0], maps[1], rtol=1e-4, atol=1e-7)
    assert abs(maps[0] - maps[2]).max() > 1e-3 * maps[0].max()
