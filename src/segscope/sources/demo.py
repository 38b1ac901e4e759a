"""The network that comes with segscope."""

from __future__ import annotations

from ..errors import InvalidInput
from .base import Made, Order, Source

__all__ = ["SOURCE"]


def _load(order: Order) -> Made:
    if order.rest:
        raise InvalidInput(f"The model source is {order.source!r}; expected 'demo' alone.")
    order.refuse_weights(why="has weights of its own")
    from ..demo import load_demo

    return load_demo()


SOURCE = Source(scheme="demo", form="demo", summary="The network that comes with segscope.", load=_load)
