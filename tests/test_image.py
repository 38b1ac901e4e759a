"""What users hand in as an image, and what they get told when it isn't one."""

from __future__ import annotations

import contextlib
import os
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from segscope import InvalidImage, InvalidInput, Preprocess, SegmentationModel
from segscope.image import picture_of, read_bands, read_mask, read_pixels, read_tensor

GREY = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5
COLOUR = np.stack([GREY, GREY[::-1], GREY[:, ::-1]], axis=2)


def saved(tmp_path: Path, picture: Image.Image, name: str = "a.png", **options: Any) -> Path:
    picture.save(tmp_path / name, **options)
    return tmp_path / name


def test_all_ways_to_hand_in_the_same_picture(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.fromarray(COLOUR))
    with path.open("rb") as file:
        for given in (
            path,
            str(path),
            file,
            BytesIO(path.read_bytes()),
            Image.fromarray(COLOUR),
            Image.open(path),
            COLOUR,
        ):
            np.testing.assert_array_equal(read_pixels(given), COLOUR)


@pytest.mark.parametrize(
    ("mode", "channels", "shape"),
    [
        ("P", 3, (6, 8, 3)),
        ("L", 3, (6, 8, 3)),
        ("1", 3, (6, 8, 3)),
        ("LA", 3, (6, 8, 3)),
        ("PA", 3, (6, 8, 3)),
        ("RGBA", 3, (6, 8, 3)),
        ("CMYK", 3, (6, 8, 3)),
        ("YCbCr", 3, (6, 8, 3)),
        ("HSV", 3, (6, 8, 3)),
        ("I;16", 3, (6, 8, 3)),
        ("I;16", 1, (6, 8, 1)),
        ("I", 1, (6, 8, 1)),
        ("RGB", 1, (6, 8, 1)),
        ("RGB", 4, (6, 8, 4)),
        ("RGB", None, (6, 8, 3)),
        ("L", None, (6, 8, 3)),
    ],
)
def test_pil_modes(mode: str, channels: int | None, shape: tuple[int, ...]) -> None:
    source = Image.fromarray(GREY.astype(np.uint16) * 257) if mode == "I;16" else Image.fromarray(COLOUR)
    pixels = read_pixels(
        source if mode == "I;16" else source.convert("L" if mode == "PA" else "RGB").convert(mode), channels=channels
    )
    assert pixels.shape == shape
    if mode == "I;16":
        assert pixels.dtype == np.uint16
        np.testing.assert_array_equal(pixels[..., 0], GREY.astype(np.uint16) * 257)


def test_palette_with_transparency_needs_no_warning(tmp_path: Path) -> None:
    picture = Image.fromarray(COLOUR).convert("P")
    path = saved(tmp_path, picture, transparency=bytes(range(200)))
    np.testing.assert_array_equal(read_pixels(path, channels=3), np.asarray(picture.convert("RGB")))


def test_exif_rotation_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned clockwise by a quarter
    path = saved(tmp_path, Image.fromarray(COLOUR), "a.jpg", exif=exif, quality=100, subsampling=0)
    pixels = read_pixels(path)
    assert pixels.shape == (8, 6, 3)
    assert np.abs(pixels.astype(int) - np.rot90(COLOUR, -1).astype(int)).mean() < 3
    assert SegmentationModel(nn.Conv2d(3, 2, 1)).predict(path).size == (8, 6)


def test_sixteen_bits_are_kept(tmp_path: Path) -> None:
    deep = GREY.astype(np.uint16) * 257
    path = saved(tmp_path, Image.fromarray(deep))
    np.testing.assert_array_equal(read_pixels(path, channels=1)[..., 0], deep)
    model = SegmentationModel(nn.Conv2d(1, 2, 1))
    np.testing.assert_allclose(model.predict(path).logits, model.predict(GREY[..., None]).logits, atol=1e-5)
    shown = model.predict(path).image[..., 0].astype(int)
    assert shown.min() == 0
    assert shown.max() == 255
    assert np.corrcoef(shown.ravel(), GREY.ravel())[0, 1] > 0.999


def test_floating_point_picture_is_refused() -> None:
    with pytest.raises(InvalidImage, match="holds float32 values from 0 to .*expected 8 or 16 bits"):
        read_pixels(Image.fromarray(GREY.astype(np.float32)))
    with pytest.raises(InvalidImage, match="holds int32 values .*expected 8 or 16 bits"):
        read_pixels(Image.fromarray(GREY.astype(np.int32) * 100_000))


@pytest.mark.parametrize("channels", [1, 3, 4, 12])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_arrays_of_any_number_of_channels(channels: int, dtype: Any) -> None:
    pixels = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (7, 9, channels), dtype=dtype)
    model = SegmentationModel(nn.Conv2d(channels, 3, 3, padding=1))
    prediction = model.predict(pixels)
    expected = model.network(torch.from_numpy(pixels.astype(np.float32) / np.iinfo(dtype).max).permute(2, 0, 1)[None])
    np.testing.assert_allclose(prediction.logits, expected[0].detach().numpy(), atol=1e-5)
    assert prediction.image.shape == (7, 9, 3)
    assert prediction.image.dtype == np.uint8


def test_grey_array_has_one_channel() -> None:
    assert SegmentationModel(nn.Conv2d(1, 2, 1)).predict(GREY).size == (6, 8)
    assert SegmentationModel(nn.Conv2d(1, 2, 1)).predict(GREY > 20).size == (6, 8)


def test_floating_point_input_is_taken_as_it_is() -> None:
    model = SegmentationModel(nn.Conv2d(3, 2, 1), preprocess=Preprocess(64, mean=(9, 9, 9)))
    values = np.random.default_rng(0).normal(size=(3, 5, 7))
    expected = model.network(torch.from_numpy(values).float()[None])[0].detach().numpy()
    big_endian = values.astype(">f4")
    read_only = values.astype(np.float32)
    read_only.setflags(write=False)
    for given in (
        values,
        values.astype(np.float32),
        torch.from_numpy(values),
        torch.from_numpy(values)[None],
        big_endian,
        read_only,
        torch.from_numpy(values).requires_grad_(),
    ):
        prediction = model.predict(given)
        assert prediction.size == (5, 7)
        np.testing.assert_allclose(prediction.logits, expected, atol=1e-5)


def test_views_of_arrays_are_read_right() -> None:
    model = SegmentationModel(nn.Conv2d(3, 2, 1))
    read_only = COLOUR.copy()
    read_only.setflags(write=False)
    for given in (
        COLOUR[..., ::-1],
        COLOUR[::2, ::-1],
        np.asfortranarray(COLOUR),
        np.moveaxis(np.moveaxis(COLOUR, 2, 0).copy(), 0, 2),
        read_only,
    ):
        np.testing.assert_array_equal(model.predict(given).logits, model.predict(np.ascontiguousarray(given)).logits)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "is a NoneType; expected a path"),
        (3, "is a int"),
        ([[1, 2], [3, 4]], "is a list"),
        (b"raw", "is a bytes"),
        (object(), "is a object"),
        (np.zeros(5, np.uint8), r"array of shape \(5,\); expected H×W×C"),
        (np.zeros((2, 3, 4, 5), np.uint8), "expected H×W×C"),
        (np.zeros((0, 5, 3), np.uint8), r"empty: its shape is \(0, 5, 3\)"),
        (np.zeros((5, 5, 0), np.uint8), "empty"),
        (np.zeros((5, 5, 3), np.int64), "array of int64; expected uint8 or uint16"),
        (np.zeros((5, 5, 3), np.int8), "array of int8"),
        (np.zeros((5, 5, 3), np.complex64), "array of complex64"),
        (np.zeros((5, 5, 3), object), "array of object"),
        (np.full((5, 5), "a"), "array of <U1"),
        (np.zeros((5, 5)), r"shape \(5, 5\); expected C×H×W"),
        (np.zeros((2, 3, 5, 5)), "expected C×H×W"),
        (np.zeros((3, 0, 5)), "empty"),
        (np.full((3, 5, 5), np.nan), "NaN or infinite"),
        (np.full((3, 5, 5), np.inf), "NaN or infinite"),
        (np.full((3, 5, 5), 1e300), "NaN or infinite"),
        (torch.zeros(3, 5, 5, dtype=torch.uint8), "tensor of torch.uint8.*8-bit pixels as a NumPy array"),
        (torch.zeros(5), "expected C×H×W"),
        (torch.zeros(2, 3, 5, 5), "expected C×H×W"),
        (torch.zeros(3, 0, 5), "empty"),
        (torch.full((3, 5, 5), float("nan")), "NaN or infinite"),
        (Image.new("RGB", (0, 5)), "empty: its size is 0×5"),
    ],
    ids=range(26),
)
def test_not_an_image(given: Any, message: str) -> None:
    with pytest.raises(InvalidImage, match=message):
        SegmentationModel(nn.Conv2d(3, 2, 1)).predict(given)


def test_files_that_are_no_images(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("not a picture")
    (tmp_path / "empty.png").write_bytes(b"")
    whole = saved(
        tmp_path, Image.fromarray(np.random.default_rng(0).integers(0, 256, (99, 99, 3), np.uint8))
    ).read_bytes()
    (tmp_path / "half.png").write_bytes(whole[: len(whole) // 2])
    for name, message in (
        ("text.png", "'text.png' isn't an image that can be read"),
        ("empty.png", "'empty.png' isn't an image that can be read"),
        ("half.png", "'half.png' can't be read as an image: "),
        ("none.png", "There is no file .*none.png'"),
        ("", "is a folder; expected an image file"),
        ("a\0b.png", "can't be read"),
        ("a" * 5000, "can't be read"),
    ):
        with pytest.raises(InvalidImage, match=message):
            read_pixels(os.fspath(tmp_path) + "/" + name)
        with pytest.raises(InvalidImage, match=r"\w"):
            read_mask(os.fspath(tmp_path) + "/" + name, size=(9, 9))
    with pytest.raises(InvalidImage, match="isn't an image"):
        read_pixels(BytesIO(b"junk"))
    with pytest.raises(InvalidImage, match="can't be read as an image"):
        read_pixels(Image.open(BytesIO(whole[: len(whole) // 2])))


def test_damaged_files_give_clear_errors(tmp_path: Path) -> None:
    picture = Image.fromarray(np.random.default_rng(1).integers(0, 256, (40, 40, 3), np.uint8))
    random = np.random.default_rng(2)
    for kind in ("png", "jpeg", "gif", "bmp", "tiff", "webp"):
        buffer = BytesIO()
        picture.save(buffer, kind)
        whole = bytearray(buffer.getvalue())
        for _ in range(25):
            damaged = bytearray(whole[: random.integers(8, len(whole))]) if random.random() < 0.4 else bytearray(whole)
            for _ in range(random.integers(1, 12)):
                damaged[random.integers(4, len(damaged))] = random.integers(0, 256)
            # Whatever else it raises fails the test.
            with contextlib.suppress(InvalidImage):
                assert read_pixels(BytesIO(bytes(damaged)), channels=3).shape[2] == 3


def test_too_many_pixels_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = saved(tmp_path, Image.new("1", (300, 300)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(InvalidImage, match="too many pixels to be opened safely"):
        read_pixels(path)


def test_wrong_channels() -> None:
    with pytest.raises(InvalidImage, match="The image has 4 channels; the network's first convolution takes 3"):
        SegmentationModel(nn.Conv2d(3, 2, 1)).predict(np.zeros((5, 5, 4), np.uint8))
    with pytest.raises(InvalidImage, match=r"The image has 5 channels; the network's .* takes 3\. Floating .* C×H×W"):
        SegmentationModel(nn.Conv2d(3, 2, 1)).predict(torch.zeros(5, 5, 3))
    with pytest.raises(InvalidImage, match=r"The image has 5 channels; the network's first convolution takes 3\.$"):
        SegmentationModel(nn.Conv2d(3, 2, 1)).predict(torch.zeros(5, 5, 6))
    with pytest.raises(InvalidImage, match="The image has 4 channels; the network takes 3"):
        SegmentationModel(nn.Conv2d(3, 2, 1), preprocess=Preprocess(channels=3)).predict(np.zeros((5, 5, 4), np.uint8))
    with pytest.raises(InvalidImage, match=r"shape \(4, 5, 5\); the network takes 3×height×width"):
        SegmentationModel(nn.Conv2d(3, 2, 1), preprocess=Preprocess(channels=3)).predict(torch.zeros(4, 5, 5))
    with pytest.raises(
        InvalidImage, match="takes 12 channels, and an image file gives 1, 3 or 4; give an H×W×12 array"
    ):
        SegmentationModel(nn.Conv2d(12, 2, 1), preprocess=Preprocess(channels=12)).predict(Image.fromarray(COLOUR))


def test_files_are_converted_to_the_networks_channels(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.fromarray(COLOUR))
    for channels in (1, 3, 4):
        assert SegmentationModel(nn.Conv2d(channels, 2, 1)).predict(path).size == (6, 8)


def test_picture_of() -> None:
    np.testing.assert_array_equal(picture_of(COLOUR), COLOUR)
    assert picture_of(COLOUR) is not COLOUR
    assert picture_of(np.zeros((2, 2, 5), np.float32)).max() == 0
    stretched = picture_of(np.array([[[-3e38], [3e38]]], dtype=np.float32))
    assert stretched[0, :, 0].tolist() == [0, 255]
    assert picture_of(np.full((1, 1, 2), 512, np.uint16)).tolist() == [[[0, 0, 0]]]


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_deep_bands_are_stretched_each_for_itself(dtype: Any) -> None:
    values = np.random.default_rng(0).uniform(1000, 3000, (50, 60, 3)).astype(dtype)
    values[..., 1] //= 10
    values[0, 0] = 60_000  # a single bright pixel leaves the others as they are
    picture = picture_of(values)
    low, high = np.percentile(values, (2, 98), axis=(0, 1))
    expected = np.clip((values.astype(float) - low) / (high - low), 0, 1) * 255
    assert np.abs(picture - expected).max() <= 0.5001
    assert (picture.reshape(-1, 3).max(0) == 255).all()
    assert (picture.reshape(-1, 3).min(0) == 0).all()


def test_band_that_is_nearly_always_the_same_is_not_black() -> None:
    values = np.zeros((20, 20, 1), np.uint16)
    values[3, 4] = 500
    assert picture_of(values)[3, 4].tolist() == [255, 255, 255]


def test_bands_to_show() -> None:
    many = np.arange(2 * 3 * 12, dtype=np.uint8).reshape(2, 3, 12)
    np.testing.assert_array_equal(picture_of(many), many[..., :3])
    np.testing.assert_array_equal(picture_of(many, bands=(7, 3, 1)), many[..., [7, 3, 1]])
    np.testing.assert_array_equal(picture_of(many, bands=(11,)), many[..., [11, 11, 11]])
    np.testing.assert_array_equal(picture_of(many[..., :3], many[..., 3:], bands=(4, 2, 0)), many[..., [4, 2, 0]])
    with pytest.raises(InvalidInput, match="are 3, 2, 12, counted from 0, and there are 12: 0 to 11"):
        picture_of(many, bands=(3, 2, 12))


@pytest.mark.parametrize("given", ["3,2,1", " 3 , 2,1 ", (3, 2, 1), [3, 2, 1], np.array([3, 2, 1]).tolist()])
def test_read_bands(given: Any) -> None:
    assert read_bands(given) == (3, 2, 1)
    assert read_bands("5") == read_bands(5) == read_bands([5]) == (5,)


@pytest.mark.parametrize(
    "given", ["", "a", "3,2", "1,2,3,4", "-1", "1.5", (1, 2), (), (0, 1, -1), True, None, 1.5, "٣"]
)
def test_bands_that_cannot_be_shown(given: Any) -> None:
    with pytest.raises(InvalidInput, match="expected three numbers for red, green and blue, or one for grey, counted"):
        read_bands(given)


@pytest.mark.parametrize("channels", [1, 4, 12])
def test_model_shows_the_bands_that_were_chosen(channels: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (7, 9, channels), np.uint8)
    chosen = (3, 2, 1) if channels > 3 else (0,)
    model = SegmentationModel(nn.Conv2d(channels, 2, 1), shown_bands=chosen)
    expected = pixels[..., list(chosen) if channels > 3 else [0, 0, 0]]
    np.testing.assert_array_equal(model.predict(pixels).image, expected)
    np.testing.assert_array_equal(model.with_options(classes=("a", "b")).predict(pixels).image, expected)
    np.testing.assert_array_equal(model.picture(pixels, bands=(channels - 1,))[..., 0], pixels[..., -1])
    assert model.predict(pixels).input.channels == channels
    with pytest.raises(InvalidInput, match=rf"and there are {channels}: 0 to {channels - 1}\."):
        model.with_options(shown_bands=(0, 0, channels))


def test_read_tensor_leaves_other_images_alone() -> None:
    assert read_tensor(COLOUR) is None
    assert read_tensor("a.png") is None


def truth_of(*rows: Any) -> NDArray[Any]:
    return np.array(rows)


def test_masks(tmp_path: Path) -> None:
    values = np.arange(48).reshape(6, 8) % 3
    palette = Image.fromarray(values.astype(np.uint8), "L").convert("P", palette=Image.Palette.ADAPTIVE)
    indexed = Image.fromarray(values.astype(np.uint8))
    indexed.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    path = saved(tmp_path, indexed, "mask.png")
    assert palette.mode == indexed.mode.replace("L", "P") == "P"
    for given in (
        values,
        values.astype(np.uint8),
        torch.from_numpy(values),
        Image.fromarray(values.astype(np.uint8)),
        path,
        str(path),
        BytesIO(path.read_bytes()),
    ):
        found = read_mask(given, size=(6, 8))
        assert found.dtype == np.int32
        np.testing.assert_array_equal(found, values)
    np.testing.assert_array_equal(read_mask(values > 0, size=(6, 8)), values > 0)


def test_mask_numbers_beyond_int32_belong_to_no_class() -> None:
    huge = np.array([[2**32, 2**63 - 1, -(2**40), 5]])
    assert read_mask(huge, size=(1, 4)).tolist() == [[2**31 - 1, 2**31 - 1, -(2**31), 5]]
    assert read_mask(np.array([[2**64 - 1]], np.uint64), size=(1, 1)).max() < 0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.zeros((6, 8, 3), np.uint8), r"The mask has shape \(6, 8, 3\)"),
        (np.zeros((6, 8)), "holds float64; expected whole numbers"),
        (np.zeros((8, 6), np.uint8), "size 8×6, but the image has 6×8"),
        (Image.fromarray(COLOUR), "The mask has shape"),
        (5, "The mask is a int"),
        ([[0] * 8] * 6, "The mask is a list"),
    ],
    ids=range(6),
)
def test_not_a_mask(given: Any, message: str) -> None:
    with pytest.raises(InvalidImage, match=message):
        SegmentationModel(nn.Conv2d(3, 2, 1)).predict(COLOUR, truth=given)
