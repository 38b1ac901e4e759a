"""The README and the documentation say what is true: their code runs, and their commands exist.

Every ``python`` block of a page runs, one after the other, in a folder that holds ``photo.jpg`` and the folders
``photos`` and ``masks``. A block that begins with a comment such as ``# mynetwork.py`` is that file as well. Every
line of a ``sh`` block that starts ``segscope`` runs too; of a command that serves until it is stopped, the arguments
are read. A block after ``<!-- needs: package -->`` runs where that package is installed; a ``sh`` block after it runs
where it does.
"""

from __future__ import annotations

import importlib.util
import re
import shlex
import shutil
import sys
import warnings
from pathlib import Path

import pytest
import typer
from PIL import Image

from segscope import cli
from segscope.demo import DATA, demo_images
from segscope.methods import all_methods

ROOT = Path(__file__).parents[1]
# That page writes a package, which tests/methods/test_plugins.py installs and runs.
ELSEWHERE = ROOT / "docs" / "how-to" / "write-a-method.md"
PAGES = [
    ROOT / "README.md",
    *(page for page in sorted((ROOT / "docs").rglob("*.md")) if page.parent.name != "reference" and page != ELSEWHERE),
]
BLOCK = re.compile(
    r"(?:^<!-- needs: (?P<needs>[\w, ]+) -->\n+)?^```(?P<language>\w+)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)
SERVING = {"demo", "serve"}
NETWORK = """
import torch

def make():
    network = torch.nn.Conv2d(3, 2, 3, padding=1)
    network.bias.data[1] += 10  # so that class 1 is predicted
    return network
"""


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A folder with a photograph, a network, and a few images with masks, as the pages take for granted."""
    images = demo_images()[:3]
    Image.open(images[0]).convert("RGB").save(tmp_path / "photo.jpg", quality=95)
    (tmp_path / "mynetwork.py").write_text(NETWORK)
    for folder in ("photos", "masks"):
        (tmp_path / folder).mkdir()
    for image in images:
        shutil.copy(image, tmp_path / "photos")
        shutil.copy(next((DATA / "masks").glob(f"{image.stem}.*")), tmp_path / "masks")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in [
        name for name, module in sys.modules.items() if str(tmp_path) in (getattr(module, "__file__", "") or "")
    ]:
        del sys.modules[name]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_code_on_page_runs(page, workplace):
    names: dict[str, object] = {"__name__": "page"}
    for block in BLOCK.finditer(page.read_text(encoding="utf-8")):
        needs = (block["needs"] or "").replace(",", " ").split()
        if any(importlib.util.find_spec(package) is None for package in needs):
            continue
        line = page.read_text(encoding="utf-8")[: block.start("code")].count("\n") + 1
        with warnings.catch_warnings():
            if needs:  # what other packages warn of is their business
                warnings.simplefilter("ignore")
            run_block(block, f"{page.name}, line {line}", names)


def run_block(block, place, names):
    if block["language"] == "python":
        run_python(block["code"], place, names)
    elif block["language"] == "sh":
        for command in re.sub(r"\\\n\s*", " ", block["code"]).splitlines():
            run_command(shlex.split(command, comments=True))


def run_python(code, place, names):
    file = re.match(r"# ([\w/]+\.py)\n", code)
    if file:
        Path(file[1]).write_text(code, encoding="utf-8")
    exec(compile(code, place, "exec"), names)  # noqa: S102  # running the page's code is the test


def run_command(words):
    if words[:1] == ["make"]:
        assert set(words[1:2]) <= make_targets()
    if words[:1] != ["segscope"]:
        return
    if words[1] in SERVING:
        typer.main.get_group(cli.app).commands[words[1]].make_context(words[1], words[2:])
    else:
        assert cli.main(words[1:]) == 0, shlex.join(words)


def make_targets():
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert phony
    return set(phony[1].split())


def test_every_make_target_is_explained():
    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    help_text = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in make_targets() - {"help"}:
        assert f'@echo "make {target} ' in help_text, target
    for target in make_targets() - {"help", "wheel"}:
        assert f"make {target} " in guide, target


@pytest.mark.parametrize("method", all_methods().values(), ids=lambda method: method.name)
def test_paper_of_method_is_in_bibliography(method):
    assert method.url in (ROOT / "docs" / "bibliography.md").read_text(encoding="utf-8")
