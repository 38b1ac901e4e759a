"""Which layer feeds which: read from the graph that the forward pass left behind, so that no tracing is needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor
from torch.autograd.graph import get_gradient_edge

__all__ = ["data_flow", "feeding", "meeting"]

# Autograd's names of what puts several maps together and leaves each as it is.
_TOGETHER = ("AddBackward", "CatBackward", "StackBackward")


def data_flow(outputs: Mapping[str, Tensor]) -> tuple[tuple[str, str], ...]:
    """Return the edges between layers: from each one to those that use its output with none of the others between.

    Parameters
    ----------
    outputs : mapping of str to Tensor
        What each layer put out, from one forward pass with its autograd graph; the input among them, if it is to be a
        node.

    Returns
    -------
    tuple of (str, str)
        (from, to) by name, in the order of ``outputs``.

    Examples
    --------
    >>> import torch
    >>> image = torch.ones(1, requires_grad=True)
    >>> left, right = image * 2, image * 3
    >>> data_flow({"input": image, "left": left, "right": right, "sum": left + right})
    (('input', 'left'), ('input', 'right'), ('left', 'sum'), ('right', 'sum'))
    """
    places = _places(outputs)
    found = {(source, target) for place, target in places.items() for source in _sources(place, places)}
    order = {name: index for index, name in enumerate(outputs)}
    return tuple(sorted(found, key=lambda edge: (order[edge[0]], order[edge[1]])))


def feeding(end: Tensor, outputs: Mapping[str, Tensor]) -> set[str]:
    """Return the layers that a tensor is made of, with none of the others between.

    Parameters
    ----------
    end : Tensor
        With its autograd graph: a network's logits, or what a layer put out.
    outputs : mapping of str to Tensor
        What each layer put out.

    Returns
    -------
    set of str
        Their names; none where no gradients flow.
    """
    return set(_sources(_place(end), _places(outputs))) if end.requires_grad else set()


def meeting(outputs: Mapping[str, Tensor]) -> dict[str, set[str]]:
    """Return which layers are added up or concatenated on the way to another.

    Those that meet otherwise (a gate times a map, queries times keys) are left out.

    Parameters
    ----------
    outputs : mapping of str to Tensor
        As in :func:`data_flow`.

    Returns
    -------
    dict of str to set of str
        The layers that meet, by the one in which they do.
    """
    places = _places(outputs)
    return {name: set(_sources(place, places, together=True)) for place, name in places.items()}


def _places(outputs: Mapping[str, Tensor]) -> dict[tuple[Any, int], str]:
    return {_place(tensor): name for name, tensor in outputs.items() if tensor.requires_grad}


def _place(tensor: Tensor) -> tuple[Any, int]:
    edge = get_gradient_edge(tensor)
    return edge.node, edge.output_nr


def _sources(place: tuple[Any, int], places: Mapping[tuple[Any, int], str], *, together: bool = False) -> Iterator[str]:
    """Walk back from a tensor until other known tensors are met."""
    waiting = _parents(place, together=together)
    seen = set(waiting)
    while waiting:
        place = waiting.pop()
        if place in places:
            yield places[place]
            continue
        further = set(_parents(place, together=together)) - seen
        seen |= further
        waiting.extend(further)


def _parents(place: tuple[Any, int], *, together: bool) -> list[tuple[Any, int]]:
    node, _ = place
    parents = [parent for parent in node.next_functions if parent[0] is not None]
    return [] if together and len(parents) > 1 and not node.name().startswith(_TOGETHER) else parents
