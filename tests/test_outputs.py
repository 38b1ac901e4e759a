"""Whatever a network returns, as logits."""

from __future__ import annotations

from collections import OrderedDict
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from segscope import Region, SegmentationModel, UnknownName, UnsupportedNetwork
from segscope.outputs import read_logits
from tests.networks import Activated

SIZE = (16, 24)


def read(raw: Any, classes: int | None = 3, **options: Any) -> Tensor:
    given = {"input_size": SIZE, "output": "auto", "channels_last": None} | options
    return read_logits(raw, classes=classes, **given).values


LOGITS = torch.randn(1, 3, 8, 12)
LAST = LOGITS.permute(0, 2, 3, 1)


@pytest.mark.parametrize(
    "raw",
    [
        LOGITS,
        LOGITS[0],
        LAST,
        LAST[0],
        LOGITS.double(),
        {"out": LOGITS, "aux": -LOGITS},
        {"aux": -LOGITS, "out": LOGITS},
        {"logits": LOGITS, "loss": None},
        OrderedDict(seg=LOGITS),
        {"out": [LOGITS, -LOGITS]},
        SimpleNamespace(logits=LOGITS),
        SimpleNamespace(logits=LAST),
        (LOGITS, -LOGITS),
        [LOGITS],
        [[LOGITS, -LOGITS], -LOGITS],
        ({"out": LOGITS}, 3),
        [SimpleNamespace(logits=LOGITS)],
    ],
    ids=range(17),
)
@pytest.mark.parametrize("classes", [3, None])
def test_outputs_understood(raw: Any, classes: int | None) -> None:
    torch.testing.assert_close(read(raw, classes), LOGITS)


def test_half_precision_becomes_float32() -> None:
    for dtype in (torch.float16, torch.bfloat16):
        found = read(LOGITS.to(dtype))
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, LOGITS, atol=0.05, rtol=0.05)


@pytest.mark.parametrize(
    "raw", [LOGITS[:, :1], LOGITS[0, :1], LOGITS[:, 0], LAST[..., :1], LAST[0, :, :, :1]], ids=range(5)
)
@pytest.mark.parametrize("classes", [2, None])
def test_one_channel_becomes_two_classes(raw: Tensor, classes: int | None) -> None:
    found = read_logits(raw, classes=classes, input_size=SIZE, output="auto", channels_last=None)
    torch.testing.assert_close(found.values, torch.cat([-LOGITS[:, :1], LOGITS[:, :1]], 1))
    torch.testing.assert_close(torch.softmax(found.values / found.temperature, 1)[:, 1:], LOGITS[:, :1].sigmoid())


@pytest.mark.parametrize(
    ("shape", "classes", "options", "expected"),
    [
        ((1, 6, 8, 8), None, {"input_size": (64, 64)}, (6, 8, 8)),
        ((1, 8, 8, 6), None, {"input_size": (64, 64)}, (6, 8, 8)),
        ((1, 8, 8, 8), None, {"input_size": (64, 64)}, (8, 8, 8)),
        ((1, 6, 6, 6), 6, {"input_size": (64, 64)}, (6, 6, 6)),
        ((1, 6, 12, 6), 6, {"input_size": (64, 128)}, (6, 6, 12)),
        ((1, 6, 6, 12), 6, {"input_size": (64, 128)}, (6, 6, 12)),
        ((1, 16, 16, 4), 4, {"input_size": (16, 16)}, (4, 16, 16)),
        ((1, 16, 4, 16), 16, {"input_size": (16, 4)}, (16, 16, 4)),
        ((1, 29, 22, 40), None, {"input_size": (225, 170)}, (40, 29, 22)),
        ((1, 40, 29, 22), None, {"input_size": (225, 170)}, (40, 29, 22)),
    ],
)
def test_channels_are_found(shape: Any, classes: int | None, options: Any, expected: Any) -> None:
    assert tuple(read(torch.randn(shape), classes, **options).shape[1:]) == expected


def test_channels_can_be_named() -> None:
    assert read(torch.randn(1, 6, 6, 6), 6, channels_last=True).shape == (1, 6, 6, 6)
    values = torch.randn(1, 6, 6, 6)
    torch.testing.assert_close(read(values, 6, channels_last=True), values.permute(0, 3, 1, 2))
    torch.testing.assert_close(read(values, 6, channels_last=False), values)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_probabilities_are_recognised(dtype: torch.dtype) -> None:
    probabilities = torch.softmax(LOGITS * 3, 1).to(dtype)
    found = torch.softmax(read(probabilities), 1)
    torch.testing.assert_close(
        found, probabilities.float() / probabilities.float().sum(1, keepdim=True), atol=1e-3, rtol=1e-3
    )


def test_logits_between_zero_and_one_stay_logits() -> None:
    values = torch.rand(1, 3, 8, 12)
    assert torch.equal(read(values), values)
    one = torch.rand(1, 1, 8, 12)
    assert torch.equal(read(one, 2)[:, 1:], one)


def test_what_the_numbers_are_can_be_said() -> None:
    probabilities = torch.softmax(LOGITS, 1)
    assert torch.equal(read(probabilities, output="logits"), probabilities)
    scaled = probabilities * 0.5
    torch.testing.assert_close(read(scaled, output="probabilities"), scaled.log())
    one = torch.rand(1, 1, 8, 12) * 0.98 + 0.01
    found = read_logits(one, classes=2, input_size=SIZE, output="probabilities", channels_last=None)
    torch.testing.assert_close(torch.softmax(found.values / found.temperature, 1)[:, 1:], one)


def test_zero_and_one_probabilities_stay_finite() -> None:
    for values in (torch.eye(3)[None, :, :, None].expand(1, 3, 3, 4), torch.tensor([[[[0.0, 1.0]]]])):
        assert torch.isfinite(
            read(values.contiguous(), values.shape[1] if values.shape[1] > 1 else 2, output="probabilities")
        ).all()


def test_own_function_reads_the_output() -> None:
    raw = {"deep": {"er": LOGITS}, "other": 1}
    torch.testing.assert_close(read(raw, output=lambda raw: raw["deep"]["er"]), LOGITS)
    with pytest.raises(UnsupportedNetwork, match=r"output= failed on the network's output \(a mapping.*KeyError"):
        read(raw, output=lambda raw: raw["nothing"])
    with pytest.raises(UnsupportedNetwork, match="holds no class scores"):
        read(raw, output=lambda raw: raw["other"])


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (None, r"\(a NoneType\) holds no class scores"),
        (3, r"\(a int\) holds no class scores"),
        ("logits", r"\(a str\)"),
        ([], r"\(a list\)"),
        ((), r"\(a tuple\)"),
        ({}, "with the keys none"),
        ({"a": LOGITS, "b": LOGITS}, "with the keys 'a', 'b'"),
        (SimpleNamespace(scores=LOGITS), r"\(a SimpleNamespace\)"),
        (LOGITS.argmax(1), r"a tensor of torch.int64 with shape \(1, 8, 12\)"),
        (LOGITS.to(torch.complex64), "torch.complex64"),
        (torch.randn(5), r"shape \(5,\); expected 1×classes×height×width"),
        (torch.randn(2, 3, 8, 12), r"shape \(2, 3, 8, 12\)"),
        (torch.randn(1, 3, 2, 8, 12), r"shape \(1, 3, 2, 8, 12\)"),
        (torch.randn(1, 3, 0, 12), r"shape \(1, 3, 0, 12\)"),
        (LOGITS * float("nan"), "NaN or infinite"),
        (LOGITS / 0, "NaN or infinite"),
        (torch.randn(1, 5, 8, 12), r"puts out 5 classes \(shape .*\), but 3 class names were given"),
        (torch.randn(1, 1, 8, 12), r"puts out 2 classes .*but 3 class names"),
    ],
    ids=range(18),
)
def test_outputs_not_understood(raw: Any, message: str) -> None:
    with pytest.raises(UnsupportedNetwork, match=message):
        read(raw)


def test_number_of_classes_must_fit_the_names(image: np.ndarray) -> None:
    with pytest.raises(UnsupportedNetwork, match="puts out 4 classes .*but 2 class names were given"):
        SegmentationModel(nn.Conv2d(3, 4, 1), classes=("a", "b")).predict(image)


def test_kind_of_output_must_be_known() -> None:
    with pytest.raises(UnknownName, match="no kind of output 'probability'. Did you mean 'probabilities'"):
        SegmentationModel(nn.Conv2d(3, 4, 1), output="probability")  # type: ignore[arg-type]


def squeezed(values: Tensor) -> Tensor:
    return nn.functional.interpolate(values.sigmoid(), scale_factor=2, mode="bilinear").squeeze(1)


@pytest.mark.parametrize("activation", [torch.sigmoid, squeezed, nn.Sigmoid()])
def test_one_channel_that_ends_in_a_sigmoid_gives_probabilities(activation: Any, image: np.ndarray) -> None:
    network = Activated(True, 1, activation).eval()
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None] / 255
    with torch.no_grad():  # both classes are predicted
        network.body[3].bias -= network.body(pixels).median()
    expected = network(torch.from_numpy(image).permute(2, 0, 1)[None] / 255)
    prediction = SegmentationModel(network, classes=("sea", "land")).predict(image)
    if activation is not squeezed:
        land = expected[0, 0].detach().numpy()
        np.testing.assert_allclose(prediction.probabilities[1], land, atol=1e-5)
        np.testing.assert_allclose(prediction.confidence, np.maximum(land, 1 - land), atol=1e-5)
    assert prediction.logits.shape == (2, *expected.shape[-2:])
    np.testing.assert_array_equal(prediction.logits[0], -prediction.logits[1])
    assert 0 < (prediction.mask == 1).mean() < 1
    assert prediction.explain(1, Region.everywhere(), layer="body.0").limit > 0


@pytest.mark.parametrize("activation", [nn.Softmax(1), nn.LogSoftmax(1), nn.Identity()])
def test_softmaxed_network_gives_its_own_probabilities(activation: nn.Module, image: np.ndarray) -> None:
    network = Activated(True, 4, activation).eval()
    expected = network.body(torch.from_numpy(image).permute(2, 0, 1)[None] / 255).softmax(1)[0].detach().numpy()
    prediction = SegmentationModel(network).predict(image)
    np.testing.assert_allclose(prediction.probabilities, expected, atol=1e-5)
    np.testing.assert_array_equal(prediction.mask, expected.argmax(0))
    found = prediction.explain(1, Region.everywhere(), layer="body.0", score="probability")
    plain = (
        SegmentationModel(network.body).predict(image).explain(1, Region.everywhere(), layer="0", score="probability")
    )
    np.testing.assert_allclose(found.map, plain.map, rtol=1e-3, atol=1e-5 * plain.limit)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_networks_of_other_precision(dtype: torch.dtype, image: np.ndarray) -> None:
    network = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(6, 3, 1))
    exact = SegmentationModel(network).predict(image)
    expected = exact.explain(1, Region.everywhere(), layer="0", relu=False)
    prediction = SegmentationModel(network.to(dtype)).predict(image)
    found = prediction.explain(1, Region.everywhere(), layer="0", relu=False)
    assert found.map.dtype == found.values.dtype == prediction.logits.dtype == np.float32
    tolerance = 1e-4 if dtype == torch.float64 else 0.1
    np.testing.assert_allclose(found.map, expected.map, atol=tolerance * expected.limit)


def test_network_without_gradients(image: np.ndarray) -> None:
    class Frozen(nn.Module):
        def __init__(self, how: Any) -> None:
            super().__init__()
            self.body, self.how = nn.Conv2d(3, 3, 1), how

        def forward(self, images: Tensor) -> Tensor:
            return self.how(self.body, images)

    def under_no_grad(body: nn.Module, images: Tensor) -> Tensor:
        with torch.no_grad():
            return body(images)

    def under_inference_mode(body: nn.Module, images: Tensor) -> Tensor:
        with torch.inference_mode():
            return body(images)

    for how in (
        under_no_grad,
        under_inference_mode,
        lambda body, images: body(images).detach(),
        lambda body, images: body(images.detach()),
    ):
        with SegmentationModel(Frozen(how)).predict(image) as prediction:
            assert prediction.mask.shape == prediction.size
            assert dict(prediction.layers) == {}
            with pytest.raises(UnsupportedNetwork, match="Gradients don't flow from the network's output to its input"):
                prediction.explain(0, Region.everywhere())
            with pytest.raises(UnsupportedNetwork, match="Gradients don't flow"):
                prediction.explain_all()


@pytest.mark.parametrize("kind", [dict, SimpleNamespace])
def test_queries_are_joined_to_shares_of_each_class(kind: Any) -> None:
    classes, masks = torch.randn(1, 5, 4, requires_grad=True), torch.randn(1, 5, 8, 12, requires_grad=True)
    raw = kind(class_queries_logits=classes, masks_queries_logits=masks, loss=None)
    logits = read_logits(raw, classes=3, input_size=SIZE, output="auto", channels_last=None)
    assert logits.queries == 5
    shares = torch.zeros(3, 8, 12)
    for query in range(5):
        # The last class stands for nothing.
        shares += classes[0, query].softmax(0)[:3, None, None] * masks[0, query].sigmoid()
    torch.testing.assert_close(logits.values[0].softmax(0), shares / shares.sum(0))
    for gradient in torch.autograd.grad(logits.values[0, 1].mean(), (classes, masks)):
        assert gradient.abs().max() > 0
