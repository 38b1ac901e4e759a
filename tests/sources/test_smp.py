"""Networks of segmentation_models_pytorch: every architecture, with encoders of every kind that it takes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from segscope import InvalidInput, SegmentationModel, UnknownName
from tests.matrix import Cell, check

smp = pytest.importorskip("segmentation_models_pytorch")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")

ENCODERS = ("vgg16", "resnet34", "efficientnet-b0", "mobilenet_v2", "mit_b0", "tu-convnext_atto")
# What the library itself refuses to build.
REFUSED = [
    *((name, "vgg16") for name in ("deeplabv3", "deeplabv3plus", "pan")),
    *((name, "mit_b0") for name in ("linknet", "unetplusplus")),
]
ARCHITECTURES = sorted(set(smp.MODEL_ARCHITECTURES_MAPPING) - {"dpt"})
PAIRS = [(name, encoder) for name in ARCHITECTURES for encoder in ENCODERS if (name, encoder) not in REFUSED]
PAIRS += [("dpt", "tu-vit_tiny_patch16_224.augreg_in21k")]


@pytest.mark.parametrize(("architecture", "encoder"), PAIRS)
def test_network_works(architecture: str, encoder: str) -> None:
    size = {"dpt": (224, 224), "pan": (128, 128)}.get(architecture, (64, 64))
    source = f"smp:{architecture}/{encoder}"
    names = ("a", "b", "c", "d")
    check(Cell(source, lambda: SegmentationModel.load(source, weights="random", classes=names), size=size))


@pytest.mark.parametrize(("architecture", "encoder"), REFUSED)
def test_what_the_library_refuses_is_told(architecture: str, encoder: str) -> None:
    with pytest.raises(InvalidInput, match="failed: ValueError"):
        SegmentationModel.load(f"smp:{architecture}/{encoder}", weights="random")


@pytest.mark.parametrize("channels", [1, 3, 12])
def test_weights_say_how_many_classes_and_bands_there_are(channels: int, tmp_path: Path) -> None:
    network = smp.Unet("resnet18", encoder_weights=None, in_channels=channels, classes=5)
    torch.save({"module." + name: value for name, value in network.state_dict().items()}, tmp_path / "w.pt")
    model = SegmentationModel.load("smp:Unet/resnet18", weights=tmp_path / "w.pt")
    check(Cell("unet", lambda: model, channels=channels))
    assert len(model.classes) == 5
    assert model.preprocess.channels == channels
    assert model.preprocess.mean == ((0.485, 0.456, 0.406) if channels == 3 else 0)


def test_one_channel_is_two_classes() -> None:
    check(Cell("unet", lambda: SegmentationModel.load("smp:unet/resnet18", weights="random")))


def test_folder_that_save_pretrained_wrote(tmp_path: Path) -> None:
    network = smp.FPN("mobilenet_v2", encoder_weights=None, classes=3)
    network.save_pretrained(tmp_path / "fpn")
    model = SegmentationModel.load(f"smp:{tmp_path / 'fpn'}")
    check(Cell("fpn", lambda: model))
    assert model.name == "FPN with mobilenet_v2"


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ("smp:unet", InvalidInput, "expected smp:ARCHITECTURE/ENCODER"),
        ("smp:unett/resnet34", UnknownName, "Did you mean 'unet'"),
        ("smp:unet/resnet35", UnknownName, "Did you mean .*'resnet34'"),
        ("smp:unet/resnet34", InvalidInput, "alone is not trained: give the file of your weights with --weights"),
    ],
)
def test_sources_that_say_too_little(source: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        SegmentationModel.load(source)


def test_unet_with_another_encoders_weights(tmp_path: Path) -> None:
    network = smp.Unet("resnet34", encoder_weights=None, classes=5)
    torch.save(network.state_dict(), tmp_path / "w.pt")
    with pytest.raises(InvalidInput, match=r"don't fit the network Unet, .* \d+ unexpected \(encoder\.layer1"):
        SegmentationModel.load("smp:unet/resnet18", weights=tmp_path / "w.pt")
