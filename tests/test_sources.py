"""Models by name: the demo, a function in a module, a function in a file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

import segscope
from segscope import InvalidInput, Preprocess, SegmentationModel, UnknownName

SOURCE = """
import torch
import segscope
from neighbour import CLASSES

network = torch.nn.Conv2d(3, 2, 1)
wrapped = segscope.SegmentationModel(network, classes=CLASSES)
number = 3

def bare():
    return torch.nn.Conv2d(3, 2, 1)

def model():
    return segscope.SegmentationModel(bare(), classes=CLASSES, preprocess=segscope.Preprocess(16))

class Network(torch.nn.Conv2d):
    def __init__(self):
        super().__init__(3, 2, 1)

def needs(argument):
    return bare()

def failing():
    raise RuntimeError("no weights")

def refusing():
    raise segscope.InvalidInput("own words")

def leaving():
    raise SystemExit(3)

def wrong():
    return "network"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "neighbour.py").write_text('CLASSES = ("sea", "land")\n')
    (tmp_path / "my_networks.py").write_text(SOURCE)
    return tmp_path / "my_networks.py"


@pytest.fixture(autouse=True)
def clean_imports(monkeypatch: pytest.MonkeyPatch) -> Any:
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name in set(sys.modules) - before:
        if "my_networks" in name or name == "neighbour":
            del sys.modules[name]


@pytest.mark.parametrize(
    ("name", "classes"),
    [("bare", ()), ("model", ("sea", "land")), ("Network", ()), ("network", ()), ("wrapped", ("sea", "land"))],
)
def test_function_in_a_file(file: Path, name: str, classes: Any) -> None:
    path = list(sys.path)
    model = SegmentationModel.load(f"{file}:{name}")
    assert model.classes == classes
    assert sys.path == path


def test_function_in_a_module_of_the_current_folder(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)
    path = list(sys.path)
    assert SegmentationModel.load("my_networks:model").classes == ("sea", "land")
    assert sys.path == path
    assert SegmentationModel.load("my_networks.py:model").classes == ("sea", "land")


def test_options_override_what_the_source_says(file: Path) -> None:
    model = SegmentationModel.load(f"{file}:model", classes=("a", "b"), device="cpu")
    assert model.classes == ("a", "b")
    assert model.preprocess.size == 16
    assert SegmentationModel.load(f"{file}:model", preprocess=Preprocess(8)).preprocess.size == 8
    assert SegmentationModel.load(f"{file}:bare", classes=("a", "b")).classes == ("a", "b")


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("nets", UnknownName, "There is no function in .*my_networks.py 'nets'. "),
        ("modle", UnknownName, "Did you mean 'model'"),
        ("number", InvalidInput, "is a int; expected a function that returns the network"),
        ("needs", InvalidInput, "failed: TypeError: .*argument"),
        ("failing", InvalidInput, "failed: RuntimeError: no weights"),
        ("refusing", InvalidInput, "^own words$"),
        ("leaving", InvalidInput, "failed: SystemExit: 3"),
        ("wrong", InvalidInput, "returned an object of type str; expected a torch.nn.Module or"),
    ],
)
def test_functions_that_give_no_network(file: Path, name: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        SegmentationModel.load(f"{file}:{name}")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("", "expected 'demo', 'module:function' or 'file.py:function'"),
        ("network", "expected 'demo', 'module:function'"),
        (":model", "expected 'demo', 'module:function'"),
        ("module:", "expected 'demo', 'module:function'"),
        ("no_such_module_here:model", "can't be imported: ModuleNotFoundError"),
        ("nowhere/file.py:model", "There is no file 'nowhere/file.py'"),
        ("../..:model", "can't be imported"),
        (None, "The model source is a NoneType"),
        (3, "The model source is a int"),
    ],
)
def test_sources_that_cannot_be_read(source: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        SegmentationModel.load(source)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("def (", "SyntaxError"),
        ("exit(1)", "SystemExit"),
        ("import nothing_like_this", "ModuleNotFoundError"),
    ],
)
def test_files_that_cannot_be_imported(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "my_networks_broken.py").write_text(text)
    modules = set(sys.modules)
    with pytest.raises(InvalidInput, match=f"can't be imported: {message}"):
        SegmentationModel.load(f"{tmp_path / 'my_networks_broken.py'}:model")
    assert not any("my_networks_broken" in name for name in set(sys.modules) - modules)


def test_errors_are_segscope_errors() -> None:
    with pytest.raises(segscope.SegscopeError, match="expected 'demo'"):
        SegmentationModel.load("dmeo")
