"""Torchvision's segmentation networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from segscope import InvalidInput, SegmentationModel, UnknownName
from tests.matrix import Cell, check

torchvision = pytest.importorskip("torchvision")
models = pytest.importorskip("torchvision.models")

NAMES = models.list_models(module=models.segmentation)


@pytest.fixture(autouse=True, scope="module")
def offline() -> Any:
    """No test fetches weights."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.hub, "load_state_dict_from_url", refuse)
        patch.setattr("torchvision.models._api.load_state_dict_from_url", refuse)
        yield


def refuse(*_: Any, **__: Any) -> Any:
    raise OSError("no network here")


def out(raw: Any) -> torch.Tensor:
    return raw["out"]


@pytest.mark.parametrize("name", NAMES)
def test_network_works(name: str) -> None:
    check(Cell(name, lambda: SegmentationModel.load(f"torchvision:{name}", weights="random"), out))


@pytest.mark.parametrize("name", ["deeplabv3_mobilenet_v3_large", "fcn_resnet50"])
def test_network_with_second_head_works(name: str, tmp_path: Path) -> None:
    network = models.get_model(name, weights=None, weights_backbone=None, num_classes=4, aux_loss=True)
    torch.save(network.state_dict(), tmp_path / "w.pth")
    model = SegmentationModel.load(f"torchvision:{name}", weights=tmp_path / "w.pth")
    check(Cell(f"{name}, with an auxiliary head", lambda: model, out))


def test_weights_say_how_many_classes_there_are(tmp_path: Path, image: np.ndarray) -> None:
    name = "lraspp_mobilenet_v3_large"
    network = models.get_model(name, weights=None, weights_backbone=None, num_classes=4).eval()
    torch.save({"state_dict": network.state_dict()}, tmp_path / "w.pth")
    model = SegmentationModel.load(f"torchvision:{name}", weights=tmp_path / "w.pth", classes=("a", "b", "c", "d"))
    with model.predict(image) as prediction:
        assert prediction.input.height == 520
        assert prediction.input.width == 728
        assert prediction.mask.shape == (40, 56)
    assert all(torch.equal(model.network.state_dict()[key], value) for key, value in network.state_dict().items())


def test_file_of_torchvisions_own_has_its_classes(tmp_path: Path) -> None:
    name = "lraspp_mobilenet_v3_large"
    weights = models.get_model_weights(name).DEFAULT
    network = models.get_model(name, weights=None, weights_backbone=None)
    torch.save(network.state_dict(), tmp_path / Path(weights.url).name)
    model = SegmentationModel.load(f"torchvision:{name}", weights=tmp_path / Path(weights.url).name)
    assert model.classes[:3] == ("__background__", "aeroplane", "bicycle")


def test_unreachable_weights_say_what_to_do() -> None:
    with pytest.raises(InvalidInput, match="can't be fetched .* give a file with --weights"):
        SegmentationModel.load("torchvision:fcn_resnet50")


def test_unknown_network() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'fcn_resnet50'"):
        SegmentationModel.load("torchvision:fcn_resnet5")
