"""What an attribution method is: its description, its parameters, and how it runs."""

from __future__ import annotations

import functools
import importlib.metadata
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from torch import Tensor

from ..errors import CannotExplain, InvalidInput, UnknownName, shown

if TYPE_CHECKING:
    from ..prediction import Prediction
    from ..progress import Progress
    from ..target import Question

__all__ = [
    "FAMILIES",
    "Family",
    "Method",
    "Parameter",
    "Run",
    "all_methods",
    "backward_method",
    "find_method",
    "register",
]

Run: TypeAlias = (
    "Callable[[Prediction, Question, Sequence[str], Mapping[str, Any], Progress], dict[str, Tensor | CannotExplain]]"
)
Combine: TypeAlias = Callable[..., Tensor]
Value: TypeAlias = "bool | int | float | str"

Family: TypeAlias = Literal["cam", "gradient", "perturbation", "relevance", "attention", "other"]
"""How a method works; lists of methods are grouped by it."""

FAMILIES: Mapping[Family, str] = MappingProxyType(
    {
        "cam": "Class activation maps",
        "gradient": "Gradients",
        "perturbation": "Perturbation",
        "relevance": "Relevance propagation",
        "attention": "Attention",
        "other": "Other",
    }
)
"""The families' names for people, in the order in which they are listed."""


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One setting of a method, described so that command line, page and docs can offer it.

    Parameters
    ----------
    name : str
        The keyword that :meth:`segscope.Prediction.explain` takes.
    kind : {"bool", "int", "float", "choice"}
        Its type.
    default : bool, int, float or str
        The value when it isn't given.
    description : str
        One sentence: what it does.
    minimum, maximum, step : float, optional
        Range and step of a number.
    choices : tuple of str
        The values of a choice.
    unit : str
        Unit of a number, for instance ``"pixels"``.
    """

    name: str
    kind: Literal["bool", "int", "float", "choice"]
    default: Value
    description: str
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    choices: tuple[str, ...] = ()
    unit: str = ""

    def check(self, value: object) -> Value:
        """Return the value in the parameter's own type.

        Parameters
        ----------
        value : object
            What was given; text is read as a number or truth value where one is expected.

        Returns
        -------
        bool, int, float or str
            The value in the parameter's type, within its range.

        Raises
        ------
        InvalidInput
            When it isn't of the kind, or lies outside the range.
        UnknownName
            When it isn't one of the choices.
        """
        if self.kind == "bool":
            return self._read_bool(value)
        if self.kind == "choice":
            if not isinstance(value, str) or value not in self.choices:
                raise UnknownName(f"value of the parameter {self.name!r}", value, self.choices)
            return str(value)
        return self._read_number(value)

    def _read_bool(self, value: object) -> bool:
        words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if not isinstance(value, (bool, int, str, np.bool_, np.integer)) or str(value).lower() not in words:
            raise InvalidInput(f"The parameter {self.name!r} is {shown(value)}; expected true or false.")
        return words[str(value).lower()]

    def _read_number(self, value: object) -> int | float:
        expected = "a whole number" if self.kind == "int" else "a number"
        try:
            number = math.nan if isinstance(value, (bool, np.bool_)) else float(value)  # type: ignore[arg-type] # see except
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not math.isfinite(number) or (self.kind == "int" and not number.is_integer()):
            raise InvalidInput(f"The parameter {self.name!r} is {shown(value)}; expected {expected}.")
        low = self.minimum if self.minimum is not None else -math.inf
        high = self.maximum if self.maximum is not None else math.inf
        if not low <= number <= high:
            raise InvalidInput(
                f"The parameter {self.name!r} is {shown(value)}; expected {expected} from {low:g} to {high:g}."
            )
        return int(number) if self.kind == "int" else number


@dataclass(frozen=True, kw_only=True)
class Method:
    """An attribution method: who it is, what it takes, what it can't do, and how it runs.

    Parameters
    ----------
    name : str
        Its name in code and on the command line, in kebab-case.
    title : str
        Its name for people.
    summary : str
        One line: what the map shows.
    citation : str
        Authors, year, title.
    url : str
        Address of the paper, a DOI where there is one.
    cannot : str
        One sentence: what the method can't tell, or where it misleads.
    at : {"layer", "input"}
        Where it is used by default: at the network's default layer, or at the input.
    signed : bool
        Whether negative values occur (evidence against the class) with default parameters.
    parameters : tuple of Parameter
        Its settings.
    run : callable
        ``run(prediction, question, layers, parameters, progress)`` returns for each layer's name the raw map (float32,
        h×w, at the layer's resolution), or the :class:`CannotExplain` that says why there is none. It tells
        ``progress`` of every pass through the network.
    quick : bool
        Whether one backward pass answers for all layers at once; other methods run the network many times.
    linear : bool
        Whether the map doubles when the score does.
    family : {"cam", "gradient", "perturbation", "relevance", "attention", "other"}
        How it works: lists of methods are grouped by it.
    """

    name: str
    title: str
    summary: str
    citation: str
    url: str
    cannot: str
    at: Literal["layer", "input"]
    signed: bool
    run: Run
    parameters: tuple[Parameter, ...] = ()
    quick: bool = True
    linear: bool = True
    family: Family = "other"

    def check(self, given: Mapping[str, object]) -> dict[str, Value]:
        """Return all parameters, the given ones checked and the others at their defaults.

        Parameters
        ----------
        given : mapping
            Values by name.

        Returns
        -------
        dict
            A value for every parameter.

        Raises
        ------
        InvalidInput
            When a value is of the wrong kind or out of range.
        UnknownName
            When the method has no such parameter.
        """
        known = {parameter.name: parameter for parameter in self.parameters}
        for name in given:
            if name not in known:
                raise UnknownName(f"parameter of {self.name}", name, known)
        return {name: known[name].check(given[name]) if name in given else known[name].default for name in known}


_METHODS: dict[str, Method] = {}

ENTRY_POINTS = "segscope.methods"
"""The group of entry points by which other packages add methods: importing what one names registers them."""


def register(method: Method) -> Method:
    """Add a method to the registry.

    Parameters
    ----------
    method : Method
        The method.

    Returns
    -------
    Method
        The same method.

    Raises
    ------
    InvalidInput
        When a method of that name is there already.
    """
    if method.name in _METHODS:
        raise InvalidInput(f"A method {method.name!r} is registered already; choose another name.")
    _METHODS[method.name] = method
    return method


def all_methods() -> dict[str, Method]:
    """Return every registered method by name, those of other packages included."""
    load_plugins()
    return dict(_METHODS)


@functools.cache
def load_plugins() -> None:
    """Import what other packages offer as methods, once; one that fails costs a warning that names it."""
    for point in importlib.metadata.entry_points(group=ENTRY_POINTS):
        _load(point)


def _load(point: importlib.metadata.EntryPoint) -> None:
    try:
        point.load()
    except Exception as error:  # noqa: BLE001  # another package's import may raise anything
        warnings.warn(
            f"The methods of {point.value!r} couldn't be loaded: {type(error).__name__}: {error}.", stacklevel=3
        )


def find_method(name: str) -> Method:
    """Return the method of this name.

    Parameters
    ----------
    name : str
        For instance ``"grad-cam"``.

    Returns
    -------
    Method
        The method.

    Raises
    ------
    UnknownName
        When there is none; the message gives the nearest names.
    """
    load_plugins()
    if not isinstance(name, str) or name not in _METHODS:
        raise UnknownName("method", name, _METHODS)
    return _METHODS[name]


def backward_method(**description: Any) -> Callable[[Combine], Combine]:
    """Register a method that needs one activation and one gradient a layer; all layers share one backward pass.

    The decorated function takes the activation and the gradient of the score (float32, C×h×w each) and the method's
    parameters as keywords, and returns the map (h×w).

    Parameters
    ----------
    **description
        The fields of :class:`Method`, without ``run``.

    Returns
    -------
    callable
        A decorator, which returns the function as it is.
    """

    def decorate(combine: Combine) -> Combine:
        def run(
            prediction: Prediction,
            question: Question,
            layers: Sequence[str],
            parameters: Mapping[str, Any],
            progress: Progress,
        ) -> dict[str, Tensor | CannotExplain]:
            pairs = prediction.activations_and_gradients(question, layers)
            progress.advance()
            return {
                layer: pair if isinstance(pair, CannotExplain) else combine(*pair, **parameters)
                for layer, pair in pairs.items()
            }

        register(Method(run=run, **description))
        return combine

    return decorate
