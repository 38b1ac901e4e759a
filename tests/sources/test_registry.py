"""Model sources: the registry, those of other packages, weights from files, and what is told where something lacks."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from segscope import InvalidInput, MissingExtra, Preprocess, SegmentationModel, sources
from segscope.sources import base
from tests.networks import ZOO

NETWORK = "import tests.networks\n\ndef make():\n    return tests.networks.ZOO[0].build()\n"


@pytest.fixture
def source(tmp_path: Path) -> str:
    (tmp_path / "own_network.py").write_text(NETWORK)
    return f"{tmp_path / 'own_network.py'}:make"


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    monkeypatch.setattr(base, "_SOURCES", dict(base._SOURCES))
    base._load_plugins.cache_clear()
    yield base._SOURCES
    base._load_plugins.cache_clear()


def halved(network: nn.Module) -> dict[str, torch.Tensor]:
    return {
        name: tensor * 0.5 if tensor.is_floating_point() else tensor for name, tensor in network.state_dict().items()
    }


def test_sources_of_this_package() -> None:
    assert list(sources.all_sources())[:7] == ["demo", "torchvision", "smp", "hf", "onnx", "keras", "export"]


def test_source_of_another_package(registry: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Point:
        value = "other.sources"

        def load(self) -> None:
            sources.register(
                sources.Source(
                    scheme="zoo", form="zoo:NUMBER", summary="One.", load=lambda order: ZOO[int(order.rest)].build()
                )
            )

    points = {"segscope.sources": [Point()]}
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda *, group: points.get(group, []))
    assert type(SegmentationModel.load("zoo:1").network).__name__ == "UNet"
    assert "zoo" in sources.all_sources()


def test_broken_package_costs_a_warning(registry: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Point:
        value = "broken.sources"

        def load(self) -> None:
            raise ValueError("no")

    monkeypatch.setattr(importlib.metadata, "entry_points", lambda *, group: [Point()])
    with pytest.warns(UserWarning, match="The model sources of 'broken.sources' couldn't be loaded: ValueError: no"):
        sources.all_sources()


def test_two_sources_of_one_scheme(registry: Any) -> None:
    made = sources.Source(scheme="hf", form="hf:X", summary="Another.", load=lambda _: nn.Identity())
    with pytest.raises(InvalidInput, match="A model source 'hf' is registered already"):
        sources.register(made)


@pytest.mark.parametrize("scheme", ["", "C", "a:b", "Name", "1st"])
def test_scheme_that_cannot_be_written(scheme: str, registry: Any) -> None:
    with pytest.raises(InvalidInput, match="expected two or more small letters"):
        sources.register(sources.Source(scheme=scheme, form="", summary="", load=lambda _: nn.Identity()))


@pytest.mark.parametrize(
    ("source", "package", "extra"),
    [
        ("torchvision:fcn_resnet50", "torchvision.models", "torchvision"),
        ("smp:Unet/resnet34", "segmentation_models_pytorch", "smp"),
        ("hf:owner/name", "transformers", "hf"),
        ("onnx:file", "onnx", "onnx"),
        ("keras:file", "keras", "keras"),
    ],
)
def test_missing_package_names_its_extra(
    source: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtra, match=rf"needs {package}, .* pip install 'segscope\[{extra}\]'"):
        SegmentationModel.load(source)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_weights_are_loaded(source: str, suffix: str, tmp_path: Path) -> None:
    expected = halved(ZOO[0].build())
    file = tmp_path / f"w{suffix}"
    if suffix == ".pt":
        torch.save(expected, file)
    else:
        save_file(expected, file)
    state = SegmentationModel.load(source, weights=file).network.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in expected.items())


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"state_dict": {f"module.{name}": value for name, value in state.items()}, "epoch": 3},
        lambda state: {"model": {f"_orig_mod.module.{name}": value for name, value in state.items()}},
        lambda state: {name: value for name, value in state.items() if "num_batches_tracked" not in name},
    ],
)
def test_checkpoints_of_training_scripts_are_understood(source: str, wrap: Any, tmp_path: Path) -> None:
    expected = halved(ZOO[0].build())
    torch.save(wrap(expected), tmp_path / "w.pt")
    state = SegmentationModel.load(source, weights=tmp_path / "w.pt").network.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in expected.items())


def without_the_first(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return dict(list(state.items())[1:])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without_the_first, r"1 missing \(0\.0\.weight\)"),
        (lambda state: {**state, "more": torch.ones(1)}, r"1 unexpected \(more\)"),
        (
            lambda state: {**state, "3.weight": torch.ones(9, 8, 1, 1)},
            r"1 of another shape \(3\.weight \(9, 8, 1, 1\) instead of \(4, 8, 1, 1\)\)",
        ),
        (lambda state: {"a": torch.ones(1)}, r"\d+ missing .*; 1 unexpected \(a\). Check the architecture"),
    ],
)
def test_weights_of_another_network(source: str, change: Any, message: str, tmp_path: Path) -> None:
    torch.save(change(ZOO[0].build().state_dict()), tmp_path / "w.pt")
    with pytest.raises(InvalidInput, match=f"don't fit the network Plain, .*{message}"):
        SegmentationModel.load(source, weights=tmp_path / "w.pt")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (ZOO[0].build(), "can't be read without running code that the file brings"),
        ([1, 2], "holds 'list'; expected a state dict"),
        ({"epoch": 3}, "has the entries epoch and no weights among them"),
        ({}, "expected a state dict"),
    ],
)
def test_files_that_hold_no_weights(source: str, content: Any, message: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(InvalidInput, match=message):
        SegmentationModel.load(source, weights=tmp_path / "w.pt")


@pytest.mark.parametrize("name", ["w.pt", "w.safetensors"])
def test_files_that_cannot_be_read(source: str, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"nothing of the kind")
    with pytest.raises(InvalidInput, match="can't be read"):
        SegmentationModel.load(source, weights=tmp_path / name)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ("nowhere.pt", "There is no file of weights 'nowhere.pt'"),
        (3, "The weights are a int; expected a file, or 'random'"),
        ("random", "makes its network with weights of its own; expected a file"),
    ],
)
def test_weights_that_are_not_there(source: str, weights: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        SegmentationModel.load(source, weights=weights)


def test_demo_has_weights_of_its_own() -> None:
    with pytest.raises(InvalidInput, match="'demo' has weights of its own; leave the weights out"):
        SegmentationModel.load("demo", weights="random")
    with pytest.raises(InvalidInput, match="expected 'demo' alone"):
        SegmentationModel.load("demo:2")


def test_network_without_numbers(tmp_path: Path) -> None:
    with torch.device("meta"):
        network = nn.Conv2d(3, 2, 1)
    with pytest.raises(InvalidInput, match="2 of the network's 2 weights are on the device 'meta', .*--weights"):
        SegmentationModel(network)
    torch.save(nn.Conv2d(3, 2, 1).state_dict(), tmp_path / "w.pt")
    sources.load_state(network, tmp_path / "w.pt")
    assert SegmentationModel(network).predict(torch.rand(3, 4, 4)).mask.shape == (4, 4)


def test_network_of_no_size_yet() -> None:
    with pytest.raises(InvalidInput, match="have no size before a first run .*; run it once"):
        SegmentationModel(nn.LazyConv2d(2, 1))


@pytest.mark.parametrize(
    ("longest", "multiple_of", "content", "size"),
    [(None, 1, (20, 40), (20, 40)), (30, 1, (15, 30), (15, 30)), (None, 32, (20, 40), (32, 64))],
)
def test_shortest_side_decides(longest: Any, multiple_of: int, content: Any, size: Any) -> None:
    preprocess = Preprocess(20, fit="shortest", longest=longest, multiple_of=multiple_of)
    geometry = preprocess.geometry((100, 200))
    assert (geometry.content, geometry.input) == (content, size)


@pytest.mark.parametrize(
    "options",
    [{"fit": "shortest"}, {"size": (4, 4), "fit": "shortest"}, {"size": 4, "longest": 8}, {"longest": 0}],
)
def test_shortest_side_needs_one_number(options: Any) -> None:
    with pytest.raises(InvalidInput, match="fit='shortest'"):
        Preprocess(**options)
