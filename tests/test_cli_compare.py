"""``segscope compare``, and the progress of slow methods: what is printed, what is written, and how it fails."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import segscope
from segscope.methods import Place, all_methods, base, place_method
from tests import test_cli
from tests.test_cli import MODEL, Outcome, largest_class

folder, run = test_cli.folder, test_cli.run

QUICK = ["grad-cam", "hires-cam", "layer-cam", "saliency", "input-x-gradient"]
ASK = ["photo.jpg", "--model", MODEL, "--class", "0", "--everywhere"]
SLOW = """
import time
from segscope.methods import place_method

@place_method(name="slow", title="Slow", summary="It takes its time.", citation="Nobody 2000, Nothing",
              url="https://example.org/nothing", cannot="Be quick.", at="input", signed=True)
def slow(place):
    place.progress.expect(1000)
    for count in range(1000):
        place.score(place.values[None])
        if count == 3:
            print("begun", flush=True)
        time.sleep(0.05)
    return place.values.sum(0)

import sys
from segscope.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A method that isn't quick, and the numbers of maps that it ran at once."""
    monkeypatch.setattr(base, "_METHODS", dict(all_methods()))
    batches: list[int] = []

    @place_method(
        name="slow",
        title="Slow [one]",
        summary="It takes its time.",
        citation="Nobody 2000, Nothing",
        url="https://example.org/nothing",
        cannot="Be quick.",
        at="input",
        signed=True,
    )
    def slow(place: Place) -> torch.Tensor:
        if place.name == "4":
            raise segscope.CannotExplain("Slowly, it can't.")
        for chunk in place.chunks(4):
            batches.append(chunk.stop - chunk.start)
            place.score(place.values.expand(batches[-1], -1, -1, -1))
        return place.values.sum(0) * 1.0

    return batches


@pytest.mark.parametrize("ending", ["png", "svg", "pdf", "npz", "csv"])
def test_compare_writes_a_file(run: Callable[..., Outcome], folder: Path, ending: str) -> None:
    outcome = run(
        "compare",
        "photo.jpg",
        *("--model", MODEL, "--class", largest_class(folder), "--methods", "grad-cam, saliency", "-o", f"all.{ending}"),
    )
    assert outcome.code == 0, outcome.err
    assert outcome.err == ""
    assert outcome.out.splitlines()[-1] == f"all.{ending}: 2 maps"
    assert (folder / f"all.{ending}").stat().st_size > 150
    assert [path.name for path in folder.iterdir() if "part" in path.name] == []


def test_compare_writes_what_the_library_says(run: Callable[..., Outcome]) -> None:
    options = ["--box", "10,20,50,90", "--against", "1", "--layers", "1,3,input", "--methods", "hires-cam,saliency"]
    outcome = run(
        "compare", "photo.jpg", "--model", MODEL, "--class", "0", "--class", "2", *options, "-o", "all.npz", "--json"
    )
    assert outcome.code == 0, outcome.err
    model = segscope.SegmentationModel.load(MODEL)
    with model.predict("photo.jpg") as prediction, np.load("all.npz") as saved:
        expected = prediction.compare(
            classes=[0, 2],
            region=segscope.Region.box(10, 20, 50, 90),
            methods=["hires-cam", "saliency"],
            layers=["1", "3", "input"],
            against=1,
        )
        assert len(expected) == 12
        np.testing.assert_allclose(saved["values"], [each.values for each in expected.values()], rtol=1e-4, atol=1e-7)
        agreement = expected.agreement(between="methods").values
        for row, maps in zip(outcome.json["maps"], expected.rows(), strict=True):
            for key in ("class", "method", "layer", "share", "gini", "spread", "limit", "passes", "reason"):
                same = pytest.approx(maps[key], rel=1e-4) if isinstance(maps[key], float) else maps[key]
                assert row[key] == same, key
    np.testing.assert_allclose(outcome.json["agreement"]["values"], agreement, rtol=1e-4)
    assert outcome.json["agreement"]["methods"] == ["hires-cam", "saliency"]
    assert outcome.json["output"] == "all.npz"
    assert outcome.json["image_size"] == [120, 160]
    assert outcome.json["costs"]["saliency"]["passes"] == 2


def test_compare_prints_a_table(run: Callable[..., Outcome]) -> None:
    outcome = run("compare", *ASK)
    assert outcome.code == 0, outcome.err
    lines = outcome.out.splitlines()
    assert lines[0].split() == ["method", "layer", "on", "class", "Gini", "spread", "seconds", "passes"]
    quick = [name for name, method in all_methods().items() if method.quick]
    assert {line.split()[0] for line in lines[1:]} <= {*quick, "left"}
    assert set(QUICK) <= {line.split()[0] for line in lines[1:]}


def test_compare_takes_every_option(run: Callable[..., Outcome], slow: list[int], folder: Path) -> None:
    outcome = run(
        "compare",
        *("photo.jpg", "--model", MODEL, "--classes", "classes.txt", "--class", "sky", "--class", "meadow"),
        *("--methods", "slow,hires-cam,grad-cam", "--layers", "all", "--against", "hill", "--score", "probability"),
        *("--param", "hires-cam.relu=no", "--everywhere", "--scale", "shared", "--sort", "name", "--memory", "300kB"),
        *("--json", "-o", "all.png"),
    )
    assert outcome.code == 0, outcome.err
    maps = outcome.json["maps"]
    assert list(dict.fromkeys(row["class"] for row in maps)) == ["sky", "meadow"]
    assert list(dict.fromkeys(row["method"] for row in maps)) == ["grad-cam", "hires-cam", "slow"]
    assert list(dict.fromkeys(row["layer"] for row in maps)) == ["0", "1", "2", "3", "4"]
    reasons = {(row["method"], row["layer"]): row["reason"] for row in maps if row["reason"]}
    assert reasons == {("slow", "4"): "Slowly, it can't."}
    assert set(slow) == {1}
    with Image.open(folder / "all.png") as picture:
        assert picture.width > 1000


def test_compare_names_what_is_left_out(run: Callable[..., Outcome], slow: list[int]) -> None:
    outcome = run("compare", *ASK, "--methods", "slow,grad-cam", "--layers", "4", "-o", "all.csv")
    assert outcome.code == 0, outcome.err
    assert "left out: slow at 4: Slowly, it can't." in outcome.out
    assert [row["reason"] for row in csv.DictReader(Path("all.csv").read_text().splitlines())] == [
        "Slowly, it can't.",
        "",
    ]


def test_compare_all_methods(run: Callable[..., Outcome], slow: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    kept = {name: method for name, method in all_methods().items() if name in {*QUICK, "slow"}}
    monkeypatch.setattr(base, "_METHODS", kept)
    outcome = run("compare", *ASK, "--methods", "all", "--json")
    assert {row["method"] for row in outcome.json["maps"]} == set(kept)


@pytest.mark.parametrize("command", ["explain", "compare"])
def test_slow_methods_show_their_progress(
    run: Callable[..., Outcome], slow: list[int], monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    method = "--method" if command == "explain" else "--methods"
    quiet = run(command, *ASK, method, "slow", "--json")
    assert quiet.code == 0, quiet.err
    assert quiet.err == ""
    assert json.loads(quiet.out)
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("TERM", "xterm")
    told = run(command, *ASK, method, "slow", "--json")
    assert json.loads(told.out)
    assert "100%" in told.err
    assert ("Slow [one]" if command == "explain" else "comparing") in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", told.err)
    assert run(command, *ASK, method, "grad-cam", "--json").err == ""


@pytest.mark.parametrize(("memory", "largest"), [(None, 4), ("1GiB", 4), ("2MB", 2), ("1kB", 1)])
def test_memory_bounds_what_explain_runs_at_once(
    run: Callable[..., Outcome], slow: list[int], memory: str | None, largest: int
) -> None:
    options = [] if memory is None else ["--memory", memory]
    outcome = run("explain", *ASK, "--method", "slow", "--json", *options)
    assert outcome.code == 0, outcome.err
    if memory == "2MB":
        assert 1 <= max(slow) < 4
    else:
        assert max(slow) == largest


@pytest.mark.skipif(sys.platform == "win32", reason="signals are another matter on Windows")
@pytest.mark.parametrize("words", [["compare", "--methods", "slow,grad-cam"], ["explain", "--method", "slow"]])
def test_interruption_leaves_the_old_file(folder: Path, words: list[str]) -> None:
    (folder / "old.npz").write_bytes(b"the old one")
    before = sorted(path.name for path in folder.iterdir())
    command = [sys.executable, "-c", SLOW, *words, "photo.jpg", "--model", MODEL, "--class", "0", "--everywhere"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONDONTWRITEBYTECODE": "1"}
    with subprocess.Popen(
        [*command, "-o", "old.npz"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert (out, errors) == ("", "")
    assert (folder / "old.npz").read_bytes() == b"the old one"
    assert sorted(path.name for path in folder.iterdir()) == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["compare"], "IMAGE"),
        (["compare", "photo.jpg"], "--class"),
        (["compare", "none.jpg", "--class", "0"], "no file 'none.jpg'"),
        (["compare", *ASK, "-o", "a.jpg"], "'.jpg'"),
        (["compare", *ASK, "-o", "missing/a.png"], "'missing'"),
        (["compare", *ASK, "--class", "9"], "no class 9"),
        (["compare", *ASK, "--methods", "gradcam"], "'grad-cam'"),
        (["compare", *ASK, "--methods", "grad-cam,,saliency"], "commas between them"),
        (["compare", *ASK, "--methods", ""], "commas between them"),
        (["compare", *ASK, "--layers", "3,x"], "no layer 'x'"),
        (["compare", *ASK, "--layers", ","], "commas between them"),
        (["compare", *ASK, "--against", "0"], "against itself"),
        (["compare", *ASK, "--score", "odds"], "odds"),
        (["compare", *ASK, "--scale", "mine"], "mine"),
        (["compare", *ASK, "--sort", "beauty"], "beauty"),
        (["compare", *ASK, "--memory", "lots"], "2GiB"),
        (["explain", *ASK, "--memory", "lots", "--json"], "2GiB"),
        (["compare", *ASK, "--param", "relu=no"], "METHOD.NAME=VALUE"),
        (["compare", *ASK, "--param", "grad-cam.relu"], "name=value"),
        (["compare", *ASK, "--param", "grad-cam.relv=no"], "'relu'"),
        (["compare", *ASK, "--param", "grad-cam.relu=maybe"], "maybe"),
        (["compare", *ASK, "--methods", "saliency", "--param", "grad-cam.relu=no"], "method that is compared"),
        (["compare", *ASK, "--pixel", "1,2"], "one region at most"),
        (["compare", "photo.jpg", "--model", MODEL, "--class", "0", "--box", "900,900,901,901"], "outside"),
    ],
    ids=lambda value: " ".join(value[-3:]) if isinstance(value, list) else "",
)
def test_bad_input_is_one_clear_line(
    run: Callable[..., Outcome], folder: Path, arguments: list[str], words: str
) -> None:
    before = sorted(path.name for path in folder.iterdir())
    outcome = run(*arguments)
    assert outcome.code == 2
    assert outcome.out == ""
    assert re.fullmatch(r"segscope: .+\n", outcome.err), outcome.err
    assert words in outcome.err
    assert sorted({path.name for path in folder.iterdir()} - {"__pycache__"}) == before


def test_comparison_without_a_map_says_why(run: Callable[..., Outcome], slow: list[int]) -> None:
    outcome = run("compare", *ASK, "--methods", "slow", "--layers", "4", "-o", "a.png")
    assert outcome.code == 2
    assert outcome.err == "segscope: There is not one map to compare. Slowly, it can't.\n"
    assert not Path("a.png").exists()


def test_compare_replaces_its_output_only_by_a_whole_one(
    run: Callable[..., Outcome], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "all.npz").write_bytes(b"the old one")

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("numpy.savez_compressed", fail)
    outcome = run("compare", *ASK, "--methods", "grad-cam", "-o", "all.npz")
    assert outcome.code == 2
    assert "No space left on device" in outcome.err
    assert (folder / "all.npz").read_bytes() == b"the old one"
    assert [path.name for path in folder.iterdir() if path.name.endswith(".part")] == []
