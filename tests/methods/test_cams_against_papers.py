"""The other class activation maps against slow references written from their papers: loops in double precision.

Gradients are finite differences; nothing here uses segscope's own resizing, regions, scores or gradients.
"""

from __future__ import annotations

import copy
import functools
import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from segscope import Region, SegmentationModel
from segscope.methods.cam import grad_cam_plus_plus, xgrad_cam
from segscope.methods.eigen import eigen_cam, eigen_grad_cam

SIZE, LOW, CHANNELS, CLASSES, CLASS = (6, 8), (3, 4), 4, 4, 1
Array = NDArray[np.float64]
Mix = dict[int, float]


class Smooth(nn.Module):
    """Smooth everywhere; its ``stem`` is never negative, as after a rectifier, its ``body`` has both signs."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, CHANNELS, 3, 2, 1), nn.Softplus())
        self.body = nn.Sequential(nn.Conv2d(CHANNELS, 5, 3, padding=1), nn.Tanh())
        self.head = nn.Conv2d(5, CLASSES, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.body(self.stem(images)))

    def before(self, place: str) -> nn.Module:
        return {"input": nn.Identity(), "stem": self.stem, "body": nn.Sequential(self.stem, self.body)}[place]

    def after(self, place: str) -> nn.Module:
        return {"input": self, "stem": nn.Sequential(self.body, self.head), "body": self.head}[place]


@functools.cache
def setting() -> tuple[Smooth, Smooth, Tensor]:
    """The network, its twin in double precision, and an image of which every class is predicted somewhere."""
    generator = torch.Generator().manual_seed(5)
    network = Smooth()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.6, generator=generator)
    image = torch.randn(3, *SIZE, generator=generator)
    with torch.no_grad():
        network.head.bias -= network(image[None]).mean((0, 2, 3))
    return network, copy.deepcopy(network).double(), image


def upsampled(values: Array) -> Array:
    """Bilinear interpolation of one map with pixel centres at half-integers, from its definition."""
    height, width = values.shape
    result = np.zeros(SIZE)
    for row in range(SIZE[0]):
        for column in range(SIZE[1]):
            y = min(max((row + 0.5) * height / SIZE[0] - 0.5, 0), height - 1)
            x = min(max((column + 0.5) * width / SIZE[1] - 0.5, 0), width - 1)
            top, left = math.floor(y), math.floor(x)
            bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
            upper = (1 - (x - left)) * values[top, left] + (x - left) * values[top, right]
            lower = (1 - (x - left)) * values[bottom, left] + (x - left) * values[bottom, right]
            result[row, column] = (1 - (y - top)) * upper + (y - top) * lower
    return result


@functools.cache
def upsampling_matrix() -> Array:
    return np.stack([upsampled(unit.reshape(LOW)).ravel() for unit in np.eye(LOW[0] * LOW[1])])


def scores(logits: Tensor, weights: Array, mix: Mix, kind: str) -> Array:
    """The region-weighted mean of the classes' values, each times its factor, for each of the logits."""
    full = logits.detach().numpy().reshape(len(logits), CLASSES, -1) @ upsampling_matrix()
    if kind == "probability":
        full = np.exp(full) / np.exp(full).sum(1, keepdims=True)
    mixed = sum(factor * full[:, index] for index, factor in mix.items())
    return np.asarray(mixed @ weights.ravel() / weights.sum())


def region(kind: str) -> tuple[Region | None, Array]:
    weights = np.zeros(SIZE)
    if kind == "pixel":
        weights[2, 5] = 1
        return Region.pixel(2, 5), weights
    if kind == "box":
        weights[1:5, 1:7] = 1
        return Region.box(1, 1, 5, 7), weights
    _, exact, image = setting()
    logits = exact(image[None].double())[0].detach().numpy()
    return None, (np.stack([upsampled(values) for values in logits]).argmax(0) == CLASS).astype(float)


class Reference:
    """Activation, gradient and scores of one place for one question, in double precision."""

    def __init__(self, place: str, kind: str, against: int | None, score_kind: str) -> None:
        _, self.network, image = setting()
        self.image = image.double()
        self.place, self.kind = place, score_kind
        self.weights = region(kind)[1]
        self.against = against
        self.mix = {CLASS: 1.0} | ({} if against is None else {against: -1.0})
        with torch.no_grad():
            self.activation = self.network.before(place)(self.image[None])[0].numpy()

    def score(self, maps: Array, place: str, mix: Mix | None = None) -> Array:
        with torch.no_grad():
            logits = self.network.after(place)(torch.from_numpy(maps))
        return scores(logits, self.weights, mix or self.mix, self.kind)

    def gradient(self, mix: Mix | None = None) -> Array:
        step = 1e-4
        units = np.eye(self.activation.size).reshape(-1, *self.activation.shape) * step
        up, down = (self.score(self.activation + sign * units, self.place, mix) for sign in (1, -1))
        return np.asarray((up - down) / (2 * step)).reshape(self.activation.shape)


def summed(weights: list[float], activation: Array) -> Array:
    return np.asarray(sum(weight * channel for weight, channel in zip(weights, activation, strict=True)))


def grad_cam_reference(reference: Reference, mix: Mix | None = None) -> Array:
    """Selvaraju et al. 2017, equations 1 and 2."""
    return summed([channel.mean() for channel in reference.gradient(mix)], reference.activation)


def grad_cam_plus_plus_reference(reference: Reference) -> Array:
    """Chattopadhay et al. 2018, equations 5, 6 and 11 to 19: Y = exp(S), whose derivatives are powers of S's."""
    weights = []
    for a, g in zip(reference.activation, reference.gradient(), strict=True):
        # One value of exp(S) for all places and channels, by which the map is divided in the end: 3 is as good as any.
        y, weight = 3.0, 0.0
        total = max(sum(float(value) for value in a.ravel()), 0.0)
        for value in g.ravel():
            first, second, third = y * value, y * value**2, y * value**3
            if first > 0:
                weight += second / (2 * second + total * third) * first
        weights.append(weight / y)
    return summed(weights, reference.activation)


def xgrad_cam_reference(reference: Reference) -> Array:
    """Fu et al. 2020, equation 8."""
    weights = []
    for a, g in zip(reference.activation, reference.gradient(), strict=True):
        total = sum(float(value) for value in a.ravel())
        weights.append(sum(float(x) / total * float(y) for x, y in zip(a.ravel(), g.ravel(), strict=True)))
    return summed(weights, reference.activation)


def seg_xres_cam_reference(reference: Reference, pool_size: int = 2, pooling: str = "mean") -> Array:
    """Hasany et al. 2023: each place with what stands for the gradients of its window."""
    gradient = reference.gradient()
    channels, height, width = gradient.shape
    result = np.zeros((height, width))
    for channel in range(channels):
        for row in range(height):
            for column in range(width):
                top, left = row // pool_size * pool_size, column // pool_size * pool_size
                window = gradient[channel, top : top + pool_size, left : left + pool_size]
                pooled = window.mean() if pooling == "mean" else window.max()
                result[row, column] += pooled * reference.activation[channel, row, column]
    return result


def leading(channels: Array, centred: bool = False) -> Array:
    """Muhammad and Yeasin 2020, equation 4: O V₁ for the singular value decomposition O = U Σ Vᵀ."""
    if centred:
        channels = np.stack([channel - channel.mean() for channel in channels])
    places = channels.reshape(len(channels), -1).T
    first = np.linalg.svd(places)[2][0]
    projected = (places @ first).reshape(channels.shape[1:])
    return np.asarray(projected if (projected * channels.sum(0)).sum() > 0 else -projected)


def eigen_cam_reference(reference: Reference, centred: bool = False) -> Array:
    return leading(reference.activation, centred)


def eigen_grad_cam_reference(reference: Reference, centred: bool = False) -> Array:
    return leading(reference.activation * reference.gradient(), centred)


def score_cam_reference(reference: Reference, weighting: str = "softmax", baseline: str = "zero") -> Array:
    """Wang et al. 2020, definition 3 and algorithm 1."""
    image = reference.image.numpy()
    absent = np.zeros_like(image) if baseline == "zero" else np.ones_like(image) * image.mean((1, 2), keepdims=True)
    increases = []
    for channel in reference.activation:
        mask = upsampled(channel)
        mask = (mask - mask.min()) / (mask.max() - mask.min())
        masked = np.stack([image * mask + absent * (1 - mask), absent])
        seen, nothing = reference.score(masked, "input")
        increases.append(float(seen - nothing))
    if weighting == "increase":
        return summed(increases, reference.activation)
    total = sum(math.exp(increase) for increase in increases)
    return summed([math.exp(increase) / total for increase in increases], reference.activation)


def ablation_cam_reference(reference: Reference, baseline: str = "zero") -> Array:
    """Desai and Ramaswamy 2020, equation 3, times the score, by which the paper divides."""
    weights = []
    whole = reference.score(reference.activation[None], reference.place)[0]
    for index, channel in enumerate(reference.activation):
        without = reference.activation.copy()
        without[index] = 0 if baseline == "zero" else channel.mean()
        weights.append(float(whole - reference.score(without[None], reference.place)[0]))
    return summed(weights, reference.activation)


def finer_cam_reference(reference: Reference, comparisons: int = 3, strength: float = 0.6) -> Array:
    """Zhang et al. 2025: Grad-CAM of the class's score minus strength times each similar class's, on average."""
    with torch.no_grad():
        logits = reference.network(reference.image[None])
    means = {k: float(scores(logits, reference.weights, {k: 1.0}, "logit")[0]) for k in range(CLASSES) if k != CLASS}
    similar = sorted(means, key=lambda k: -means[k])[:comparisons]
    if reference.against is not None:
        similar = [reference.against]
    maps = [grad_cam_reference(reference, {CLASS: 1.0, other: -strength}) for other in similar]
    return np.asarray(sum(maps) / len(maps))


CASES = [
    ("grad-cam-plus-plus", grad_cam_plus_plus_reference, {}),
    ("xgrad-cam", xgrad_cam_reference, {}),
    ("seg-xres-cam", seg_xres_cam_reference, {}),
    ("seg-xres-cam", seg_xres_cam_reference, {"pool_size": 3, "pooling": "max"}),
    ("eigen-cam", eigen_cam_reference, {}),
    ("eigen-cam", eigen_cam_reference, {"centred": True}),
    ("eigen-grad-cam", eigen_grad_cam_reference, {}),
    ("eigen-grad-cam", eigen_grad_cam_reference, {"centred": True}),
    ("score-cam", score_cam_reference, {}),
    ("score-cam", score_cam_reference, {"weighting": "increase", "baseline": "mean"}),
    ("ablation-cam", ablation_cam_reference, {}),
    ("ablation-cam", ablation_cam_reference, {"baseline": "mean"}),
    ("finer-cam", finer_cam_reference, {}),
    ("finer-cam", finer_cam_reference, {"comparisons": 1, "strength": 1.5}),
]


@pytest.mark.parametrize("kind", ["default", "pixel", "box"])
@pytest.mark.parametrize(("against", "score_kind"), [(None, "logit"), (2, "logit"), (2, "probability")])
@pytest.mark.parametrize("place", ["stem", "body"])
@pytest.mark.parametrize(
    ("method", "function", "parameters"), CASES, ids=[f"{name} {given or ''}".strip() for name, _, given in CASES]
)
def test_map_equals_its_paper(  # noqa: PLR0917 # pytest gives them by name
    method: str, function: Any, parameters: dict[str, Any], place: str, kind: str, against: int | None, score_kind: Any
) -> None:
    network, _, image = setting()
    asked: dict[str, Any] = {"layer": place, "method": method, "against": against, "score": score_kind, **parameters}
    with SegmentationModel(network).predict(image) as prediction:
        signed = prediction.explain(CLASS, region(kind)[0], relu=False, **asked)
        found = prediction.explain(CLASS, region(kind)[0], **asked)
    expected = function(Reference(place, kind, against, score_kind), **parameters)
    largest = np.abs(expected).max()
    np.testing.assert_allclose(signed.map, expected, rtol=0, atol=5e-5 * largest)
    np.testing.assert_allclose(found.map, np.maximum(expected, 0), rtol=0, atol=5e-5 * largest)
    assert largest > 1e-6
    assert signed.signed
    assert not found.signed


def channels(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_grad_cam_plus_plus_of_small_gradients_and_negative_channels_is_finite() -> None:
    activation, gradient = channels(1, 3, 4, 5), channels(2, 3, 4, 5).abs()
    activation[0] = -2 / gradient[0, 0, 0] / 20  # where the paper's denominator vanishes
    assert torch.isfinite(grad_cam_plus_plus(activation, gradient, relu=False)).all()
    # Of a mean over many pixels: far smaller than what float32 can square, while the coefficient is one half.
    tiny = grad_cam_plus_plus(activation.abs(), gradient * 1e-25)
    torch.testing.assert_close(tiny, 0.5e-25 * (gradient.sum((1, 2)) @ activation.abs().flatten(1)).reshape(4, 5))


def test_xgrad_cam_adds_up_to_activation_times_gradient_and_leaves_out_what_cancels() -> None:
    activation, gradient = channels(1, 3, 4, 5).abs(), channels(2, 3, 4, 5)
    torch.testing.assert_close(xgrad_cam(activation, gradient, relu=False).sum(), (activation * gradient).sum())
    cancelling = torch.cat([activation, torch.tensor([[0.1, -0.1, 0.7, -0.7, 0.0]]).expand(1, 4, 5)])
    more = torch.cat([gradient, channels(3, 1, 4, 5)])
    torch.testing.assert_close(
        xgrad_cam(cancelling, more, relu=False), xgrad_cam(activation, gradient, relu=False), rtol=0, atol=0
    )


@pytest.mark.parametrize("shape", [(4, 6, 7), (60, 3, 5), (1, 2, 2), (3, 1, 1)])
def test_leading_component_of_any_shape_and_its_sign(shape: tuple[int, int, int]) -> None:
    activation, gradient = channels(1, *shape), channels(2, *shape)
    for found, of in (
        (eigen_cam(activation, gradient, relu=False), activation),
        (eigen_grad_cam(activation, gradient, relu=False), activation * gradient),
    ):
        expected = leading(of.double().numpy())
        np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    opposite = eigen_grad_cam(activation, -gradient, relu=False)
    torch.testing.assert_close(opposite, -eigen_grad_cam(activation, gradient, relu=False))
    small = eigen_grad_cam(activation, gradient * 2**-80, relu=False)
    torch.testing.assert_close(small * 2.0**80, -opposite)
    assert not eigen_cam(torch.zeros(shape), gradient).any()


def test_eigen_cam_after_a_rectifier_is_never_negative() -> None:
    activation = channels(1, 6, 4, 5).clamp(min=0)
    assert (eigen_cam(activation, activation, relu=False) >= -1e-6).all()
