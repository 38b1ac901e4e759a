"""Several threads at once get what one gets, and leave everything as it was."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from segscope import Prediction, Region, SegmentationModel
from segscope.methods import all_methods
from segscope.sources.base import untrained
from segscope.testing import _TwoHeads
from tests.networks import ZOO
from tests.test_untouched import assert_same, settings, state

FEW = {"steps": 10, "samples": 20, "masks": 10, "superpixels": 6, "channels": 4}
REGION = Region.box(4, 2, 14, 17)


def few(method: str) -> dict[str, Any]:
    """Return parameters with which a method is quick."""
    known = {parameter.name for parameter in all_methods()[method].parameters}
    return {name: value for name, value in FEW.items() if name in known}


def at_once(*work: Callable[[], Any]) -> list[Any]:
    together = threading.Barrier(len(work))

    def start(each: Callable[[], Any]) -> Any:
        together.wait(60)
        return each()

    with ThreadPoolExecutor(len(work)) as pool:
        return list(pool.map(start, work))


def network_of(method: str) -> torch.nn.Module:
    if all_methods()[method].family == "attention":
        return {case.name: case for case in ZOO}["transformer"].build()
    return _TwoHeads()


@pytest.mark.parametrize("method", all_methods())
def test_every_method_in_two_threads(method: str) -> None:
    parameters = few(method)
    network = network_of(method).train()
    model, image = SegmentationModel(network), torch.randn(3, 24, 40)

    def ask(prediction: Prediction) -> np.ndarray:
        return prediction.explain(1, REGION, method=method, **parameters).map

    expected = ask(model.predict(image))
    # Not before, since what is imported when it is first needed brings filters of warnings along.
    before = state(network)
    with model.predict(image) as common:
        for found in at_once(*[lambda: ask(common), lambda: ask(model.predict(image))] * 2):
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    assert_same(before, state(network))


def test_untrained_networks_made_at_once_are_the_same() -> None:
    def make() -> torch.Tensor:
        with untrained():
            return torch.stack([torch.randn(3) for _ in range(200)])

    expected, before = make(), settings()
    for _ in range(10):
        for found in at_once(make, make, make):
            assert torch.equal(found, expected)
    assert_same(before, settings())


def test_tables_of_several_networks_made_at_once() -> None:
    cases = ZOO[:3]
    predictions = [SegmentationModel(case.build()).predict(case.input()) for case in cases]

    def make(prediction: Prediction) -> np.ndarray:
        return prediction.table(prediction.default_layer).values.numpy()

    expected = [make(prediction) for prediction in predictions]
    before = settings()
    for _ in range(3):
        for found, one in zip(at_once(*[partial(make, each) for each in predictions]), expected, strict=True):
            np.testing.assert_allclose(found, one, rtol=0, atol=1e-5 * np.abs(one).max())
        assert_same(before, settings())
