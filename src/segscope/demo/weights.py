"""Weights files: a network's parameters in safetensors, with the record of how they came to be."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ..errors import InvalidInput
from ..files import write_file
from .pspnet import PSPNetVGG16

__all__ = ["load_weights", "save_weights"]

_NETWORK = "PSPNetVGG16"


def save_weights(file: str | os.PathLike[str], network: PSPNetVGG16, record: Mapping[str, Any]) -> None:
    """Write a network to a safetensors file, with a record in the file's metadata.

    Kernels are stored as float16. Vectors (biases and batch norm, under 1 % of the numbers) stay float32, since a
    small running variance has too few digits in float16.

    Parameters
    ----------
    file : str or path
        File to write; one that exists is replaced.
    network : PSPNetVGG16
        The network; it is not changed.
    record : mapping
        How the weights came to be, of what JSON can hold.

    Raises
    ------
    InvalidInput
        If a weight is NaN or too large for float16, or the folder can't be written to.
    """
    tensors = {name: _stored(name, value) for name, value in network.state_dict().items() if value.is_floating_point()}
    shape = {"network": _NETWORK, "classes": str(network.classes), "width": repr(network.width)}
    content = save(tensors, metadata={**shape, "record": json.dumps(record, sort_keys=True)})
    write_file(file, lambda opened: opened.write(content))


def _stored(name: str, value: Tensor) -> Tensor:
    stored = value.detach().to(torch.float16 if value.dim() > 1 else torch.float32).contiguous()
    if not torch.isfinite(stored).all():
        raise InvalidInput(
            f"{name} holds a weight that is NaN or beyond float16's range of ±65504: expected finite weights. "
            "The training diverged; use an earlier checkpoint or a lower learning rate."
        )
    return stored


def load_weights(file: str | os.PathLike[str]) -> tuple[PSPNetVGG16, dict[str, Any]]:
    """Build the network that a weights file holds.

    Parameters
    ----------
    file : str or path
        Written by `save_weights`.

    Returns
    -------
    network : PSPNetVGG16
        Float32, on the CPU, in evaluation mode.
    record : dict
        How the weights came to be.

    Raises
    ------
    InvalidInput
        If the file is missing, no safetensors file, or of another network.
    """
    try:
        with safe_open(os.fspath(file), framework="pt") as opened:
            metadata: dict[str, str] = opened.metadata() or {}
            tensors = {name: opened.get_tensor(name).float() for name in opened.keys()}  # noqa: SIM118 (no mapping)
    except (OSError, SafetensorError) as error:
        raise InvalidInput(
            f"{os.fspath(file)} can't be read as weights ({error}): expected a safetensors file. "
            "Check the path, or write one with `segscope train`."
        ) from error
    if metadata.get("network") != _NETWORK:
        raise InvalidInput(
            f"{os.fspath(file)} is of network {metadata.get('network')!r}: expected {_NETWORK!r}. "
            "Load other networks by module:function or file.py:function."
        )
    return _network(file, metadata, tensors), json.loads(metadata["record"])


def _network(file: str | os.PathLike[str], metadata: Mapping[str, str], tensors: Mapping[str, Tensor]) -> PSPNetVGG16:
    network = PSPNetVGG16(int(metadata["classes"]), width=float(metadata["width"]))
    try:
        network.load_state_dict(dict(tensors))
    except RuntimeError as error:
        raise InvalidInput(
            f"{os.fspath(file)} does not fit a {_NETWORK} of width {network.width:g} ({error}): expected the weights "
            "that its metadata announce. The file is damaged; write it again."
        ) from error
    return network.eval()
