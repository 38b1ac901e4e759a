"""Models: names, colours, devices, sharing a network, and what they refuse."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import segscope
from segscope import InvalidInput, Preprocess, SegmentationModel, UnknownName, UnsupportedNetwork
from tests.conftest import CLASSES
from tests.networks import ZOO


def test_classes_by_name_and_index(model: SegmentationModel) -> None:
    assert model.classes == CLASSES
    assert model.class_index("stem") == model.class_index(2) == model.class_index(np.int64(2)) == 2  # type: ignore[arg-type] # an index all the same


@pytest.mark.parametrize(
    ("class_", "message"),
    [
        ("lef", r"There is no class 'lef'. Did you mean 'leaf'\?"),
        ("LEAF", r"There is no class 'LEAF'. Did you mean 'leaf'\?"),
        ("zzz", r"There is no class 'zzz'. Choose from: background, leaf, stem, root\."),
        (4, r"There is no class 4. Choose from"),
        (-1, r"There is no class -1"),
        (True, r"There is no class True"),
        (1.0, r"There is no class 1.0"),
        (None, r"There is no class None"),
        (["leaf"], r"There is no class \['leaf'\]"),
    ],
)
def test_unknown_class(class_: Any, message: str, prediction: segscope.Prediction) -> None:
    with pytest.raises(UnknownName, match=message):
        prediction.explain(class_)
    with pytest.raises(UnknownName, match=message):
        prediction.explain_all([class_])
    if class_ is not None:
        with pytest.raises(UnknownName, match=message):
            prediction.explain("leaf", segscope.Region.everywhere(), against=class_)


def test_classes_are_named_after_the_first_prediction(network: nn.Module, image: NDArray[np.uint8]) -> None:
    model = SegmentationModel(network)
    assert not model.classes
    assert not model.colors
    model.predict(image)
    assert list(model.classes) == ["class 0", "class 1", "class 2", "class 3"]
    assert len(model.colors) == 4
    assert model.palette.shape == (4, 3)


@pytest.mark.parametrize("classes", ["leaf", ("leaf",), (), ("a", "a"), ("a", 3), ("a", ""), 5, None.__class__])
def test_bad_class_names(network: nn.Module, classes: Any) -> None:
    with pytest.raises(InvalidInput, match="The classes are .*expected at least two|Names were expected"):
        SegmentationModel(network, classes=classes)


def test_colors(network: nn.Module) -> None:
    colors = ("#000000", "#ff0000", "#00FF00", "#0000ff")
    model = SegmentationModel(network, classes=CLASSES, colors=colors)
    assert model.colors == colors
    assert model.palette.tolist()[1:3] == [[255, 0, 0], [0, 255, 0]]


@pytest.mark.parametrize(
    "colors", [("red",) * 4, ("#00000g",) * 4, ("#000000",) * 3, ("#+1+1+1",) * 4, (1, 2, 3, 4), 5]
)
def test_bad_colors(network: nn.Module, colors: Any) -> None:
    with pytest.raises(InvalidInput, match="The colours are .*expected one '#RRGGBB'|Names were expected"):
        SegmentationModel(network, classes=CLASSES, colors=colors)


def test_colors_must_fit_classes_that_are_found_later(network: nn.Module, image: NDArray[np.uint8]) -> None:
    with pytest.raises(InvalidInput, match="expected one '#RRGGBB' for each class"):
        SegmentationModel(network, colors=("#000000", "#ffffff")).predict(image)


@pytest.mark.parametrize("network", [None, "demo", lambda images: images, nn.Conv2d])
def test_network_must_be_a_module(network: Any) -> None:
    with pytest.raises(InvalidInput, match="expected a torch.nn.Module"):
        SegmentationModel(network)


@pytest.mark.parametrize("device", ["nowhere", "cuda:99", 77, object(), "meta"])
def test_unusable_device(network: nn.Module, device: Any) -> None:
    with pytest.raises(InvalidInput, match="The device .*(can't be used|holds no numbers)"):
        SegmentationModel(network, device=device)


def test_device_of_the_network_is_kept(network: nn.Module) -> None:
    for device in (None, "cpu", torch.device("cpu")):
        model = SegmentationModel(network, device=device)
        assert model.network is network
        assert model.device == torch.device("cpu")


def test_preprocess_must_be_one(network: nn.Module) -> None:
    with pytest.raises(InvalidInput, match="preprocess is a function; expected a segscope.Preprocess"):
        SegmentationModel(network, preprocess=lambda image: image)  # type: ignore[arg-type]


def test_layers_must_be_names(network: nn.Module) -> None:
    with pytest.raises(InvalidInput, match="Names were expected, and 3 came"):
        SegmentationModel(network, layers=3)  # type: ignore[arg-type]


def test_with_options(model: SegmentationModel, image: NDArray[np.uint8]) -> None:
    other = model.with_options(classes=("a", "b", "c", "d"), preprocess=Preprocess(32))
    assert other.network is model.network
    assert other.classes == ("a", "b", "c", "d")
    assert other.predict(image).logits.shape == (4, 32, 32)
    assert model.predict(image).logits.shape == (4, 40, 56)
    assert model.with_options(preprocess=Preprocess(16)).classes == CLASSES


@pytest.mark.parametrize(
    "network",
    [nn.Conv2d(3, 2, 50), nn.Conv3d(3, 2, 1), nn.Linear(7, 2)],
    ids=["image too small", "three dimensions", "no image"],
)
def test_network_that_fails(network: nn.Module) -> None:
    with pytest.raises(UnsupportedNetwork, match=r"failed on an input of shape \(1, 3, 9, 9\): \w+: .*preprocessing"):
        SegmentationModel(network).predict(torch.zeros(3, 9, 9))


def test_models_of_one_network_do_not_disturb_each_other() -> None:
    network = ZOO[2].build().train()
    expected = SegmentationModel(ZOO[2].build()).predict(ZOO[2].input()).logits
    models = [SegmentationModel(network), SegmentationModel(network), SegmentationModel(network).with_options()]
    wrong: list[str] = []

    def work(model: SegmentationModel) -> None:
        for _ in range(10):
            prediction = model.predict(ZOO[2].input())
            if not np.allclose(prediction.logits, expected, atol=1e-5) or len(prediction.layers) < 4:
                wrong.append("logits")

    threads = [threading.Thread(target=work, args=(model,)) for model in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert all(module.training for module in network.modules())
    assert not any(module._forward_hooks for module in network.modules())


def test_name(network: nn.Module) -> None:
    assert SegmentationModel(network).name == "Plain"
    assert SegmentationModel(network, name="mine").name == "mine"


def test_evaluates_as_in_eval_mode(image: NDArray[np.uint8]) -> None:
    expected = SegmentationModel(ZOO[0].build()).predict(image).logits
    np.testing.assert_array_equal(SegmentationModel(ZOO[0].build().train()).predict(image).logits, expected)


def test_network_that_writes_over_its_input(image: NDArray[np.uint8]) -> None:
    class Eager(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.head = nn.ReLU(inplace=True), nn.Conv2d(3, 2, 1)

        def forward(self, images: Tensor) -> Tensor:
            return self.head(self.norm(images.sub_(0.5)))

    prediction = SegmentationModel(Eager()).predict(image)
    assert prediction.explain(0, segscope.Region.everywhere(), layer="input", method="saliency").limit > 0
