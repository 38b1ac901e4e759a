"""Networks that a function makes, in a module or a file."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from ..errors import InvalidInput, SegscopeError, UnknownName
from ..model import SegmentationModel
from .base import Made, Order, failures_of, forms
from .keras import KerasNetwork, adapted, load_weights, torch_backend
from .weights import load_state

__all__ = ["load_function"]


def load_function(order: Order) -> Made:
    """Load what a function without arguments returns.

    Parameters
    ----------
    order : Order
        Its source is ``"module:function"`` or ``"file.py:function"``; its weights are loaded into the network.

    Returns
    -------
    Module or SegmentationModel
        What the function returned; a Keras model comes with what translates its images.

    Raises
    ------
    InvalidInput
        When the source can't be imported or called, or returns something else, or the weights don't fit.
    """
    source = order.source
    if order.random:
        raise InvalidInput(
            f"The weights are 'random', but {source!r} makes its network with weights of its own; expected a file."
        )
    made = adapted(_call(source))
    if not isinstance(made, (SegmentationModel, nn.Module)):
        raise InvalidInput(
            f"The model source {source!r} returned an object of type {type(made).__name__}; expected a torch.nn.Module "
            "or a segscope.SegmentationModel."
        )
    if order.weights is not None:
        network = made.network if isinstance(made, SegmentationModel) else made
        if isinstance(network, KerasNetwork):
            load_weights(network, order.weights, source)
        else:
            load_state(network, order.weights)
    return made


def _call(source: str) -> Any:
    place, _, name = source.rpartition(":")
    if not place or not name:
        raise InvalidInput(
            f"The model source is {source!r}; expected 'demo', 'module:function' or 'file.py:function', "
            f"where the function returns the network, or one of {forms()}."
        )
    function = _function(_module(place, source), name, source)
    if isinstance(function, (SegmentationModel, nn.Module)):
        return function
    if not callable(function):
        raise InvalidInput(f"{source!r} is a {type(function).__name__}; expected a function that returns the network.")
    with failures_of(source), torch_backend():
        return function()


def _module(place: str, source: str) -> ModuleType:
    try:
        with torch_backend():
            return _module_from_file(Path(place)) if place.endswith(".py") else _module_by_name(place)
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
