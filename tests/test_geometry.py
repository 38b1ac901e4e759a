"""Where the image lies in the network's input, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch.nn import functional

from segscope import InvalidImage, InvalidInput, Preprocess, Region, SegmentationModel
from segscope.geometry import Geometry, resize, unresize

sides = st.one_of(st.integers(1, 600), st.sampled_from([1, 2, 3, 599, 600]))
sizes = st.tuples(sides, sides)
preprocesses = st.builds(
    Preprocess,
    size=st.none() | st.integers(1, 160) | st.tuples(st.integers(1, 160), st.integers(1, 160)),
    fit=st.sampled_from(["resize", "letterbox"]),
    multiple_of=st.sampled_from([1, 2, 7, 8, 32]),
)
few = settings(max_examples=60, deadline=None)


def smooth(size: tuple[int, int]) -> torch.Tensor:
    """A map that is linear in continuous coordinates, so that interpolation keeps it."""
    rows, columns = torch.meshgrid(*(torch.arange(side) + 0.5 for side in size), indexing="ij")
    return rows * 2 - columns * 3


@few
@given(sizes, preprocesses)
def test_geometry_fits(image: tuple[int, int], preprocess: Preprocess) -> None:
    geometry = preprocess.geometry(image)
    assert geometry.image == image
    for content, offset, whole in zip(geometry.content, geometry.offset, geometry.input, strict=True):
        assert content >= 1
        assert offset >= 0
        assert offset + content <= whole
        assert whole % preprocess.multiple_of == 0
    if preprocess.fit == "letterbox" and preprocess.size is not None:
        height, width = (side * content for side, content in zip(image, reversed(geometry.content), strict=True))
        assert abs(height - width) <= max(image)  # the same proportions, up to rounding
    if preprocess.size is None:
        assert geometry.content == image


@given(sizes, preprocesses, st.floats(0, 1), st.floats(0, 1))
def test_points_go_there_and_back(image: tuple[int, int], preprocess: Preprocess, row: float, column: float) -> None:
    geometry = preprocess.geometry(image)
    point = (row * image[0], column * image[1])
    there = geometry.point_to_input(*point)
    assert geometry.point_to_image(*there) == pytest.approx(point, rel=1e-9, abs=1e-9)
    for value, offset, content in zip(there, geometry.offset, geometry.content, strict=True):
        assert offset - 1e-9 <= value <= offset + content + 1e-9


@few
@given(sizes, preprocesses, st.floats(-5, 5, width=16))
def test_constant_maps_stay_constant(image: tuple[int, int], preprocess: Preprocess, value: float) -> None:
    geometry = preprocess.geometry(image)
    placed = geometry.to_input(torch.full(image, value), fill=value)
    assert placed.shape == geometry.input
    torch.testing.assert_close(placed, torch.full(geometry.input, value), atol=1e-5, rtol=1e-5)
    for size in (geometry.input, tuple(max(1, side // 8) for side in geometry.input)):
        back = geometry.to_image(torch.full(size, value))
        assert back.shape == image
        torch.testing.assert_close(back, torch.full(image, value), atol=1e-5, rtol=1e-5)


@few
@given(sizes, st.tuples(st.integers(1, 160), st.integers(1, 160)))
def test_without_padding_it_is_torchs_interpolation(image: tuple[int, int], size: tuple[int, int]) -> None:
    assume(size[1] > 1 and image[1] > 1)  # PyTorch itself is wrong there
    geometry = Preprocess(size).geometry(image)
    values = torch.randn(2, *image, generator=torch.Generator().manual_seed(0))

    def torchs(maps: torch.Tensor, to: tuple[int, int]) -> torch.Tensor:
        return functional.interpolate(maps[None], to, mode="bilinear", align_corners=False, antialias=True)[0]

    torch.testing.assert_close(geometry.to_input(values), torchs(values, size), atol=1e-4, rtol=1e-4)
    maps = torch.randn(2, *size, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(geometry.to_image(maps), torchs(maps, image), atol=1e-4, rtol=1e-4)


@few
@given(sizes, st.tuples(st.integers(1, 120), st.integers(1, 120)))
def test_sampling_matrices_agree_with_torch(image: tuple[int, int], size: tuple[int, int]) -> None:
    assume(image[1] > 1)  # PyTorch itself is wrong there
    geometry = Geometry(image=image, content=size, offset=(0, 0), input=size)
    maps = torch.randn(*size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    rows, columns = (torch.arange(length) + 0.5 for length in image)
    expected = functional.interpolate(maps[None, None], image, mode="bilinear", align_corners=False, antialias=True)[
        0, 0
    ]
    torch.testing.assert_close(geometry.sample(maps, rows, columns), expected, atol=1e-6, rtol=1e-6)


@few
@given(sizes, preprocesses)
def test_content_comes_back_to_its_place(image: tuple[int, int], preprocess: Preprocess) -> None:
    geometry = preprocess.geometry(image)
    assume(min(geometry.content) >= 2 and min(image) >= 2)
    whole = smooth(geometry.input)
    back = geometry.to_image(whole)
    rows = (torch.arange(image[0]) + 0.5) * geometry.content[0] / image[0] + geometry.offset[0]
    columns = (torch.arange(image[1]) + 0.5) * geometry.content[1] / image[1] + geometry.offset[1]
    expected = rows[:, None] * 2 - columns[None, :] * 3
    # Away from the input's own edges, where there is nothing to interpolate with.
    reach = [max(1.0, content / side) for content, side in zip(geometry.content, image, strict=True)]
    inner = [
        (where - step >= 0.5) & (where + step <= side - 0.5)
        for where, step, side in zip((rows, columns), reach, geometry.input, strict=True)
    ]
    picked = inner[0][:, None] & inner[1][None, :]
    # A triangle that is sampled at a fractional step is a little lopsided.
    torch.testing.assert_close(back[picked], expected[picked], atol=2e-3 if max(reach) == 1 else 0.5, rtol=1e-3)


@few
@given(st.tuples(st.integers(1, 300), st.integers(1, 300)), preprocesses, st.data())
def test_pixel_never_vanishes(image: tuple[int, int], preprocess: Preprocess, data: Any) -> None:
    geometry = preprocess.geometry(image)
    row, column = (data.draw(st.integers(0, side - 1)) for side in image)
    pixel = torch.zeros(image)
    pixel[row, column] = 1
    placed = geometry.to_input(pixel)
    assert placed.sum() > 0
    weights = placed / placed.sum()
    centre = geometry.point_to_input(row + 0.5, column + 0.5)
    rows, columns = (
        (weights.sum(1 - axis) * (torch.arange(side) + 0.5)).sum() for axis, side in enumerate(geometry.input)
    )
    reach = [max(1.0, content / side) for content, side in zip(geometry.content, image, strict=True)]
    assert abs(float(rows) - centre[0]) <= reach[0]
    assert abs(float(columns) - centre[1]) <= reach[1]


@few
@given(st.tuples(st.integers(1, 90), st.integers(1, 90)), preprocesses, st.data())
def test_region_is_mapped_as_the_image_is(image: tuple[int, int], preprocess: Preprocess, data: Any) -> None:
    picture = np.zeros((*image, 1), dtype=np.uint8)
    top, left = (data.draw(st.integers(0, side - 1)) for side in image)
    bottom, right = data.draw(st.integers(top + 1, image[0])), data.draw(st.integers(left + 1, image[1]))
    picture[top:bottom, left:right] = 255
    tensor, geometry = preprocess(picture)
    with SegmentationModel(torch.nn.Conv2d(1, 2, 1), preprocess=preprocess).predict(picture) as prediction:
        weights = Region.box(top, left, bottom, right).weights(prediction)
    torch.testing.assert_close(geometry.to_input(torch.from_numpy(weights)), tensor[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("fit", ["resize", "letterbox"])
@pytest.mark.parametrize("size", [(1, 1), (1, 600), (600, 1), (3, 500), (601, 7), (33, 65)])
def test_extreme_images_go_all_the_way(fit: Any, size: tuple[int, int]) -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, 2, 1), torch.nn.Conv2d(4, 2, 1))
    model = SegmentationModel(network, preprocess=Preprocess((48, 40), fit=fit, multiple_of=32))
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    with model.predict(picture) as prediction:
        assert prediction.mask.shape == prediction.size == size
        assert prediction.probabilities.shape == (2, *size)
        np.testing.assert_allclose(prediction.probabilities.sum(0), 1, atol=1e-5)
        attribution = prediction.explain(0, Region.pixel(size[0] - 1, size[1] // 2), layer="0", relu=False)
        assert attribution.values.shape == size
        assert attribution.map.shape == (32, 32)


def test_letterboxed_square_comes_back_to_its_place() -> None:
    class Grey(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            bright = images.mean(1, keepdim=True)
            return torch.cat([0.5 - bright, bright - 0.5], 1)

    picture = np.zeros((60, 120, 3), dtype=np.uint8)
    picture[20:40, 80:110] = 255
    for preprocess in (
        Preprocess(64, fit="letterbox"),
        Preprocess((200, 90), fit="letterbox"),
        Preprocess(multiple_of=64),
        Preprocess((45, 77), multiple_of=32),
        Preprocess(None),
    ):
        with SegmentationModel(Grey(), preprocess=preprocess).predict(picture) as prediction:
            found = prediction.mask == 1
        expected = picture[..., 0] > 127
        assert (found & expected).sum() / (found | expected).sum() > 0.85


def test_resize_gives_the_same_tensor_when_the_size_is_right() -> None:
    values = torch.rand(2, 4, 5)
    assert resize(values, (4, 5)) is values


@pytest.mark.parametrize("width", [1, 2, 5])
@pytest.mark.parametrize("height", [1, 2, 13, 40])
def test_shrinking_to_one_column_or_row(height: int, width: int) -> None:
    values = torch.rand(3, 40, 5)
    rows, columns = ((torch.arange(side) + 0.5) * whole / side for side, whole in ((height, 40), (width, 5)))
    weights = [
        (1 - ((torch.arange(whole) + 0.5)[None] - where[:, None]).abs() * len(where) / whole).clamp(min=0)
        for whole, where in ((40, rows), (5, columns))
    ]
    along_rows, along_columns = (weight / weight.sum(1, keepdim=True) for weight in weights)
    expected = torch.einsum("hr,wc,krc->khw", along_rows, along_columns, values)
    torch.testing.assert_close(resize(values, (height, width)), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(resize(values.mT, (width, height)), expected.mT, atol=1e-5, rtol=1e-5)


@given(small=sizes, large=sizes)
@few
def test_weights_brought_to_the_values_give_the_sum_over_the_resized_values(
    small: tuple[int, int], large: tuple[int, int]
) -> None:
    generator = torch.Generator().manual_seed(4)
    values, weights = (torch.randn(size, generator=generator, dtype=torch.float64) for size in (small, large))
    expected = (resize(values, large) * weights).sum()
    found = (values * unresize(weights, small)).sum()
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9 * float(weights.abs().sum()))


def test_values_of_another_size_are_refused() -> None:
    with pytest.raises(InvalidInput, match=r"size \(3, 4\), but the image has \(4, 3\)"):
        Geometry.identity((4, 3)).to_input(torch.ones(3, 4))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, "size is 0"),
        ({"size": -4}, "size is -4"),
        ({"size": 2.5}, "size is 2.5"),
        ({"size": "64"}, "size is '64'"),
        ({"size": (64,)}, r"size is \(64,\)"),
        ({"size": (64, 64, 3)}, r"size is \(64, 64, 3\)"),
        ({"size": (64, 0)}, "expected a positive"),
        ({"size": True}, "size is True"),
        ({"fit": "crop"}, "fit is 'crop'; expected 'resize', 'letterbox' or 'shortest'"),
        ({"multiple_of": 0}, "multiple_of is 0"),
        ({"multiple_of": 8.0}, "multiple_of is 8.0"),
        ({"multiple_of": None}, "multiple_of is None"),
        ({"channels": 0}, "channels is 0"),
        ({"channels": "3"}, "channels is '3'"),
        ({"std": 0}, "std is 0; expected positive numbers"),
        ({"std": (1, -1, 1)}, "expected positive numbers"),
        ({"std": float("nan")}, "expected positive numbers"),
        ({"mean": float("nan")}, "mean is nan; expected finite numbers"),
        ({"mean": "abc"}, "mean is 'abc'"),
        ({"mean": [[0.5]]}, "expected finite numbers"),
        ({"fill": float("inf")}, "fill is inf"),
        ({"fill": (0, 0, 0)}, "fill is"),
        ({"mean": (0.5, 0.5), "std": (1, 1, 1)}, r"speak of \[2, 3\] channels"),
        ({"mean": (0.5, 0.5), "channels": 3}, r"speak of \[2, 3\] channels"),
    ],
)
def test_preprocess_refuses(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Preprocess(**options)


def test_preprocess_normalises() -> None:
    picture = np.full((4, 6, 3), 255, dtype=np.uint8)
    picture[..., 1] = 0
    given: list[Any] = [((0.5, 0.25, 0.0), (0.5, 0.5, 2.0)), (np.array([0.5, 0.25, 0.0]), [0.5, 0.5, 2.0])]
    for mean, std in given:
        tensor, _ = Preprocess(mean=mean, std=std)(picture)
        assert tensor.dtype == torch.float32
        assert tensor[:, 0, 0].tolist() == [1.0, -0.5, 0.5]
    tensor, geometry = Preprocess(8, fit="letterbox", mean=0.5, std=0.5, fill=-7)(picture)
    assert geometry.offset == (1, 0)
    assert (tensor[:, 0] == -7).all()
    assert (tensor[0, 2:-2] == 1).all()
    deep, _ = Preprocess()(np.full((2, 2, 1), 65535, dtype=np.uint16))
    assert (deep == 1).all()


def test_preprocess_takes_its_channels_from_the_mean() -> None:
    assert Preprocess(mean=(0, 0, 0, 0)).channels == 4
    assert Preprocess(std=[1, 1]).channels == 2
    with pytest.raises(InvalidImage, match="The image has 1 channels; the network takes 3"):
        Preprocess(mean=(0, 0, 0))(np.zeros((4, 4, 1), np.uint8))


def test_preprocess_takes_numpys_numbers() -> None:
    numbers: Any = {"size": np.int64(32), "multiple_of": np.int32(8), "channels": np.int64(3)}
    assert Preprocess(**numbers).geometry((5, 5)).input == (32, 32)
    listed: Any = [20, 30]
    assert Preprocess(listed).geometry((5, 5)).input == (20, 30)
