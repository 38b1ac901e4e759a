"""Writes the reference pages from the package: what is documented is what is there."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import segscope
from segscope import demo, methods

MODULES = (methods, demo)
"""Public modules beside the package itself."""

HEAD = "% Written by docs/reference.py at each build.\n\n"


def write_reference(folder: Path) -> None:
    """Write all reference pages.

    Parameters
    ----------
    folder : Path
        Where they go; made where it is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pages = {"api": api_page(), "methods": methods_page(), "command-line": command_line_page()}
    for name, text in pages.items():
        path = folder / f"{name}.md"
        # An unchanged page keeps its time stamp, so that Sphinx needn't read it again.
        if not path.is_file() or path.read_text(encoding="utf-8") != HEAD + text:
            path.write_text(HEAD + text, encoding="utf-8")


def api_page() -> str:
    """Return the page of the Python interface: every public name, from its docstring."""
    public = [name for name in segscope.__all__ if not inspect.ismodule(getattr(segscope, name))]
    errors = [name for name in public if hasattr(segscope.errors, name)]
    parts = ["# Python", "## `segscope`", *(directive(segscope, name) for name in public if name not in errors)]
    parts += ["## Errors", "```{eval-rst}\n.. automodule:: segscope.errors\n```"]
    parts += [directive(segscope, name) for name in errors]
    for module in MODULES:
        parts += [f"## `{module.__name__}`", *(directive(module, name) for name in module.__all__)]
    return "\n\n".join(parts) + "\n"


def directive(module: ModuleType, name: str) -> str:
    """Return the directive that documents one public name of a module."""
    value, options = getattr(module, name), ""
    kind = "autofunction" if callable(value) else "autodata"
    if inspect.isclass(value) and issubclass(value, BaseException):
        kind, options = "autoexception", "   :show-inheritance:\n"
    elif inspect.isclass(value):
        kind, options = "autoclass", "   :members:\n"
    return f"```{{eval-rst}}\n.. {kind}:: {module.__name__}.{name}\n{options}```"


def methods_page() -> str:
    """Return the page of attribution methods: every registered one, from its own description."""
    head = (
        "# Methods\n\n"
        "Every method by the name that `explain(method=…)` and `segscope explain --method …` take. What one can't tell "
        "is said with it."
    )
    parts = [head]
    for family, title in methods.FAMILIES.items():
        members = [method for method in methods.all_methods().values() if method.family == family]
        parts += [f"## {title}", *map(method_section, members)] if members else []
    return "\n\n".join(parts) + "\n"


def method_section(method: methods.Method) -> str:
    """Return one method's description and the table of its parameters."""
    place = "the input" if method.at == "input" else "the prediction's default layer"
    signed = "signed" if method.signed else "never negative"
    speed = "One backward pass answers for all layers." if method.quick else "It runs the network again."
    lines = [
        f"### {method.title}",
        f"`{method.name}`: {method.summary}",
        f"By default it is used at {place}, and its values are {signed}. {speed}",
        f"**What it can't tell.** {method.cannot}",
        f"**Paper.** {method.citation} [{method.url}]({method.url})",
    ]
    if method.parameters:
        rows = [parameter_row(parameter) for parameter in method.parameters]
        lines.append("\n".join(["| parameter | values | default | what it does |", "|---|---|---|---|", *rows]))
    return "\n\n".join(lines)


def parameter_row(parameter: methods.Parameter) -> str:
    """Return one row of a method's parameter table."""
    values = parameter.kind
    if parameter.kind == "choice":
        values = ", ".join(f"`{choice}`" for choice in parameter.choices)
    elif parameter.minimum is not None or parameter.maximum is not None:
        low, high = ("" if end is None else f"{end:g}" for end in (parameter.minimum, parameter.maximum))
        values = f"{parameter.kind}, {low} to {high} {parameter.unit}".rstrip()
    return f"| `{parameter.name}` | {values} | `{parameter.default}` | {parameter.description} |"


def command_line_page() -> str:
    """Return the page of commands, as typer itself describes them."""
    command = [
        sys.executable,
        "-m",
        "typer",
        "segscope.cli",
        "utils",
        "docs",
        "--name",
        "segscope",
        "--title",
        "Command line",
    ]
    page = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    # Typer cuts the summaries in its list of commands; here they are whole.
    summaries = dict(re.findall(r"^## `segscope (\S+)`\n\n(.+)$", page, re.MULTILINE))
    return re.sub(r"^\* `(\S+)`: .*\.\.\.$", lambda cut: f"* `{cut[1]}`: {summaries[cut[1]]}", page, flags=re.MULTILINE)
