"""Reading what users hand in as an image."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import IOBase
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from .errors import InvalidImage, InvalidInput, SegscopeError, shown

__all__ = ["ImageLike", "default_bands", "picture_of", "read_bands", "read_mask", "read_pixels", "read_tensor"]

ImageLike: TypeAlias = "str | os.PathLike[str] | IOBase | Image.Image | NDArray[Any] | Tensor"

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def read_tensor(source: ImageLike) -> Tensor | None:
    """Return a float C×H×W tensor or array as float32 tensor, and None for any other kind of image.

    Parameters
    ----------
    source : ImageLike
        Anything that :meth:`segscope.SegmentationModel.predict` takes.

    Returns
    -------
    Tensor or None
        float32, C×H×W: the network's input as it is.

    Raises
    ------
    InvalidImage
        When it is empty, has other axes than C×H×W, or holds NaN or infinite values.
    """
    if isinstance(source, np.ndarray) and np.issubdtype(source.dtype, np.floating):
        with np.errstate(invalid="ignore"):  # NaN is told of below
            source = torch.from_numpy(np.array(source, dtype=np.float64, order="C"))
    if not isinstance(source, Tensor):
        return None
    if not source.is_floating_point():
        raise InvalidImage(
            f"The image is a tensor of {source.dtype}; a tensor is taken as the network's input and must be floating "
            "point. Give 8-bit pixels as a NumPy array (H×W×C)."
        )
    # A copy, since the user may go on writing to the original.
    tensor = source.detach().to(torch.float32, copy=True)
    tensor = tensor[0] if tensor.ndim == 4 and tensor.shape[0] == 1 else tensor
    if tensor.ndim != 3:
        raise InvalidImage(f"The tensor has shape {tuple(source.shape)}; expected C×H×W (or 1×C×H×W).")
    if tensor.numel() == 0:
        raise InvalidImage(f"The image is empty: its shape is {tuple(source.shape)}.")
    if not bool(torch.isfinite(tensor).all()):
        raise InvalidImage("The image holds NaN or infinite values; expected finite float32 numbers.")
    return tensor


def read_pixels(source: ImageLike, *, channels: int | None = None) -> NDArray[Any]:
    """Read an image's pixels from a file, a PIL image or an integer array.

    Parameters
    ----------
    source : path, file object, PIL image, or ndarray
        An array is H×W×C (or H×W) of uint8, uint16 or bool. Files and PIL images are turned upright by their EXIF tag.
    channels : int, optional
        Channels wanted; files and PIL images are converted to it where PIL can (1, 3 or 4).

    Returns
    -------
    ndarray
        uint8 or uint16, H×W×C.

    Raises
    ------
    InvalidImage
        When it isn't an image, is empty, or has another type.
    """
    if isinstance(source, np.ndarray):
        return _check_array(source)
    with _opened(source, "image") as image:
        return _from_pil(image, channels)


def picture_of(*values: NDArray[Any], bands: Sequence[int] | None = None) -> NDArray[np.uint8]:
    """Return an image that people can look at, from pixels or from a network's input.

    Parameters
    ----------
    *values : ndarray
        H×W×C, or several of them, whose bands are counted on. 8 bits are shown as they are; of any other type, each
        band is stretched from its 2nd to its 98th percentile.
    bands : sequence of int, optional
        The band to show as grey, or the three to show as red, green and blue, counted from 0. Without it: the first
        three, or the first one where there are fewer.

    Returns
    -------
    ndarray
        uint8, H×W×3.

    Raises
    ------
    InvalidInput
        When there is no such band.
    """
    found = [array[..., band] for array in values for band in range(array.shape[2])]
    count = len(found)
    planes = [_eight_bits(found[band]) for band in _existing(bands or default_bands(count), count)]
    return np.stack(planes if len(planes) == 3 else planes * 3, axis=2)


def default_bands(count: int) -> tuple[int, ...]:
    """Return the bands that are shown where nobody chose any.

    Parameters
    ----------
    count : int
        How many there are.

    Returns
    -------
    tuple of int
        The first three, or the first one.
    """
    return (0, 1, 2) if count >= 3 else (0,)


def read_bands(given: str | int | Sequence[int], *, count: int | None = None) -> tuple[int, ...]:
    """Read which bands of an image are shown.

    Parameters
    ----------
    given : str, int or sequence of int
        One number, for grey, or three, for red, green and blue, counted from 0; as text, with commas between them.
    count : int, optional
        How many bands there are.

    Returns
    -------
    tuple of int
        One or three.

    Raises
    ------
    InvalidInput
        When it is anything else, or there is no such band.
    """
    parts = given.split(",") if isinstance(given, str) else given if isinstance(given, Sequence) else [given]
    numbers = [str(part).strip() for part in parts if not isinstance(part, bool)]
    if len(numbers) not in (1, 3) or not all(re.fullmatch("[0-9]{1,6}", number) for number in numbers):
        raise InvalidInput(
            f"The bands to show are {shown(given)}; expected three numbers for red, green and blue, or one for grey, "
            "counted from 0: for instance 3,2,1."
        )
    bands = tuple(map(int, numbers))
    return bands if count is None else _existing(bands, count)


def read_mask(source: ImageLike, *, size: tuple[int, int]) -> NDArray[np.int32]:
    """Read a mask of class indices from a file, a PIL image or an array.

    Parameters
    ----------
    source : path, file object, PIL image or ndarray
        H×W of whole numbers. Of a palette image the indices are taken, not the colours.
    size : (int, int)
        Height and width that it must have.

    Returns
    -------
    ndarray
        int32, H×W; numbers that int32 can't hold become the nearest that it can.

    Raises
    ------
    InvalidImage
        When it can't be read, has several channels, holds fractions, or has another size.
    """
    if isinstance(source, Tensor):
        source = source.detach().cpu().numpy()
    if isinstance(source, np.ndarray):
        values = source
    else:
        with _opened(source, "mask") as image:
            values = np.asarray(image)
    if values.ndim != 2:
        raise InvalidImage(
            f"The mask has shape {values.shape}; expected height×width class indices (one channel, or a palette image)."
        )
    if values.dtype.kind not in "iub":
        raise InvalidImage(f"The mask holds {values.dtype}; expected whole numbers, the class indices.")
    if values.shape != size:
        raise InvalidImage(
            f"The mask has size {values.shape[0]}×{values.shape[1]}, but the image has {size[0]}×{size[1]} "
            "(height×width)."
        )
    limits = np.iinfo(np.int32)
    return np.clip(values.astype(np.int64), limits.min, limits.max).astype(np.int32)


def _existing(bands: Sequence[int], count: int) -> tuple[int, ...]:
    if max(bands) >= count:
        raise InvalidInput(
            f"The bands to show are {', '.join(map(str, bands))}, counted from 0, and there are {count}: "
            f"0 to {count - 1}."
        )
    return tuple(bands)


def _eight_bits(band: NDArray[Any]) -> NDArray[np.uint8]:
    if band.dtype == np.uint8:
        return band
    # Some hundred thousand values tell the percentiles well enough.
    step = 1 + math.isqrt(band.size // 2**18)
    low, high = np.percentile(band[::step, ::step].astype(np.float64), (2, 98))
    if low == high:
        low, high = float(band.min()), float(band.max())
    if low == high:
        return np.zeros(band.shape, np.uint8)
    return np.asarray(np.round(np.interp(band, (low, high), (0, 255))), np.uint8)


def _check_array(pixels: NDArray[Any]) -> NDArray[Any]:
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    if pixels.ndim != 3:
        raise InvalidImage(f"The image is an array of shape {pixels.shape}; expected H×W×C.")
    if pixels.size == 0:
        raise InvalidImage(f"The image is empty: its shape is {pixels.shape}.")
    if pixels.dtype == np.bool_:
        return pixels.astype(np.uint8) * np.uint8(255)
    if pixels.dtype not in (np.uint8, np.uint16):
        raise InvalidImage(
            f"The image is an array of {pixels.dtype}; expected uint8 or uint16 (H×W×C), or floating point (C×H×W, "
            "the network's input)."
        )
    return pixels


@contextmanager
def _opened(source: object, what: str) -> Iterator[Image.Image]:
    """Open a file, or take a PIL image as it is, and say clearly what is wrong with either."""
    name = f"The file {Path(source).name!r}" if isinstance(source, (str, os.PathLike)) else f"The {what}"
    if not isinstance(source, (str, os.PathLike, IOBase, Image.Image)):
        raise InvalidImage(f"{name} is a {type(source).__name__}; expected a path, a PIL image, an array or a tensor.")
    try:
        if isinstance(source, Image.Image):
            yield source
        else:
            with Image.open(source) as image:  # type: ignore[arg-type] # an IOBase has what PIL needs of an IO[bytes]
                yield image
    except SegscopeError:
        raise
    except FileNotFoundError:
        raise InvalidImage(f"There is no file {str(source)!r}.") from None
    except IsADirectoryError:
        raise InvalidImage(f"{name} is a folder; expected an image file.") from None
    except UnidentifiedImageError:
        raise InvalidImage(f"{name} isn't an image that can be read (PNG, JPEG, WebP, TIFF, …).") from None
    except Image.DecompressionBombError:
        raise InvalidImage(f"{name} has too many pixels to be opened safely.") from None
    except Exception as error:  # decoders of damaged files raise anything
        raise InvalidImage(f"{name} can't be read as an image: {error}.") from error


def _from_pil(image: Image.Image, channels: int | None) -> NDArray[Any]:
    if min(image.size) == 0:
        raise InvalidImage(f"The image is empty: its size is {image.size[0]}×{image.size[1]}.")
    image = ImageOps.exif_transpose(image)
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _deep(np.asarray(image), channels)
    mode = _MODES.get(3 if channels is None else channels)
    if mode is None:
        raise InvalidImage(
            f"The network takes {channels} channels, and an image file gives 1, 3 or 4; give an H×W×{channels} array, "
            "or a .npy or TIFF file of as many bands."
        )
    if "transparency" in image.info:
        # A palette with transparent colours goes by way of RGBA, or PIL warns.
        image = image.convert("RGBA")
    pixels = np.asarray(image.convert(mode))
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _deep(values: NDArray[Any], channels: int | None) -> NDArray[np.uint16]:
    """Return grey values of more than eight bits as uint16, H×W×1, or thrice where a network takes three channels."""
    if values.dtype.kind == "f" or values.min() < 0 or values.max() > np.iinfo(np.uint16).max:
        raise InvalidImage(
            f"The image holds {values.dtype} values from {values.min():g} to {values.max():g}; expected 8 or 16 bits a "
            "channel. Give it as a floating-point array (C×H×W), in the units that the network takes."
        )
    pixels = values.astype(np.uint16)[..., None]
    return np.repeat(pixels, 3, axis=2) if channels == 3 else pixels
