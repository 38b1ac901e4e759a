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
from segscope.colors import class_colors
from tests.matrix import Cell, check, tensor_of
from tests.networks import ZOO

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
        (
            lambda: made_by_hand("Hardmax", [1, 3, 8, 8], name="most"),
            r"doesn't know: Hardmax \(opset 13, node 'most'\)",
        ),
        (lambda: made_by_hand("Hardmax", [1, 3, 8, 8]), r"Hardmax \(opset 13, node 'logits'\)"),
        (lambda: made_by_hand("Relu", [1, 3, 8, 8], inputs=2), r"takes 2 inputs \(image0, image1\)"),
        (lambda: made_by_hand("Relu", [1, 3]), "has 2 axes; expected batch×channels×height×width"),
    ],
)
def test_files_that_cannot_be_loaded(model: Callable[[], Any], message: str, tmp_path: Path) -> None:
    onnx.save(model(), tmp_path / "net.onnx")
    with pytest.raises(InvalidInput, match=message):
        SegmentationModel.load(f"onnx:{tmp_path / 'net.onnx'}")


def test_unknown_operators_are_listed_once_each(tmp_path: Path) -> None:
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    operators = ["Hardmax", "Relu", "Hardmax", "Det"]
    nodes = [helper.make_node(each, [f"x{i}"], [f"x{i + 1}"], name=f"{each}_{i}") for i, each in enumerate(operators)]
    values = [helper.make_tensor_value_info(name, kind, [1, 3, 8, 8]) for name in ("x0", "x4")]
    graph = helper.make_graph(nodes, "net", values[:1], values[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]), tmp_path / "net.onnx")
    listed = r"Hardmax \(opset 13, 2 nodes, the first 'Hardmax_0'\), Det \(opset 13, node 'Det_3'\)\. Export it"
    with pytest.raises(InvalidInput, match=listed):
        SegmentationModel.load(f"onnx:{tmp_path / 'net.onnx'}")


@pytest.mark.parametrize(("content", "message"), [(b"\x89PNG no", "is no ONNX file, or is broken"), (b"", "is empty")])
def test_files_of_another_kind(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(content)
    with pytest.raises(InvalidInput, match=message):
        SegmentationModel.load(f"onnx:{tmp_path / 'net.onnx'}")


def test_weights_in_other_files(tmp_path: Path) -> None:
    network = CASES["unet"].build()
    export(network, tmp_path / "whole.onnx", size=(32, 32))
    whole = onnx.load(tmp_path / "whole.onnx")
    onnx.save(whole, tmp_path / "net.onnx", save_as_external_data=True, location="net.data", size_threshold=0)
    image = torch.randn(3, 32, 32)
    found = SegmentationModel.load(f"onnx:{tmp_path / 'net.onnx'}").predict(image).logits
    np.testing.assert_allclose(found, network(image[None])[0].detach(), atol=1e-5)
    (tmp_path / "net.data").unlink()
    with pytest.raises(InvalidInput, match="keeps its weights in other files, which can't be read .*; put them beside"):
        SegmentationModel.load(f"onnx:{tmp_path / 'net.onnx'}")


def test_initialisers_may_be_listed_as_inputs(tmp_path: Path) -> None:
    network = CASES["unet"].build()
    export(network, tmp_path / "net.onnx", size=(32, 32))
    model = onnx.load(tmp_path / "net.onnx")
    for tensor in model.graph.initializer:
        model.graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)))
    onnx.save(model, tmp_path / "net.onnx")
    image = torch.randn(3, 32, 32)
    found = SegmentationModel.load(f"onnx:{tmp_path / 'net.onnx'}").predict(image).logits
    np.testing.assert_allclose(found, network(image[None])[0].detach(), atol=1e-5)


def test_half_precision(tmp_path: Path) -> None:
    network = CASES["unet"].build().eval()
    image = torch.randn(3, 32, 32)
    expected = network(image[None])[0].detach()
    torch.onnx.export(network.half(), (image[None].half(),), str(tmp_path / "net.onnx"), dynamo=False, opset_version=14)
    with SegmentationModel.load(f"onnx:{tmp_path / 'net.onnx'}").predict(image) as prediction:
        np.testing.assert_allclose(prediction.logits, expected, atol=2e-2 * float(expected.abs().max()))


def test_first_of_several_outputs_is_read(tmp_path: Path) -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = CASES["unet"].build()

        def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            logits = self.network(images)
            return logits, -logits

    network, image = Two().eval(), torch.randn(3, 32, 32)
    torch.onnx.export(network, (image[None],), str(tmp_path / "net.onnx"), dynamo=False, opset_version=14)
    found = SegmentationModel.load(f"onnx:{tmp_path / 'net.onnx'}").predict(image).logits
    np.testing.assert_allclose(found, network(image[None])[0][0].detach(), atol=1e-5)


@pytest.mark.parametrize(
    ("colors", "expected"),
    [
        ("['#010203', '#040506']", ("#010203", "#040506")),
        ("{0: '#010203', 1: '#010203'}", ("#010203", "#010203")),
        ("['#010203']", None),
        ("['red', 'blue']", None),
        ("[(1, 2, 3), (4, 5, 6)]", None),
    ],
)
def test_colours_come_from_the_file(colors: str, expected: Any, tmp_path: Path) -> None:
    model = made_by_hand("Relu", [1, 2, 8, 8])
    onnx.helper.set_model_props(model, {"names": "['sky', 'sea']", "colors": colors})
    onnx.save(model, tmp_path / "net.onnx")
    loaded = SegmentationModel.load(f"onnx:{tmp_path / 'net.onnx'}")
    assert loaded.colors == (expected or class_colors(2))


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
