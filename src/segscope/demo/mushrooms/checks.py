"""Checks of arguments that several modules of the renderer take."""

from __future__ import annotations

import operator

from segscope.errors import InvalidInput

__all__ = ["check_seed", "check_size", "check_whole"]


def check_whole(name: str, value: object, *, low: int, high: int | None = None) -> int:
    """Return `value` as a whole number within low..high, or raise `InvalidInput`."""
    span = f"a whole number from {low} to {high}" if high is not None else f"a whole number of at least {low}"
    try:
        number = operator.index(value)  # type: ignore[arg-type]  # what isn't a number is what this finds out
    except TypeError:
        raise InvalidInput(f"{name} must be {span}, but is {value!r}.") from None
    if isinstance(value, bool) or number < low or (high is not None and number > high):
        raise InvalidInput(f"{name} must be {span}, but is {value!r}.")
    return number


def check_seed(seed: object) -> int:
    """Return the seed, at least 0, or raise `InvalidInput`."""
    return check_whole("seed", seed, low=0)


def check_size(size: object) -> int:
    """Return the image's size in pixels, 32..2048, or raise `InvalidInput`."""
    return check_whole("size", size, low=32, high=2048)
