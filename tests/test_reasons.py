"""The map of reasons: two known reasons for one class, a planted outlier, and what is shown of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from segscope import (
    CannotExplain,
    InvalidInput,
    Prediction,
    PredictionClosed,
    Preprocess,
    Reasons,
    Region,
    SegmentationModel,
    Target,
    UnknownName,
)
from segscope.segments import components
from tests.networks import ZOO, Case
from tests.test_untouched import assert_same, state, used


class Detectors(nn.Module):
    """Class 1 is what is red or what is green: its logit adds up two detectors. Class 0 is all else."""

    def __init__(self) -> None:
        super().__init__()
        self.detectors = nn.Sequential(nn.Conv2d(3, 3, 1, bias=False), nn.ReLU())
        self.head = nn.Conv2d(3, 2, 1)
        with torch.no_grad():
            self.get_parameter("detectors.0.weight").copy_(torch.eye(3)[:, :, None, None])
            self.head.weight.copy_(torch.tensor([[0.0, 0, 1], [2, 2, 0]])[:, :, None, None])
            self.head.bias.zero_()

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.detectors(images))


def scene() -> Tensor:
    """A red and a green square that touch, on blue, with one green pixel in the middle of the red."""
    image = torch.zeros(3, 24, 32)
    image[2] = 1
    image[:, 4:20, 4:28] = 0
    image[0, 4:20, 4:16] = 1
    image[1, 4:20, 16:28] = 0.3
    image[:, 10, 8] = torch.tensor([0.0, 1, 0])
    return image


@pytest.fixture
def detected() -> Any:
    with SegmentationModel(Detectors(), output="logits").predict(scene()) as prediction:
        yield prediction


def test_two_reasons_for_one_class_are_told_apart(detected: Prediction) -> None:
    reasons = detected.reasons("detectors", clusters=3)
    labels = reasons.labels
    assert labels.dtype == np.int32
    assert reasons.clusters == 3
    red, green, blue = labels[5, 5], labels[5, 27], labels[0, 0]
    assert len({red, green, blue}) == 3
    # Half as bright is as sure a reason: only the direction counts.
    expected = np.where(scene()[0] > 0, red, np.where(scene()[1] > 0, green, blue))
    assert np.array_equal(labels, expected)
    assert set(np.unique(reasons.classes[(labels == red) | (labels == green)])) == {1}
    assert [reasons.top_channels(label)[0][0] for label in (red, green, blue)] == [0, 1, 2]
    ((channel, difference),) = reasons.top_channels(red)
    assert channel == 0
    assert difference == pytest.approx(1.0)
    assert reasons.class_shares(red) == {"class 1": 1.0}
    assert [np.sum(labels == label) for label in range(3)] == sorted(np.bincount(labels.ravel()))[::-1]


def test_vectors_are_the_margins_contributions(detected: Prediction) -> None:
    """The margin of class 1 over class 0 at red is 2: the red channel's own contribution, of unit length 1."""
    vectors = detected.reasons("detectors").vectors
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors[:, 5, 5], [1, 0, 0])
    np.testing.assert_allclose(vectors[:, 10, 8], [0, 1, 0])
    np.testing.assert_allclose(vectors[:, 0, 0], [0, 0, 1])


def test_planted_pixel_is_the_outlier_of_its_segment() -> None:
    image = scene()
    image[:, 4:20, 16:28] = torch.tensor([0.0, 0, 1])[:, None, None]
    with SegmentationModel(Detectors(), output="logits").predict(image) as prediction:
        reasons = prediction.reasons("detectors")
    assert np.argwhere(reasons.outliers).tolist() == [[10, 8]]
    assert reasons.distance[10, 8] > 0.9
    assert reasons.distance[4, 4] < 0.01


class Fading(nn.Module):
    """Class 1 by two channels whose shares drift along a row, as they do in a network that was trained."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Identity(), nn.Conv2d(3, 2, 1)
        with torch.no_grad():
            self.head.weight.copy_(torch.tensor([[0.0, 0, 0], [1, 1, 1]])[:, :, None, None])
            self.head.bias.copy_(torch.tensor([0.0, 1]))

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.first(images * 1))


def test_outliers_are_told_by_the_spread_of_the_others() -> None:
    """Against the definition: a loop over the segment with median and median deviation."""
    image = (
        torch.rand(3, 12, 14, generator=torch.Generator().manual_seed(1)) * 0.2
        + torch.tensor([1, 0, 0.2])[:, None, None]
    )
    image[:, 3, 4] = torch.tensor([0.0, 0.1, 1.0])
    with SegmentationModel(Fading(), output="logits").predict(image) as prediction:
        reasons = prediction.reasons("input")
    vectors = [image[:, row, column] / image[:, row, column].norm() for row in range(12) for column in range(14)]
    mean = sum(vectors) / len(vectors)
    assert isinstance(mean, Tensor)
    distances = np.array([1 - float(vector @ mean) / float(mean.norm()) for vector in vectors])
    deviation = 1.4826 * np.median(np.abs(distances - np.median(distances)))
    scores = (distances - np.median(distances)) / max(deviation, 0.01)
    np.testing.assert_allclose(reasons.distance.ravel(), distances, atol=1e-5)
    assert np.array_equal(reasons.outliers.ravel(), scores > 3.5)
    assert reasons.outliers[3, 4]
    assert reasons.outliers.sum() < 5


def test_components_are_those_of_a_singular_value_decomposition(prediction: Prediction) -> None:
    reasons = prediction.reasons("1")
    flat = reasons.vectors.reshape(len(reasons.vectors), -1).astype(np.float64)
    np.testing.assert_allclose(np.linalg.norm(flat, axis=0), 1, atol=1e-5)
    centred = flat - flat.mean(axis=1, keepdims=True)
    axes, values, _ = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(reasons.explained, (values**2 / (values**2).sum())[:3], atol=1e-5)
    for index in range(3):
        axis = axes[:, index] * np.sign(axes[np.abs(axes[:, index]).argmax(), index])
        np.testing.assert_allclose(reasons.components[index].ravel(), axis @ centred, atol=1e-4)
    assert reasons.components.dtype == reasons.explained.dtype == reasons.distance.dtype == np.float32


def test_groups_gather_like_vectors(prediction: Prediction) -> None:
    """No pixel lies nearer to another group's mean than to its own."""
    reasons = prediction.reasons("1", clusters=4)
    flat, labels = reasons.vectors.reshape(len(reasons.vectors), -1), reasons.labels.ravel()
    means = np.stack([flat[:, labels == label].mean(axis=1) for label in range(reasons.clusters)])
    nearest = ((flat.T[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    assert np.mean(nearest == labels) > 0.99


def test_same_seed_same_map(prediction: Prediction) -> None:
    first, second = prediction.reasons("1", seed=3), prediction.reasons("1", seed=3)
    for name in ("components", "labels", "distance", "outliers"):
        assert np.array_equal(getattr(first, name), getattr(second, name))
    assert first.provenance == second.provenance


def test_without_any_reason_vectors_are_zero(detected: Prediction) -> None:
    """Where a layer is zero it contributes nothing: such pixels have no direction, and no likeness to others."""
    image = scene()
    image[:, :, 20:] = 0
    with SegmentationModel(Detectors(), output="logits").predict(image) as prediction:
        reasons = prediction.reasons("detectors", clusters=32)
    assert not reasons.vectors[:, 0, 25].any()
    assert reasons.distance[0, 25] == 1
    assert reasons.clusters == 4
    assert np.isfinite(reasons.components).all()
    with SegmentationModel(Detectors(), output="logits").predict(torch.ones(3, 4, 5) * 0.5) as prediction:
        same = prediction.reasons("detectors")
    assert same.clusters == 1
    assert same.top_channels(0)
    assert not same.explained.any()
    assert same.colors().std() == 0


def test_without_forward_mode_it_goes_backward(detected: Prediction) -> None:
    from tests.test_table import Applying, OwnFunction

    with SegmentationModel(Applying(OwnFunction.apply)).predict(torch.rand(3, 5, 6)) as prediction:
        reasons = prediction.reasons("first")
        assert reasons.way == "backward"
        table = prediction.table("first", method="xgrad-cam").values
        classes = torch.from_numpy(reasons.classes).long()
        own, other = (torch.gather(table, 1, chosen.expand(4, 1, 5, 6))[:, 0] for chosen in (classes, 1 - classes))
        expected = (own - other) / (own - other).norm(dim=0)
        np.testing.assert_allclose(reasons.vectors, expected, atol=1e-5)


@pytest.fixture
def letterboxed(network: nn.Module, image: Any) -> Any:
    preprocess = Preprocess(48, fit="letterbox")
    with SegmentationModel(network, preprocess=preprocess).predict(image) as prediction:
        yield prediction


def test_pictures_are_as_large_as_the_image(letterboxed: Prediction, tmp_path: Any) -> None:
    reasons = letterboxed.reasons("1")
    letterboxed.close()
    assert reasons.labels.shape == (48, 48)
    for picture in (reasons.colors(), reasons.colors("clusters"), np.asarray(reasons.overlay("clusters"))):
        assert picture.shape == (40, 56, 3)
        assert picture.dtype == np.uint8
    assert len(np.unique(reasons.colors("clusters").reshape(-1, 3), axis=0)) == len(
        np.unique(reasons.labels[7:41])  # what isn't border
    )
    assert np.array_equal(np.asarray(reasons.overlay(opacity=0, outliers=False)), letterboxed.image)
    reasons.outliers[20:30, 20:30] = True
    assert (np.asarray(reasons.overlay(opacity=0)) == 255).all(axis=2).sum() > 20
    with Image.open(reasons.save(tmp_path / "reasons.png")) as figure:
        assert figure.size[0] > 600
    with np.load(reasons.save(tmp_path / "reasons.npz")) as file:
        assert np.array_equal(file["labels"], reasons.labels)
        assert set(file) == {"components", "explained", "labels", "distance", "outliers", "classes", "provenance"}


def test_clusters_at_the_image_are_those_below_its_pixels(detected: Prediction) -> None:
    reasons = detected.reasons("detectors")
    expected = reasons.cluster_colors[reasons.labels]
    assert np.array_equal(reasons.colors("clusters"), expected)


def test_what_cannot_be_asked_is_said(detected: Prediction, tmp_path: Any) -> None:
    for wrong in (0, 33, 2.5, True):
        with pytest.raises(InvalidInput, match="expected a whole number from 1 to 32"):
            detected.reasons("detectors", clusters=wrong)  # type: ignore[arg-type] # the mistake
    reasons = detected.reasons("detectors")
    with pytest.raises(UnknownName, match="no group of reasons 9"):
        reasons.top_channels(9)
    with pytest.raises(UnknownName, match="no way to colour reasons 'mood'"):
        reasons.colors("mood")  # type: ignore[arg-type] # the mistake
    with pytest.raises(InvalidInput, match="The opacity is 2; expected 0 to 1"):
        reasons.overlay(opacity=2)
    with pytest.raises(InvalidInput, match=r"ends with '.txt'; expected"):
        reasons.save(tmp_path / "reasons.txt")
    with pytest.raises(UnknownName, match="There is no layer 'nowhere'"):
        detected.reasons("nowhere")
    assert repr(reasons) == "Reasons('detectors', clusters=3, map=24×32)"
    small = SegmentationModel(Detectors(), output="logits", memory=1000)
    with small.predict(scene()) as prediction, pytest.raises(CannotExplain, match="model's memory is 0 MiB"):
        prediction.reasons("detectors")
    detected.close()
    with pytest.raises(PredictionClosed, match="was closed"):
        detected.reasons("detectors")


def test_cancelling_leaves_nothing_behind() -> None:
    network = used(Detectors())

    def tell(_share: float) -> None:
        raise KeyError

    with SegmentationModel(network, output="logits").predict(scene()) as prediction:
        before = state(network)
        with pytest.raises(KeyError, match="^$"):
            prediction.reasons("detectors", progress=tell)
        assert_same(before, state(network))
        assert isinstance(prediction.reasons("detectors"), Reasons)
        assert_same(before, state(network))


def test_connected_parts() -> None:
    mask = np.array([[0, 0, 1], [1, 0, 1], [0, 1, 0]], dtype=np.int32)
    # Corners connect: ones at (1, 0) and (2, 1), and those of the right column; zeros from (1, 1) to both corners.
    assert components(mask).tolist() == [[0, 0, 1], [1, 0, 1], [0, 1, 0]]
    assert components(np.array([[0, 1, 0]], dtype=np.int32)).tolist() == [[0, 1, 2]]


@pytest.mark.parametrize("case", ZOO, ids=[case.name for case in ZOO])
def test_contributions_are_hires_cam_where_logits_depend_on_their_own_place(case: Case) -> None:
    """At each layer: either Σ g · contributions is the HiResCAM map of any score, or the layer is refused."""
    served = []
    with SegmentationModel(case.build(), output=case.read).predict(case.input()) as prediction:
        for layer in prediction.layers:
            try:
                contributions = prediction.contributions(layer)
            except CannotExplain:
                continue
            served.append(layer)
            for target in (Target(1, Region.box(2, 1, 9, 8)), Target(0, Region.everywhere(), score="probability")):
                question, _ = prediction.question(target)
                logits = torch.from_numpy(prediction.logits)[None].requires_grad_()
                gradient = torch.autograd.grad(question.score(logits).sum(), logits)[0][0]
                expected = prediction.explain(target, layer=layer, method="hires-cam", relu=False).map
                found = (gradient * contributions).sum(0).numpy()
                np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    last = list(prediction.layers)[-1]
    assert last in served or case.name == "dict with auxiliary head"
    assert len(served) < len(prediction.layers) or case.name == "list in place"


def test_layer_whose_logits_depend_on_more_is_refused() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 2, 3, padding=1))
    with SegmentationModel(network).predict(torch.rand(3, 8, 9)) as prediction:
        with pytest.raises(CannotExplain, match="depends on other places than its own"):
            prediction.contributions("0")
        assert prediction.contributions("1").shape == (2, 8, 9)
    strided = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 2, 2, stride=2))
    with (
        SegmentationModel(strided).predict(torch.rand(3, 8, 10)) as prediction,
        pytest.raises(CannotExplain, match="has 8×10 places and the logits have 4×5"),
    ):
        prediction.contributions("0")
