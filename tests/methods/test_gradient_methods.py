"""What all methods along gradients keep to: cancelling, probability, a network that stays as it was."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.overrides import _get_current_function_mode_stack

from segscope import CannotExplain, SegmentationModel
from segscope.testing import check_method

from .slow import CLASS, REGION, Functional, Rectified, image

METHODS = [
    "smoothgrad",
    "vargrad",
    "integrated-gradients",
    "expected-gradients",
    "blur-integrated-gradients",
    "guided-backpropagation",
    "guided-grad-cam",
    "deeplift",
    "fullgrad",
]


def state(network: nn.Module) -> list[object]:
    hooks = [len(module._forward_hooks) + len(module._backward_hooks) for module in network.modules()]
    modes = [module.training for module in network.modules()]
    parameters = [(p.requires_grad, p.grad is None, float(p.detach().double().sum())) for p in network.parameters()]
    return [hooks, modes, parameters, _get_current_function_mode_stack(), torch.get_rng_state().tolist()]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("layer", [None, "relu1", "norm"])
def test_cancelled_work_leaves_nothing_behind(method: str, layer: str | None) -> None:
    class Cancelled(Exception):
        pass

    def tell(share: float) -> None:
        raise Cancelled("nobody waits")

    network = Rectified().train()
    before = state(network)
    with SegmentationModel(network).predict(image()) as prediction:
        first = prediction.explain(CLASS, REGION, layer=layer, method=method)
        with pytest.raises(Cancelled, match="nobody waits"):
            prediction.explain(CLASS, REGION, layer=layer, method=method, progress=tell)
        assert state(network) == before
        again = prediction.explain(CLASS, REGION, layer=layer, method=method)
    assert np.array_equal(first.map, again.map)
    assert state(network) == before


@pytest.mark.parametrize("method", METHODS)
def test_in_place_functions_equal_modules(method: str) -> None:
    maps = []
    for network in (Rectified(), Functional()):
        with SegmentationModel(network).predict(image()) as prediction:
            maps.append(prediction.explain(CLASS, REGION, method=method, layer="conv1", against=0).map)
    np.testing.assert_allclose(maps[0], maps[1], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_half_precision_gives_nearly_the_same(method: str) -> None:
    maps = []
    for dtype in (torch.float32, torch.bfloat16):
        with SegmentationModel(Rectified().to(dtype)).predict(image()) as prediction:
            try:
                maps.append(prediction.explain(CLASS, REGION, method=method).map)
            except CannotExplain as error:
                pytest.fail(str(error))
    assert np.corrcoef(maps[0].ravel(), maps[1].ravel())[0, 1] > 0.9


@pytest.mark.parametrize("method", ["guided-backpropagation", "fullgrad"])
def test_signed_maps_pass_the_conformance_suite(method: str) -> None:
    check_method(method, absolute=False)
