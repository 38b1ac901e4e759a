"""Nothing is computed on another device than the network's: predictions, maps and reasons (but tables and LRP)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from segscope import MissingExtra, Prediction, Region, SegmentationModel
from segscope.methods import all_methods
from tests.elsewhere import ELSEWHERE, elsewhere
from tests.networks import ZOO, Case

METHODS = all_methods()
# Few enough for a quick test; a method takes those that it knows.
FEWER = {"masks": 10, "samples": 20, "steps": 10, "superpixels": 4, "channels": 2}
BOX = Region.box(4, 4, 20, 20)


def case(name: str) -> Case:
    return next(case for case in ZOO if case.name == name)


def asked(prediction: Prediction, method: str) -> Any:
    fewer: dict[str, Any] = {
        parameter.name: FEWER[parameter.name] for parameter in METHODS[method].parameters if parameter.name in FEWER
    }
    return prediction.explain(1, BOX, method=method, **fewer).map


def test_what_is_elsewhere_refuses_what_is_here() -> None:
    with elsewhere(torch.nn.Conv2d(3, 2, 1)) as network, pytest.raises(RuntimeError, match="two devices, lazy and cpu"):
        network(torch.rand(1, 3, 4, 4))


@pytest.mark.parametrize("each", ZOO, ids=[each.name for each in ZOO])
def test_network_elsewhere_is_predicted_and_explained(each: Case) -> None:
    here = SegmentationModel(each.build()).predict(each.input())
    expected = here.explain_all([1], region=Region.everywhere(), relu=False)
    with elsewhere(each.build()) as network:
        model = SegmentationModel(network)
        assert model.device == ELSEWHERE
        with model.predict(each.input()) as there:
            # Attention has other kernels there.
            np.testing.assert_allclose(there.logits, here.logits, rtol=1e-4, atol=1e-5)
            np.testing.assert_array_equal(there.mask, here.mask)
            np.testing.assert_allclose(there.confidence, here.confidence, rtol=1e-4)
            assert there.default_layer == here.default_layer
            assert there.edges == here.edges
            found = there.explain_all([1], region=Region.everywhere(), relu=False)
    assert found.keys() == expected.keys()
    for key, attribution in found.items():
        np.testing.assert_allclose(attribution.map, expected[key].map, rtol=1e-5, atol=1e-7, err_msg=str(key))


# zennit gives weights other data, which a tensor that stands for another can't take.
@pytest.mark.parametrize("method", sorted(METHODS.keys() - {"lrp"}))
def test_method_works_elsewhere(method: str) -> None:
    of = case("transformer" if METHODS[method].family == "attention" else "resnet")
    try:
        expected = asked(SegmentationModel(of.build()).predict(of.input()), method)
    except MissingExtra as error:
        pytest.skip(str(error))
    with elsewhere(of.build()) as network, SegmentationModel(network).predict(of.input()) as prediction:
        found = asked(prediction, method)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


def test_reasons_are_found_elsewhere() -> None:
    of = case("unet")
    expected = SegmentationModel(of.build()).predict(of.input()).reasons("down2")
    with elsewhere(of.build()) as network, SegmentationModel(network).predict(of.input()) as prediction:
        found = prediction.reasons("down2")
    np.testing.assert_array_equal(found.clusters, expected.clusters)
