"""Writing files so that none is ever left half written, and where to keep what can be worked out again."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from .errors import InvalidInput

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["cache_folder", "write_file", "write_result"]


def cache_folder() -> Path:
    """Return the folder for what can be worked out again.

    Returns
    -------
    Path
        ``SEGSCOPE_CACHE`` where it is set; ``segscope`` in the user's cache folder otherwise. It need not exist.
    """
    chosen = os.environ.get("SEGSCOPE_CACHE")
    if chosen:
        return Path(chosen)
    if os.name == "nt":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "segscope" / "Cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "segscope"


def write_file(path: str | os.PathLike[str], write: Callable[[BinaryIO], object]) -> Path:
    """Write a file beside its place, and move it there when it is whole.

    Parameters
    ----------
    path : path
        Where the file belongs; an existing one is replaced at once, when the new one is complete.
    write : callable
        Gets the open binary file.

    Returns
    -------
    Path
        The file's place.

    Raises
    ------
    InvalidInput
        When the folder doesn't exist or can't be written to.
    """
    place = Path(path)
    if not place.name or "\0" in str(place):
        raise InvalidInput(f"The file {str(place)!r} can't be written; expected the name of a file.")
    temporary = place.with_name(f".{place.name[:64]}.{secrets.token_hex(8)}.part")
    try:
        # Exclusive, so that nothing is overwritten; the permissions are those of any new file.
        with temporary.open("xb") as file:
            write(file)
        temporary.replace(place)
    except OSError as error:
        raise InvalidInput(f"The file {str(place)!r} can't be written: {error.strerror or error}.") from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
    return place


def write_result(path: str | os.PathLike[str], *, plot: Callable[[], Figure], to_npz: Callable[[], bytes]) -> Path:
    """Write a result as a figure or as numbers, by the file's ending.

    Parameters
    ----------
    path : path
        Ends with ``.png``, ``.svg``, ``.pdf`` or ``.npz``; a file is replaced only by a complete one.
    plot, to_npz : callable
        Make the figure, or the content of an NPZ file.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InvalidInput
        When the ending is another one, or the folder can't be written to.
    """
    kind = Path(path).suffix.lower().lstrip(".")
    if kind == "npz":
        return write_file(path, lambda file: file.write(to_npz()))
    if kind not in ("png", "svg", "pdf"):
        raise InvalidInput(
            f"The file {os.fspath(path)!r} ends with {Path(path).suffix!r}; expected .png, .svg, .pdf or .npz."
        )
    figure = plot()
    return write_file(path, lambda file: figure.savefig(file, format=kind, dpi=150))
