"""Methods with their parameters, as they are set side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from .errors import InvalidInput, shown
from .methods import Method, all_methods, find_method

__all__ = ["Methods", "Variant", "read_methods"]

Choice: TypeAlias = "str | tuple[str, Mapping[str, Any]]"
Methods: TypeAlias = "str | Iterable[Choice] | Mapping[str, Mapping[str, Any]] | None"


@dataclass(frozen=True)
class Variant:
    """A method with its parameters, as it is compared.

    Parameters
    ----------
    name : str
        The method's name; with the parameters that differ from their defaults, where the method is compared with
        itself.
    title : str
        The same for people.
    method : Method
        The method.
    parameters : dict
        All of its parameters.
    """

    name: str
    title: str
    method: Method
    parameters: dict[str, Any]


def read_methods(methods: Methods) -> tuple[Variant, ...]:
    """Return the methods to compare, with all their parameters.

    Parameters
    ----------
    methods : iterable or mapping, optional
        As :meth:`Prediction.compare` takes them; ``"quick"`` is the same as None.

    Returns
    -------
    tuple of Variant
        Each once.

    Raises
    ------
    InvalidInput
        When it has another form, names no method, or a parameter is out of range.
    UnknownName
        When a method or parameter doesn't exist.
    """
    chosen: dict[tuple[str, str], tuple[Method, dict[str, Any]]] = {}
    for choice in _choices(methods):
        name, given = _name_and_parameters(choice)
        method = find_method(name)
        parameters = method.check(given)
        chosen.setdefault((method.name, repr(parameters)), (method, dict(parameters)))
    if not chosen:
        raise InvalidInput("There is no method to compare; name one at least.")
    times = Counter(name for name, _ in chosen)
    return tuple(_variant(method, parameters, alone=times[method.name] == 1) for method, parameters in chosen.values())


def _choices(methods: Methods) -> Iterable[Any]:
    if methods is None or methods == "quick":
        return [name for name, method in all_methods().items() if method.quick]
    if methods == "all":
        return list(all_methods())
    if isinstance(methods, str):
        return [methods]
    if isinstance(methods, Mapping):
        return list(methods.items())
    try:
        return list(methods)
    except TypeError:
        raise InvalidInput(
            f"The methods are {shown(methods)}; expected names, pairs (name, parameters), or a mapping."
        ) from None


def _name_and_parameters(choice: object) -> tuple[str, Mapping[str, Any]]:
    if isinstance(choice, str):
        return choice, {}
    if isinstance(choice, (tuple, list)) and len(choice) == 2:
        name, parameters = choice
        if isinstance(name, str) and (parameters is None or isinstance(parameters, Mapping)):
            return name, parameters or {}
    raise InvalidInput(
        f"One of the methods is {shown(choice)}; expected a name, or a pair such as ('grad-cam', {{'relu': False}})."
    )


def _variant(method: Method, parameters: dict[str, Any], *, alone: bool) -> Variant:
    defaults = method.check({})
    changed = [f"{name}={value}" for name, value in parameters.items() if value != defaults[name]]
    if alone or not changed:
        return Variant(method.name, method.title, method, parameters)
    suffix = f" ({', '.join(changed)})"
    return Variant(method.name + suffix, method.title + suffix, method, parameters)
