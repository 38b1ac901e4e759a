"""Python lines for regions and questions: they mean what they were made from."""

from __future__ import annotations

import shlex
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import segscope
from segscope import Region, Target
from segscope.script import Recipe, call, literal, region_expression

PLACE = st.integers(0, 39)
NAME = st.text(min_size=1, max_size=8)
LEAVES = st.one_of(
    st.just(Region.everywhere()),
    st.builds(Region.predicted, NAME | PLACE),
    st.builds(Region.true, NAME),
    st.builds(Region.errors, NAME, st.sampled_from(["any", "false-positive", "false-negative"])),
    st.builds(Region.pixel, PLACE, PLACE),
    st.builds(Region.segment, PLACE, PLACE),
    st.builds(
        lambda row, column, count: Region.superpixel(row, column, count=count), PLACE, PLACE, st.integers(1, 500)
    ),
    st.builds(lambda top, left: Region.box(top, left, top + 3, left + 4), PLACE, PLACE),
    st.builds(Region.polygon, st.lists(st.tuples(st.floats(-9, 99), st.floats(-9, 99)), min_size=3, max_size=40)),
    st.builds(
        lambda bits: Region.mask(np.array(bits).reshape(8, 8)), st.lists(st.booleans(), min_size=64, max_size=64)
    ),
    st.builds(
        lambda bits: Region.mask(np.array(bits).reshape(2, 2)), st.lists(st.floats(0, 1), min_size=4, max_size=4)
    ),
)
REGIONS = st.recursive(
    LEAVES,
    lambda parts: st.one_of(
        parts.map(lambda region: ~region),
        st.tuples(parts, parts).map(lambda pair: pair[0] & pair[1]),
        st.tuples(parts, parts).map(lambda pair: pair[0] | pair[1]),
    ),
    max_leaves=12,
)


def read(expression: str) -> Any:
    # In brackets, as it stands in a call.
    return eval(f"({expression})", {"segscope": segscope})  # noqa: S307  # what is under test


@given(REGIONS)
def test_expression_makes_the_same_region(region: Region) -> None:
    assert read(region_expression(region)).to_dict() == region.to_dict()


def test_expression_of_the_deepest_region_can_be_read() -> None:
    region: Region = Region.pixel(0, 0)
    for row in range(30):
        region = (region | Region.pixel(row, 1)) & Region.box(0, 0, 40, 40)
    assert read(region_expression(region)).to_dict() == region.to_dict()


@given(st.text())
def test_literal_is_the_text_whatever_it_holds(text: str) -> None:
    written = literal(text)
    assert eval(written) == text  # noqa: S307  # what is under test
    assert "\n" not in written


def test_call_is_broken_where_it_is_long() -> None:
    assert call("f", ["1", "x=2"]) == "f(1, x=2)"
    assert call("f", ["a" * 60, "b" * 60]) == f"f(\n    {'a' * 60},\n    {'b' * 60},\n)"
    assert call("f", ["1"], flat=False) == "f(\n    1,\n)"


def test_script_relies_on_a_variable_where_there_is_no_source() -> None:
    lines = Recipe(target=Target("leaf"), image="images[2]", notes=["`images` are yours."]).python()
    assert lines.startswith("import segscope\n\n# `images` are yours.\nprediction = model.predict(images[2])\n")
    compile(lines, "script", "exec")


@pytest.mark.parametrize(
    ("region", "options"),
    [
        (None, ""),
        (Region.predicted("leaf"), ""),
        (Region.everywhere(), "--everywhere "),
        (Region.pixel(3, 4), "--pixel 3,4 "),
        (Region.box(1, 2, 3, 4), "--box 1,2,3,4 "),
    ],
)
def test_command_says_what_options_can(region: Region | None, options: str) -> None:
    recipe = Recipe(target=Target("leaf", region, against="a b"), image="", layer="x", parameters={"relu": False})
    command = recipe.command(model="m.py:f", image="-i.png", classes="c.txt")
    assert command == (
        f"segscope explain ./-i.png --model m.py:f --classes c.txt --class leaf {options}--against 'a b' --layer x "
        "--method grad-cam --param relu=false -o importance.png"
    )
    assert shlex.split(command)[0] == "segscope"


@pytest.mark.parametrize("region", [Region.predicted("stem"), Region.segment(1, 1), ~Region.pixel(1, 1)])
def test_command_is_left_out_where_no_option_can_say_it(region: Region) -> None:
    recipe = Recipe(target=Target("leaf", region), image="")
    assert recipe.command(model="demo", image="i.png") is None
