"""Cutting large images into windows."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from segscope import InvalidInput, Windows

sides = st.integers(1, 90)


@given(st.tuples(sides, sides), st.tuples(sides, sides), st.floats(0, 0.9))
def test_windows_cover_each_pixel_and_share_it(image: tuple[int, int], size: tuple[int, int], overlap: float) -> None:
    cut = Windows(size, overlap=overlap).cut(image)
    total = torch.zeros(image)
    for window in cut.windows:
        rows, columns = window.box
        assert (rows.stop - rows.start, columns.stop - columns.start) == cut.size
        assert 0 <= rows.start < rows.stop <= image[0]
        assert 0 <= columns.start < columns.stop <= image[1]
        assert bool((window.share > 0).all())
        total[window.box] += window.share
    assert cut.size == (min(image[0], size[0]), min(image[1], size[1]))
    torch.testing.assert_close(total, torch.ones(image))


@given(sides, st.integers(1, 60), st.floats(0, 0.9))
def test_neighbours_have_at_least_the_overlap_in_common(length: int, size: int, overlap: float) -> None:
    cut = Windows(size, overlap=overlap).cut((length, 1))
    starts = [window.rows.start for window in cut.windows]
    assert starts == sorted(set(starts))
    for first, second in itertools.pairwise(starts):
        assert first + size - second >= min(size - 1, int(size * overlap))


def test_shares_rise_over_the_overlap() -> None:
    first, second = Windows(8, overlap=0.5).cut((12, 8)).windows
    assert (first.rows.start, second.rows.start) == (0, 4)
    torch.testing.assert_close(first.rows.share, torch.tensor([1, 1, 1, 1, 3.5 / 4, 2.5 / 4, 1.5 / 4, 0.5 / 4]))
    torch.testing.assert_close(second.rows.share, first.rows.share.flip(0))


@pytest.mark.parametrize("size", [0, -3, 2.5, True, (4,), (4, 0), (3, 4, 5), "64", None])
def test_sizes_that_make_no_windows(size: Any) -> None:
    with pytest.raises(InvalidInput, match="size of the windows is .*; expected a positive whole number"):
        Windows(size)


@pytest.mark.parametrize("overlap", [-0.1, 0.95, 1, float("nan"), "a", None, True])
def test_overlaps_out_of_range(overlap: Any) -> None:
    with pytest.raises(InvalidInput, match=r"overlap of the windows is .*; expected a share from 0 to 0\.9"):
        Windows(8, overlap=overlap)
