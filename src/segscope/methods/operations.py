"""What a network does between a place and the score, operation by operation, without touching the network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from ..layers import exchanged, first_tensor

__all__ = ["Operation", "Operations", "names"]


@dataclass(frozen=True)
class Operation:
    """One call of a function of PyTorch whose arguments depend on what stands at the place.

    Parameters
    ----------
    function : callable
        What the network called: a function of ``torch`` or ``torch.nn.functional``, or a tensor's method.
    arguments, keywords
        What it was called with.
    inputs : tuple of Tensor
        The tensors among them that depend on the place, each once.
    uses : int
        How often they stand there.
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    keywords: Mapping[str, Any]
    inputs: tuple[Tensor, ...]
    uses: int

    @property
    def name(self) -> str:
        """The function's name without underscores: ``relu`` for ``relu_``, ``mul`` for ``__mul__``."""
        return str(getattr(self.function, "__name__", "")).strip("_")

    def __call__(
        self, values: Sequence[Tensor] | None = None, *, function: Callable[..., Any] | None = None, **more: Any
    ) -> Any:
        """Call the function, as the network did or with other numbers.

        Parameters
        ----------
        values : sequence of Tensor, optional
            What stands for the inputs; as the network has it otherwise.
        function : callable, optional
            Another function to call with the same arguments.
        **more
            Further keywords.

        Returns
        -------
        object
            What it returns.
        """
        arguments: Any = self.arguments
        keywords: Any = dict(self.keywords)
        for old, new in zip(self.inputs, values or (), strict=values is not None):
            arguments, keywords = exchanged(arguments, old, new), exchanged(keywords, old, new)
        return (function or self.function)(*arguments, **{**keywords, **more})

    def result(self, values: Sequence[Tensor]) -> Any:
        """Return what the function makes of other numbers, which stay as they are.

        Parameters
        ----------
        values : sequence of Tensor
            What stands for the inputs; a function that works in place gets a copy.

        Returns
        -------
        Tensor or None
            The first tensor that it returns.
        """
        return first_tensor(self([value.clone() for value in values]))


class Operations(TorchFunctionMode):
    """While this context lasts, :meth:`handle` takes the place of each operation that depends on the place.

    What is compiled (TorchScript) can't be seen, nor what happens inside of a function of PyTorch such as
    ``multi_head_attention_forward``, which is one operation. Only this thread is concerned.
    """

    def __torch_function__(
        self, function: Any, _types: Any, arguments: tuple[Any, ...] = (), keywords: Mapping[str, Any] | None = None
    ) -> Any:
        """Hand an operation that depends on the place to :meth:`handle`; PyTorch calls this."""
        found = [*_depending(arguments), *_depending(keywords or {})]
        if not found or not torch.is_grad_enabled():
            return function(*arguments, **(keywords or {}))
        distinct = tuple({id(tensor): tensor for tensor in found}.values())
        return self.handle(Operation(function, arguments, keywords or {}, distinct, len(found)))

    def handle(self, operation: Operation) -> Any:
        """Do what the operation does, or something else.

        Parameters
        ----------
        operation : Operation
            What the network calls.

        Returns
        -------
        object
            What the network goes on with.
        """
        return operation()


def _depending(value: Any) -> list[Tensor]:
    """Return the tensors among some arguments that need a gradient: at rest, those that depend on the place."""
    if isinstance(value, Tensor):
        return [value] if value.requires_grad else []
    if isinstance(value, Mapping):
        value = tuple(value.values())
    if isinstance(value, (tuple, list)):
        return [tensor for part in value for tensor in _depending(part)]
    return []


def names(words: str) -> frozenset[str]:
    """Return names of operations that stand in one text.

    Parameters
    ----------
    words : str
        The names, with spaces between.

    Returns
    -------
    frozenset of str
        As :attr:`Operation.name` gives them.
    """
    return frozenset(words.split())
