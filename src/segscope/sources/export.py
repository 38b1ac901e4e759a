"""Files that torch.export.save wrote."""

from __future__ import annotations

import torch
from torch import nn

from ..errors import InvalidInput
from ..model import SegmentationModel
from ..preprocess import Preprocess
from .base import Made, Order, Source, failures_of
from .weights import load_state

__all__ = ["SOURCE"]


def _load(order: Order) -> Made:
    path = order.file()
    if order.random:
        order.refuse_weights(why="is a file that holds its weights")
    with failures_of(order.source):
        program = torch.export.load(path)
    shape = _input_shape(program, order.source)
    with failures_of(order.source):
        # Modules under their own names again, in place of one flat list of operations.
        network: nn.Module = torch.export.unflatten(program)
    if order.weights is not None:
        load_state(network, order.weights)
    channels, height, width = shape[1:]
    return SegmentationModel(
        network,
        preprocess=Preprocess((height, width) if height and width else None, channels=channels),
        name=path.stem,
    )


def _input_shape(program: torch.export.ExportedProgram, source: str) -> list[int | None]:
    """Return the sizes of the image's axes, None where a size is free."""
    names = set(program.graph_signature.user_inputs)
    inputs = [node for node in program.graph.nodes if node.op == "placeholder" and node.name in names]
    if len(inputs) != 1:
        raise InvalidInput(
            f"The model source {source!r} takes {len(inputs)} inputs ({', '.join(node.name for node in inputs)}); "
            "expected one, the image."
        )
    shape = list(inputs[0].meta["val"].shape)
    if len(shape) != 4:
        raise InvalidInput(f"The input of {source!r} has {len(shape)} axes; expected batch×channels×height×width.")
    return [size if isinstance(size, int) else None for size in shape]


SOURCE = Source(
    scheme="export",
    form="export:FILE.pt2",
    summary="A file that torch.export.save wrote.",
    load=_load,
)
