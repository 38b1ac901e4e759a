"""The names and calls that users rely on; changing one is a decision, not an accident."""

from __future__ import annotations

import inspect
import pickle
from pathlib import Path
from typing import Any

import pytest

import segscope
from segscope import errors

NAMES = {
    "Attribution",
    "AttributionGrid",
    "CannotExplain",
    "Comparison",
    "EmptyRegion",
    "InvalidImage",
    "InvalidInput",
    "InvalidRegion",
    "Layer",
    "MissingExtra",
    "Prediction",
    "PredictionCache",
    "PredictionClosed",
    "Preprocess",
    "Reasons",
    "Region",
    "SegmentationModel",
    "SegscopeError",
    "SeveralInputs",
    "Table",
    "Target",
    "UnknownName",
    "UnsupportedNetwork",
    "Windows",
    "errors",
}

PINNED = {
    "SegmentationModel": "(network, *, classes, preprocess, device)",
    "SegmentationModel.load": "(source, *, classes, preprocess, device)",
    "SegmentationModel.predict": "(self, image, *, truth)",
    "SegmentationModel.picture": "(self, image, *, bands)",
    "SeveralInputs": "(network, inputs)",
    "Prediction.explain": "(self, class_, region, *, layer, method, against, score, **parameters)",
    "Prediction.explain_all": "(self, classes, layers, *, method, region, against, score, **parameters)",
    "Prediction.compare": "(self, class_, region, *, classes, methods, layers, against, score, progress, run)",
    "Prediction.table": "(self, layer, *, method, progress)",
    "Prediction.contributions": "(self, layer)",
    "Prediction.reasons": "(self, layer, *, clusters, seed, progress)",
    "Prediction.score": "(self, target)",
    "Prediction.close": "(self)",
    "Windows": "(size, overlap)",
    "Reasons.colors": "(self, by)",
    "Reasons.overlay": "(self, by, *, opacity, outliers)",
    "Reasons.top_channels": "(self, label, count)",
    "Reasons.plot": "(self)",
    "Reasons.save": "(self, path)",
    "Table.weights": "(self, class_, region, *, against, score)",
    "Table.explain": "(self, class_, region, *, against, score, relu)",
    "Table.explain_many": "(self, targets, *, relu)",
    "Table.maps": "(self, targets, *, relu)",
    "Table.save": "(self, path)",
    "Table.load": "(path, prediction)",
    "Attribution.save": "(self, path)",
    "Attribution.to_npz": "(self)",
    "Attribution.overlay": "(self, *, opacity, limit)",
    "Attribution.plot": "(self, *, limit)",
    "Comparison.agreement": "(self, kind, *, between)",
    "Comparison.plot": "(self, *, limit)",
    "Comparison.rows": "(self)",
    "Comparison.save": "(self, path, *, limit)",
    "Comparison.sorted": "(self, by)",
    "Comparison.steps": "(self, progress)",
    "Region.predicted": "(class_)",
    "Region.everywhere": "()",
    "Region.pixel": "(row, column)",
    "Region.box": "(top, left, bottom, right)",
    "Region.polygon": "(points)",
    "Region.mask": "(array)",
    "Region.true": "(class_)",
    "Region.errors": "(class_, kind)",
    "Region.from_dict": "(data)",
    "Region.to_dict": "(self)",
    "Region.weights": "(self, prediction)",
    "Target": "(class_, region, *, against, score)",
    "PredictionCache": "(max_bytes)",
    "PredictionCache.get": "(self, key, make)",
    "methods.all_methods": "()",
    "testing.check_method": "(name, *, network, **parameters)",
}

DEFAULTS: dict[str, dict[str, Any]] = {
    "SegmentationModel.load": {"classes": None, "preprocess": None, "device": None},
    "Prediction.explain": {"region": None, "layer": None, "method": "grad-cam", "against": None, "score": "logit"},
    "Prediction.explain_all": {
        "classes": None,
        "layers": None,
        "method": "grad-cam",
        "region": None,
        "against": None,
        "score": "logit",
    },
    "Prediction.compare": {
        "class_": None,
        "region": None,
        "classes": None,
        "methods": None,
        "layers": None,
        "against": None,
        "score": "logit",
    },
    "Comparison.agreement": {"kind": "spearman", "between": "maps"},
    "Comparison.sorted": {"by": "agreement"},
    "Region.errors": {"kind": "any"},
    "Target": {"region": None, "against": None, "score": "logit"},
}

ATTRIBUTES = {
    "SegmentationModel": {"classes", "colors", "name", "predict", "preprocess"},
    "Prediction": {
        "image",
        "size",
        "mask",
        "logits",
        "probabilities",
        "confidence",
        "truth",
        "layers",
        "default_layer",
        "nbytes",
        "model",
    },
    "Attribution": {
        "values",
        "map",
        "class_",
        "layer",
        "method",
        "signed",
        "provenance",
        "limit",
        "score",
        "parameters",
    },
    "AttributionGrid": {"classes", "layers", "skipped"},
    "Comparison": {"classes", "methods", "layers", "cells", "pending", "skipped", "costs", "share"},
}


def found(path: str) -> Any:
    import segscope.testing

    thing: Any = segscope
    for name in path.split("."):
        thing = getattr(thing, name)
    return thing


def test_exported_names() -> None:
    assert set(segscope.__all__) >= NAMES
    assert set(segscope.__all__) - NAMES <= {"show"}
    assert list(segscope.__all__) == sorted(segscope.__all__, key=lambda name: (name.islower(), name))
    for name in segscope.__all__:
        assert getattr(segscope, name).__doc__


def test_every_module_names_what_it_exports() -> None:
    import importlib

    package = Path(segscope.__file__).parent
    for path in [*package.glob("*.py"), *package.glob("methods/*.py"), *package.glob("sources/*.py")]:
        if path.stem in ("__main__", "cli"):
            continue
        name = ".".join(("segscope", *path.relative_to(package).with_suffix("").parts)).removesuffix(".__init__")
        module = importlib.import_module(name)
        assert module.__doc__, name
        for exported in module.__all__:
            assert hasattr(module, exported), (name, exported)


@pytest.mark.parametrize("path", PINNED)
def test_signatures(path: str) -> None:
    signature = inspect.signature(found(path))
    wanted = PINNED[path].strip("()").replace(" ", "").split(",") if PINNED[path] != "()" else []
    positional = [
        name for name in (wanted[: wanted.index("*")] if "*" in wanted else wanted) if not name.startswith("**")
    ]
    keywords = wanted[wanted.index("*") + 1 :] if "*" in wanted else []
    parameters = signature.parameters
    kinds = inspect.Parameter
    assert [name for name, each in parameters.items() if each.kind == kinds.POSITIONAL_OR_KEYWORD] == positional
    only = {name for name, each in parameters.items() if each.kind == kinds.KEYWORD_ONLY}
    assert {name for name in keywords if not name.startswith("**")} <= only
    assert any(each.kind == kinds.VAR_KEYWORD for each in parameters.values()) == any(
        name.startswith("**") for name in wanted
    )


@pytest.mark.parametrize("path", DEFAULTS)
def test_defaults(path: str) -> None:
    parameters = inspect.signature(found(path)).parameters
    assert {name: parameters[name].default for name in DEFAULTS[path]} == DEFAULTS[path]


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_attributes(name: str, prediction: segscope.Prediction) -> None:
    grid = prediction.explain_all(region=segscope.Region.everywhere())
    things: tuple[Any, ...] = (
        prediction.model,
        prediction,
        next(iter(grid.values())),
        grid,
        prediction.compare("leaf", run=False),
    )
    thing = next(thing for thing in things if type(thing).__name__ == name)
    for attribute in ATTRIBUTES[name]:
        assert hasattr(thing, attribute), attribute


def test_every_error_is_a_segscope_error_with_a_code() -> None:
    every = [getattr(errors, name) for name in errors.__all__ if inspect.isclass(getattr(errors, name))]
    assert len(every) == 10
    assert all(issubclass(error, errors.SegscopeError) for error in every)
    codes = [error.code for error in every]
    assert len(set(codes)) == len(codes)
    assert errors.UnknownName.code == "unknown-name"
    assert errors.EmptyRegion.code == "empty-region"
    for error in every:
        assert error.__name__ in (errors.__doc__ or "")
    assert issubclass(errors.InvalidInput, ValueError)
    assert issubclass(errors.UnknownName, KeyError)
    assert issubclass(errors.MissingExtra, ImportError)


def test_errors_travel_between_processes() -> None:
    error = pickle.loads(pickle.dumps(errors.UnknownName("layer", "capp", ["cap", "ring"])))  # noqa: S301 # written here
    assert str(error) == "There is no layer 'capp'. Did you mean 'cap'?"
    assert (error.kind, error.name, error.known) == ("layer", "capp", ("cap", "ring"))
    assert str(pickle.loads(pickle.dumps(errors.CannotExplain("because")))) == "because"  # noqa: S301 # written here


def test_unknown_names_of_many() -> None:
    names = [f"layer{index}" for index in range(40)]
    assert str(errors.UnknownName("layer", "x", names)).endswith("layer11, ….")
    assert "Did you mean 'layer3'" in str(errors.UnknownName("layer", "Layer3", names))
    assert len(str(errors.UnknownName("layer", "x" * 10**6, names))) < 400
