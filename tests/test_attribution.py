"""Attributions: raw numbers, pictures, files, and where they came from."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from torch import nn
from torch.nn import functional

import segscope
from segscope import Attribution, InvalidInput, Preprocess, Region, SegmentationModel
from segscope.colors import class_colors, colorize, to_rgb

INDEX: Any = np.int64(1)


@pytest.fixture
def answer(prediction: segscope.Prediction) -> Attribution:
    return prediction.explain(
        "leaf", Region.box(3, 4, 20, 30), layer="0", method="hires-cam", against="root", relu=False
    )


def test_map_and_values(image: NDArray[np.uint8]) -> None:
    network = nn.Sequential(nn.Conv2d(3, 5, 3, 2, 1), nn.Conv2d(5, 2, 1))
    found = (
        SegmentationModel(network, preprocess=Preprocess((32, 24)))
        .predict(image)
        .explain(0, Region.everywhere(), layer="0", relu=False)
    )
    assert found.map.shape == (16, 12)
    assert found.values.shape == (40, 56)
    assert found.map.dtype == found.values.dtype == np.float32
    expected = functional.interpolate(
        torch.from_numpy(found.map)[None, None], (40, 56), mode="bilinear", antialias=True
    )
    np.testing.assert_allclose(found.values, expected[0, 0], atol=1e-6)
    assert found.limit == np.abs(found.values).max()


def test_magnitudes_stay_raw(prediction: segscope.Prediction) -> None:
    maps = [
        prediction.explain("leaf", Region.pixel(*at), layer="input", method="saliency").limit
        for at in ((0, 0), (20, 20))
    ]
    assert maps[0] != maps[1]
    assert max(maps) not in (1.0, 0.0)


def test_question_is_kept(answer: Attribution) -> None:
    assert (answer.class_, answer.against, answer.layer, answer.method) == ("leaf", "root", "0", "hires-cam")
    assert answer.parameters == {"relu": False}
    assert answer.signed
    assert answer.region_weights.sum() == 17 * 26
    assert repr(answer) == "Attribution('leaf', layer='0', method='hires-cam', map=40×56)"


def test_provenance_is_json(answer: Attribution) -> None:
    found = json.loads(json.dumps(answer.provenance))
    assert found == answer.provenance
    assert found["model"] == "Plain"
    assert found["class"] == "leaf"
    assert found["against"] == "root"
    assert found["region"] == {"kind": "box", "top": 3, "left": 4, "bottom": 20, "right": 30}
    assert found["score"]["kind"] == "logit"
    assert found["score"]["value"] == pytest.approx(answer.score)
    assert found["parameters"] == {"relu": False}
    assert found["image_size"] == found["map_size"] == [40, 56]
    assert found["segscope"] == segscope.__version__


@pytest.mark.parametrize("class_", ["leaf", 1, np.int64(1)])
@pytest.mark.parametrize(
    "region", [None, Region.predicted(INDEX), Region.mask(np.random.default_rng(0).random((40, 56)))]
)
def test_provenance_of_any_question_is_json(
    prediction: segscope.Prediction, class_: Any, region: Region | None
) -> None:
    found = prediction.explain(class_, region, layer="0").provenance
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    np.testing.assert_array_equal(
        Region.from_dict(found["region"]).weights(prediction), (region or Region.predicted(1)).weights(prediction)
    )


def test_npz_holds_the_numbers(answer: Attribution, tmp_path: Path) -> None:
    assert answer.save(tmp_path / "a.npz") == tmp_path / "a.npz"
    with np.load(tmp_path / "a.npz") as file:
        np.testing.assert_array_equal(file["values"], answer.values)
        np.testing.assert_array_equal(file["map"], answer.map)
        np.testing.assert_array_equal(file["region"], answer.region_weights)
        assert file["mask"].shape == (40, 56)
        assert json.loads(str(file["provenance"])) == answer.provenance


@pytest.mark.parametrize("kind", ["png", "svg", "pdf", "PNG"])
def test_pictures_are_saved(answer: Attribution, tmp_path: Path, kind: str) -> None:
    path = answer.save(str(tmp_path / f"a.{kind}"))
    start = path.read_bytes()[:300]
    assert {"png": b"\x89PNG", "svg": b"<svg", "pdf": b"%PDF"}[kind.lower()] in start or b"<?xml" in start
    if kind.lower() == "png":
        assert np.asarray(Image.open(path)).std() > 10
    assert [each.name for each in tmp_path.iterdir()] == [f"a.{kind}"]


@pytest.mark.parametrize("name", ["a.jpg", "a", "a.npy", "png", ".png.txt", ""])
def test_other_endings_are_refused(answer: Attribution, tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInput, match=r"expected .png, .svg, .pdf or .npz"):
        answer.save(tmp_path / name)


def test_failure_midway_leaves_the_old_file(
    answer: Attribution, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_self: Figure, file: Any, **_: Any) -> None:
        file.write(b"half")
        raise RuntimeError("out of ink")

    for name in ("a.png", "a.npz"):
        answer.save(tmp_path / name)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.raises(RuntimeError, match="out of ink"):
        answer.save(tmp_path / "a.png")
    monkeypatch.setattr(np, "savez_compressed", lambda file, **_: fail(Figure(), file))
    with pytest.raises(RuntimeError, match="out of ink"):
        answer.save(tmp_path / "a.npz")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_file_is_exchanged_and_not_rewritten(answer: Attribution, tmp_path: Path) -> None:
    path, reader = tmp_path / "a.npz", tmp_path / "open elsewhere"
    path.write_bytes(b"old")
    reader.hardlink_to(path)
    answer.save(path)
    assert path.read_bytes().startswith(b"PK")
    assert reader.read_bytes() == b"old"


def test_places_that_cannot_be_written(answer: Attribution, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.npz").mkdir()
    for name in ("nowhere/a.npz", "file/a.npz", "folder.npz", "a\0.npz", "a" * 5000 + ".npz"):
        with pytest.raises(InvalidInput, match="can't be written"):
            answer.save(f"{tmp_path}/{name}")
    assert {path.name for path in tmp_path.iterdir()} == {"file", "folder.npz"}


def test_overlay(answer: Attribution, prediction: segscope.Prediction) -> None:
    picture = answer.overlay()
    assert picture.mode == "RGB"
    assert picture.size == (56, 40)
    np.testing.assert_array_equal(np.asarray(answer.overlay(opacity=0)), prediction.image)
    alone = np.asarray(answer.overlay(opacity=1))
    np.testing.assert_array_equal(alone, colorize(answer.values, limit=answer.limit, signed=True))
    assert (np.asarray(answer.overlay(opacity=1, limit=answer.limit * 10)) != alone).any()


@pytest.mark.parametrize("opacity", [-0.1, 1.1, float("nan")])
def test_opacity_must_be_a_share(answer: Attribution, opacity: float) -> None:
    with pytest.raises(InvalidInput, match="The opacity is .*; expected 0 to 1"):
        answer.overlay(opacity=opacity)


@pytest.mark.parametrize("limit", [0, -1, float("nan")])
def test_limit_must_be_positive(answer: Attribution, limit: float) -> None:
    for draw in (answer.overlay, answer.plot):
        with pytest.raises(InvalidInput, match="The limit is .*; expected a number above zero"):
            draw(limit=limit)


def test_colours_mean_the_same_in_every_map() -> None:
    values = np.array([[-2.0, 0.0, 2.0, 4.0]], dtype=np.float32)
    signed = colorize(values, limit=2, signed=True)[0].astype(int)
    assert signed[0, 2] > signed[0, 0]  # blue speaks against
    assert signed[2, 0] > signed[2, 2]  # red speaks for
    assert np.ptp(signed[1]) < 10  # zero is white
    np.testing.assert_array_equal(signed[2], signed[3])
    unsigned = colorize(values, limit=4, signed=False)[0].astype(int).sum(1)
    assert unsigned[1] < unsigned[2] < unsigned[3]
    assert (colorize(values, limit=0, signed=False) == colorize(values * 0, limit=1, signed=False)).all()


def test_map_of_zeros_can_be_shown(image: NDArray[np.uint8], tmp_path: Path) -> None:
    network = nn.Sequential(nn.Conv2d(3, 3, 1, bias=False), nn.Conv2d(3, 2, 1))
    network.get_parameter("0.weight").data.abs_()
    network.get_parameter("1.weight").data.abs_().neg_()
    found = SegmentationModel(network).predict(image).explain(0, Region.everywhere(), layer="0")
    assert found.limit == 0
    assert found.overlay().size == (56, 40)
    assert found.save(tmp_path / "a.png").stat().st_size > 1000


def test_plot_shows_image_mask_and_scale(answer: Attribution) -> None:
    figure = answer.plot()
    titles = [axes.get_title() for axes in figure.axes]
    assert titles[:3] == ["Input image and region", "Predicted mask", "Importance for leaf against root"]
    scale = figure.axes[3].get_ylim()
    assert scale == pytest.approx((-answer.limit, answer.limit))
    assert answer.plot(limit=5).axes[3].get_ylim() == pytest.approx((-5, 5))
    assert figure.axes[2].get_xlabel() == "hires-cam at 0"


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (2, 2)])
def test_plots_of_extreme_images(size: tuple[int, int], tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    prediction = SegmentationModel(nn.Conv2d(3, 2, 1)).predict(picture)
    found = prediction.explain(0, Region.pixel(0, 0), method="saliency")
    assert found.save(tmp_path / "a.png").stat().st_size > 1000


def test_grid(prediction: segscope.Prediction) -> None:
    grid = prediction.explain_all(region=Region.everywhere(), layers=["0", "1"])
    assert len(grid) == 8
    assert ("leaf", "1") in grid
    assert ("leaf", "nowhere") not in grid
    assert [key for key in grid if key[0] == "leaf"] == [("leaf", "0"), ("leaf", "1")]
    with pytest.raises(KeyError, match="nowhere"):
        grid["leaf", "nowhere"]
    figure = grid.plot()
    assert len(figure.axes) == 8
    assert "leaf" in figure.axes[2].get_title()
    empty = prediction.explain_all([], region=Region.everywhere())
    assert isinstance(empty.plot(), Figure)


def test_pyplot_is_never_loaded(tmp_path: Path) -> None:
    program = f"""
import sys, numpy, torch, segscope
model = segscope.SegmentationModel(torch.nn.Conv2d(3, 2, 1))
assert not any(name.startswith("matplotlib") for name in sys.modules), "matplotlib is imported early"
found = model.predict(numpy.zeros((5, 6, 3), numpy.uint8)).explain(0, segscope.Region.everywhere(), method="saliency")
found.plot(), found.overlay(), found.save({str(tmp_path / "a.png")!r})
assert "matplotlib.pyplot" not in sys.modules
for heavy in ("fastapi", "typer", "rich", "skimage", "uvicorn", "torchvision"):
    assert heavy not in sys.modules, heavy
"""
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)


def test_class_colors() -> None:
    colors = class_colors(150)
    assert len(set(colors)) == 150
    assert all(len(color) == 7 and color[0] == "#" for color in colors)
    assert to_rgb(("#010203",)).tolist() == [[1, 2, 3]]
    assert class_colors(3) == colors[:3]
    assert class_colors(0) == ()
