"""Methods of other packages: the package that the documentation writes, and one that is broken."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from segscope.demo import demo_images

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "write-a-method.md"
BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)


def install(folder: Path, name: str, entry_points: dict[str, str]) -> None:
    """What an installer leaves behind of a package whose modules lie in the folder."""
    described = folder / f"{name.replace('-', '_')}-0.1.0.dist-info"
    described.mkdir()
    (described / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1.0\n")
    lines = "".join(f"{point} = {module}\n" for point, module in entry_points.items())
    (described / "entry_points.txt").write_text(f"[segscope.methods]\n{lines}")


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), *filter(None, sys.path)])}
    return subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def write_package(folder: Path) -> list[str]:
    """Write the page's files, install them, and return the commands that it goes on with."""
    files: dict[str, str] = {}
    commands: list[str] = []
    name = ""
    for block in BLOCK.finditer(PAGE.read_text(encoding="utf-8")):
        if block["language"] == "sh":
            commands += block["code"].splitlines()
            continue
        heading = re.match(r"# ([\w.]+)\n", block["code"])
        # A block without a name goes on with the file before it.
        name = heading[1] if heading else name
        files[name] = files.get(name, "") + ("" if heading else "\n\n") + block["code"]
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    tomllib = pytest.importorskip("tomllib")
    project = tomllib.loads(files["pyproject.toml"])["project"]
    install(folder, project["name"], project["entry-points"]["segscope.methods"])
    return commands


DRIVER = """
import pathlib, shlex, sys
import pytest
from segscope.cli import main

for line in pathlib.Path("commands").read_text().splitlines():
    program, *words = shlex.split(line)
    print(f"$ {line}", flush=True)
    code = main(words) if program == "segscope" else pytest.main([*words[2:], "-q", "-p", "no:cacheprovider"])
    assert code == 0, (line, code)
"""


def test_package_on_the_page_works_as_written(tmp_path: Path) -> None:
    commands = write_package(tmp_path)
    assert commands[0] == "pip install --editable ."
    assert {shlex.split(line)[0] for line in commands[1:]} == {"python", "segscope"}
    (tmp_path / "commands").write_text("\n".join(commands[1:]))
    (tmp_path / "photo.jpg").write_bytes(demo_images()[0].read_bytes())
    outcome = run(tmp_path, "-c", DRIVER)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert "4 passed" in outcome.stdout
    assert outcome.stderr == ""
    listed = outcome.stdout.partition("$ segscope methods\n")[2]
    assert re.search(r"^Gradients$(\n  .*)*\n  gradient-length ", listed, re.MULTILINE)
    assert re.search(r"^Perturbation$(\n  .*)*\n  stripe-occlusion ", listed, re.MULTILINE)
    assert "--param height=2 (1 to 64 rows)  Height of the stripe." in listed
    assert (tmp_path / "stripes.png").stat().st_size > 10_000


GOOD = """
from segscope.methods import backward_method

backward_method(
    name="{name}", title="Good", summary="A map.", citation="Nobody 2000, Nothing", url="https://example.org/",
    cannot="Anything.", at="layer", signed=True,
)(lambda activation, gradient: gradient.sum(0))
"""


def test_broken_package_is_named_and_breaks_no_other(tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text(GOOD.format(name="good"))
    (tmp_path / "twice.py").write_text(GOOD.format(name="grad-cam"))
    (tmp_path / "broken.py").write_text("raise ZeroDivisionError('on import')")
    install(tmp_path, "some-methods", {name: name for name in ("absent", "broken", "twice", "good")})
    outcome = run(tmp_path, "-m", "segscope", "methods")
    assert outcome.returncode == 0, outcome.stderr
    for module, reason in (
        ("absent", "ModuleNotFoundError: No module named 'absent'"),
        ("broken", "ZeroDivisionError: on import"),
        ("twice", "InvalidInput: A method 'grad-cam' is registered already"),
    ):
        assert f"The methods of {module!r} couldn't be loaded: {reason}" in outcome.stderr
    assert "The methods of 'good'" not in outcome.stderr
    assert re.search(r"^Other$\n  good  ", outcome.stdout, re.MULTILINE)
    assert re.search(r"^  grad-cam .*evidence for a class", outcome.stdout, re.MULTILINE)
