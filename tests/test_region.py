"""Regions: which pixels they hold, how they combine, and how they travel as JSON."""

from __future__ import annotations

import itertools
import json
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import segscope
from segscope import EmptyRegion, InvalidRegion, Region, SegscopeError, UnknownName
from segscope.segments import superpixels

SIZE = (6, 8)


def seen(size: tuple[int, int] = SIZE, mask: Any = None, truth: Any = None) -> Any:
    """What a region needs to know of a prediction."""
    model = segscope.SegmentationModel(torch.nn.Conv2d(3, 3, 1), classes=("sea", "land", "sky"))
    mask = np.zeros(size, np.int32) if mask is None else mask
    image = np.random.default_rng(2).integers(0, 256, (*size, 3), np.uint8)
    patches = lambda count: superpixels(image, count)
    return SimpleNamespace(size=size, mask=mask, truth=truth, model=model, superpixels=patches)


def marked(region: Region, **what: Any) -> NDArray[np.float32]:
    weights = region.weights(seen(**what))
    assert weights.dtype == np.float32
    assert weights.shape == what.get("size", SIZE)
    return weights


def test_everywhere() -> None:
    assert (marked(Region.everywhere()) == 1).all()


def test_pixel() -> None:
    weights = marked(Region.pixel(2, 7))
    assert weights.sum() == 1
    assert weights[2, 7] == 1


def test_box_is_half_open() -> None:
    expected = np.zeros(SIZE)
    expected[1:4, 2:8] = 1
    np.testing.assert_array_equal(marked(Region.box(1, 2, 4, 8)), expected)
    assert marked(Region.box(0, 0, *SIZE)).all()


def test_polygon_holds_the_pixels_whose_centre_is_inside() -> None:
    np.testing.assert_array_equal(
        marked(Region.polygon([(1, 2), (1, 6), (4, 6), (4, 2)])), marked(Region.box(1, 2, 4, 6))
    )
    triangle = marked(Region.polygon([(0, 0), (0, 4), (4, 0)]))
    expected = [[row + column + 1 < 4 and column < 4 for column in range(8)] for row in range(6)]
    np.testing.assert_array_equal(triangle, np.array(expected, dtype=np.float32))


@given(
    st.lists(
        st.tuples(st.integers(-20, 80), st.integers(-20, 100)).map(
            lambda point: (point[0] / 10 + 0.03, point[1] / 10 + 0.03)
        ),
        min_size=3,
        max_size=9,
    )
)
def test_polygon_equals_counting_crossings(points: list[tuple[float, float]]) -> None:
    weights = marked(Region.polygon(points))
    for row, column in itertools.product(range(SIZE[0]), range(SIZE[1])):
        y, x = row + 0.5, column + 0.5
        crossings = 0
        for (r0, c0), (r1, c1) in zip(points, points[1:] + points[:1], strict=True):
            if (r0 <= y) != (r1 <= y):
                where = c0 + (y - r0) * (c1 - c0) / (r1 - r0)
                if abs(where - x) < 1e-9:
                    return
                crossings += where < x
        assert weights[row, column] == crossings % 2


def test_polygon_far_outside_covers_the_image() -> None:
    assert marked(Region.polygon([(-1e9, -1e9), (-1e9, 1e9), (1e9, 1e9), (1e9, -1e9)])).all()
    assert not marked(Region.polygon([(100, 100), (100, 200), (200, 100)])).any()


def test_predicted_true_and_errors() -> None:
    mask, truth = np.array([[0, 1, 1, 2]], np.int32), np.array([[1, 1, 0, 255]], np.int32)
    what = {"size": (1, 4), "mask": mask, "truth": truth}
    assert marked(Region.predicted("land"), **what).tolist() == [[0, 1, 1, 0]]
    assert marked(Region.predicted(2), **what).tolist() == [[0, 0, 0, 1]]
    assert marked(Region.true("land"), **what).tolist() == [[1, 1, 0, 0]]
    assert marked(Region.errors("land"), **what).tolist() == [[1, 0, 1, 0]]
    assert marked(Region.errors("land", kind="false-positive"), **what).tolist() == [[0, 0, 1, 0]]
    assert marked(Region.errors("land", kind="false-negative"), **what).tolist() == [[1, 0, 0, 0]]
    assert marked(Region.errors("sky"), **what).tolist() == [[0, 0, 0, 1]]


def test_segment_is_the_connected_part_of_the_predicted_mask() -> None:
    mask = np.array([[1, 0, 0, 1], [0, 1, 0, 0], [2, 2, 0, 1]], np.int32)
    what = {"size": (3, 4), "mask": mask}
    assert marked(Region.segment(0, 0), **what).tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
    assert marked(Region.segment(2, 3), **what).tolist() == [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]]
    assert marked(Region.segment(1, 0), **what).tolist() == (mask == 0).tolist()
    assert marked(Region.segment(2, 1), **what).tolist() == (mask == 2).tolist()


@given(st.integers(1, 6), st.integers(1, 6), st.data())
def test_segments_divide_the_image(height: int, width: int, data: Any) -> None:
    flat = data.draw(st.lists(st.integers(0, 2), min_size=height * width, max_size=height * width))
    mask = np.array(flat, np.int32).reshape(height, width)
    prediction = seen((height, width), mask=mask)
    for place in itertools.product(range(height), range(width)):
        part = Region.segment(*place).weights(prediction).astype(bool)
        assert part[place]
        assert (mask[part] == mask[place]).all()
        grown = np.pad(part, 1)
        shifted = [np.roll(grown, shift, (0, 1)) for shift in itertools.product((-1, 0, 1), repeat=2)]
        neighbours = np.any(shifted, axis=0)[1:-1, 1:-1] & ~part
        assert (mask[neighbours] != mask[place]).all()


def test_superpixels_divide_the_image_by_colour(prediction: segscope.Prediction) -> None:
    patches = prediction.superpixels(30)
    assert patches.shape == prediction.size
    assert patches.dtype == np.int32
    assert 10 <= len(np.unique(patches)) <= 60
    colours = prediction.image.astype(float)
    within = sum(colours[patches == patch].var(axis=0).sum() * (patches == patch).sum() for patch in np.unique(patches))
    assert within < 0.4 * colours.reshape(-1, 3).var(axis=0).sum() * patches.size
    weights = Region.superpixel(20, 30, count=30).weights(prediction)
    np.testing.assert_array_equal(weights, patches == patches[20, 30])


def test_superpixels_are_the_same_each_time_and_kept(
    model: segscope.SegmentationModel, image: NDArray[np.uint8]
) -> None:
    first, second = model.predict(image), model.predict(image)
    np.testing.assert_array_equal(first.superpixels(), second.superpixels(200))
    assert first.superpixels() is first.superpixels(200)
    before = first.nbytes
    for count in (10, 20, 30, 40):
        first.superpixels(count)
    assert first.nbytes - before == first.superpixels(40).nbytes


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (2, 3), (1, 5000), (40, 56)])
@pytest.mark.parametrize("count", [1, 2, 5000])
def test_superpixels_of_images_of_any_size(size: tuple[int, int], count: int) -> None:
    patches = superpixels(np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8), count)
    assert patches.shape == size
    assert patches.min() == 0


def test_superpixels_of_a_large_image_follow_its_colours() -> None:
    image = np.zeros((1500, 1200, 3), np.uint8)
    image[:, 601:] = 255
    patches = superpixels(image, 50)
    assert patches.shape == (1500, 1200)
    assert 25 <= len(np.unique(patches)) <= 100
    # Found on a smaller copy, borders are right up to its pixels.
    assert not {*patches[:, :597].ravel()} & {*patches[:, 605:].ravel()}


@pytest.mark.parametrize("count", [0, -1, 5001, 10**30, 1.0, True, None, "200"])
def test_impossible_count_of_superpixels(count: Any) -> None:
    with pytest.raises(InvalidRegion, match="expected a whole number from 1 to 5000"):
        Region.superpixel(0, 0, count=count)
    with pytest.raises(InvalidRegion, match="expected a whole number from 1 to 5000"):
        superpixels(np.zeros((2, 2, 3), np.uint8), count)


@pytest.mark.parametrize("region", [Region.true("land"), Region.errors("land"), ~Region.true(1) & Region.everywhere()])
def test_regions_of_the_truth_need_one(region: Region) -> None:
    with pytest.raises(InvalidRegion, match=r"needs the true mask.*predict\(image, truth=mask\)"):
        marked(region)


def test_unknown_kind_of_error() -> None:
    with pytest.raises(
        UnknownName, match="no kind of error 'false'.*'false-positive' or 'false-negative'|Did you mean"
    ):
        Region.errors("land", kind="false")  # type: ignore[arg-type]


def test_mask_takes_booleans_and_weights() -> None:
    array = np.random.default_rng(0).random(SIZE) > 0.5
    for given_array in (
        array,
        array.astype(np.uint8),
        array.tolist(),
        torch.from_numpy(array),
        array.astype(np.float64),
    ):
        np.testing.assert_array_equal(marked(Region.mask(given_array)), array)
    soft = np.random.default_rng(0).random(SIZE, dtype=np.float32)
    np.testing.assert_array_equal(marked(Region.mask(soft)), soft)


def test_mask_is_not_changed_with_its_array() -> None:
    array = np.ones(SIZE, dtype=np.float32)
    region = Region.mask(array)
    array[:] = 0
    assert marked(region).all()
    marked(region)[:] = 0
    assert marked(region).all()


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones(5), "has shape"),
        (np.ones((2, 3, 4)), "has shape"),
        (np.ones((0, 4)), "has shape"),
        (5, "has shape"),
        (None, "has shape"),
        ("mask", "has shape"),
        ([["a", "b"]], "holds <U1"),
        ([[1j]], "holds complex128"),
        ([[1, 2], [3]], "isn't an array"),
        (np.full((2, 2), 255, np.uint8), "values from 255 to 255; expected booleans"),
        (np.full((2, 2), -0.1), "values from -0.1"),
        (np.full((2, 2), np.nan), "values from nan"),
        (np.full((2, 2), np.inf), "values from inf"),
        (np.full((2, 2), 1e300), "values from 1e"),
    ],
)
def test_mask_refuses_other_arrays(array: Any, message: str) -> None:
    with pytest.raises(InvalidRegion, match=message):
        Region.mask(array)


def test_mask_of_another_size() -> None:
    with pytest.raises(InvalidRegion, match="mask has size 5×8, but the image has 6×8"):
        marked(Region.mask(np.ones((5, 8))))


@pytest.mark.parametrize(("row", "column"), [(6, 0), (0, 8), (-1, 0), (0, -1), (2**30, 0)])
def test_pixel_outside(row: int, column: int) -> None:
    for region in (Region.pixel(row, column), Region.segment(row, column), Region.superpixel(row, column)):
        with pytest.raises(InvalidRegion, match="lies outside the image of 6 rows and 8 columns"):
            marked(region)


@pytest.mark.parametrize("edges", [(0, 0, 7, 8), (0, 0, 6, 9), (-1, 0, 6, 8), (0, -1, 6, 8)])
def test_box_outside(edges: tuple[int, int, int, int]) -> None:
    with pytest.raises(InvalidRegion, match="reaches outside the image of 6 rows and 8 columns"):
        marked(Region.box(*edges))


@pytest.mark.parametrize("edges", [(3, 3, 3, 5), (3, 3, 5, 3), (5, 3, 3, 5)])
def test_box_without_pixel(edges: tuple[int, int, int, int]) -> None:
    with pytest.raises(InvalidRegion, match="holds no pixel; bottom must be below top"):
        Region.box(*edges)


WRONG = [1.0, "1", None, True, math.nan, [1], 2**40, -(10**30), 10**5000]


@pytest.mark.parametrize("row", WRONG, ids=range(len(WRONG)))
def test_pixels_are_whole_numbers(row: Any) -> None:
    with pytest.raises(InvalidRegion, match="whole numbers|less than"):
        Region.pixel(row, 0)
    with pytest.raises(InvalidRegion, match="whole numbers|less than"):
        Region.segment(row, 0)
    with pytest.raises(InvalidRegion, match="whole numbers|less than"):
        Region.superpixel(0, row)
    with pytest.raises(InvalidRegion, match="whole numbers|less than"):
        Region.box(row, 0, 5, 5)


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([], "at least three corners; 0 came"),
        ([(0, 0), (1, 1)], "at least three corners; 2 came"),
        ([(0, 0), (1, 1), (2,)], r"A corner of a polygon is \(2,\)"),
        ([(0, 0), (1, 1), 3], "A corner of a polygon is 3"),
        ([(0, 0), (1, 1), "12"], "A corner of a polygon is '12'"),
        ([(0, 0), (1, 1), (math.nan, 1)], "numbers smaller than"),
        ([(0, 0), (1, 1), (math.inf, 1)], "numbers smaller than"),
        ([(0, 0), (1, 1), (1e300, 1)], "numbers smaller than"),
        ([(0, 0), (1, 1), (10**400, 1)], "A corner of a polygon is"),
        (None, "The polygon is None"),
        (7, "The polygon is 7"),
        ("abc", "A corner of a polygon is 'a'"),
    ],
)
def test_polygon_refuses_other_corners(points: Any, message: str) -> None:
    with pytest.raises(InvalidRegion, match=message):
        Region.polygon(points)


def test_regions_combine() -> None:
    one, other = Region.box(0, 0, 4, 4), Region.box(2, 2, 6, 8)
    a, b = marked(one).astype(bool), marked(other).astype(bool)
    np.testing.assert_array_equal(marked(one & other), a & b)
    np.testing.assert_array_equal(marked(one | other), a | b)
    np.testing.assert_array_equal(marked(~one), ~a)
    np.testing.assert_array_equal(marked(one & ~other | ~one & other), a ^ b)
    assert marked(~~one) is not marked(one)
    assert ~~one == one
    assert (one | other | Region.pixel(1, 1)).to_dict()["regions"][2] == {"kind": "pixel", "row": 1, "column": 1}


@pytest.mark.parametrize("other", [None, 1, "land", np.ones(SIZE)])
def test_regions_combine_with_regions_only(other: Any) -> None:
    with pytest.raises(TypeError, match="unsupported operand|ufunc"):
        Region.everywhere() & other
    with pytest.raises(TypeError, match="unsupported operand|ufunc"):
        Region.everywhere() | other


def test_long_chain_stays_flat() -> None:
    region = Region.pixel(0, 0)
    for _ in range(1500):
        region = region | Region.pixel(0, 1)
    assert marked(region).sum() == 2
    assert Region.from_dict(region.to_dict()) == region


def test_many_parts_take_the_memory_of_one(image: NDArray[np.uint8]) -> None:
    import tracemalloc

    region = Region.from_dict({"kind": "or", "regions": [{"kind": "everywhere"}] * 2000})
    what = seen(size=(500, 400))
    tracemalloc.start()
    region.weights(what)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * 500 * 400 * 4


KINDS: list[Region] = [
    Region.everywhere(),
    Region.predicted("land"),
    Region.predicted(1),
    Region.predicted(np.int64(1)),  # type: ignore[arg-type]
    Region.pixel(2, 3),
    Region.pixel(np.int64(2), np.int32(3)),  # type: ignore[arg-type]
    Region.box(0, 1, 3, 5),
    Region.polygon([(0, 0), (0, 4.5), (4, 0)]),
    Region.polygon(np.array([[0, 0], [0, 4.5], [4, 0]])),  # type: ignore[arg-type]
    Region.true("sky"),
    Region.segment(2, 3),
    Region.segment(np.int64(2), np.int32(3)),  # type: ignore[arg-type]
    Region.superpixel(2, 3),
    Region.superpixel(2, 3, count=np.int64(7)),  # type: ignore[arg-type]
    Region.errors("sea", kind="false-negative"),
    Region.mask(np.eye(6, 8)),
    Region.mask(np.ones(SIZE)),
    Region.mask(np.zeros(SIZE)),
    Region.mask(np.random.default_rng(0).random(SIZE)),
    ~Region.pixel(0, 0),
    Region.box(0, 0, 2, 2) & ~Region.pixel(0, 0) | Region.mask(np.eye(6, 8)),
]


@pytest.mark.parametrize("region", KINDS, ids=lambda region: region.to_dict()["kind"])
def test_json_round_trip(region: Region) -> None:
    what = {"mask": np.arange(48).reshape(SIZE) % 3, "truth": np.arange(48).reshape(SIZE) % 4}
    data = json.loads(json.dumps(region.to_dict()))
    again = Region.from_dict(data)
    np.testing.assert_array_equal(marked(again, **what), marked(region, **what))
    assert again.to_dict() == data


@given(st.integers(1, 9), st.integers(1, 9), st.data())
def test_run_lengths_round_trip(height: int, width: int, data: Any) -> None:
    levels = data.draw(st.sampled_from([[0, 1], [0.0, 0.25, 1.0], [1], [0], [0.5]]))
    flat = data.draw(st.lists(st.sampled_from(levels), min_size=height * width, max_size=height * width))
    array = np.array(flat, dtype=np.float32).reshape(height, width)
    wire = json.loads(json.dumps(Region.mask(array).to_dict()))
    np.testing.assert_array_equal(marked(Region.from_dict(wire), size=(height, width)), array)
    if set(flat) <= {0, 1}:
        assert set(wire) == {"kind", "size", "runs"}
        assert all(run > 0 for run in wire["runs"][1:])


def test_run_lengths_start_with_zeros() -> None:
    assert Region.mask([[0, 1, 1], [1, 0, 0]]).to_dict() == {"kind": "mask", "size": [2, 3], "runs": [1, 3, 2]}
    assert Region.mask([[1, 0, 0]]).to_dict() == {"kind": "mask", "size": [1, 3], "runs": [0, 1, 2]}
    read = Region.from_dict({"kind": "mask", "size": [1, 4], "runs": [0, 1, 0, 0, 0, 1, 2]})
    assert marked(read, size=(1, 4)).tolist() == [[1, 1, 0, 0]]


def test_hostile_sizes_take_no_memory() -> None:
    import tracemalloc

    tracemalloc.start()
    big = Region.from_dict({"kind": "mask", "size": [2**15, 2**15], "runs": [2**30]})
    with pytest.raises(InvalidRegion, match="mask has size 32768×32768, but the image has 6×8"):
        marked(big)
    for size, runs in (([10**9, 10**9], [10**18]), ([1, 10**12], [10**12]), ([10**30, 1], [10**30])):
        with pytest.raises(InvalidRegion, match="less than"):
            Region.from_dict({"kind": "mask", "size": size, "runs": runs})
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


def nested(depth: int, kind: str) -> Any:
    data: Any = {"kind": "everywhere"}
    for _ in range(depth):
        data = (
            {"kind": "not", "region": data}
            if kind == "not"
            else {"kind": kind, "regions": [data, {"kind": "everywhere"}]}
        )
    return data


@pytest.mark.parametrize("kind", ["not", "and", "or"])
@pytest.mark.parametrize("depth", [65, 500, 100_000])
def test_deep_nesting_is_refused(kind: str, depth: int) -> None:
    data = nested(depth, kind)
    with pytest.raises(InvalidRegion, match="nested more than 64 deep"):
        Region.from_dict(data)
    while "region" in data or "regions" in data:  # or Python itself fails when it frees it
        data = data["region"] if "region" in data else data["regions"][0]


def test_moderate_nesting_is_fine() -> None:
    assert marked(Region.from_dict(nested(50, "and"))).all()


def test_nesting_by_operators_is_bounded() -> None:
    region = Region.everywhere()
    for _ in range(31):
        region = (region & Region.pixel(0, 0)) | Region.pixel(1, 1)
    deepest = region & Region.pixel(0, 0)
    assert deepest.nesting == 64
    assert marked(deepest).sum() == 1
    with pytest.raises(InvalidRegion, match="nested more than 64 deep"):
        deepest.__invert__()


HOSTILE: list[Any] = [
    None,
    5,
    "pixel",
    [],
    ["kind", "pixel"],
    {},
    {"kind": None},
    {"kind": []},
    {"kind": {}},
    {"kind": "Pixel"},
    {"kind": "x" * 10**6},
    {"kind": "pixel"},
    {"kind": "pixel", "row": 1},
    {"kind": "pixel", "row": "1", "column": 1},
    {"kind": "pixel", "row": 1.5, "column": 1},
    {"kind": "pixel", "row": math.nan, "column": 1},
    {"kind": "pixel", "row": 10**5000, "column": 1},
    {"kind": "box", "top": 0, "left": 0, "bottom": [], "right": 1},
    {"kind": "box", "top": 0, "left": 0, "bottom": 10**12, "right": 10**12},
    {"kind": "polygon"},
    {"kind": "polygon", "points": None},
    {"kind": "polygon", "points": {}},
    {"kind": "polygon", "points": [[0, 0], [1, 1], [2, "x"]]},
    {"kind": "polygon", "points": [[0, 0], [1, 1], [2, 10**400]]},
    {"kind": "polygon", "points": [[0, 0], [1, 1], [2, math.inf]]},
    {"kind": "polygon", "points": [{}, {}, {}]},
    {"kind": "errors"},
    {"kind": "errors", "class": "land", "error": []},
    {"kind": "errors", "class": "land", "error": "all"},
    {"kind": "and"},
    {"kind": "and", "regions": 5},
    {"kind": "and", "regions": []},
    {"kind": "and", "regions": None},
    {"kind": "or", "regions": "abc"},
    {"kind": "or", "regions": {"kind": "everywhere"}},
    {"kind": "or", "regions": [{"kind": "pixel"}]},
    {"kind": "not"},
    {"kind": "not", "region": []},
    {"kind": "mask"},
    {"kind": "mask", "size": 5, "runs": [5]},
    {"kind": "mask", "size": [2], "runs": [2]},
    {"kind": "mask", "size": [1, 2, 3], "runs": [6]},
    {"kind": "mask", "size": "ab", "runs": [6]},
    {"kind": "mask", "size": [0, 5], "runs": []},
    {"kind": "mask", "size": [-2, -3], "runs": [6]},
    {"kind": "mask", "size": [2, 3], "runs": []},
    {"kind": "mask", "size": [2, 3], "runs": None},
    {"kind": "mask", "size": [2, 3], "runs": "123"},
    {"kind": "mask", "size": [2, 3], "runs": [7]},
    {"kind": "mask", "size": [2, 3], "runs": [-1, 7]},
    {"kind": "mask", "size": [2, 3], "runs": [3.0, 3.0]},
    {"kind": "mask", "size": [2, 3], "runs": [True, 5]},
    {"kind": "mask", "size": [2, 3], "runs": [math.nan]},
    {"kind": "mask", "size": [2, 3], "runs": [6], "levels": [2]},
    {"kind": "mask", "size": [2, 3], "runs": [6], "levels": [0.5, 0.5]},
    {"kind": "mask", "size": [2, 3], "runs": [6], "levels": "x"},
    {"kind": "mask", "size": [2, 3], "runs": [6], "levels": [None]},
    {"kind": "mask", "size": [2, 3], "runs": [6], "levels": [math.nan]},
    {"kind": "mask", "size": [2, 3], "runs": [6], "levels": [1e300]},
]


@pytest.mark.parametrize("data", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_data_is_refused(data: Any) -> None:
    with pytest.raises(SegscopeError, match=r"\w+") as caught:
        Region.from_dict(data)
    assert len(str(caught.value)) < 500


NO_CLASSES: list[Any] = [None, [], {}, 3, -1, 1.0, True, "Land", 10**30, math.nan, [1] * 10**5, "x" * 10**6, 10**5000]


@pytest.mark.parametrize("class_", NO_CLASSES, ids=range(len(NO_CLASSES)))
@pytest.mark.parametrize("kind", ["predicted", "true", "errors"])
def test_hostile_class_is_refused(kind: str, class_: Any) -> None:
    region = Region.from_dict({"kind": kind, "class": class_})
    with pytest.raises(UnknownName, match="There is no class") as caught:
        marked(region, truth=np.zeros(SIZE, np.int32))
    assert len(str(caught.value)) < 500


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
names = [
    "row",
    "column",
    "top",
    "left",
    "bottom",
    "right",
    "points",
    "class",
    "error",
    "regions",
    "region",
    "size",
    "runs",
    "levels",
    "count",
]
kinds = [
    "everywhere",
    "predicted",
    "pixel",
    "segment",
    "superpixel",
    "box",
    "polygon",
    "true",
    "errors",
    "and",
    "or",
    "not",
    "mask",
]


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(kinds), st.dictionaries(st.sampled_from(names), json_values))
def test_any_data_is_a_region_or_a_clear_error(kind: str, fields: dict[str, Any]) -> None:
    try:
        weights = marked(Region.from_dict({"kind": kind, **fields}), truth=np.zeros(SIZE, np.int32))
    except SegscopeError:
        return
    assert weights.min() >= 0
    assert weights.max() <= 1


def test_region_without_pixel_is_an_error_that_says_so(
    model: segscope.SegmentationModel, image: NDArray[np.uint8]
) -> None:
    prediction = model.predict(image, truth=np.full(image.shape[:2], 255, np.uint8))
    absent = 3
    assert set(np.unique(prediction.mask)) == {0, 1, 2}
    empty = [
        Region.mask(np.zeros(image.shape[:2])),
        Region.polygon([(900, 900), (900, 901), (901, 900)]),
        Region.pixel(0, 0) & Region.pixel(1, 1),
        ~Region.everywhere(),
        Region.true("leaf"),
    ]
    for region in empty:
        with pytest.raises(EmptyRegion, match="holds no pixel of the image"):
            prediction.explain("leaf", region)
        with pytest.raises(EmptyRegion, match="holds no pixel of the image"):
            prediction.explain_all(region=region)
    with pytest.raises(EmptyRegion, match="No pixel of the image is predicted as .* Region.everywhere"):
        prediction.explain(absent)
    assert all(class_ != model.classes[absent] for class_, _ in prediction.explain_all())
    with pytest.raises(EmptyRegion, match="No pixel"):
        prediction.explain_all([absent])


def test_region_of_another_type(prediction: segscope.Prediction) -> None:
    for region in (np.ones(prediction.size), "box", {"kind": "everywhere"}, (0, 0, 1, 1)):
        with pytest.raises(segscope.InvalidInput, match="expected a segscope.Region"):
            prediction.explain("leaf", region)  # type: ignore[arg-type]


def test_regions_are_compared_by_what_they_hold() -> None:
    assert Region.box(0, 0, 2, 2) == Region.box(0, 0, 2, 2)
    assert hash(Region.pixel(0, 1)) == hash(Region.pixel(0, 1))
    assert Region.pixel(0, 1) != Region.pixel(1, 0)
