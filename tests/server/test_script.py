"""The lines that reproduce a map do: run in a fresh process, they make the map that the server sent."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import segscope
from segscope.demo import DATA
from segscope.server import Gallery, Origin, create_app
from tests.farm import CLASSES, make_farm

from .conftest import Client, encode, error_of, npy

RUNNER = """
import runpy, sys
import numpy as np

for path in sys.argv[1:]:
    if path.endswith(".py"):
        np.save(path + ".npy", runpy.run_path(path)["attribution"].values)
"""
BOX = {"kind": "box", "top": 50, "left": 20, "bottom": 95, "right": 110}
PIXEL = {"kind": "pixel", "row": 60, "column": 70}
BRUSH = {"kind": "mask", "size": [120, 160], "runs": [5000, *([7, 3] * 60), 120 * 160 - 5600]}
LASSO = {"kind": "polygon", "points": [[10.5, 12], [80, 30.25], [95, 140], [20, 90]]}
ERRORS = {"kind": "errors", "class": "barn", "error": "false-negative"}
SEGMENT = {"kind": "segment", "row": 100, "column": 20}
REGIONS: dict[str, dict[str, Any] | None] = {
    "none": None,
    "everywhere": {"kind": "everywhere"},
    "predicted": {"kind": "predicted", "class": "lawn"},
    "pixel": PIXEL,
    "box": BOX,
    "lasso": LASSO,
    "brush": BRUSH,
    "true": {"kind": "true", "class": 2},
    "errors": {"kind": "errors", "class": "barn"},
    "false-negative": ERRORS,
    "segment": SEGMENT,
    "superpixel": {"kind": "superpixel", "row": 30, "column": 30, "count": 150},
    "both": {"kind": "and", "regions": [BOX, {"kind": "not", "region": {"kind": "or", "regions": [PIXEL, LASSO]}}]},
    "either": {"kind": "or", "regions": [BRUSH, PIXEL, {"kind": "and", "regions": [SEGMENT, ERRORS, LASSO]}, BOX]},
    "one": {"kind": "or", "regions": [{"kind": "and", "regions": [BOX]}]},
}
QUESTIONS: dict[str, dict[str, Any]] = {
    **{name: {"class": "barn", "region": region, "layer": "relu"} for name, region in REGIONS.items()},
    "index": {"class": 2, "against": 3},
    "hires": {
        "class": "barn",
        "against": "sky",
        "method": "hires-cam",
        "layer": "smooth",
        "parameters": {"relu": False},
    },
    "input": {"class": "lawn", "method": "saliency", "region": BOX},
    "probability": {"class": "sky", "method": "input-x-gradient", "score": "probability", "layer": "input"},
    "layer-cam": {"class": "sky", "method": "layer-cam", "layer": "relu", "region": PIXEL},
}


@pytest.fixture
def farm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(make_farm(tmp_path))
    return tmp_path


@pytest.fixture
def client(farm: Path) -> Iterator[Client]:
    origin = Origin(source="network.py:build", classes=CLASSES, classes_file="classes.txt")
    model = segscope.SegmentationModel.load("network.py:build", classes=CLASSES)
    app = create_app(model, Gallery("images", masks="masks"), origin=origin)
    yield Client(app)
    app.state.session.close()


def id_of(client: Client, name: str) -> str:
    return {image["name"]: image["id"] for image in client.get("/api/images").json()["images"]}[name]


def ask(client: Client, image: str, resource: str, question: dict[str, Any]) -> Any:
    response = client.post(f"/api/images/{image}/{resource}", json=question)
    assert response.status_code == 200, response.text
    return response


def run(folder: Path, scripts: dict[str, str]) -> dict[str, np.ndarray[Any, Any]]:
    """Run scripts in a fresh process, and return their maps."""
    for name, script in scripts.items():
        (folder / f"{name}.py").write_text(script, encoding="utf-8")
    files = [f"{name}.py" for name in scripts]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", RUNNER, *files],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {name: np.load(folder / f"{name}.py.npy") for name in scripts}


def assert_same(first: np.ndarray[Any, Any], second: np.ndarray[Any, Any]) -> None:
    assert first.shape == second.shape
    assert np.abs(first).max() > 0
    np.testing.assert_allclose(first, second, rtol=0, atol=1e-5 * float(np.abs(second).max()))


def test_lines_make_the_maps_that_the_server_sent(client: Client, farm: Path) -> None:
    image = id_of(client, "farm0.png")
    scripts = {name: ask(client, image, "script", question).json()["python"] for name, question in QUESTIONS.items()}
    made = run(farm, scripts)
    for name, question in QUESTIONS.items():
        assert_same(made[name], npy(ask(client, image, "attribution", question)))
    assert len(list(farm.glob("*.png"))) > 0


def test_simple_questions_read_like_prose(client: Client) -> None:
    question = {"class": "barn", "against": "lawn", "layer": "relu", "region": BOX, "parameters": {"relu": False}}
    lines = ask(client, id_of(client, "farm0.png"), "script", question).json()["python"]
    assert lines == (
        "import segscope\n\n"
        "# Paths are relative to the folder in which the explorer was started.\n"
        'model = segscope.SegmentationModel.load("network.py:build", classes=["ground", "sky", "barn", "lawn"])\n'
        'prediction = model.predict("images/farm0.png")\n'
        "attribution = prediction.explain(\n"
        '    "barn",\n'
        "    segscope.Region.box(50, 20, 95, 110),\n"
        '    against="lawn",\n'
        '    layer="relu",\n'
        '    method="grad-cam",\n'
        "    relu=False,\n"
        ")\n"
        'attribution.save("barn-relu.png")  # the figure; a name that ends with .npz saves the numbers\n'
    )


def test_commands_make_the_same_maps(client: Client, farm: Path) -> None:
    image = id_of(client, "farm1.png")
    wanted: dict[str, dict[str, Any]] = {
        "none": {"class": "barn", "layer": "relu"},
        "pixel": {
            "class": "barn",
            "region": PIXEL,
            "against": "sky",
            "method": "hires-cam",
            "parameters": {"relu": False},
        },
        "box": {"class": "lawn", "region": BOX, "score": "probability"},
        "everywhere": {"class": "sky", "region": {"kind": "everywhere"}, "method": "saliency"},
    }
    for name, question in wanted.items():
        words = shlex.split(ask(client, image, "script", question).json()["command"])
        assert words[0] == "segscope"
        from segscope.cli import main

        assert main([*words[1:-1], f"{name}.npz"]) == 0
        assert_same(np.load(farm / f"{name}.npz")["values"], npy(ask(client, image, "attribution", question)))
    for region in ("lasso", "brush", "segment", "predicted"):
        assert ask(client, image, "script", {"class": "barn", "region": REGIONS[region]}).json()["command"] is None


@pytest.mark.skipif(
    not (DATA / "pspnet-vgg16-mushrooms.safetensors").is_file(), reason="the shipped weights aren't here"
)
def test_lines_for_the_demo_find_its_images_wherever_it_lies(tmp_path: Path) -> None:
    app = create_app(
        segscope.SegmentationModel.load("demo"),
        Gallery(DATA / "images", masks=DATA / "masks"),
        origin=Origin(source="demo"),
    )
    client = Client(app)
    name = min(path.name for path in (DATA / "images").iterdir())
    image = id_of(client, name)
    questions: dict[str, dict[str, Any]] = {
        "cap": {"class": "cap", "layer": "block5_conv3"},
        "truth": {"class": "cap", "region": {"kind": "true", "class": "cap"}, "method": "hires-cam"},
    }
    answers = {key: ask(client, image, "script", question).json() for key, question in questions.items()}
    for answer in answers.values():
        assert str(DATA) not in json.dumps(answer)
        assert f'segscope.demo.DATA / "images" / "{name}"' in answer["python"]
        assert answer["command"] is None
    made = run(tmp_path, {key: answer["python"] for key, answer in answers.items()})
    for key, question in questions.items():
        assert_same(made[key], npy(ask(client, image, "attribution", question)))
    app.state.session.close()


def test_upload_is_saved_and_explained_beside_the_script(client: Client, farm: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open("images/farm0.png") as picture:
        data = encode(picture, "JPEG", exif=exif)
    image = client.upload(data, "../a \"b\"\n'c'.jpg", "image/jpeg").json()
    question = {"class": "barn", "region": {"kind": "everywhere"}}
    lines = ask(client, image["id"], "script", question).json()["python"]
    assert "# Save the uploaded image as" in lines
    original = client.get(f"/api/images/{image['id']}/file")
    assert original.content == data
    assert original.headers["content-type"] == "application/octet-stream"
    assert original.headers["content-disposition"].startswith("attachment")
    (farm / image["name"]).write_bytes(original.content)
    assert_same(run(farm, {"upload": lines})["upload"], npy(ask(client, image["id"], "attribution", question)))


def test_lines_hold_names_of_any_characters(farm: Path, model: segscope.SegmentationModel, image: Any) -> None:
    names = ('a"b', "c'd", "\n__import__('os')._exit(7)\n#", "\u2028\\")
    hostile = farm / "images" / "x'\"\n; exit().png"
    Image.fromarray(image).save(hostile)
    (farm / "names.py").write_text(
        "import segscope, torch\ndef make(): return torch.nn.Conv2d(3, 4, 3, padding=1, bias=False)\n"
    )
    loaded = segscope.SegmentationModel.load("names.py:make", classes=names)
    client = Client(create_app(loaded, Gallery("images"), origin=Origin(source="names.py:make", classes=names)))
    record = next(entry for entry in client.get("/api/images").json()["images"] if entry["name"].startswith("x'"))
    question = {
        "class": names[2],
        "against": names[3],
        "region": {"kind": "everywhere"},
        "layer": "input",
        "method": "saliency",
    }
    answer = ask(client, record["id"], "script", question).json()
    compile(answer["python"], "script", "exec")
    assert answer["python"].count("\n__import__") == 0
    words = shlex.split(answer["command"])
    assert words[words.index("--class") + 1] == names[2]
    assert words[2] == "images/x'\"\n; exit().png"


@pytest.mark.parametrize(("bare", "variable"), [(False, "model"), (True, "network")])
def test_lines_name_the_variables_of_a_notebook(
    model: segscope.SegmentationModel, image: np.ndarray[Any, Any], tmp_path: Path, *, bare: bool, variable: str
) -> None:
    from segscope.server.viewer import _gallery_of

    Image.fromarray(image).save(tmp_path / "one.png")
    images: list[Any] = [str(tmp_path / "one.png"), 255 - image]
    gallery, given = _gallery_of(images)
    shown = segscope.SegmentationModel(model.network) if bare else model
    app = create_app(shown, gallery, origin=Origin(is_network=bare, given=given))
    client = Client(app)
    for number, record in enumerate(client.get("/api/images").json()["images"]):
        question = {"class": 1, "region": {"kind": "everywhere"}}
        answer = ask(client, record["id"], "script", question).json()
        assert answer["command"] is None
        assert f"# `{variable}` is what the explorer was opened with" in answer["python"]
        names = {"model": model, "network": model.network, "images": images}
        lines = answer["python"].replace("attribution.save(", "str(")
        exec(lines, names)  # noqa: S102  # what is under test
        made: Any = names["attribution"]
        assert_same(made.values, npy(ask(client, record["id"], "attribution", question)))
        assert ("images[1]" in answer["python"]) == bool(number)


def test_archive_is_what_the_library_writes(client: Client, farm: Path) -> None:
    question = {"class": "barn", "region": BOX, "against": "sky", "layer": "relu", "parameters": {"relu": False}}
    image = id_of(client, "farm0.png")
    response = ask(client, image, "archive", question)
    sent = np.load(BytesIO(response.content), allow_pickle=False)
    model = segscope.SegmentationModel.load("network.py:build", classes=CLASSES)
    with model.predict("images/farm0.png") as prediction:
        region = segscope.Region.from_dict(BOX)
        attribution = prediction.explain("barn", region, against="sky", layer="relu", relu=False)
        written = np.load(attribution.save(farm / "x.npz"), allow_pickle=False)
    assert set(sent) == set(written) == {"values", "map", "region", "mask", "provenance"}
    assert json.loads(str(sent["provenance"])) == json.loads(str(written["provenance"]))
    for name in ("values", "map", "region", "mask"):
        np.testing.assert_array_equal(sent[name], written[name])
    np.testing.assert_array_equal(sent["values"], npy(ask(client, image, "attribution", question)))
    assert sent["values"].dtype == np.float32
    assert sent["values"].shape == sent["region"].shape == sent["mask"].shape == (120, 160)


@pytest.mark.parametrize("resource", ["script", "archive"])
@pytest.mark.parametrize(
    "question",
    [
        {"class": "cow"},
        {"class": "barn", "against": "barn"},
        {"class": "barn", "layer": "__class__"},
        {"class": "barn", "layer": ""},
        {"class": "barn", "method": "magic"},
        {"class": "barn", "parameters": {"relu": "maybe"}},
        {"class": "barn", "parameters": {"__import__('os')": 1}},
        {"class": "barn", "score": "'); exit()"},
        {"class": "barn", "region": {"kind": "pixel", "row": 9999, "column": 0}},
        {"class": "barn", "region": {"kind": "mask", "size": [9, 9], "runs": [81]}},
        {"class": "barn", "region": {"kind": "mask", "size": [120, 160], "runs": [120 * 160]}},
        {"class": "barn", "region": {"kind": "true", "class": "cow"}},
        {"class": "barn", "file": "/etc/passwd"},
        {},
        [],
    ],
)
def test_question_that_can_not_be_asked_is_refused(client: Client, resource: str, question: Any) -> None:
    response = client.post(f"/api/images/{id_of(client, 'farm0.png')}/{resource}", json=question)
    assert response.status_code == 422, response.text
    error_of(response)


def test_true_regions_without_true_mask_are_refused(client: Client) -> None:
    response = client.post(f"/api/images/{id_of(client, 'farm2.png')}/script", json={"class": "barn", "region": ERRORS})
    assert response.status_code == 422
    assert "true mask" in error_of(response)["message"]


def test_file_that_is_gone_is_a_clear_error(client: Client, farm: Path) -> None:
    image = id_of(client, "farm2.png")
    (farm / "images" / "farm2.png").unlink()
    response = client.get(f"/api/images/{image}/file")
    assert response.status_code == 422
    assert "farm2.png" in error_of(response)["message"]
