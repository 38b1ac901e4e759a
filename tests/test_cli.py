"""The command line, as a user meets it: what is printed, what is written, and how it fails."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
from PIL import Image, ImageFilter

import segscope
from segscope.cli import app, main
from segscope.commands.options import class_of, read_bytes, read_classes
from segscope.demo import DATA

NETWORK = """
import torch
from torch import nn

def build():
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU(inplace=True),
        nn.Conv2d(8, 12, 3, stride=2, padding=1), nn.ReLU(inplace=True), nn.Conv2d(12, 3, 1),
    )

def number():
    return 7

def broken():
    raise RuntimeError("the weights are missing")
"""
MODEL = "network.py:build"
COMMANDS = {"explain", "compare", "predict", "layers", "methods", "doctor", "demo", "serve", "mushrooms", "train"}


@dataclass
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder: a network of their own, class names, and a photograph of a landscape with a phone's EXIF tag."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "network.py").write_text(NETWORK)
    (tmp_path / "classes.txt").write_text("sky\n\nhill\nmeadow\n")
    exif = Image.Exif()
    exif[0x0112] = 8
    photograph().transpose(Image.Transpose.ROTATE_270).save(tmp_path / "photo.jpg", quality=88, exif=exif)
    mask = Image.new("L", (160, 120))
    mask.paste(255, (10, 20, 60, 50))
    mask.save(tmp_path / "region.png")
    return tmp_path


def photograph() -> Image.Image:
    """A landscape with light, texture, blur and noise, 160×120."""
    generator = np.random.default_rng(5)
    rows, columns = np.mgrid[0:120, 0:160]
    horizon = 60 + 12 * np.sin(columns / 19) + 5 * np.sin(columns / 7)
    sky = np.stack([120 + rows, 160 + rows * 0.5, 230 + rows * 0], axis=2)
    texture = np.asarray(
        Image.fromarray(generator.integers(0, 255, (30, 40), dtype=np.uint8)).resize(
            (160, 120), Image.Resampling.BICUBIC
        )
    )
    meadow = np.stack([40 + texture * 0.3, 90 + texture * 0.4, 30 + texture * 0.1], axis=2)
    pixels = np.where((rows > horizon)[..., None], meadow, sky) + generator.normal(0, 6, (120, 160, 3))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(0.6))


@pytest.fixture
def run(folder: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    def run_command(*arguments: str) -> Outcome:
        capsys.readouterr()
        code = main(arguments)
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run_command


def largest_class(folder: Path) -> str:
    model = segscope.SegmentationModel.load(str(folder / MODEL.split(":", maxsplit=1)[0]) + ":build")
    with model.predict(folder / "photo.jpg") as prediction:
        return str(int(np.bincount(prediction.mask.ravel()).argmax()))


def test_help_lists_every_command(run: Callable[..., Outcome]) -> None:
    outcome = run("--help")
    assert outcome.code == 0
    assert {name for name in COMMANDS if re.search(rf"\b{name}\b", outcome.out)} == COMMANDS
    assert run().out == outcome.out


def test_every_command_is_tested_and_described(run: Callable[..., Outcome]) -> None:
    registered = {
        command.name or command.callback.__name__: command for command in app.registered_commands if command.callback
    }
    assert set(registered) == COMMANDS
    source = "".join(path.read_text(encoding="utf-8") for path in sorted(Path(__file__).parent.glob("test_cli*.py")))
    for name in COMMANDS:
        outcome = run(name, "--help")
        assert outcome.code == 0
        assert re.search(rf'run\(\s*"{name}"', source), name
        assert f'(["{name}"' in source, name
    for command in typer.main.get_command(app).commands.values():  # type: ignore[attr-defined] # a group has commands
        for parameter in command.params:
            assert parameter.name == "image" or getattr(parameter, "help", None), f"{command.name} {parameter.name}"


def test_version_is_printed(run: Callable[..., Outcome]) -> None:
    assert run("--version").out == f"segscope {segscope.__version__}\n"


def test_module_runs_as_the_command() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "segscope", "explain", "nowhere.png", "--class", "cap"]
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (finished.returncode, finished.stderr) == (2, "segscope: There is no file 'nowhere.png'.\n")


def test_warnings_are_told_in_one_line(run: Callable[..., Outcome], folder: Path) -> None:
    (folder / "training.py").write_text(
        "from torch import nn\n\n"
        "def make():\n    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1))\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(warnings, "filters", [("default", None, UserWarning, None, 0)])
        outcome = run("predict", "photo.jpg", "--model", "training.py:make", "-o", "mask.png")
    assert outcome.code == 0
    assert outcome.err.startswith("segscope: warning: Batch norms of the network (1 of 1) are in training mode")
    assert len(outcome.err.splitlines()) == 1


def test_start_is_quick() -> None:
    """Torch, the server and matplotlib are imported by the commands that need them."""
    code = "import sys, segscope.cli; print({'torch', 'fastapi', 'matplotlib', 'numpy'} & set(sys.modules))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    finished = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert finished.stdout == "set()\n"


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_explain_writes_a_figure(run: Callable[..., Outcome], folder: Path, ending: str) -> None:
    outcome = run("explain", "photo.jpg", "--model", MODEL, "--class", largest_class(folder), "-o", f"map.{ending}")
    assert outcome.code == 0, outcome.err
    assert outcome.err == ""
    assert outcome.out.startswith(f"map.{ending}: class ")
    assert (folder / f"map.{ending}").stat().st_size > 2000
    assert sorted(path.name for path in folder.iterdir() if "part" in path.name) == []


@pytest.mark.parametrize(
    ("options", "region"),
    [
        ([], None),
        (["--everywhere"], segscope.Region.everywhere()),
        (["--pixel", "12,34"], segscope.Region.pixel(12, 34)),
        (["--box", "10, 20,50,90"], segscope.Region.box(10, 20, 50, 90)),
        (["--region", "region.png"], segscope.Region.box(20, 10, 50, 60)),
    ],
)
def test_explain_writes_what_the_library_says(
    run: Callable[..., Outcome], folder: Path, options: list[str], region: segscope.Region | None
) -> None:
    class_ = largest_class(folder)
    outcome = run("explain", "photo.jpg", "--model", MODEL, "--class", class_, *options, "-o", "map.npz", "--json")
    assert outcome.code == 0, outcome.err
    model = segscope.SegmentationModel.load(MODEL)
    with model.predict("photo.jpg") as prediction, np.load("map.npz") as saved:
        expected = prediction.explain(int(class_), region)
        np.testing.assert_allclose(saved["values"], expected.values, rtol=1e-5, atol=1e-9)
        assert (saved["region"] == expected.region_weights).all()
        assert outcome.json["class"] == expected.class_
        assert outcome.json["image_size"] == [120, 160]
        assert outcome.json["values"]["maximum"] == pytest.approx(float(expected.values.max()), rel=1e-5)
        assert outcome.json["output"] == "map.npz"


def test_explain_tells_what_the_method_measured(run: Callable[..., Outcome], folder: Path) -> None:
    options = ["--class", largest_class(folder), "--method", "integrated-gradients", "--param", "steps=2"]
    outcome = run("explain", "photo.jpg", "--model", MODEL, *options, "-o", "map.npz")
    assert outcome.code == 0, outcome.err
    assert ", completeness error " in outcome.out
    outcome = run("explain", "photo.jpg", "--model", MODEL, *options, "--json")
    assert set(outcome.json["measures"]) == {"completeness_error", "score_difference"}


def test_explain_takes_every_option(run: Callable[..., Outcome]) -> None:
    options = [
        "--layer",
        "2",
        "--method",
        "hires-cam",
        "--against",
        "hill",
        "--score",
        "probability",
        "--param",
        "relu=no",
    ]
    outcome = run(
        "explain",
        "photo.jpg",
        "--model",
        MODEL,
        "--classes",
        "classes.txt",
        "--class",
        "sky",
        "--everywhere",
        *options,
        "--json",
    )
    assert outcome.code == 0, outcome.err
    answer = outcome.json
    assert (answer["class"], answer["against"], answer["layer"], answer["method"]) == ("sky", "hill", "2", "hires-cam")
    assert answer["parameters"] == {"relu": False}
    assert answer["score"]["kind"] == "probability"
    assert answer["output"] is None
    assert answer["signed"] is True


def test_predict_writes_a_palette_of_the_classes(run: Callable[..., Outcome], folder: Path) -> None:
    (folder / "classes.json").write_text(
        json.dumps(
            {
                "classes": [
                    {"name": name, "color": color}
                    for name, color in [("a", "#010203"), ("b", "#0a0b0c"), ("c", "#ffffff")]
                ]
            }
        )
    )
    outcome = run("predict", "photo.jpg", "--model", MODEL, "--classes", "classes.json", "-o", "mask.png")
    assert outcome.code == 0, outcome.err
    with Image.open(folder / "mask.png") as mask:
        assert mask.mode == "P"
        palette, indices = mask.getpalette(), np.asarray(mask)
    assert palette is not None
    assert palette[:9] == [1, 2, 3, 10, 11, 12, 255, 255, 255]
    with segscope.SegmentationModel.load(MODEL).predict("photo.jpg") as prediction:
        assert (indices == prediction.mask).all()
    shares = [float(share) for share in re.findall(r"^[abc] +([\d.]+)%$", outcome.out, re.MULTILINE)]
    assert len(shares) == 3
    assert sum(shares) == pytest.approx(100, abs=0.2)


def test_predict_compares_with_the_true_mask(run: Callable[..., Outcome]) -> None:
    run("predict", "photo.jpg", "--model", MODEL, "-o", "mask.png")
    outcome = run("predict", "photo.jpg", "--model", MODEL, "--truth", "mask.png", "--json")
    assert outcome.code == 0, outcome.err
    for entry in outcome.json["classes"]:
        assert entry["iou"] == (1.0 if entry["share"] else None)
    assert "IoU" in run("predict", "photo.jpg", "--model", MODEL, "--truth", "mask.png").out


def test_layers_lists_what_can_be_explained(run: Callable[..., Outcome]) -> None:
    outcome = run("layers", "photo.jpg", "--model", MODEL, "--json")
    assert [layer["name"] for layer in outcome.json["layers"]] == ["0", "1", "2", "3", "4"]
    assert outcome.json["default_layer"] == "3"
    assert [layer["width"] for layer in outcome.json["layers"]] == [80, 80, 40, 40, 40]
    text = run("layers", "--model", MODEL)
    assert text.code == 0
    assert re.search(r"^3 +ReLU +12 +56×56 +default$", text.out, re.MULTILINE)


def test_doctor_examines_a_network(run: Callable[..., Outcome]) -> None:
    outcome = run("doctor", MODEL, "--image", "photo.jpg", "--json")
    assert outcome.json["suggestions"][0] == {"layer": "3", "why": "the last map before the head"}
    assert [check["problem"] for check in outcome.json["checks"]] == [""] * 5
    text = run("doctor", MODEL, "--classes", "classes.txt")
    assert "sky, hill, meadow" in text.out


def test_weights_are_loaded_into_the_network(run: Callable[..., Outcome], folder: Path) -> None:
    network = segscope.SegmentationModel.load(MODEL).network
    last = list(network.state_dict())[-1]
    state = {name: tensor * (name != last) for name, tensor in network.state_dict().items()}
    torch.save(state | {last: torch.tensor([0.0, 1e6, 0.0])}, folder / "w.pt")
    asked = ("--model", MODEL, "--weights", "w.pt", "--json")
    assert [entry["share"] for entry in run("predict", "photo.jpg", *asked).json["classes"]] == [0, 1, 0]
    assert run("explain", "photo.jpg", "--class", "1", *asked).code == 0
    torch.save({"other": torch.zeros(1)}, folder / "w.pt")
    assert "1 unexpected (other)" in run("layers", *asked).err


def test_methods_lists_every_method_by_family(run: Callable[..., Outcome]) -> None:
    known = segscope.methods.all_methods()
    described = run("methods", "--json").json
    assert [entry["name"] for entry in described] == list(known)
    fields = {field.name for field in dataclasses.fields(segscope.methods.Method)} - {"run", "combine"}
    assert all(set(entry) == fields for entry in described)
    lines = run("methods").out.splitlines()
    for method in known.values():
        quick = "yes" if method.quick else "no"
        row = rf"  {method.name} +{method.at} +{quick} +{re.escape(method.summary)}"
        found = [number for number, line in enumerate(lines) if re.fullmatch(row, line)]
        assert len(found) == 1
        headings = [line for line in lines[: found[0]] if line in segscope.methods.FAMILIES.values()]
        assert headings[-1] == segscope.methods.FAMILIES[method.family]


def test_methods_describes_one_method(run: Callable[..., Outcome]) -> None:
    for method in segscope.methods.all_methods().values():
        text = run("methods", method.name)
        assert text.code == 0
        for words in (method.title, method.summary, method.cannot, method.citation, method.url):
            assert words in text.out
        for parameter in method.parameters:
            assert f"--param {parameter.name}=" in text.out
            assert parameter.description in text.out
    assert run("methods", "grad-cam", "--json").json["name"] == "grad-cam"


def test_mushrooms_writes_a_dataset(run: Callable[..., Outcome], folder: Path) -> None:
    outcome = run("mushrooms", "--count", "1", "--seed", "4", "--size", "32", "--out", "rendered")
    assert outcome.code == 0, outcome.err
    with Image.open(folder / "rendered" / "images" / "000000.png") as image:
        assert image.size == (32, 32)
    names, colors = read_classes(folder / "rendered" / "classes.json")
    assert names[-1] == "cap"
    assert colors is not None
    again = run("mushrooms", "--count", "1", "--seed", "4", "--size", "32", "--out", "rendered")
    assert again.code == 0


def test_train_writes_weights_that_can_be_loaded(run: Callable[..., Outcome], folder: Path) -> None:
    for seed, name in enumerate(("train", "val", "test")):
        generator = np.random.default_rng(seed)
        for kind, shape, end in (("images", (32, 32, 3), 256), ("masks", (32, 32), 6)):
            (folder / name / kind).mkdir(parents=True)
            for number in range(2):
                pixels = generator.integers(0, end, shape, dtype=np.uint8)
                Image.fromarray(pixels).save(folder / name / kind / f"{number}.png")
    options = ["--data", "train", "--validation", "val", "--steps", "1", "--width", "0.0625", "--data-seed", "0"]
    outcome = run("train", *options, "--export", "net.safetensors", "--test", "test", "--test-seed", "2")
    assert outcome.code == 0, outcome.err
    assert "weights in net.safetensors" in outcome.out
    record = json.loads((folder / "net.json").read_text())
    assert record["test"]["class_iou"].keys() >= {"cap", "stipe"}
    (folder / "trained.py").write_text(
        "from pathlib import Path\nfrom segscope.demo import load_demo\n"
        "def build(): return load_demo(Path('net.safetensors'))\n"
    )
    answer = run("layers", "--model", "trained.py:build", "--json").json
    assert answer["default_layer"] == "aggregation_conv"
    resumed = run("train", *options)
    assert resumed.code == 0, resumed.err


@pytest.mark.skipif(sys.platform == "win32", reason="signals are another matter on Windows")
@pytest.mark.parametrize("name", ["serve", "demo"])
def test_explorer_says_where_it_is(run: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """What the two commands hand to the server, which has tests of its own."""
    served: list[Any] = []

    def serve(model: Any, gallery: Any, place: Any, *, memory: int, origin: Any, on_ready: Any) -> None:
        served.append((model, gallery, memory, origin))
        on_ready(place.address)

    monkeypatch.setattr("segscope.server.launch.serve", serve)
    monkeypatch.setattr("segscope.server.launch.open_browser", served.append)
    options = ["--port", "0", "--memory", "5MB"]
    if name == "serve":
        outcome = run("serve", MODEL, "--images", ".", "--classes", "classes.txt", *options)
    else:
        monkeypatch.setattr("segscope.demo.DATA", Path.cwd() / "data")
        monkeypatch.setattr("segscope.demo.load_demo", lambda: segscope.SegmentationModel.load(MODEL))
        (Path.cwd() / "data" / "images").mkdir(parents=True)
        (Path.cwd() / "data" / "masks").mkdir()
        photograph().save("data/images/one.png")
        outcome = run("demo", *options)
    assert outcome.code == 0, outcome.err
    (model, gallery, memory, origin), address = served
    assert memory == 5_000_000
    assert isinstance(model, segscope.SegmentationModel)
    assert [image.name for image in gallery.images()] == (
        ["photo.jpg", "region.png"] if name == "serve" else ["one.png"]
    )
    assert origin.source == (MODEL if name == "serve" else "demo")
    assert origin.classes_file == ("classes.txt" if name == "serve" else None)
    assert (origin.classes is None) == (name == "demo")
    assert outcome.out.splitlines()[0] == f"segscope is ready at {address}"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nonsense"], "nonsense"),
        (["explain"], "IMAGE"),
        (["explain", "photo.jpg", "-o", "a.png"], "--class"),
        (["explain", "photo.jpg", "--class", "0", "--colour", "red"], "--colour"),
        (["explain", "photo.jpg", "--class", "0"], "-o"),
        (["explain", "nothing.jpg", "--class", "0", "-o", "a.png"], "no file 'nothing.jpg'"),
        (["explain", ".", "--class", "0", "-o", "a.png"], "is a folder"),
        (["explain", "classes.txt", "--model", MODEL, "--class", "0", "-o", "a.png"], "isn't an image"),
        (["explain", "photo.jpg", "--class", "0", "-o", "a.jpg"], "'.jpg'"),
        (["explain", "photo.jpg", "--class", "0", "-o", "a"], "no ending"),
        (["explain", "photo.jpg", "--class", "0", "-o", "missing/a.png"], "'missing'"),
        (["explain", "photo.jpg", "--model", MODEL, "--class", "9", "-o", "a.png"], "no class 9"),
        (["explain", "photo.jpg", "--model", MODEL, "--class", "clas 0", "-o", "a.png"], "'class 0'"),
        (["explain", "photo.jpg", "--model", MODEL, "--class", "0", "--layer", "x", "-o", "a.png"], "no layer 'x'"),
        (["explain", "photo.jpg", "--model", MODEL, "--class", "0", "--against", "0", "-o", "a.png"], "against itself"),
        (["explain", "photo.jpg", "--class", "0", "--method", "gradcam", "-o", "a.png"], "'grad-cam'"),
        (["explain", "photo.jpg", "--class", "0", "--score", "odds", "-o", "a.png"], "odds"),
        (["explain", "photo.jpg", "--class", "0", "--param", "relu", "-o", "a.png"], "name=value"),
        (["explain", "photo.jpg", "--class", "0", "--param", "relv=no", "-o", "a.png"], "'relu'"),
        (["explain", "photo.jpg", "--class", "0", "--param", "relu=maybe", "-o", "a.png"], "maybe"),
        (["explain", "photo.jpg", "--class", "0", "--param", "relu=no", "--param", "relu=yes", "-o", "a.png"], "twice"),
        (["explain", "photo.jpg", "--class", "0", "--pixel", "1", "-o", "a.png"], "ROW,COLUMN"),
        (["explain", "photo.jpg", "--class", "0", "--pixel", "a,b", "-o", "a.png"], "ROW,COLUMN"),
        (["explain", "photo.jpg", "--class", "0", "--box", "1,2,3", "-o", "a.png"], "TOP,LEFT,BOTTOM,RIGHT"),
        (["explain", "photo.jpg", "--class", "0", "--box", "9,9,1,1", "-o", "a.png"], "no pixel"),
        (
            ["explain", "photo.jpg", "--class", "0", "--pixel", "1,2", "--everywhere", "-o", "a.png"],
            "one region at most",
        ),
        (["explain", "photo.jpg", "--model", MODEL, "--class", "0", "--pixel", "500,2", "-o", "a.png"], "outside"),
        (["explain", "photo.jpg", "--class", "0", "--region", "none.png", "-o", "a.png"], "no file 'none.png'"),
        (["explain", "photo.jpg", "--class", "0", "--region", "photo.jpg", "-o", "a.png"], "3 channels"),
        (["explain", "photo.jpg", "--model", MODEL, "--class", "0", "--region", "small.png", "-o", "a.png"], "5×5"),
        (["explain", "photo.jpg", "--model", "nothing", "--class", "0", "-o", "a.png"], "module:function"),
        (["explain", "photo.jpg", "--model", "nothing.py:build", "--class", "0", "-o", "a.png"], "nothing.py"),
        (["explain", "photo.jpg", "--model", "no_such_module:build", "--class", "0", "-o", "a.png"], "no_such_module"),
        (["explain", "photo.jpg", "--model", "network.py:biuld", "--class", "0", "-o", "a.png"], "'build'"),
        (["explain", "photo.jpg", "--model", "network.py:number", "--class", "0", "-o", "a.png"], "int"),
        (
            ["explain", "photo.jpg", "--model", "network.py:broken", "--class", "0", "-o", "a.png"],
            "weights are missing",
        ),
        (["predict", "photo.jpg", "--model", MODEL, "--classes", "none.txt"], "'none.txt'"),
        (["predict", "photo.jpg", "--model", MODEL, "--classes", "bad.json"], "isn't valid JSON"),
        (["predict", "photo.jpg", "--model", MODEL, "--classes", "form.json"], "another form"),
        (["predict", "photo.jpg", "--model", MODEL, "--classes", "photo.jpg"], "UTF-8"),
        (["predict", "photo.jpg", "--model", MODEL, "--classes", "two.txt"], "3"),
        (["predict", "photo.jpg", "--model", MODEL, "--truth", "small.png"], "5×5"),
        (["predict", "photo.jpg", "-o", "mask.jpg"], "'.jpg'"),
        (["methods", "gradcam"], "'grad-cam'"),
        (["methods", "grad-cam", "hires-cam"], "hires-cam"),
        (["layers", "nothing.jpg"], "no file 'nothing.jpg'"),
        (["doctor", "demo", "--image", "nothing.jpg"], "no file 'nothing.jpg'"),
        (["doctor", MODEL, "--weights", "nothing.pt"], "no file of weights 'nothing.pt'"),
        (["mushrooms", "--out", "classes.txt"], "is a file"),
        (["mushrooms", "--out", "rendered", "--count", "0"], "count"),
        (["mushrooms", "--out", "rendered", "--count", "many"], "--count"),
        (["train", "--data", "none", "--validation", "none"], "steps"),
        (["train", "--data", "none", "--validation", "none", "--steps", "1"], "none"),
        (["train", "--data", "none", "--validation", "none", "--steps", "1", "--test", "none"], "--export"),
        (["serve", MODEL], "--images"),
        (["serve", MODEL, "--images", "none"], "'none'"),
        (["serve", MODEL, "--images", "empty"], "holds no image"),
        (["serve", MODEL, "--images", ".", "--masks", "none"], "'none'"),
        (["serve", MODEL, "--images", ".", "--port", "70000"], "70000"),
        (["serve", MODEL, "--images", ".", "--port", "http"], "--port"),
        (["serve", MODEL, "--images", ".", "--memory", "lots"], "2GiB"),
        (["serve", MODEL, "--images", ".", "--token", "x"], "letters and digits"),
        (["serve", MODEL, "--images", ".", "--host", "no.such.host.invalid"], "isn't known"),
        (["serve", "nothing.py:build", "--images", "."], "nothing.py"),
        (["demo", "--memory", "0"], "2GiB"),
    ],
    ids=lambda value: " ".join(value[:8]) if isinstance(value, list) else "",
)
def test_bad_input_is_one_clear_line(
    run: Callable[..., Outcome], folder: Path, arguments: list[str], words: str
) -> None:
    (folder / "bad.json").write_text("{")
    (folder / "form.json").write_text('{"names": ["a"]}')
    (folder / "two.txt").write_text("a\nb\n")
    (folder / "empty").mkdir()
    Image.new("L", (5, 5), 1).save(folder / "small.png")
    before = sorted(path.name for path in folder.iterdir())
    outcome = run(*arguments)
    assert outcome.code == 2
    assert outcome.out == ""
    assert re.fullmatch(r"segscope: .+\n", outcome.err), outcome.err
    assert words in outcome.err
    assert "Traceback" not in outcome.err
    left = {path.name for path in folder.iterdir()} - {"__pycache__", "runs"}
    assert sorted(left) == before


def test_fault_of_the_program_is_not_hidden(run: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ZeroDivisionError("a fault of the program")

    monkeypatch.setattr("segscope.methods.all_methods", fail)
    with pytest.raises(ZeroDivisionError, match="a fault of the program"):
        run("methods")


def test_output_is_replaced_only_by_a_whole_one(
    run: Callable[..., Outcome], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "map.npz").write_bytes(b"the old one")

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("numpy.savez_compressed", fail)
    outcome = run("explain", "photo.jpg", "--model", MODEL, "--class", "0", "--everywhere", "-o", "map.npz")
    assert outcome.code == 2
    assert "No space left on device" in outcome.err
    assert (folder / "map.npz").read_bytes() == b"the old one"
    assert [path.name for path in folder.iterdir() if path.name.endswith(".part")] == []


@pytest.mark.skipif(sys.platform == "win32", reason="signals are another matter on Windows")
def test_interruption_ends_quietly_with_130(folder: Path) -> None:
    (folder / "slow.py").write_text("import time\ndef build():\n    print('begun', flush=True)\n    time.sleep(60)\n")
    command = [sys.executable, "-m", "segscope", "layers", "--model", "slow.py:build"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == ""


def test_reader_that_goes_away_is_no_error(folder: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-m", "segscope", "methods"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""


def test_classes_are_read_in_every_form(tmp_path: Path) -> None:
    forms = {
        "a.json": '["x", "y"]',
        "b.json": '{"classes": ["x", "y"]}',
        "c.json": '[{"name": "x"}, {"name": "y"}]',
        "d.txt": "x\r\n\r\n  y\r\n",
        "e.names": '["x", "y"]',
        "f.txt": "\ufeffx\ny",
    }
    for name, text in forms.items():
        (tmp_path / name).write_text(text, encoding="utf-8", newline="")
        assert read_classes(tmp_path / name) == (["x", "y"], None), name


def test_class_is_an_index_only_where_no_class_has_that_name() -> None:
    assert class_of("1", ("0", "2", "1")) == "1"
    assert class_of("3", ("0", "2", "1")) == 3
    assert class_of("cap", ()) == "cap"


@pytest.mark.parametrize(
    ("text", "amount"), [("2GiB", 2**31), ("500MB", 500_000_000), ("1.5 g", 1_500_000_000), ("64ki", 65536), ("7", 7)]
)
def test_memory_is_read_with_its_unit(text: str, amount: int) -> None:
    assert read_bytes(text) == amount


@pytest.mark.skipif(
    not (DATA / "pspnet-vgg16-mushrooms.safetensors").is_file(), reason="the shipped weights aren't here"
)
def test_demo_explains_a_shipped_image(run: Callable[..., Outcome], folder: Path) -> None:
    shipped = min((DATA / "images").iterdir())
    outcome = run("explain", str(shipped), "--class", "cap", "--everywhere", "--layer", "block5_conv3", "-o", "cap.png")
    assert outcome.code == 0, outcome.err
    assert (folder / "cap.png").is_file()


def test_large_images_are_seen_in_windows(run: Callable[..., Outcome], folder: Path) -> None:
    model = segscope.SegmentationModel.load(MODEL, windows=segscope.Windows((64, 80), overlap=0.5))
    prediction = model.predict("photo.jpg")
    options = ("--model", MODEL, "--window", "64,80", "--overlap", "0.5")
    assert run("predict", "photo.jpg", *options, "-o", "mask.png").code == 0
    np.testing.assert_array_equal(np.asarray(Image.open("mask.png")), prediction.mask)
    asked = ("explain", "photo.jpg", "--class", "1", "--box", "5,5,100,100", "--layer", "0")
    assert run(*asked, *options, "-o", "map.npz").code == 0
    expected = prediction.explain(1, segscope.Region.box(5, 5, 100, 100), layer="0")
    with np.load("map.npz") as file:
        np.testing.assert_allclose(file["values"], expected.values, atol=1e-5 * expected.limit)
    assert (
        run("compare", "photo.jpg", *options, "--class", "1", "--everywhere", "--methods", "grad-cam,saliency").code
        == 0
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--overlap", "0.5"), "--overlap was given without --window"),
        (("--window", "a"), "--window is 'a'; expected N or HEIGHT,WIDTH"),
        (("--window", "1,2,3"), "--window is '1,2,3'; expected N or HEIGHT,WIDTH"),
        (("--window", "0"), "size of the windows is 0"),
        (("--window", "64", "--overlap", "2"), "overlap of the windows is 2"),
    ],
)
def test_windows_that_cannot_be_read(run: Callable[..., Outcome], options: tuple[str, ...], message: str) -> None:
    outcome = run("predict", "photo.jpg", "--model", MODEL, *options)
    assert outcome.code == 2
    assert message in outcome.err
