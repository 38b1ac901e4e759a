"""The registry, the methods' descriptions, and their parameters."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import segscope
from segscope import InvalidInput, MissingExtra, UnknownName
from segscope.methods import FAMILIES, Method, Parameter, all_methods, base, find_method, register
from segscope.testing import check_method

METHODS = all_methods()
RELU = METHODS["grad-cam"].parameters[0]


@pytest.mark.parametrize("name", METHODS)
def test_method_passes_the_conformance_suite(name: str) -> None:
    try:
        check_method(name, network="transformer" if METHODS[name].family == "attention" else "convolutional")
    except MissingExtra as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("name", [name for name in METHODS if METHODS[name].parameters[:1] == (RELU,)])
def test_method_passes_the_conformance_suite_without_relu(name: str) -> None:
    check_method(name, relu=False)


def test_methods_of_this_release() -> None:
    assert set(METHODS) >= {"grad-cam", "hires-cam", "layer-cam", "saliency", "input-x-gradient"}


def test_every_method_of_this_package_belongs_to_a_family() -> None:
    assert [name for name, method in METHODS.items() if method.family == "other"] == []


def test_every_method_faces_a_reference_written_from_its_paper() -> None:
    tests = [
        path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py") if path != Path(__file__)
    ]
    assert [name for name in METHODS if not any(f'"{name}"' in source for source in tests)] == []


def test_duplicate_name_is_refused() -> None:
    with pytest.raises(InvalidInput, match="'grad-cam' is registered already"):
        register(METHODS["grad-cam"])


def test_unknown_family_is_refused() -> None:
    with pytest.raises(UnknownName, match="There is no family of methods 'cams'. Did you mean 'cam'"):
        register(dataclasses.replace(METHODS["grad-cam"], name="new", family="cams"))  # type: ignore[arg-type] # on purpose


def test_methods_come_family_by_family() -> None:
    order = [list(FAMILIES).index(method.family) for method in METHODS.values()]
    assert order == sorted(order)


def test_own_method_can_be_registered(monkeypatch: pytest.MonkeyPatch, prediction: segscope.Prediction) -> None:
    monkeypatch.setattr(base, "_METHODS", dict(base._METHODS))

    @segscope.methods.backward_method(
        name="largest-activation",
        title="Largest activation",
        summary="The largest activation, for those who want to see it.",
        citation="Nobody 2000, Nothing",
        url="https://example.org/nothing",
        cannot="Tell anything about a class.",
        at="layer",
        signed=True,
        linear=False,
        parameters=(Parameter(name="power", kind="int", default=1, description="Its power.", minimum=1, maximum=3),),
    )
    def largest(activation: Tensor, gradient: Tensor, *, power: int) -> Tensor:
        return (activation**power).amax(dim=0)

    found = prediction.explain(1, segscope.Region.everywhere(), method="largest-activation", power="2")
    assert found.parameters == {"power": 2}
    check_method("largest-activation")


def test_broken_method_fails_the_conformance_suite(monkeypatch: pytest.MonkeyPatch) -> None:
    description = {
        "title": "Broken",
        "summary": "What it isn't.",
        "citation": "Nobody 2000, Nothing",
        "url": "https://example.org/nothing",
        "cannot": "Be trusted.",
        "at": "layer",
        "signed": False,
    }
    broken = {
        "random": lambda activation, gradient: torch.rand(activation.shape[1:]),
        "negative": lambda activation, gradient: -gradient.abs().sum(0),
        "small": lambda activation, gradient: gradient.abs().sum(0)[:1, :1],
        "constant": lambda activation, gradient: torch.ones(activation.shape[1:]),
    }
    for name, function in broken.items():
        monkeypatch.setattr(base, "_METHODS", {})
        segscope.methods.backward_method(name=name, **description)(function)
        with pytest.raises(AssertionError, match=name):
            check_method(name)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("gradcam", "'grad-cam'"),
        ("GRAD-CAM", "'grad-cam'"),
        ("salency", "'saliency'"),
        ("zzzz", "Choose from: grad-cam"),
    ],
)
def test_unknown_method_gives_the_nearest_names(name: str, nearest: str) -> None:
    with pytest.raises(UnknownName, match=rf"There is no method '{name}'.*{nearest}"):
        find_method(name)


@pytest.mark.parametrize("name", [None, 3, ["grad-cam"], {}])
def test_method_that_is_not_a_name(name: Any, prediction: segscope.Prediction) -> None:
    with pytest.raises(UnknownName, match="There is no method"):
        prediction.explain(0, method=name)


def test_unknown_parameter_gives_the_nearest_names(prediction: segscope.Prediction) -> None:
    with pytest.raises(UnknownName, match=r"There is no parameter of grad-cam 'rellu'. Did you mean 'relu'\?"):
        prediction.explain(0, segscope.Region.everywhere(), rellu=True)
    with pytest.raises(UnknownName, match="There are no names of this kind"):
        prediction.explain(0, segscope.Region.everywhere(), method="saliency", relu=True)


NUMBER = Parameter(name="steps", kind="int", default=5, description="Steps.", minimum=1, maximum=9)
FRACTION = Parameter(name="share", kind="float", default=0.5, description="Share.", minimum=0, maximum=1)
CHOICE = Parameter(name="mode", kind="choice", default="one", description="Mode.", choices=("one", "two"))
FLAG = Parameter(name="on", kind="bool", default=True, description="On.")


@pytest.mark.parametrize(
    ("parameter", "given", "expected"),
    [
        (NUMBER, 3, 3),
        (NUMBER, "3", 3),
        (NUMBER, 3.0, 3),
        (NUMBER, np.int64(3), 3),
        (FRACTION, 1, 1.0),
        (FRACTION, "0.25", 0.25),
        (CHOICE, "two", "two"),
        (FLAG, False, False),
        (FLAG, "no", False),
        (FLAG, "True", True),
        (FLAG, 0, False),
        (FLAG, np.True_, True),
    ],
)
def test_parameter_reads_its_own_type(parameter: Parameter, given: object, expected: object) -> None:
    found = parameter.check(given)
    assert found == expected
    assert type(found) is type(expected)


BAD_NUMBERS = [
    None,
    "",
    "three",
    True,
    np.True_,
    [3],
    {},
    object(),
    float("nan"),
    float("inf"),
    10**400,
    "nan",
    b"\xff",
    1j,
]


@pytest.mark.parametrize("given", BAD_NUMBERS)
@pytest.mark.parametrize("parameter", [NUMBER, FRACTION])
def test_parameter_refuses_what_is_not_a_number(parameter: Parameter, given: object) -> None:
    with pytest.raises(InvalidInput, match=f"The parameter '{parameter.name}' is .*expected a"):
        parameter.check(given)


@pytest.mark.parametrize(("parameter", "given"), [(NUMBER, 0), (NUMBER, 10), (FRACTION, -0.1), (FRACTION, 1.1)])
def test_parameter_refuses_what_is_out_of_range(parameter: Parameter, given: object) -> None:
    with pytest.raises(InvalidInput, match="expected a .*number from"):
        parameter.check(given)


def test_parameter_refuses_fractions_where_whole_numbers_are_meant() -> None:
    with pytest.raises(InvalidInput, match="'steps' is 2.5; expected a whole number"):
        NUMBER.check(2.5)


@pytest.mark.parametrize("given", [None, "maybe", 2, 1.5, [], {}, "", object()])
def test_flag_refuses_what_is_not_a_truth_value(given: object) -> None:
    with pytest.raises(InvalidInput, match="'on' is .*expected true or false"):
        FLAG.check(given)


@pytest.mark.parametrize("given", [None, "three", 1, [], {}])
def test_choice_refuses_other_values(given: object) -> None:
    with pytest.raises(UnknownName, match="no value of the parameter 'mode'"):
        CHOICE.check(given)


@pytest.mark.parametrize("method", METHODS.values(), ids=list(METHODS))
def test_every_parameter_of_every_method_checks_its_type(method: Method) -> None:
    for parameter in method.parameters:
        with pytest.raises(InvalidInput, match=parameter.name):
            method.check({parameter.name: object()})
