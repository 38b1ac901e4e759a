"""Weights from a file, into a network that is there already."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from ..errors import InvalidInput, shown
from ..inputs import SeveralInputs

__all__ = ["load_state", "read_state"]

# What training scripts wrap a state dict in, and what wrappers put before its names.
_WRAPPINGS = ("state_dict", "model_state_dict", "model_state", "model", "network", "net", "ema")
_PREFIXES = ("module.", "_orig_mod.", "model.", "network.", "net.")
_SHOWN = 3


def read_state(path: Path) -> dict[str, Tensor]:
    """Read a file of weights: safetensors, or what ``torch.save(network.state_dict(), …)`` wrote. No code in it runs.

    Parameters
    ----------
    path : Path
        The file; a checkpoint that holds the weights under ``"state_dict"`` or ``"model"`` is understood.

    Returns
    -------
    dict of str to Tensor
        On the CPU.

    Raises
    ------
    InvalidInput
        When it can't be read, or holds anything but weights.
    """
    if not path.is_file():
        raise InvalidInput(f"There is no file of weights {str(path)!r}.")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return dict(load_file(path))
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InvalidInput(
            f"The weights {str(path)!r} can't be read without running code that the file brings, or aren't weights "
            f"({str(error).strip().partition(chr(10))[0]}); save them with torch.save(network.state_dict(), file) or "
            "as safetensors."
        ) from error
    except Exception as error:  # a broken file raises whatever its reader does
        raise InvalidInput(
            f"The weights {str(path)!r} can't be read: {type(error).__name__}: {error}. Expected safetensors, or what "
            "torch.save(network.state_dict(), file) wrote."
        ) from error
    return _unwrapped(content, path)


def load_state(network: nn.Module, path: Path) -> None:
    """Load a file of weights into a network.

    Parameters
    ----------
    network : Module
        The network; where its weights are on the device ``meta`` they are replaced.
    path : Path
        As :func:`read_state` takes it.

    Raises
    ------
    InvalidInput
        When the file can't be read, or its weights are another network's: which are missing, too many or of another
        shape.
    """
    if isinstance(network, SeveralInputs):  # which has no weights of its own
        network = network.network
    own = network.state_dict()
    state = _renamed(read_state(path), own)
    # Counters that only training reads, and that older files don't have.
    missing = [name for name in own if name not in state and not name.endswith("num_batches_tracked")]
    unexpected = [name for name in state if name not in own]
    shapes = [
        f"{name} {tuple(state[name].shape)} instead of {tuple(own[name].shape)}"
        for name in own
        if name in state and state[name].shape != own[name].shape
    ]
    parts = [
        f"{len(names)} {what} ({_some(names)})"
        for what, names in (("missing", missing), ("unexpected", unexpected), ("of another shape", shapes))
        if names
    ]
    if parts:
        raise InvalidInput(
            f"The weights {str(path)!r} don't fit the network {type(network).__name__}, which has {len(own)}: "
            f"{'; '.join(parts)}. Check the architecture and the number of classes."
        )
    hollow = any(tensor.is_meta for tensor in own.values())
    network.load_state_dict(state, strict=False, assign=hollow)


def _unwrapped(content: object, path: Path) -> dict[str, Tensor]:
    for key in _WRAPPINGS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not content or not all(isinstance(name, str) for name in content):
        raise InvalidInput(
            f"The file {str(path)!r} holds {shown(type(content).__name__)}; expected a state dict: names and tensors."
        )
    state = {name: value for name, value in content.items() if isinstance(value, Tensor)}
    if not state:
        raise InvalidInput(
            f"The file {str(path)!r} has the entries {_some(list(content))} and no weights among them; expected a "
            "state dict: names and tensors."
        )
    return state


def _renamed(state: dict[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Drop what wrappers put before the names, where the names fit only without."""
    for _ in _PREFIXES:
        prefix = next((each for each in _PREFIXES if all(name.startswith(each) for name in state)), None)
        if prefix is None or any(name in own for name in state):
            break
        state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state


def _some(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
