"""Every error that segscope raises on purpose.

::

    SegscopeError
    ├── InvalidInput (ValueError)      a value that was handed in can't be used
    │   ├── InvalidImage               not an image, empty, or with the wrong channels
    │   ├── InvalidRegion              a region that doesn't fit the image
    │   │   └── EmptyRegion            a region without a single pixel
    │   └── UnknownName (KeyError)     a class, layer, method or parameter that isn't there
    ├── UnsupportedNetwork             a network whose output or gradients can't be used
    ├── CannotExplain                  a method or layer that can't answer this question
    ├── PredictionClosed               a prediction whose memory was given back
    └── MissingExtra (ImportError)     an optional package that isn't installed
"""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable

__all__ = [
    "CannotExplain",
    "EmptyRegion",
    "InvalidImage",
    "InvalidInput",
    "InvalidRegion",
    "MissingExtra",
    "PredictionClosed",
    "SegscopeError",
    "UnknownName",
    "UnsupportedNetwork",
    "shown",
]

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 100
_SHORT.maxlong = 40


def shown(value: object) -> str:
    """Describe a value that came from outside, shortened, for use in a message.

    Parameters
    ----------
    value : object
        Whatever came.

    Returns
    -------
    str
        Its ``repr``, at most some hundred characters; the type's name where there is none.
    """
    try:
        return _SHORT.repr(value)
    except (ValueError, RecursionError):  # a number of thousands of digits has no text
        return f"a {type(value).__name__}"


class SegscopeError(Exception):
    """Base of every error that segscope raises on purpose."""

    code = "error"


class InvalidInput(SegscopeError, ValueError):
    """A value that was handed in can't be used."""

    code = "invalid-input"


class InvalidImage(InvalidInput):
    """What was given as an image isn't one, is empty, or has the wrong number of channels."""

    code = "invalid-image"


class InvalidRegion(InvalidInput):
    """A region doesn't fit the image that it is asked about."""

    code = "invalid-region"


class EmptyRegion(InvalidRegion):
    """A region holds no pixel, so that there is no score to explain."""

    code = "empty-region"


class UnknownName(InvalidInput, KeyError):
    """A class, layer, method or parameter of that name doesn't exist.

    Parameters
    ----------
    kind : str
        What was looked for, for instance ``"layer"``.
    name : object
        The name that came.
    known : iterable of str
        The names that exist; the message gives the nearest ones.
    """

    code = "unknown-name"

    def __init__(self, kind: str, name: object, known: Iterable[str]) -> None:
        self.kind = kind
        self.name = name
        self.known = tuple(dict.fromkeys(known))
        super().__init__(f"There is no {kind} {shown(name)}. {self._advice()}")

    def __reduce__(self) -> tuple[type[UnknownName], tuple[str, object, tuple[str, ...]]]:
        """Let the error travel between processes."""
        return UnknownName, (self.kind, self.name, self.known)

    def _advice(self) -> str:
        if not self.known:
            return f"There are no names of this kind ({self.kind}) to choose from."
        given = self.name.lower() if isinstance(self.name, str) else ""
        near = difflib.get_close_matches(given, [name.lower() for name in self.known], n=3, cutoff=0.5)
        names = [name for lower in near for name in self.known if name.lower() == lower]
        if names:
            return f"Did you mean {' or '.join(map(repr, dict.fromkeys(names)))}?"
        choices = ", ".join(self.known[:12])
        return f"Choose from: {choices}{', …' if len(self.known) > 12 else ''}."

    def __str__(self) -> str:
        """Return the sentence itself; ``KeyError`` alone would quote it."""
        return str(self.args[0])


class UnsupportedNetwork(SegscopeError):
    """The network's output can't be read as class scores, or gradients don't flow through it."""

    code = "unsupported-network"


class CannotExplain(SegscopeError):
    """A method or layer can't answer this question about this network."""

    code = "cannot-explain"


class PredictionClosed(SegscopeError):
    """The prediction was closed, so that its forward pass is no longer there to explain."""

    code = "prediction-closed"


class MissingExtra(SegscopeError, ImportError):
    """An optional package is needed and not installed; the message names the ``pip install``."""

    code = "missing-extra"
