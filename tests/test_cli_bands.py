"""Images of many bands and networks of several inputs, on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from segscope import SegmentationModel
from segscope.cli import main
from segscope.commands.options import load

NETWORKS = """
import torch, segscope
from torch import nn

def make(bands):
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(bands, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 3, 1))

def one(): return make(1)
def four(): return make(4)
def twelve(): return make(12)

class Fusion(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = make(4)
    def forward(self, image, depth):
        return self.body(torch.cat([image, depth], 1))

def bare(): return Fusion()
def fusion(): return segscope.SeveralInputs(Fusion(), {"image": 3, "depth": 1})
"""
COUNTS = {"one": 1, "four": 4, "twelve": 12}
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Scenes of one, four and twelve bands, and a photograph with its depth."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets.py").write_text(NETWORKS)
    random = np.random.default_rng(0)
    for name, count in COUNTS.items():
        scene = random.integers(0, 4000, (24, 32, count), dtype=np.uint16)
        np.save(tmp_path / f"{name}.npy", scene)
        tifffile.imwrite(tmp_path / f"{name}.tif", np.moveaxis(scene, 2, 0).copy(), photometric="minisblack")
    Image.fromarray(random.integers(0, 256, (24, 32, 3), np.uint8)).save(tmp_path / "photo.png")
    Image.fromarray(random.integers(0, 2**16, (24, 32), np.uint16)).save(tmp_path / "depth.png")
    return tmp_path


@pytest.fixture
def run(folder: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def run_it(*words: object) -> tuple[int, str, str]:
        code = main([str(word) for word in words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run_it


@pytest.mark.parametrize("kind", ["npy", "tif"])
@pytest.mark.parametrize("name", COUNTS)
def test_scene_is_predicted_and_explained(run: Run, folder: Path, name: str, kind: str) -> None:
    code, _, err = run("predict", f"{name}.{kind}", "--model", f"nets.py:{name}", "--json", "-o", "mask.png")
    assert (code, err) == (0, "")
    model = SegmentationModel.load(f"nets.py:{name}")
    with model.predict(np.load(f"{name}.npy")) as prediction:
        np.testing.assert_array_equal(np.asarray(Image.open("mask.png")), prediction.mask)
    asked = ("--model", f"nets.py:{name}", "--class", 1, "--everywhere", "-o", "map.npz")
    assert run("explain", f"{name}.{kind}", *asked, "--bands", 0)[0] == 0
    assert run("compare", f"{name}.{kind}", *asked, "--methods", "saliency,grad-cam")[0] == 0


def test_bands_are_those_of_the_model(folder: Path) -> None:
    given = np.load("twelve.npy")
    model = load("nets.py:twelve", None, bands="7,3,1")
    np.testing.assert_array_equal(model.predict(given).image, model.picture(given)[..., [0, 1, 2]])
    np.testing.assert_array_equal(model.picture(given), model.picture(given, bands=(1, 3, 7))[..., ::-1])
    assert load("nets.py:twelve", None).shown_bands is None


@pytest.mark.parametrize("name", COUNTS)
def test_doctor_says_how_many_bands(run: Run, name: str) -> None:
    count = COUNTS[name]
    code, out, _ = run("doctor", f"nets.py:{name}")
    assert code == 0
    assert f"{count} band{'' if count == 1 else 's'}, 224×224" in out
    chosen = "2,1,0" if count > 1 else "0"
    found = json.loads(run("doctor", f"nets.py:{name}", "--bands", chosen, "--json")[1])
    assert found["shown_bands"] == ([2, 1, 0] if count > 1 else [0])
    assert json.loads(run("layers", "--model", f"nets.py:{name}", "--json")[1])["default_layer"] == "1"


def test_several_inputs(run: Run) -> None:
    given = ("photo.png", "--input", "depth=depth.png", "--model", "nets.py:fusion")
    assert run("predict", *given, "--json")[0] == 0
    code, out, _ = run(
        "explain", *given, "--class", 1, "--everywhere", "--layer", "depth", "--method", "saliency", "--json"
    )
    assert code == 0
    assert json.loads(out)["layer"] == "depth"
    asked = ("--class", 1, "--everywhere", "--layers", "image,depth,input", "--methods", "saliency", "--json")
    assert len(json.loads(run("compare", *given, *asked)[1])["maps"]) == 3
    assert "4 bands (image 3, depth 1)" in run("doctor", "nets.py:fusion")[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("explain", "twelve.npy", "--model", "nets.py:twelve", "--bands", "12"),
            "12, counted from 0, and there are 12",
        ),
        (("explain", "twelve.npy", "--model", "nets.py:twelve", "--bands", "1,2"), "expected three numbers for red"),
        (("doctor", "nets.py:four", "--bands", "r,g,b"), "expected three numbers for red"),
        (("serve", "nets.py:four", "--images", ".", "--bands", "4,1,0", "--port", "0"), "and there are 4: 0 to 3"),
        (
            ("predict", "four.npy", "--model", "nets.py:twelve"),
            "The image has 4 channels; the network's first convolution takes 12",
        ),
        (("predict", "photo.png", "--model", "nets.py:twelve"), "The image has 3 channels"),
        (("predict", "photo.png", "--model", "nets.py:fusion"), "--input NAME=FILE on the command line"),
        (
            ("predict", "photo.png", "--model", "nets.py:bare"),
            'segscope.SeveralInputs(network, {"image": …, "depth": …})',
        ),
        (("predict", "photo.png", "--model", "nets.py:fusion", "--input", "depth"), "expected NAME=FILE"),
        (("predict", "photo.png", "--model", "nets.py:fusion", "--input", "depth=no.png"), "There is no file 'no.png'"),
        (("predict", "photo.png", "--model", "nets.py:fusion", "--input", "deep=depth.png"), "deep is none of them"),
        (("predict", "photo.png", "--model", "nets.py:fusion", "--input", "image=depth.png"), "it is the first one"),
        (
            ("predict", "photo.png", "--model", "nets.py:one", "--input", "depth=depth.png"),
            "the network takes one image",
        ),
        (
            ("predict", "photo.png", "--model", "nets.py:fusion", "--input", "depth=depth.png", "--input", "depth=a"),
            "is given twice",
        ),
    ],
    ids=range(14),
)
def test_bad_input_is_one_clear_line(run: Run, words: tuple[str, ...], message: str) -> None:
    more = ("--class", "1", "-o", "map.npz") if words[0] == "explain" else ()
    code, out, err = run(*words, *more)
    assert (code, out) == (2, "")
    assert err.startswith("segscope: ")
    assert err.count("\n") == 1
    assert message in err
