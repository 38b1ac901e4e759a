"""Every method answers every kind of target."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest

from segscope import CannotExplain, MissingExtra, Prediction, Region, SegmentationModel
from segscope.methods import all_methods
from segscope.testing import _CLASSES, _NETWORKS, _image

METHODS = all_methods()
# Few enough for a quick test; a method takes those that it knows.
FEWER = {"masks": 20, "samples": 20, "steps": 10, "superpixels": 6}


@functools.cache
def predicted(network: str) -> Prediction:
    truth = np.random.default_rng(0).integers(0, len(_CLASSES), (18, 24))
    model = SegmentationModel(_NETWORKS[network](), classes=_CLASSES)
    return model.predict(_image(), truth=truth.astype(np.int32))


def targets(prediction: Prediction) -> dict[str, dict[str, Any]]:
    index = int(prediction.mask[9, 12])
    other = next(name for name in _CLASSES[:-1] if name != _CLASSES[index])
    return {
        "pixel": {"region": Region.pixel(9, 12)},
        "area": {"region": Region.box(4, 2, 14, 17)},
        "segment": {"region": Region.segment(9, 12)},
        "error": {"region": Region.errors(index)},
        "contrast": {"region": Region.box(4, 2, 14, 17), "against": other},
    }


@pytest.mark.parametrize("kind", ["pixel", "area", "segment", "error", "contrast"])
@pytest.mark.parametrize("method", METHODS)
def test_method_answers_each_kind_of_target(method: str, kind: str) -> None:
    prediction = predicted("transformer" if METHODS[method].family == "attention" else "convolutional")
    known = {parameter.name for parameter in METHODS[method].parameters}
    fewer: dict[str, Any] = {name: value for name, value in FEWER.items() if name in known}
    try:
        found = prediction.explain(int(prediction.mask[9, 12]), method=method, **targets(prediction)[kind], **fewer)
    except MissingExtra as error:
        pytest.skip(str(error))
    except CannotExplain as error:
        pytest.fail(f"{method} refuses a target of the kind {kind}: {error}")
    assert np.isfinite(found.values).all()
    assert found.values.any()
    assert found.values.shape == prediction.size
