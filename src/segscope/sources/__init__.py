"""Where models come from: the demo, or a function in a module or file."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from ..errors import InvalidInput, SegscopeError, UnknownName
from ..model import SegmentationModel
from ..preprocess import Preprocess

__all__ = ["load_model"]


def load_model(
    source: str,
    *,
    classes: Sequence[str] | None = None,
    colors: Sequence[str] | None = None,
    preprocess: Preprocess | None = None,
    device: str | torch.device | None = None,
) -> SegmentationModel:
    """Load a model by name; :meth:`SegmentationModel.load` describes the parameters.

    Parameters
    ----------
    source : str
        ``"demo"``, ``"module:function"`` or ``"file.py:function"``.
    classes, colors, preprocess, device
        Override what the source says.

    Returns
    -------
    SegmentationModel
        The model.

    Raises
    ------
    InvalidInput
        When the source can't be read, imported or called.
    """
    made = _make(source)
    if isinstance(made, SegmentationModel):
        if classes is None and colors is None and preprocess is None and device is None:
            return made
        return made.with_options(classes=classes, colors=colors, preprocess=preprocess, device=device)
    if isinstance(made, nn.Module):
        return SegmentationModel(made, classes=classes, colors=colors, preprocess=preprocess, device=device)
    raise InvalidInput(
        f"The model source {source!r} returned a {type(made).__name__}; expected a torch.nn.Module or a "
        "segscope.SegmentationModel."
    )


def _make(source: str) -> Any:
    if not isinstance(source, str):
        raise InvalidInput(
            f"The model source is a {type(source).__name__}; expected text such as 'demo' or 'file.py:name'."
        )
    if source == "demo":
        from ..demo import load_demo

        return load_demo()
    place, _, name = source.rpartition(":")
    if not place or not name:
        raise InvalidInput(
            f"The model source is {source!r}; expected 'demo', 'module:function' or 'file.py:function', "
            "where the function returns the network."
        )
    function = _function(_module(place, source), name, source)
    if isinstance(function, (SegmentationModel, nn.Module)):
        return function
    if not callable(function):
        raise InvalidInput(f"{source!r} is a {type(function).__name__}; expected a function that returns the network.")
    try:
        return function()
    except SegscopeError:
        raise
    except (Exception, SystemExit) as error:
        raise InvalidInput(f"The model source {source!r} failed: {type(error).__name__}: {error}") from error


def _module(place: str, source: str) -> ModuleType:
    try:
        if place.endswith(".py"):
            return _module_from_file(Path(place))
        return _module_by_name(place)
    except SegscopeError:
        raise
    except (Exception, SystemExit) as error:
        raise InvalidInput(f"The model source {source!r} can't be imported: {type(error).__name__}: {error}") from error


def _module_from_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise InvalidInput(f"There is no file {str(path)!r} to load a model from.")
    # The name is the path, so that two files of the same name don't meet; classes defined in it stay importable by it.
    name = f"segscope_source_{path.resolve()}"
    specification = importlib.util.spec_from_file_location(name, path)
    if specification is None or specification.loader is None:
        raise InvalidInput(f"The file {str(path)!r} can't be loaded as Python.")
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    # A file may import what lies beside it, as when it is run.
    sys.path.insert(0, str(path.resolve().parent))
    try:
        specification.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    finally:
        with suppress(ValueError):
            sys.path.remove(str(path.resolve().parent))
    return module


def _module_by_name(name: str) -> ModuleType:
    # A console script doesn't have the current folder on its path, where users keep their modules.
    here = str(Path.cwd())
    added = "" not in sys.path and here not in sys.path
    if added:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    finally:
        if added:
            with suppress(ValueError):
                sys.path.remove(here)


def _function(module: ModuleType, name: str, source: str) -> Any:
    function = getattr(module, name, None)
    if function is None:
        raise UnknownName(
            f"function in {source.rpartition(':')[0]}",
            name,
            [known for known in vars(module) if not known.startswith("_")],
        )
    return function
