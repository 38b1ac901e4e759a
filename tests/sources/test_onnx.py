"""ONNX files, exported from networks of several makers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from segscope import InvalidInput, SegmentationModel
from tests.networks import ZOO
from tests.sources.matrix import Cell, check, tensor_of

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnx2torch")

pytestmark = pytest.mark.filterwarnings("ignore")

CASES = {case.name: case for case in ZOO}


class Tensors(nn.Module):
    """Only a tensor comes out of an exporter well."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        raw = self.network(images)
        return raw.logits if hasattr(raw, "logits") else raw["out"] if isinstance(raw, dict) else tensor_of(raw)


def export(
    network: nn.Module, file: Path, *, size: tuple[int, int] = (64, 64), free: bool = False, new: bool = False
) -> None:
    if new:
        torch.onnx.export(Tensors(network).eval(), (torch.randn(1, 3, *size),), str(file), dynamo=True, verbose=False)
        return
    axes = {"images": {2: "height", 3: "width"}} if free else {}
    torch.onnx.export(
        Tensors(network).eval(),
        (torch.randn(1, 3, *size),),
        str(file),
        input_names=["images"],
        dynamo=False,
        opset_version=14,
        dynamic_axes=axes,
    )


def of_torchvision(name: str) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        pytest.importorskip("torchvision")
        return SegmentationModel.load(f"torchvision:{name}", weights="random").network

    return build


def of_smp(source: str) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        pytest.importorskip("segmentation_models_pytorch")
        return SegmentationModel.load(source, weights="random", classes=("a", "b", "c")).network

    return build


def segformer() -> nn.Module:
    transformers = pytest.importorskip("transformers")
    from tests.sources.test_hf import segformer as configure

    return transformers.SegformerForSemanticSegmentation(configure())


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "plain": CASES["plain"].build,
    "unet": CASES["unet"].build,
    "resnet": CASES["resnet"].build,
    "grouped": CASES["grouped"].build,
    "fcn_resnet50": of_torchvision("fcn_resnet50"),
    "lraspp_mobilenet_v3_large": of_torchvision("lraspp_mobilenet_v3_large"),
    "deeplabv3_mobilenet_v3_large": of_torchvision("deeplabv3_mobilenet_v3_large"),
    "smp unet": of_smp("smp:unet/resnet18"),
    "smp fpn": of_smp("smp:fpn/mobilenet_v2"),
    "smp deeplabv3plus": of_smp("smp:deeplabv3plus/resnet18"),
    "segformer": segformer,
}


@pytest.mark.parametrize("name", NETWORKS)
def test_file_works(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    export(NETWORKS[name](), tmp_path / "net.onnx")
    check(Cell(name, lambda: SegmentationModel.load(f"onnx:{tmp_path / 'net.onnx'}")))


def test_operator_without_an_older_form(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    export(segformer(), tmp_path / "net.onnx", new=True)
    with pytest.raises(InvalidInput, match=r"doesn't know: .*Gelu .*dynamo=False, opset_version=14"):
        SegmentationModel.load(f"onnx:{tmp_path / 'net.onnx'}")


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "segformer"])
def test_file_of_the_newer_exporter_works(name: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    torch.manual_seed(0)
    network = NETWORKS[name]()
    export(network, tmp_path / "net.onnx", new=True)
    image = torch.randn(3, 64, 64)
    with SegmentationModel.load(f"onnx:{tmp_path / 'net.onnx'}").predict(image) as prediction:
        expected = Tensors(network)(image[None])[0].detach()
        np.testing.assert_allclose(prediction.logits, expected, rtol=0, atol=1e-4 * float(expected.abs().max()))


def test_logits_equal_the_exported_networks(tmp_path: Path) -> None:
    network = CASES["unet"].build()
    export(network, tmp_path / "net.onnx")
    image = torch.randn(3, 64, 64)
    found = SegmentationModel.load(f"onnx:{tmp_path / 'net.onnx'}").predict(image).logits
    np.testing.assert_allclose(found, network(image[None])[0].detach(), atol=1e-5)


def test_size_and_classes_come_from_the_file(tmp_path: Path, image: np.ndarray) -> None:
    export(CASES["plain"].build(), tmp_path / "net.onnx", size=(32, 48))
    model = onnx.load(tmp_path / "net.onnx")
    onnx.helper.set_model_props(model, {"names": "{0: 'sky', 1: 'sea', 3: 'sand', 2: 'sea'}"})
    onnx.save(model, tmp_path / "net.onnx")
    loaded = SegmentationModel.load(f"onnx:{tmp_path / 'net.onnx'}")
    assert loaded.classes == ("sky", "sea", "sea (2)", "sand")
    with loaded.predict(image) as prediction:
        assert (prediction.input.height, prediction.input.width) == (32, 48)
        assert prediction.mask.shape == (40, 56)
    export(CASES["plain"].build(), tmp_path / "free.onnx", free=True)
    assert SegmentationModel.load(f"onnx:{tmp_path / 'free.onnx'}").preprocess.size is None


def made_by_hand(operator: str, shape: list[Any], inputs: int = 1, **attributes: Any) -> Any:
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    names = [f"image{index}" for index in range(inputs)]
    graph = helper.make_graph(
        [helper.make_node(operator, names[:1], ["logits"], **attributes)],
        "net",
        [helper.make_tensor_value_info(name, kind, shape) for name in names],
        [helper.make_tensor_value_info("logits", kind, None)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: made_by_hand("Hardmax", [1, 3, 8, 8]), r"doesn't know: Hardmax \(opset 13\)"),
        (lambda: made_by_hand("Relu", [1, 3, 8, 8], inputs=2), r"takes 2 inputs \(image0, image1\)"),
        (lambda: made_by_hand("Relu", [1, 3]), "has 2 axes; expected batch×channels×height×width"),
    ],
)
def test_files_that_cannot_be_loaded(model: Callable[[], Any], message: str, tmp_path: Path) -> None:
    onnx.save(model(), tmp_path / "net.onnx")
    with pytest.raises(InvalidInput, match=message):
        SegmentationModel.load(f"onnx:{tmp_path / 'net.onnx'}")


def test_channels_last_file(tmp_path: Path) -> None:
    onnx.save(made_by_hand("Sigmoid", [1, 16, 24, 3]), tmp_path / "net.onnx")
    model = SegmentationModel.load(f"onnx:{tmp_path / 'net.onnx'}", classes=("a", "b", "c"))
    image = torch.rand(3, 16, 24)
    with model.predict(image) as prediction:
        np.testing.assert_allclose(prediction.logits, torch.sigmoid(image), atol=1e-6)


def test_weights_beside_a_file_are_refused(tmp_path: Path) -> None:
    onnx.save(made_by_hand("Relu", [1, 3, 8, 8]), tmp_path / "net.onnx")
    with pytest.raises(InvalidInput, match="is a file that holds its weights; leave the weights out"):
        SegmentationModel.load(f"onnx:{tmp_path / 'net.onnx'}", weights="random")
