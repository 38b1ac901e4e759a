"""Networks of several inputs: one explained at a time, the others as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from segscope import (
    CannotExplain,
    InvalidImage,
    InvalidInput,
    Prediction,
    Preprocess,
    Region,
    SegmentationModel,
    SeveralInputs,
    UnsupportedNetwork,
    Windows,
)
from segscope.methods import all_methods

INPUTS = {"image": 3, "depth": 1}
CLASSES = ("floor", "wall", "lamp")


class Fusion(nn.Module):
    """One branch for each input, joined and judged together."""

    def __init__(self) -> None:
        super().__init__()
        self.colors = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(inplace=True))
        self.heights = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(inplace=True))
        self.join = nn.Sequential(nn.Conv2d(8, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(inplace=True))
        self.head = nn.Conv2d(6, 3, 1)

    def forward(self, image: Tensor, depth: Tensor) -> Tensor:
        return self.head(self.join(torch.cat([self.colors(image), self.heights(depth)], 1)))


@pytest.fixture
def fusion() -> Fusion:
    return Fusion().eval()


@pytest.fixture
def rgb() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)


@pytest.fixture
def depth() -> NDArray[np.uint16]:
    return np.random.default_rng(1).integers(0, 2**16, (12, 16), np.uint16)


@pytest.fixture
def model(fusion: Fusion) -> SegmentationModel:
    return SegmentationModel(SeveralInputs(fusion, INPUTS), classes=CLASSES)


@pytest.fixture
def prediction(model: SegmentationModel, rgb: NDArray[Any], depth: NDArray[Any]) -> Prediction:
    return model.predict({"depth": depth, "image": rgb})


def tensor(values: NDArray[Any]) -> Tensor:
    """Return pixels as the network gets them, 1×C×h×w."""
    stacked = values[..., None] if values.ndim == 2 else values
    return torch.from_numpy(stacked.astype(np.float64) / np.iinfo(values.dtype).max).float().permute(2, 0, 1)[None]


def test_logits_are_those_of_the_network(
    prediction: Prediction, fusion: Fusion, rgb: NDArray[Any], depth: NDArray[Any]
) -> None:
    expected = fusion(tensor(rgb), tensor(depth))[0].detach().numpy()
    np.testing.assert_allclose(prediction.logits, expected, atol=1e-5)
    np.testing.assert_array_equal(prediction.image, rgb)
    assert prediction.model.name == "Fusion"
    assert prediction.model.inputs == INPUTS
    assert prediction.model.bands == prediction.input.channels == 4


def test_all_ways_to_hand_in_the_inputs(
    model: SegmentationModel, prediction: Prediction, rgb: NDArray[Any], depth: NDArray[Any], tmp_path: Path
) -> None:
    Image.fromarray(rgb).save(tmp_path / "photo.png")
    Image.fromarray(depth).save(tmp_path / "depth.png")
    stack = np.dstack([rgb.astype(np.uint16) * 257, depth])
    np.save(tmp_path / "stack.npy", stack)
    ways: tuple[Any, ...] = (
        {"image": tmp_path / "photo.png", "depth": str(tmp_path / "depth.png")},
        {"image": Image.fromarray(rgb), "depth": Image.open(tmp_path / "depth.png")},
        {"image": tensor(rgb)[0], "depth": tensor(depth)[0]},
        {"image": tensor(rgb), "depth": tensor(depth)[0, 0]},
        {"image": rgb, "depth": tensor(depth)[0, 0].numpy()},
        {"image": tensor(rgb)[0], "depth": depth[..., None]},
        stack,
        tmp_path / "stack.npy",
        torch.cat([tensor(rgb), tensor(depth)], 1),
    )
    for given in ways:
        np.testing.assert_allclose(model.predict(given).logits, prediction.logits, atol=1e-5)


def test_first_input_is_shown(fusion: Fusion, rgb: NDArray[Any], depth: NDArray[Any]) -> None:
    class Turned(nn.Module):
        def forward(self, depth: Tensor, image: Tensor) -> Tensor:
            return fusion(image, depth)

    given = {"image": rgb, "depth": (depth >> 8).astype(np.uint8)}
    model = SegmentationModel(SeveralInputs(Turned(), {"depth": 1, "image": 3}))
    np.testing.assert_array_equal(model.predict(given).image, np.repeat(given["depth"][..., None], 3, 2))
    other = model.with_options(shown_bands=(1, 2, 3))
    np.testing.assert_array_equal(other.predict(given).image, rgb)
    np.testing.assert_array_equal(other.picture(given, bands=(0,))[..., 0], given["depth"])


def test_each_input_is_a_layer(prediction: Prediction) -> None:
    assert [(name, prediction.layers[name].channels) for name in INPUTS] == [("image", 3), ("depth", 1)]
    assert {
        ("input", "image"),
        ("input", "depth"),
        ("image", "network.colors.0"),
        ("depth", "network.heights.0"),
    } <= set(prediction.edges)
    assert prediction.default_layer == "network.join"


def test_gradient_of_one_input(prediction: Prediction, fusion: Fusion, rgb: NDArray[Any], depth: NDArray[Any]) -> None:
    first, second = tensor(rgb).requires_grad_(), tensor(depth).requires_grad_()
    score = fusion(first, second)[0, 1].mean()
    for name, gradient in zip(INPUTS, torch.autograd.grad(score, [first, second]), strict=True):
        found = prediction.explain("wall", Region.everywhere(), layer=name, method="saliency")
        np.testing.assert_allclose(found.map, gradient[0].abs().amax(0).numpy(), atol=1e-7)
        assert found.map.any()


def test_integrated_gradients_of_one_input_hold_the_other(
    prediction: Prediction, fusion: Fusion, rgb: NDArray[Any], depth: NDArray[Any]
) -> None:
    for name in INPUTS:
        found = prediction.explain("wall", Region.everywhere(), layer=name, method="integrated-gradients", steps=200)
        given = {"image": tensor(rgb), "depth": tensor(depth)}
        with torch.no_grad():
            whole = fusion(**given)[0, 1].mean()
            without = fusion(**given | {name: torch.zeros_like(given[name])})[0, 1].mean()
        assert float(found.map.sum()) == pytest.approx(float(whole - without), abs=2e-4)


def test_occlusion_of_one_input_hides_it_alone(
    prediction: Prediction, fusion: Fusion, rgb: NDArray[Any], depth: NDArray[Any]
) -> None:
    found = prediction.explain(
        "wall", Region.everywhere(), layer="depth", method="occlusion", size=0.25, stride=1.0, baseline="zero"
    )
    hidden = tensor(depth)
    size = round(0.25 * 16)
    hidden[..., :size, :size] = 0
    with torch.no_grad():
        drop = (fusion(tensor(rgb), tensor(depth)) - fusion(tensor(rgb), hidden))[0, 1].mean()
    assert float(found.map[0, 0]) == pytest.approx(float(drop), abs=1e-5)


ON_THE_WHOLE_IMAGE = ("extremal-perturbation", "grid-saliency")
ON_ONE_INPUT = [
    name for name, method in all_methods().items() if method.family != "attention" and name not in ON_THE_WHOLE_IMAGE
]


@pytest.mark.parametrize("method", ON_ONE_INPUT)
def test_method_explains_one_input(prediction: Prediction, method: str) -> None:
    quick = {"samples", "masks", "steps"}
    given: dict[str, Any] = {each.name: each.minimum for each in all_methods()[method].parameters if each.name in quick}
    found = prediction.explain("wall", Region.box(2, 2, 8, 9), layer="depth", method=method, **given)
    assert found.layer == "depth"
    assert found.map.shape == (12, 16)
    assert np.isfinite(found.map).all()


@pytest.mark.parametrize("method", ON_THE_WHOLE_IMAGE)
def test_method_that_explains_all_inputs_together_says_so(prediction: Prediction, method: str) -> None:
    with pytest.raises(CannotExplain, match="works on the image itself and can't explain the layer 'depth'"):
        prediction.explain("wall", Region.box(2, 2, 8, 9), layer="depth", method=method)


def test_comparison_and_table_at_one_input(prediction: Prediction) -> None:
    comparison = prediction.compare(
        "wall", Region.everywhere(), methods=["saliency", "hires-cam"], layers=["image", "depth"]
    )
    assert len(comparison) == 4
    table = prediction.table("depth").explain("wall", Region.box(0, 0, 5, 5))
    expected = prediction.explain("wall", Region.box(0, 0, 5, 5), layer="depth", method="grad-cam")
    np.testing.assert_allclose(table.map, expected.map, atol=1e-6)


def test_one_preprocess_for_all(fusion: Fusion, rgb: NDArray[Any], depth: NDArray[Any]) -> None:
    mean, std = (0.4, 0.5, 0.6, 0.1), (0.2, 0.2, 0.2, 0.9)
    model = SegmentationModel(SeveralInputs(fusion, INPUTS), preprocess=Preprocess(mean=mean, std=std))
    expected = fusion(
        (tensor(rgb) - torch.tensor(mean[:3]).reshape(3, 1, 1)) / torch.tensor(std[:3]).reshape(3, 1, 1),
        (tensor(depth) - mean[3]) / std[3],
    )
    np.testing.assert_allclose(
        model.predict({"image": rgb, "depth": depth}).logits, expected[0].detach().numpy(), atol=1e-4
    )
    with pytest.raises(InvalidInput, match=r"speak of \[3, 4\] channels"):
        SegmentationModel(SeveralInputs(fusion, INPUTS), preprocess=Preprocess(mean=(0.4, 0.5, 0.6)))


def test_floating_point_beside_pixels_is_resized_and_not_normalised(
    fusion: Fusion, rgb: NDArray[Any], depth: NDArray[Any]
) -> None:
    preprocess = Preprocess(24, fit="letterbox", mean=0.5, std=0.25)
    model = SegmentationModel(SeveralInputs(fusion, INPUTS), preprocess=preprocess)
    metres = np.full((12, 16), 2.5, np.float32)
    kept = model.predict({"image": rgb, "depth": metres}).kept_pass.input[0]
    placed, geometry = preprocess(rgb)
    torch.testing.assert_close(kept[:3].detach(), placed)
    top, left = geometry.offset
    inside = kept[3, top : top + geometry.content[0], left : left + geometry.content[1]]
    torch.testing.assert_close(inside.detach(), torch.full_like(inside, 2.5))
    assert kept[3, 0, 0] == 0


@pytest.mark.parametrize("depth_kind", ["pixels", "floating point"])
def test_inputs_are_seen_in_windows(fusion: Fusion, rgb: NDArray[Any], depth: NDArray[Any], depth_kind: str) -> None:
    given = {"image": rgb, "depth": depth if depth_kind == "pixels" else depth.astype(np.float32) / 65535}
    model = SegmentationModel(SeveralInputs(fusion, INPUTS), windows=Windows((12, 10), overlap=0.2))
    with model.predict(given) as prediction, model.with_options(windows=99).predict(given) as whole:
        assert prediction.logits.shape == whole.logits.shape == (3, 12, 16)
        np.testing.assert_allclose(prediction.logits[..., :4], whole.logits[..., :4], atol=1e-5)
        np.testing.assert_array_equal(prediction.image, rgb)
        assert prediction.explain("class 1", Region.everywhere(), layer="depth", method="saliency").map.any()


class InPlace(Fusion):
    """It normalises the image where it stands, as some networks do."""

    def forward(self, image: Tensor, depth: Tensor) -> Tensor:
        image -= 0.5
        return super().forward(image.mul_(2), depth.flatten().view(depth.shape))


def test_network_that_writes_over_its_inputs(rgb: NDArray[Any], depth: NDArray[Any]) -> None:
    network = InPlace().eval()
    given = {"image": rgb, "depth": depth}
    with torch.no_grad():
        expected = network(tensor(rgb), tensor(depth))[0].numpy()
    with SegmentationModel(SeveralInputs(network, INPUTS)).predict(given) as prediction:
        np.testing.assert_allclose(prediction.logits, expected, atol=1e-5)
        for name, shape in (("image", (3, 12, 16)), ("depth", (1, 12, 16))):
            np.testing.assert_allclose(prediction.activation(name).numpy(), tensor(given[name])[0].numpy(), atol=1e-6)
            assert prediction.activation(name).shape == shape
            assert prediction.explain(1, Region.everywhere(), layer=name, method="saliency").map.any()
            assert prediction.explain(1, Region.everywhere(), layer=name, method="occlusion").map.any()


class Swapped(nn.Module):
    def forward(self, depth: Tensor, *, image: Tensor) -> Tensor:
        return torch.cat([image[:, :1] - depth, depth], 1)


def test_inputs_are_handed_over_by_name_or_in_order(fusion: Fusion) -> None:
    stack = torch.randn(2, 4, 5, 6)
    expected = torch.cat([stack[:, :1] - stack[:, 3:], stack[:, 3:]], 1)
    torch.testing.assert_close(SeveralInputs(Swapped(), INPUTS)(stack), expected)
    named, ordered = SeveralInputs(fusion, INPUTS), SeveralInputs(fusion, {"first": 3, "second": 1})
    torch.testing.assert_close(named(stack), ordered(stack))


def test_networks_own_weights_fit(fusion: Fusion, tmp_path: Path) -> None:
    from segscope.sources.weights import load_state

    torch.save(fusion.state_dict(), tmp_path / "own.pt")
    wrapped = SeveralInputs(Fusion(), INPUTS)
    load_state(wrapped, tmp_path / "own.pt")
    torch.testing.assert_close(wrapped.network.state_dict(), fusion.state_dict())
    torch.save(wrapped.state_dict(), tmp_path / "wrapped.pt")
    load_state(SeveralInputs(Fusion(), INPUTS), tmp_path / "wrapped.pt")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"image": np.zeros((4, 4, 3), np.uint8)},
            r"inputs are image \(3 channels\), depth \(1 channel\); depth is missing",
        ),
        ({"image": 0, "depth": 0, "dept": 0}, "dept is none of them"),
        ({1: 0}, "1 is none of them"),
        (
            {"image": np.zeros((4, 4, 3), np.uint8), "depth": np.zeros((5, 4), np.uint8)},
            "differ in size: image 4×4, depth 5×4",
        ),
        (
            {"image": np.zeros((4, 4), np.uint8), "depth": np.zeros((4, 4), np.uint8)},
            "'image' has 1 channels; .* takes 3",
        ),
        ({"image": np.zeros((4, 4, 3), np.uint8), "depth": torch.zeros(2, 4, 4)}, "'depth' has 2 channels; .* takes 1"),
        ({"image": np.zeros((4, 4, 3), np.uint8), "depth": np.zeros(5)}, "'depth' has shape.*vector|without height"),
        (
            {"image": np.zeros((4, 4, 3), np.uint8), "depth": "no.png"},
            "The input 'depth' can't be used. There is no file",
        ),
        ({"image": np.zeros((4, 4, 3), np.uint8), "depth": None}, "The input 'depth' can't be used. .*NoneType"),
        (np.zeros((4, 4, 3), np.uint8), r'has 3 channels, .*name, predict\({"image": …, "depth": …}\)'),
        (Image.new("RGBA", (4, 4)), "has 3 channels, and the network's inputs are image"),
        (torch.zeros(3, 4, 4), "or one image of 4 channels that holds them in this order"),
    ],
    ids=range(12),
)
def test_inputs_that_do_not_fit(model: SegmentationModel, given: Any, message: str) -> None:
    with pytest.raises(InvalidImage, match=message):
        model.predict(given)


def test_several_images_for_a_network_of_one() -> None:
    with pytest.raises(InvalidImage, match=r"image, depth\), and the network takes one.*SeveralInputs"):
        SegmentationModel(nn.Conv2d(3, 2, 1)).predict({"image": "photo.png", "depth": "depth.png"})


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {"image": 3},
        {"image": 3, "depth": 0},
        {"image": 3, "a b": 1},
        {"image": 3, "depth": 1.0},
        [3, 1],
        {1: 3, 2: 1},
    ],
    ids=range(7),
)
def test_inputs_that_cannot_be(fusion: Fusion, inputs: Any) -> None:
    with pytest.raises(InvalidInput, match="expected two or more names with their channels"):
        SeveralInputs(fusion, inputs)


@pytest.mark.parametrize("name", ["input", "network", "forward", "training", "inputs", "channels"])
def test_names_that_are_taken(fusion: Fusion, name: str) -> None:
    with pytest.raises(InvalidInput, match=f"can't be called '{name}'"):
        SeveralInputs(fusion, {"first": 3, name: 1})


@pytest.mark.parametrize(
    "inputs", [{"image": 3, "dept": 1}, {"a": 3, "b": 1, "c": 1}, {"image": 3, "depth": 1, "normals": 3}], ids=range(3)
)
def test_inputs_that_forward_does_not_take(fusion: Fusion, inputs: Any) -> None:
    with pytest.raises(InvalidInput, match="forward takes image, depth; give all of them by the same names"):
        SeveralInputs(fusion, inputs)


def test_bare_network_of_several_inputs(fusion: Fusion, rgb: NDArray[Any]) -> None:
    with pytest.raises(UnsupportedNetwork, match=r"takes 2 inputs: image, depth.*SeveralInputs\(network, {.image.: …"):
        SegmentationModel(fusion).predict(rgb)
    with pytest.raises(UnsupportedNetwork, match="SeveralInputs"):
        SegmentationModel(nn.Bilinear(3, 3, 2)).predict(rgb)
    with pytest.raises(InvalidInput, match="is a str; expected a torch.nn.Module"):
        SeveralInputs("network", INPUTS)  # type: ignore[arg-type]


def test_network_is_left_as_it_was(fusion: Fusion, rgb: NDArray[Any], depth: NDArray[Any]) -> None:
    fusion.train()
    before = {name: value.clone() for name, value in fusion.state_dict().items()}
    model = SegmentationModel(SeveralInputs(fusion, INPUTS))
    model.predict({"image": rgb, "depth": depth}).explain(0, Region.everywhere(), layer="depth")
    torch.testing.assert_close(fusion.state_dict(), before)
    assert all(module.training for module in fusion.modules())
    assert not any(module._forward_hooks for module in fusion.modules())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in fusion.parameters())
