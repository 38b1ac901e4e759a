"""Which layer feeds which: read from the graph that the forward pass left behind, so that no tracing is needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor
from torch.autograd.graph import get_gradient_edge

__all__ = ["data_flow"]


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
    places = {_place(tensor): name for name, tensor in outputs.items() if tensor.requires_grad}
    found = {(source, target) for place, target in places.items() for source in _sources(place, places)}
    order = {name: index for index, name in enumerate(outputs)}
    return tuple(sorted(found, key=lambda edge: (order[edge[0]], order[edge[1]])))


def _place(tensor: Tensor) -> tuple[Any, int]:
    edge = get_gradient_edge(tensor)
    return edge.node, edge.output_nr


def _sources(place: tuple[Any, int], places: Mapping[tuple[Any, int], str]) -> Iterator[str]:
    """Walk back from a tensor until other known tensors are met."""
    waiting = [parent for parent in place[0].next_functions if parent[0] is not None]
    seen = set(waiting)
    while waiting:
        place = waiting.pop()
        if place in places:
            yield places[place]
            continue
        further = {parent for parent in place[0].next_functions if parent[0] is not None} - seen
        seen |= further
        waiting.extend(further)
