"""Checkpoints of a training, never seen half written."""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from typing import Any

import torch

from ..errors import InvalidInput
from ..files import write_file

__all__ = ["read_checkpoint", "write_checkpoint"]


def write_checkpoint(file: str | os.PathLike[str], state: Mapping[str, Any]) -> None:
    """Write a training's state beside its place, then rename it.

    Parameters
    ----------
    file : str or path
        File to write; one that exists is replaced.
    state : mapping
        Tensors, numbers, texts, lists and dicts only.

    Raises
    ------
    InvalidInput
        If the folder can't be written to.
    """
    write_file(file, lambda opened: torch.save(dict(state), opened))


def read_checkpoint(file: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a training's state, without running any code that the file may hold.

    Parameters
    ----------
    file : str or path
        From `write_checkpoint`.

    Returns
    -------
    dict
        The state.

    Raises
    ------
    InvalidInput
        If the file is missing or no checkpoint.
    """
    try:
        state: dict[str, Any] = torch.load(file, weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise InvalidInput(
            f"{os.fspath(file)} can't be read as a checkpoint ({error}); expected one that a training wrote. "
            "Check the path, or start anew without resuming."
        ) from error
    return state
