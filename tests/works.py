"""The table of what works: written by the tests of the networks, and read by them."""

from __future__ import annotations

import importlib.metadata
import os
import re
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "what-works.md"

# What a source's networks are made with, by the tests' file.
LIBRARIES = {
    "own": ("torch",),
    "torchvision": ("torch", "torchvision"),
    "smp": ("torch", "segmentation_models_pytorch", "timm"),
    "hf": ("torch", "transformers"),
    "onnx": ("torch", "onnx2torch", "onnx"),
    "keras": ("torch", "keras"),
    "export": ("torch",),
}

_FOUND: dict[str, list[str]] = {}


def note(row: str) -> None:
    """Note a network that passed in the test that runs."""
    source = re.findall(r"test_(\w+)\.py", os.environ["PYTEST_CURRENT_TEST"])[0]
    rows = _FOUND.setdefault(source, [])
    if row not in rows:
        rows.append(row)


def section(source: str) -> list[str]:
    """Return the lines of the page about a source."""
    return _between(source).search(PAGE.read_text(encoding="utf-8"))[2].splitlines()  # type: ignore[index]


def write() -> None:
    """Write what was noted into the page."""
    text = PAGE.read_text(encoding="utf-8")
    for source, rows in _FOUND.items():
        if source in LIBRARIES:
            table = "\n".join(("", _counted(source, len(rows)), "", *HEAD, *rows, ""))
            old = _between(source).search(text)
            assert old is not None, f"no place for {source} in {PAGE.name}"
            text = text[: old.start(2)] + table + text[old.end(2) :]
    PAGE.write_text(text, encoding="utf-8")


HEAD = ("| network | predictions | layers | explained first |", "|---|---|---|---|")


def _counted(source: str, count: int) -> str:
    versions = [f"{name} {importlib.metadata.version(name).partition('+')[0]}" for name in LIBRARIES[source]]
    return f"{count} networks, with {', '.join(versions)}:"


def _between(source: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- {source} -->)(.*?)(<!-- end of {source} -->)", re.DOTALL)
