"""What a model source is: the scheme before the colon, what follows it, and how it becomes a network."""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import re
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import nn

from ..errors import InvalidInput, MissingExtra, SegscopeError, shown
from ..randomness import keeping_random_numbers

if TYPE_CHECKING:
    from ..model import SegmentationModel

__all__ = [
    "ENTRY_POINTS",
    "RANDOM",
    "Order",
    "Source",
    "all_sources",
    "distinct",
    "failures_of",
    "find_source",
    "forms",
    "register",
    "required",
    "untrained",
]

ENTRY_POINTS = "segscope.sources"
"""The group of entry points by which other packages add sources: importing what one names registers them."""

RANDOM = "random"
"""In place of a file of weights: random ones, to try a network's layers out before it is trained."""


_DRAWING = threading.RLock()


@dataclass(frozen=True, kw_only=True)
class Order:
    """What somebody asked a source for.

    Parameters
    ----------
    source : str
        The whole text, for messages.
    rest : str
        What follows the scheme's colon.
    weights : Path, optional
        The file of weights.
    random : bool
        Whether random weights are wanted.
    classes : int, optional
        How many class names were given.
    """

    source: str
    rest: str
    weights: Path | None = None
    random: bool = False
    classes: int | None = None

    def file(self) -> Path:
        """Return the file that the rest names.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        InvalidInput
            When there is no such file.
        """
        path = Path(self.rest).expanduser()
        if not path.is_file():
            came = "is a folder" if path.is_dir() else "isn't there"
            raise InvalidInput(f"The file {str(path)!r} of the model source {self.source!r} {came}; expected a file.")
        return path

    def refuse_weights(self, *, why: str) -> None:
        """Refuse weights, for sources that bring their own.

        Parameters
        ----------
        why : str
            The reason, as the end of a sentence that begins "The model source …".

        Raises
        ------
        InvalidInput
            When weights were given.
        """
        if self.weights is not None or self.random:
            raise InvalidInput(f"The model source {self.source!r} {why}; leave the weights out.")


Made: TypeAlias = "nn.Module | SegmentationModel"


@dataclass(frozen=True, kw_only=True)
class Source:
    """A kind of place that networks come from.

    Parameters
    ----------
    scheme : str
        What stands before the colon, for instance ``"hf"``: small letters, digits and hyphens.
    form : str
        How it is written, for instance ``"hf:ID or folder"``.
    summary : str
        One line: what it loads.
    load : callable
        Takes an :class:`Order` and returns the network, or a :class:`segscope.SegmentationModel` that says more.
    extra : str
        The extra of segscope that installs what it needs.
    """

    scheme: str
    form: str
    summary: str
    load: Callable[[Order], Made]
    extra: str = ""


_SOURCES: dict[str, Source] = {}


def register(source: Source) -> Source:
    """Add a source to the registry.

    Parameters
    ----------
    source : Source
        The source.

    Returns
    -------
    Source
        The same source.

    Raises
    ------
    InvalidInput
        When one of that scheme is there already, or the scheme isn't of small letters, digits and hyphens.
    """
    if not re.fullmatch(r"[a-z][a-z0-9-]+", source.scheme):
        raise InvalidInput(
            f"The scheme of the model source is {shown(source.scheme)}; expected two or more small letters, digits or "
            "hyphens."
        )
    if source.scheme in _SOURCES:
        raise InvalidInput(f"A model source {source.scheme!r} is registered already; choose another scheme.")
    _SOURCES[source.scheme] = source
    return source


def all_sources() -> dict[str, Source]:
    """Return every registered source by scheme, those of other packages included."""
    _load_plugins()
    return dict(_SOURCES)


def find_source(scheme: str) -> Source | None:
    """Return the source of this scheme, or None where there is none.

    Parameters
    ----------
    scheme : str
        What stands before the colon.

    Returns
    -------
    Source or None
        The source.
    """
    # Those of this package answer without a look at what other packages offer.
    return _SOURCES.get(scheme) or all_sources().get(scheme)


def forms() -> str:
    """Return how the sources are written, for messages."""
    return ", ".join(source.form for source in all_sources().values())


@functools.cache
def _load_plugins() -> None:
    """Import what other packages offer as sources, once; one that fails costs a warning that names it."""
    for point in importlib.metadata.entry_points(group=ENTRY_POINTS):
        _load(point)


def _load(point: importlib.metadata.EntryPoint) -> None:
    try:
        point.load()
    except Exception as error:  # noqa: BLE001  # another package's import may raise anything
        warnings.warn(
            f"The model sources of {point.value!r} couldn't be loaded: {type(error).__name__}: {error}.", stacklevel=3
        )


def required(module: str, *, extra: str) -> Any:
    """Import a package that an extra installs.

    Parameters
    ----------
    module : str
        The module.
    extra : str
        The extra's name.

    Returns
    -------
    module
        The module.

    Raises
    ------
    MissingExtra
        When it isn't installed, or can't be imported.
    """
    try:
        return importlib.import_module(module)
    except Exception as error:  # packages that don't fit each other raise anything while they are imported
        raise MissingExtra(
            f"This model source needs {module}, which can't be imported ({error}); install it with "
            f"pip install 'segscope[{extra}]'."
        ) from error


@contextmanager
def failures_of(source: str) -> Iterator[None]:
    """Turn whatever another package raises into a message that names the source.

    Parameters
    ----------
    source : str
        The whole source.

    Yields
    ------
    None

    Raises
    ------
    InvalidInput
        With what went wrong.
    SegscopeError
        As it was, where it is segscope's own.
    """
    try:
        yield
    except SegscopeError:
        raise
    except (Exception, SystemExit) as error:
        raise InvalidInput(f"The model source {source!r} failed: {type(error).__name__}: {error}") from error


@contextmanager
def untrained() -> Iterator[None]:
    """Draw random weights from a seed of their own: the same each time, and the user's random numbers stay as they are.

    Yields
    ------
    None
    """
    # One after the other: the random numbers are the whole process's.
    with _DRAWING, keeping_random_numbers():
        torch.manual_seed(0)
        yield


def distinct(names: Sequence[object]) -> tuple[str, ...]:
    """Return class names that differ, since some data sets use a name twice.

    Parameters
    ----------
    names : sequence
        In the order of the indices.

    Returns
    -------
    tuple of str
        The second ``"door"`` is called ``"door (2)"``.
    """
    found: list[str] = []
    for index, name in enumerate(names):
        text = str(name).strip() or f"class {index}"
        same = 1
        while (text if same == 1 else f"{text} ({same})") in found:
            same += 1
        found.append(text if same == 1 else f"{text} ({same})")
    return tuple(found)
