"""Files of any number of bands: what is written is read, whatever the layout, and what is damaged is said to be."""

from __future__ import annotations

import contextlib
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from segscope import InvalidImage, Region, SegmentationModel
from segscope.image import read_pixels
from segscope.stacks import opened_stack, read_stack


def bands(count: int, dtype: Any = np.uint16, shape: tuple[int, int] = (20, 30)) -> NDArray[Any]:
    return np.random.default_rng(count).integers(0, 250, (*shape, count)).astype(dtype)


LAYOUTS: dict[str, dict[str, Any]] = {
    "together": {"planarconfig": "contig"},
    "apart": {"planarconfig": "separate"},
    "pages": {},
    "deflate": {"planarconfig": "contig", "compression": "zlib", "tile": (16, 16)},
    "deflated strips": {"planarconfig": "separate", "compression": "zlib", "rowsperstrip": 7},
    "big-endian": {"planarconfig": "contig", "byteorder": ">"},
    "BigTIFF": {"planarconfig": "contig", "bigtiff": True},
}


def write_tiff(path: Path, values: NDArray[Any], layout: str) -> Path:
    first = layout in ("apart", "pages", "deflated strips")
    tifffile.imwrite(
        path, np.moveaxis(values, 2, 0).copy() if first else values, photometric="minisblack", **LAYOUTS[layout]
    )
    return path


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("count", [2, 4, 12])
def test_tiff_of_any_layout(tmp_path: Path, layout: str, dtype: Any, count: int) -> None:
    values = bands(count, dtype)
    path = write_tiff(tmp_path / "a.tif", values, layout)
    expected = np.moveaxis(values, 2, 0) if dtype is np.float32 else values
    for source in (path, str(path), BytesIO(path.read_bytes())):
        found = read_stack(source, channels=count)
        assert found is not None
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, expected)
    with opened_stack(path) as stack:
        assert stack is not None
        assert (stack.height, stack.width, stack.bands, stack.nbytes) == (20, 30, count, values.nbytes)


def test_tiff_as_tifffile_writes_an_array(tmp_path: Path) -> None:
    values = bands(12)
    tifffile.imwrite(tmp_path / "a.tif", values)  # a page for each row
    found = read_stack(tmp_path / "a.tif", channels=12)
    np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize("count", [1, 4, 12])
@pytest.mark.parametrize("kind", ["npy", "tif"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_network_of_bands_from_file_to_mask(tmp_path: Path, count: int, kind: str, dtype: Any) -> None:
    values = bands(count, dtype)
    path = tmp_path / f"a.{kind}"
    given = np.moveaxis(values, 2, 0) if dtype is np.float32 else values
    if kind == "npy":
        np.save(path, given)
    elif count > 1:
        write_tiff(path, values, "together")
    else:
        tifffile.imwrite(path, values[..., 0])
    model = SegmentationModel(nn.Conv2d(count, 3, 3, padding=1))
    with model.predict(path) as prediction, model.predict(given) as expected:
        np.testing.assert_array_equal(prediction.logits, expected.logits)
        np.testing.assert_array_equal(prediction.image, expected.image)
        assert prediction.explain(0, Region.everywhere(), method="saliency").map.shape == (20, 30)


def test_differences_are_summed_up(tmp_path: Path) -> None:
    values = bands(6)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="minisblack", compression="zlib", predictor=True)
    np.testing.assert_array_equal(read_stack(tmp_path / "a.tif", channels=6), values)


def test_grey_npy_of_two_axes(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", bands(1)[..., 0])
    assert SegmentationModel(nn.Conv2d(1, 2, 1)).predict(tmp_path / "a.npy").size == (20, 30)


def test_photographs_are_left_to_pillow(tmp_path: Path) -> None:
    picture = Image.fromarray(bands(3, np.uint8))
    for name, image, options in (
        ("a.png", picture, {}),
        ("a.jpg", picture, {}),
        ("a.tif", picture, {}),
        ("lzw.tif", picture, {"compression": "tiff_lzw"}),
        ("jpeg.tif", picture, {"compression": "jpeg"}),
        ("palette.tif", picture.convert("P"), {}),
        ("grey.tif", picture.convert("L"), {}),
        ("deep.tif", Image.fromarray(bands(1)[..., 0]), {}),
        ("alpha.tif", picture.convert("RGBA"), {}),
        ("la.tif", picture.convert("LA"), {}),
        ("bits.tif", picture.convert("1"), {}),
        ("cmyk.tif", picture.convert("CMYK"), {}),
    ):
        image.save(tmp_path / name, **options)
        assert read_stack(tmp_path / name) is None
        with (tmp_path / name).open("rb") as file:
            assert read_stack(file) is None
            read_pixels(file, channels=3)  # from its beginning
    for source in (picture, bands(3), torch.zeros(3, 4, 4), None, 3, tmp_path, tmp_path / "none.tif", "a\0b"):
        assert read_stack(source) is None


def test_colours_and_infrared(tmp_path: Path) -> None:
    values = bands(4, np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb", extrasamples=["unspecified"])
    np.testing.assert_array_equal(read_stack(tmp_path / "a.tif", channels=4), values)
    shown = SegmentationModel(nn.Conv2d(3, 2, 1)).predict(tmp_path / "a.tif")
    np.testing.assert_array_equal(shown.image, values[..., :3])


def test_sixteen_bits_of_colours_are_kept(tmp_path: Path) -> None:
    values = bands(3) * 200
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb")
    np.testing.assert_array_equal(read_stack(tmp_path / "a.tif", channels=3), values)


def test_small_copies_that_follow_are_no_bands(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for size in (1, 2):
            file.write(bands(4)[::size, ::size, 0], photometric="minisblack")
    assert read_stack(tmp_path / "a.tif") is None


def test_too_many_pages_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_tiff(tmp_path / "a.tif", bands(12), "pages")
    monkeypatch.setattr("segscope.stacks._MOST_PAGES", 11)
    with pytest.raises(InvalidImage, match="The file 'a.tif' has more than 11 pages"):
        read_stack(path)


def packed_by_lzw(path: Path) -> None:
    """Rewrite the tag of a file's compression."""
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        data[file.pages.first.tags["Compression"].valueoffset] = 5
    path.write_bytes(data)


def test_compression_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_tiff(tmp_path / "a.tif", bands(12), "together")
    packed_by_lzw(path)
    monkeypatch.setattr("segscope.stacks._can_unpack", lambda page: page.compression == 1)
    with pytest.raises(InvalidImage, match="The file 'a.tif' holds bands that are compressed by LZW.*imagecodecs"):
        read_stack(path)


def test_part_that_unpacks_to_more_than_it_may_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    values = bands(5, np.uint8)
    tifffile.imwrite(path, values, photometric="minisblack", planarconfig="contig", compression="zlib")
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        tags = {name: page.tags[name].valueoffset for name in ("StripOffsets", "StripByteCounts")}
    bomb = zlib.compress(b"\0" * 10_000_000)
    data = bytearray(path.read_bytes())
    for name, number in (("StripOffsets", len(data)), ("StripByteCounts", len(bomb))):
        data[tags[name] : tags[name] + 4] = number.to_bytes(4, "little")
    path.write_bytes(data + bomb)
    with pytest.raises(InvalidImage, match="unpacks to more than it may"):
        read_stack(path)


def saved(values: NDArray[Any], **options: Any) -> bytes:
    file = BytesIO()
    np.save(file, values, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (saved(bands(3))[:400], "announces 3600 bytes, and there are 272"),
        (saved(bands(3))[:30], "is damaged"),
        (saved(np.zeros(5)), r"holds float64 of shape \(5,\); expected"),
        (saved(np.zeros((4, 5))), r"holds float64 of shape \(4, 5\); expected"),
        (saved(np.zeros((4, 0, 3), np.uint8)), r"holds uint8 of shape \(4, 0, 3\)"),
        (saved(np.array({"a": 1}), allow_pickle=True), "holds object"),
        (saved(np.full((4, 4, 3), "a")), "holds <U1"),
        (b"\x93NUMPY\x09\x00" + b"\0" * 90, "is damaged"),
        (
            b"\x93NUMPY\x01\x00\x40\x00{'descr': '|u1', 'fortran_order': False, 'shape': (-1, 5, 5)}" + b"\n" * 80,
            "holds|damaged",
        ),
    ],
    ids=range(9),
)
def test_npy_that_cannot_be_read(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "a.npy").write_bytes(data)
    with pytest.raises(InvalidImage, match=f"^The file 'a.npy' .*{message}"):
        read_stack(tmp_path / "a.npy")
    with pytest.raises(InvalidImage, match="^The image "):
        SegmentationModel(nn.Conv2d(3, 2, 1)).predict(BytesIO(data))


def test_values_that_no_network_takes(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", bands(3, np.int16))
    with pytest.raises(InvalidImage, match="array of int16; expected uint8 or uint16"):
        SegmentationModel(nn.Conv2d(3, 2, 1)).predict(tmp_path / "a.npy")
    tifffile.imwrite(tmp_path / "a.tif", np.full((3, 5, 6), np.nan, np.float32), photometric="minisblack")
    with pytest.raises(InvalidImage, match="NaN or infinite"):
        SegmentationModel(nn.Conv2d(3, 2, 1)).predict(tmp_path / "a.tif")


def test_damaged_files_give_clear_errors(tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    wholes = [write_tiff(tmp_path / "a.tif", bands(5), layout).read_bytes() for layout in LAYOUTS]
    for whole in (*wholes, saved(bands(5)), saved(bands(5, np.float32))):
        for _ in range(30):
            damaged = bytearray(whole[: random.integers(8, len(whole))]) if random.random() < 0.4 else bytearray(whole)
            places = [
                random.integers(4, len(damaged)),
                *random.integers(4, min(400, len(damaged)), random.integers(0, 9)),
            ]
            for place in places:
                damaged[place] = random.integers(0, 256)
            # Whatever else it raises fails the test.
            with contextlib.suppress(InvalidImage), opened_stack(BytesIO(bytes(damaged))) as stack:
                if stack is not None and stack.nbytes < 10**8:
                    stack.read()
