"""A device that isn't the CPU: its numbers are computed on the CPU, and it refuses the CPU's as a GPU does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

# Of the devices that PyTorch knows by name, the one that needs no driver to be named.
ELSEWHERE = torch.device("lazy")

# Numbers may go from one device to another, and be chosen by indices of the CPU.
_MIXING = (torch.ops.aten.copy_.default, torch.ops.aten.index.Tensor)


class Far(Tensor):
    """A tensor that says that it is elsewhere."""

    near: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @staticmethod
    def __new__(cls, near: Tensor) -> Far:
        made = Tensor._make_wrapper_subclass(
            cls,
            near.size(),
            strides=near.stride(),
            storage_offset=near.storage_offset(),
            dtype=near.dtype,
            device=ELSEWHERE,
            requires_grad=near.requires_grad,
        )
        made.near = near
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # type: ignore[override]
        return _run(func, args, kwargs or {})

    def tolist(self) -> Any:
        return self.near.tolist()


class _Watching(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


def _run(function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    far = any(isinstance(tensor, Far) for tensor in tensors)
    stray = [tensor for tensor in tensors if not isinstance(tensor, Far) and tensor.ndim]
    if far and stray and function not in _MIXING:
        raise RuntimeError(
            f"{function} got tensors on two devices, {ELSEWHERE} and cpu: {[tuple(tensor.shape) for tensor in stray]}"
        )
    options = dict(kwargs)
    if options.get("device") is not None:
        far = torch.device(options["device"]) == ELSEWHERE
        options["device"] = torch.device("cpu")
    result = function(*tree_map(_near, args), **tree_map(_near, options))
    if function._schema.is_mutable and isinstance(args[0], Tensor):
        return args[0]
    return tree_map(lambda leaf: Far(leaf) if far and isinstance(leaf, Tensor) else leaf, result)


def _near(value: Any) -> Any:
    return value.near if isinstance(value, Far) else value


@contextmanager
def elsewhere(network: nn.Module) -> Iterator[nn.Module]:
    """Move a network there, and watch what is computed until the block ends."""
    with _Watching():
        for module in network.modules():
            for name, parameter in module._parameters.items():
                if parameter is not None:
                    module._parameters[name] = nn.Parameter(Far(parameter.detach()), parameter.requires_grad)
            for name, buffer in module._buffers.items():
                if buffer is not None:
                    module._buffers[name] = Far(buffer)
        yield network
